"""What the operator keeps in memory of a FluidJob: some strings and numbers, the spec only while it still has to be
looked at. Pure."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

import orjson

from fluid_operator.api.conditions import ConditionType, Reason
from fluid_operator.api.fluidjob import RunPolicy
from fluid_operator.api.fluidjob_status import Phase
from fluid_operator.api.meta import REQUEST_ANNOTATION
from fluid_operator.jobs.origin import origin
from fluid_operator.jobs.requests import misread
from fluid_operator.jobs.tracking import runs_once

MAX_DEPTH = 64
"""Levels of nesting in a spec. Deeper ones break JSON writers and validators at different depths; nobody means them."""

REQUEST_LIMIT = 256
"""Characters of the annotation that count; the status shows no more."""

REMEMBERED_BYTES = 1024
"""Of a spec, as JSON, that stays in memory while its job cannot be enqueued; larger ones are read again when needed.
Ten thousand jobs with the largest items would fill gigabytes."""

TERMINAL = frozenset(phase.value for phase in Phase if phase.terminal)


@dataclass(frozen=True, slots=True)
class JobView:
    """One FluidJob at one resourceVersion. Two views with the same content are equal."""

    uid: str
    resource_version: str
    generation: int
    deleting: bool
    cancelled: bool
    suspend: bool
    request: str
    """The annotation as it stands, executed or not."""
    spec: Mapping[str, Any] | None
    """Raw; None once the status speaks of this generation and the job is in the queue or beyond."""
    too_deep: bool
    """The spec is nested so deeply that nothing can be done with it; its payload is left out of `spec`."""
    misread: str
    """Why the request cannot be understood; empty when it can, or when there is none."""
    observed: int
    phase: str
    run: int
    """0: never enqueued."""
    spec_hash: str
    job_id: str
    environment: str
    attempts: int
    held: bool
    """Somebody asked by annotation that it be suspended, and it is, or will be when it can be asked."""
    last_request: str
    conditions: tuple[tuple[str, str, str], ...]
    """(type, status, lastTransitionTime); empty once terminal."""
    digest: int
    """Of the whole status, to see whether a new one differs; 0 once terminal."""
    created: float
    """Seconds since the epoch, whole ones: that is how exact metadata.creationTimestamp is."""
    finished: float
    """Seconds since the epoch; 0 while the run has not ended."""
    ttl: int | None
    """For how many seconds after its end the object stays, by its own spec and for the outcome that it has."""
    once: bool
    """Its spec runs once, also when the object is created again (OncePerSpec, Auto decided)."""
    abridged: bool = False
    """`spec` is missing only because it is large; whoever looks at the object reads it again first."""
    completed: str = ""
    """Indexes that have completed, as the status tells them: what is left of them when a record is lost."""
    schedule: str = ""
    """Name of the FluidSchedule that controls the object; empty, as what follows, when none does."""
    schedule_uid: str = ""
    by_hand: bool = False
    """Somebody asked the schedule for it; it was not the clock."""
    counted: bool = False
    """Though made by hand, it counts for the schedule's concurrencyPolicy."""
    scheduled: float = 0.0
    """The time that the object's name keeps from firing twice, in seconds since the epoch; 0 when it keeps none."""

    @property
    def terminal(self) -> bool:
        return self.phase in TERMINAL

    @property
    def requested(self) -> str:
        """A request that has not been executed yet, or the empty string."""
        return self.request if self.request != self.last_request else ""

    @property
    def settled(self) -> bool:
        """Nothing is left to do: the run has ended, and nobody has asked for anything since."""
        return self.terminal and self.generation == self.observed and not self.requested

    @property
    def fired(self) -> bool:
        """A schedule created it because it was time, and counts it in its history."""
        return self.schedule != "" and not self.by_hand


