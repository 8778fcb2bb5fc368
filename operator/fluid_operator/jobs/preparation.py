"""From a spec to a job for the queue: defaults resolved, payload merged and checked. Pure: sources are read by the
caller.

Each setting is taken from the job, else the environment's entry for the queue, else the processor, else what is
built in (design section 3).
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

from fluid_operator.api.conditions import ConditionType, Reason
from fluid_operator.api.errors import InvalidSpec
from fluid_operator.api.fluidenvironment import FluidEnvironmentSpec
from fluid_operator.api.fluidjob import DeduplicationMode, FluidJobSpec, RunPolicy
from fluid_operator.api.meta import parse, to_wire
from fluid_operator.api.policies import TimeToLive
from fluid_operator.api.queues import QueueSettings
from fluid_operator.environments.types import KnownType, ProcessorSettings
from fluid_operator.jobs.keeping import Limits
from fluid_operator.jobs.problems import ending
from fluid_operator.jobs.runs import Target
from fluid_operator.jobs.view import JobView
from fluid_operator.kube.keys import ObjectKey
from fluid_queue import BACKOFF_LIMIT, Backoff, Deduplication, FailureRule, Indexes, InvalidJob, NewJob
from fluid_queue.jobs import MAX_PARALLELISM

ATTEMPT_DEADLINE_SECONDS = 300
KEEP_SECONDS = 3600
"""How long a record stays in Redis after its outcome was written into the status."""

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
    run_policy: str
    ttl: TimeToLive

    def to_status(self) -> dict[str, Any]:
        """The field `status.effective`."""
        shown: dict[str, Any] = {
            "priority": self.priority,
            "backoffLimit": self.backoff_limit,
            "backoff": self.backoff.to_json(),
            "attemptDeadlineSeconds": self.attempt_deadline_seconds,
            "runPolicy": self.run_policy,
            "ttl": to_wire(self.ttl),
        }
        if self.active_deadline_seconds:
            shown["activeDeadlineSeconds"] = self.active_deadline_seconds
        return shown


def read_spec(raw: Mapping[str, Any]) -> FluidJobSpec:
    """The typed spec. Raises a Problem that ends the run when it cannot be read."""
    try:
        return parse(FluidJobSpec, raw)
    except InvalidSpec as error:
        raise ending(Reason.INVALID_SPEC, str(error)) from error


def resolve(
    spec: FluidJobSpec, environment: FluidEnvironmentSpec, known: KnownType, *, once: bool = False, fired: bool = False
) -> Effective:
    """The settings that hold for a run. `once`: how its runPolicy was decided; `fired`: a schedule keeps the finished
    job, as long as its history limits say."""
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
        run_policy=(RunPolicy.ONCE_PER_SPEC if once else RunPolicy.ALWAYS).value,
        ttl=_time_to_live(spec, None if fired else Limits.of(environment.retention)),
    )


def _time_to_live(spec: FluidJobSpec, theirs: Limits | None) -> TimeToLive:
    whatever, own = spec.ttl_seconds_after_finished, spec.ttl or TimeToLive()
    return TimeToLive(
        succeeded_seconds=_set(whatever, own.succeeded_seconds, theirs and theirs.succeeded),
        failed_seconds=_set(whatever, own.failed_seconds, theirs and theirs.failed),
    )


def _backoff(spec: FluidJobSpec, entry: QueueSettings | None, settings: ProcessorSettings) -> Backoff:
    """Backoff is taken field by field, so that a job that only names a longer delay keeps the rest."""
    merged: dict[str, Any] = {}
    for source in (settings.backoff, entry.backoff if entry else None, spec.backoff):
        if source:
            merged |= source.model_dump(mode="json", by_alias=True, exclude_none=True)
    return Backoff.from_json(merged)


def _first(*values: T | None) -> T:
    """The first that is set; the last always is."""
    return next(value for value in values if value is not None)


def _set(*values: T | None) -> T | None:
    """The first that is set, if any."""
    return next((value for value in values if value is not None), None)


@dataclass(frozen=True, slots=True)
class Order:
    """What else a job for the queue needs to know, beside its spec."""

    payload: Mapping[str, Any]
    items: Sequence[Mapping[str, Any]] = ()
    """One for each index; empty for a plain job, and for one that only counts its indexes."""
    completed: str = ""
    """Indexes that need not run any more, as ranges."""
    seed: tuple[int, int] = (0, 0)
    """Attempts and failures of a record that was lost."""
    start_by: datetime | None = None
    held: bool = False


def has_started(view: JobView, wanted: Target) -> bool:
    """Whether an attempt at this run is known to have started, so that no starting deadline concerns it any more."""
    return wanted.run == view.run and view.attempts > 0


def asked_at(view: JobView, wanted: Target, now: datetime) -> datetime:
    """When this run came to be wanted: since then the status tells that it is not ready. `now`, when it tells nothing
    of it yet."""
    told = next((since for kind, _, since in view.conditions if kind == ConditionType.READY), None)
    return datetime.fromisoformat(told) if told and wanted.run == view.run else now


def starts_by(view: JobView, wanted: Target, spec: FluidJobSpec, asked: datetime) -> datetime | None:
    """Until when the run must have started; None: there is no limit. `asked` is when a later run than the first came
    to be wanted."""
    if spec.starting_deadline_seconds is None:
        return None
    since = datetime.fromtimestamp(view.created, UTC) if wanted.run == 1 else asked
    try:
        return max(since, spec.start_after or since) + timedelta(seconds=spec.starting_deadline_seconds)
    except OverflowError:
        return None  # after the end of the calendar


def within(completed: str, count: int) -> str:
    """The ranges of completed indexes, if they are of a job with so many; nothing when the items have become fewer, and
    so are others."""
    last = re.split("[-,]", completed)[-1]
    return completed if last and int(last) < count else ""


def new_job(
    key: ObjectKey,
    view: JobView,
    wanted: Target,
    environment: str,
    spec: FluidJobSpec,
    effective: Effective,
    order: Order,
) -> NewJob:
    """The job of this run. Raises a Problem for what the queue refuses."""
    try:
        job = NewJob(
            id=wanted.job_id(view.uid),
            type=spec.type,
            queue=effective.queue,
            payload=order.payload,
            priority=effective.priority,
            start_after=spec.start_after,
            start_by=order.start_by,
            suspended=order.held,
            tags=spec.tags or {},
            key=spec.concurrency_key or "",
            deduplication=_deduplication(spec, wanted),
            indexes=_indexes(spec, order),
            failure_rules=_failure_rules(spec),
            backoff_limit=effective.backoff_limit,
            backoff=effective.backoff,
            attempt_deadline_seconds=effective.attempt_deadline_seconds,
            active_deadline_seconds=effective.active_deadline_seconds or 0,
            keep_seconds=KEEP_SECONDS,
            acknowledged=True,
            hash=wanted.hash,
            replace=True,
            seed_attempt=order.seed[0],
            seed_failures=order.seed[1],
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


def _deduplication(spec: FluidJobSpec, wanted: Target) -> Deduplication | None:
    asked = spec.deduplication
    if asked is None:
        return None
    mode = asked.mode or DeduplicationMode.WHILE_UNFINISHED
    if mode is DeduplicationMode.THROTTLE and wanted.run > 1:
        return None  # a retry, or another spec of the same object: its own first run must not make it needless
    return Deduplication(asked.key, mode.value, asked.ttl_seconds or 0)


def _indexes(spec: FluidJobSpec, order: Order) -> Indexes | None:
    count = len(order.items) or spec.completions
    if not count:
        return None
    return Indexes(
        count,
        parallelism=parallelism(spec),
        max_failed=spec.max_failed_indexes,
        items=order.items,
        completed=order.completed,
    )


def parallelism(spec: FluidJobSpec) -> int:
    """How many indexes may run at once; unset: as many as there can be."""
    return spec.parallelism or MAX_PARALLELISM


def _failure_rules(spec: FluidJobSpec) -> Sequence[FailureRule]:
    if spec.failure_policy is None:
        return ()
    return [FailureRule(tuple(rule.error_types), rule.action.value) for rule in spec.failure_policy.rules]
