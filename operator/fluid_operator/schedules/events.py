"""What of a schedule is worth an event. Pure.

Notes of what happens by itself hold no times and no names of jobs, so that what repeats itself is one series with a
count; the status has the times. A problem is told in the words of its condition. A job that is created as it should be
is no event: the job is there to be seen.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from fluid_operator.api.fluidschedule import FLUID_SCHEDULE
from fluid_operator.api.meta import API_VERSION
from fluid_operator.kube.events import EventType, Happening, Regarding
from fluid_operator.kube.keys import ObjectKey
from fluid_operator.schedules.status import Problem


class Told(NamedTuple):
    """What happened, but not yet to whom."""

    type: EventType
    reason: str
    action: str
    note: str


MISSED: Final = Told(
    "Warning",
    "MissedSchedule",
    "Create",
    "Times passed without a job, because it could not be created in time; status.missed counts them. `fluid backfill` "
    "makes up for them.",
)
SKIPPED: Final = Told(
    "Normal",
    "JobAlreadyActive",
    "Skip",
    "A time passed without a job, because an earlier job has not ended; status.missed counts it.",
)
REPLACED: Final = Told(
    "Normal", "JobReplaced", "Replace", "The active job was asked to stop, because the time of the next one has come."
)


def in_trouble(problem: Problem) -> Told:
    """A schedule has begun to fail, or fails for another reason than before."""
    return Told("Warning", problem.reason.value, "Reconcile", problem.message)


def about(key: ObjectKey, uid: str, told: Told) -> Happening:
    """As an event of this schedule."""
    return Happening(Regarding(API_VERSION, FLUID_SCHEDULE.kind, key, uid), *told)
