"""From a spec to a job for the queue: defaults resolved, payload merged and checked. Pure: sources are read by the
caller.

Each setting is taken from the job, else the environment's entry for the queue, else the processor, else what is
built in (design section 3).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from fluid_operator.api.conditions import Reason
from fluid_operator.api.errors import InvalidSpec
from fluid_operator.api.fluidenvironment import FluidEnvironmentSpec
from fluid_operator.api.fluidjob import FluidJobSpec
from fluid_operator.api.meta import parse
from fluid_operator.api.queues import QueueSettings
from fluid_operator.environments.types import KnownType, ProcessorSettings
from fluid_operator.jobs.problems import ending, waiting
from fluid_operator.jobs.runs import Target
from fluid_operator.jobs.view import JobView
from fluid_operator.kube.keys import ObjectKey
from fluid_queue import BACKOFF_LIMIT, Backoff, InvalidJob, NewJob

ATTEMPT_DEADLINE_SECONDS = 300
KEEP_SECONDS = 3600
"""How long a record stays in Redis after its outcome was written into the status."""

_BLOCKING = ("completions", "items", "itemsFrom")

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Effective:
    """The settings of a run, resolved. Names and units are the API's."""

    queue: str
    priority: int
    backoff_limit: int
    backoff: Backoff
    attempt_deadline_seconds: int
    active_deadline_seconds: int | None

    def to_status(self) -> dict[str, Any]:
        """The field `status.effective`."""
        shown: dict[str, Any] = {
            "priority": self.priority,
            "backoffLimit": self.backoff_limit,
            "backoff": self.backoff.to_json(),
            "attemptDeadlineSeconds": self.attempt_deadline_seconds,
        }
        if self.active_deadline_seconds:
            shown["activeDeadlineSeconds"] = self.active_deadline_seconds
        return shown


def read_spec(raw: Mapping[str, Any]) -> FluidJobSpec:
    """The typed spec. Raises a Problem that ends the run when it cannot be read, or waits when it asks for what does
    not exist yet."""
    try:
        spec = parse(FluidJobSpec, raw)
    except InvalidSpec as error:
        raise ending(Reason.INVALID_SPEC, str(error)) from error
    for field in _BLOCKING:
        if raw.get(field) is not None:
            message = (
                f"spec.{field}: indexed jobs cannot run yet; remove the field, or wait for a version that has them"
            )
            raise waiting(Reason.NOT_YET_SUPPORTED, message)
    return spec


def resolve(spec: FluidJobSpec, environment: FluidEnvironmentSpec, known: KnownType) -> Effective:
    """The settings that hold for a run."""
    settings = known.settings
    queue = spec.queue or settings.queue or spec.type
    entry = next((entry for entry in environment.queues or () if entry.name == queue), None)
    return Effective(
        queue=queue,
        priority=spec.priority or 0,
        backoff_limit=_first(
            spec.backoff_limit, entry.backoff_limit if entry else None, settings.backoff_limit, BACKOFF_LIMIT
        ),
        backoff=_backoff(spec, entry, settings),
        attempt_deadline_seconds=_first(
            spec.attempt_deadline_seconds,
            entry.attempt_deadline_seconds if entry else None,
            settings.attempt_deadline_seconds,
            ATTEMPT_DEADLINE_SECONDS,
        ),
        active_deadline_seconds=spec.active_deadline_seconds,
    )


def _backoff(spec: FluidJobSpec, entry: QueueSettings | None, settings: ProcessorSettings) -> Backoff:
    """Backoff is taken field by field, so that a job that only names a longer delay keeps the rest."""
    merged: dict[str, Any] = {}
    for source in (settings.backoff, entry.backoff if entry else None, spec.backoff):
        if source:
            merged |= source.model_dump(mode="json", by_alias=True, exclude_none=True)
    return Backoff.from_json(merged)


def _first(*values: T | None) -> T:
    return next(value for value in values if value is not None)


def new_job(
    key: ObjectKey,
    view: JobView,
    wanted: Target,
    environment: str,
    spec: FluidJobSpec,
    effective: Effective,
    payload: Mapping[str, Any],
    *,
    seed: tuple[int, int] = (0, 0),
) -> NewJob:
    """The job of this run. `seed` is (attempts, failures) of a record that was lost. Raises a Problem for what the
    queue refuses."""
    try:
        job = NewJob(
            id=wanted.job_id(view.uid),
            type=spec.type,
            queue=effective.queue,
            payload=payload,
            priority=effective.priority,
            start_after=spec.start_after,
            tags=spec.tags or {},
            backoff_limit=effective.backoff_limit,
            backoff=effective.backoff,
            attempt_deadline_seconds=effective.attempt_deadline_seconds,
            active_deadline_seconds=effective.active_deadline_seconds or 0,
            keep_seconds=KEEP_SECONDS,
            acknowledged=True,
            hash=wanted.hash,
            replace=True,
            seed_attempt=seed[0],
            seed_failures=seed[1],
            origin={
                "kind": "FluidJob",
                "namespace": key.namespace,
                "name": key.name,
                "uid": view.uid,
                "generation": view.generation,
                "specHash": wanted.hash,
                "run": wanted.run,
                "environment": environment,
                "effective": effective.to_status(),
            },
        )
        job.spec()  # refused here, and not in the middle of other jobs' batch
        return job
    except InvalidJob as error:
        raise ending(Reason.INVALID_SPEC, f"spec.{error.field}: {error.message}") from error
