"""The effective settings of a run, field by field, with what they mean. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from fluid_cli.times import age


def settings_of(effective: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Pairs of the API's field and its value in words; empty while nothing is resolved."""
    return list(_settings(effective)) if effective else []


def _settings(effective: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    yield "priority", str(effective.get("priority", 0))
    limit = effective.get("backoffLimit")
    if limit is not None:
        yield "backoffLimit", "no retry" if limit == 0 else f"{limit} ({'retry' if limit == 1 else 'retries'})"
        if limit and effective.get("backoff"):
            yield "backoff", backoff_text(effective["backoff"])
    yield "attemptDeadlineSeconds", _seconds(effective.get("attemptDeadlineSeconds"), "no limit")
    yield "activeDeadlineSeconds", _seconds(effective.get("activeDeadlineSeconds"), "no limit")
    if effective.get("runPolicy"):
        yield "runPolicy", str(effective["runPolicy"])
    ttl = effective.get("ttl")
    if ttl:
        kept = [("after success", ttl.get("succeededSeconds")), ("after failure", ttl.get("failedSeconds"))]
        yield "ttl", ", ".join(f"{age(seconds)} {when}" for when, seconds in kept if seconds is not None)


def backoff_text(backoff: Mapping[str, Any]) -> str:
    """How long is waited before a retry."""
    delay = age(backoff.get("delaySeconds", 0))
    jitter = f", up to {backoff['jitterPercent']} % more or less" if backoff.get("jitterPercent") else ""
    if backoff.get("type") == "Fixed":
        return f"{delay} each time{jitter}"
    most = f", at most {age(backoff['maxDelaySeconds'])}" if backoff.get("maxDelaySeconds") else ""
    return f"{delay}, each time x{backoff.get('factor', 1)}{most}{jitter}"


def _seconds(value: int | None, unset: str) -> str:
    return unset if value is None else f"{value} ({age(value)})" if value >= 60 else str(value)