def project(raw: Mapping[str, Any]) -> JobView:
    """What is kept of a FluidJob as the API server sends it."""
    meta, spec, status = raw["metadata"], raw.get("spec") or {}, raw.get("status") or {}
    too_deep = deeper_than(spec, MAX_DEPTH)
    if too_deep:
        spec = {name: value for name, value in spec.items() if name not in ("payload", "items")}
    phase = sys.intern(status.get("phase") or Phase.PENDING.value)
    observed = status.get("observedGeneration", -1)
    ended = phase in TERMINAL
    conditions = status.get("conditions") or ()
    request = (meta.get("annotations") or {}).get(REQUEST_ANNOTATION, "")[:REQUEST_LIMIT]
    comes_from = origin(meta)
    return JobView(
        uid=meta["uid"],
        resource_version=meta["resourceVersion"],
        generation=meta.get("generation", 0),
        deleting="deletionTimestamp" in meta,
        cancelled=spec.get("cancelled", False),
        suspend=spec.get("suspend", False),
        request=request,
        spec=spec if meta.get("generation", 0) != observed or phase in _BEFORE_THE_QUEUE else None,
        too_deep=too_deep,
        misread=misread(request),
        observed=observed,
        phase=phase,
        run=status.get("run", 0),
        spec_hash=status.get("specHash", ""),
        job_id=status.get("jobId", ""),
        environment=sys.intern(status.get("environment", "")),
        attempts=status.get("attempts", 0),
        held=not ended and any(_held_by_request(each) for each in conditions),
        last_request=status.get("lastHandledRequest", ""),
        conditions=() if ended else tuple((c["type"], c["status"], c["lastTransitionTime"]) for c in conditions),
        digest=0 if ended else digest(status),
        created=_seconds(meta.get("creationTimestamp")),
        finished=_seconds(status.get("completionTime")) if ended else 0.0,
        ttl=_time_to_live(spec, phase),
        once=runs_once(meta, spec.get("runPolicy") or RunPolicy.AUTO),
        completed=status.get("completedIndexes", ""),
        schedule=comes_from.schedule,
        schedule_uid=comes_from.uid,
        by_hand=comes_from.by_hand,
        counted=comes_from.counted,
        scheduled=comes_from.scheduled,
    )


def remember(raw: Mapping[str, Any]) -> JobView:
    """As `project`, for a cache of ten thousands: large specs are left out."""
    view = project(raw)
    if view.spec is None or len(orjson.dumps(view.spec)) <= REMEMBERED_BYTES:
        return view
    return replace(view, spec=None, abridged=True)


def _held_by_request(condition: Mapping[str, Any]) -> bool:
    """The condition is the memory of a request to suspend, in whatever phase the job is meanwhile."""
    return (condition["type"], condition["reason"]) == (ConditionType.SUSPENDED, Reason.SUSPENDED_BY_REQUEST)


def _seconds(moment: str | None) -> float:
    return datetime.fromisoformat(moment).timestamp() if moment else 0.0


def _time_to_live(spec: Mapping[str, Any], phase: str) -> int | None:
    whatever: int | None = spec.get("ttlSecondsAfterFinished")
    if whatever is not None:
        return whatever
    by_outcome: int | None = (spec.get("ttl") or {}).get(
        "succeededSeconds" if phase == Phase.SUCCEEDED else "failedSeconds"
    )
    return by_outcome


def deeper_than(value: Any, limit: int) -> bool:
    """Whether maps and lists are nested in more than `limit` levels."""
    if isinstance(value, Mapping):
        return limit == 0 or any(deeper_than(child, limit - 1) for child in value.values())
    if isinstance(value, list):
        return limit == 0 or any(deeper_than(child, limit - 1) for child in value)
    return False


def digest(status: Mapping[str, Any]) -> int:
    """Equal for equal JSON, within this process."""
    return hash(orjson.dumps(status, option=orjson.OPT_SORT_KEYS))


_BEFORE_THE_QUEUE = frozenset({Phase.PENDING.value, Phase.SUSPENDED.value})
