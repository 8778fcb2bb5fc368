"""Which status of a FluidJob is worth an event. Pure: the object as it was and the status that was written, in.

Events are for what people look for when something is not as they expect: a job that cannot start, fails, is tried
again, or was stopped. What goes as it should has none, because an event costs as much as a status: a job that succeeds
at its first attempt writes no event at all, and neither does one that waits for its turn.

A note is the message of the Ready condition, or the error that stands in the status: nothing comes into an event that
is not in the status already, and so no payload and no Secret does.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from fluid_operator.api.conditions import ConditionType, Reason
from fluid_operator.api.fluidjob_status import Phase
from fluid_operator.jobs.view import JobView
from fluid_operator.kube.events import EventType, Happening, Regarding
from fluid_operator.kube.keys import FLUID_JOBS, ObjectKey

RESUMED: Final = "Resumed"

_IN_TURN: Final = frozenset(
    reason.value
    for reason in (
        Reason.QUEUED,
        Reason.SCHEDULED,
        Reason.KEY_HELD,
        Reason.RATE_LIMITED,
        Reason.RUNNING,
        Reason.STOPPING,
        Reason.WAITING_FOR_CHILDREN,
    )
)
"""What every queue does all day."""

_ON_PURPOSE: Final = frozenset(
    reason.value
    for reason in (
        Reason.CREATION_RATE_LIMITED,
        Reason.QUEUE_PAUSED,
        Reason.ENVIRONMENT_SUSPENDED,
    )
)
"""Waiting that somebody asked for: nothing is wrong."""


def event_of(key: ObjectKey, before: JobView, status: Mapping[str, Any]) -> Happening | None:
    """What is to be told of a status that was written onto `before`; None in most cases."""
    ready = _ready(status)
    if ready is None:
        return None
    found = _kind_of(before, status, ready["reason"])
    if found is None:
        return None
    kind, reason, action = found
    note = _last_error(status) if reason == Reason.RETRYING else ""
    regarding = Regarding(FLUID_JOBS.api_version, FLUID_JOBS.kind, key, before.uid)
    return Happening(regarding, kind, reason, action, note or ready["message"])


def _ready(status: Mapping[str, Any]) -> Mapping[str, str] | None:
    conditions = status.get("conditions") or ()
    return next((each for each in conditions if each["type"] == ConditionType.READY), None)


def _kind_of(before: JobView, status: Mapping[str, Any], reason: str) -> tuple[EventType, str, str] | None:
    """Type, reason and action."""
    phase = Phase(status["phase"])
    if phase.terminal:
        told = before.terminal and before.run == status.get("run")
        return None if told else _ending(phase, status, reason)
    if phase is Phase.SUSPENDED:
        return None if before.phase == phase else ("Normal", reason, "Suspend")
    if phase is Phase.RETRYING:
        told = before.phase == phase and before.attempts == status.get("attempts", 0)
        return None if told else ("Warning", reason, "Retry")
    if reason not in _IN_TURN:
        return "Normal" if reason in _ON_PURPOSE else "Warning", reason, "Wait"
    if before.phase == Phase.SUSPENDED and before.run == status.get("run", before.run):
        return "Normal", RESUMED, "Resume"
    return None


def _ending(phase: Phase, status: Mapping[str, Any], reason: str) -> tuple[EventType, str, str] | None:
    if phase is Phase.FAILED:
        return "Warning", reason, "Fail"
    if phase is Phase.CANCELLED:
        return "Normal", reason, "Cancel"
    if reason != Reason.SUCCEEDED:
        return "Normal", reason, "Skip"  # it did not run itself: a twin or an earlier object did
    # Whoever saw that attempts failed wants to see that one did not.
    return ("Normal", reason, "Complete") if status.get("attempts", 0) > 1 else None


def _last_error(status: Mapping[str, Any]) -> str:
    """The error without the number of its attempt, so that what fails over and over in the same way is one series."""
    error = status.get("error") or {}
    return f"{error['type']}: {error['message']}" if error else ""
