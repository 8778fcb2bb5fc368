"""From a FluidEnvironment to what its queue and its workers obey, as one record. Pure."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from typing import Any

from fluid_operator.api import queues as api
from fluid_operator.api.errors import InvalidSpec
from fluid_operator.api.fluidenvironment import FluidEnvironmentSpec
from fluid_queue import CircuitBreaker, CreationLimit, Fairness, InvalidJob, QueueSettings, RateLimit, Settings


def settings_of(spec: FluidEnvironmentSpec, paused: Collection[str] = ()) -> Settings:
    """The settings for the key space; `paused` are queues that somebody paused by request. Raises InvalidSpec for what
    the queue does not take."""
    queues = {entry.name: _queue(at, entry) for at, entry in enumerate(spec.queues or ())}
    for name in paused:
        queues[name] = replace(queues.get(name, QueueSettings()), paused=True)
    try:
        return Settings(bool(spec.suspend), queues, _outbound(spec))
    except InvalidJob as error:
        raise InvalidSpec(f"spec.{error.field}", error.message) from error


def _queue(at: int, entry: api.QueueSettings) -> QueueSettings:
    try:
        return QueueSettings(
            paused=bool(entry.paused),
            concurrency=entry.concurrency,
            concurrency_per_key=entry.concurrency_per_key,
            rate_limit=RateLimit(entry.rate_limit.max, entry.rate_limit.per_seconds) if entry.rate_limit else None,
            creation_limit=_creation(entry),
            circuit_breaker=_circuit(entry),
            fairness=Fairness(entry.fairness.tag) if entry.fairness else None,
        )
    except InvalidJob as error:
        raise InvalidSpec(f"spec.queues[{at}].{error.field}", error.message) from error


def _creation(entry: api.QueueSettings) -> CreationLimit | None:
    limit = entry.creation_limit
    return CreationLimit(limit.max, limit.per_seconds) if limit else None


def _circuit(entry: api.QueueSettings) -> CircuitBreaker | None:
    breaker = entry.circuit_breaker
    return CircuitBreaker(breaker.failures, breaker.within_seconds, breaker.probe_seconds) if breaker else None


def _outbound(spec: FluidEnvironmentSpec) -> dict[str, Any]:
    """For workers, who know domains without the @ that sets them apart from addresses here."""
    outbound = spec.outbound
    if outbound is None:
        return {}
    told: dict[str, Any] = {}
    if outbound.mode:
        told["mode"] = outbound.mode.value
    if outbound.redirect_to:
        told["redirectTo"] = outbound.redirect_to
    if outbound.allow:
        told["allow"] = sorted(each.removeprefix("@") for each in outbound.allow)
    return told
