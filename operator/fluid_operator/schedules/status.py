"""The status of a FluidSchedule, from what one look has found. Pure: no request, no clock."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final, NamedTuple
from zoneinfo import ZoneInfo

from fluid_operator.api.conditions import ConditionType, Reason, drop_condition, find_condition, set_condition
from fluid_operator.api.fields import format_whole_time
from fluid_operator.api.fluidjob_status import Phase
from fluid_operator.api.fluidschedule import ACTIVE_SHOWN, ActiveJob, FluidScheduleStatus
from fluid_operator.api.meta import ConditionStatus
from fluid_operator.jobs.view import JobView
from fluid_operator.schedules.course import Course

OWNED: Final = (
    "active",
    "activeCount",
    "conditions",
    "lastScheduleTime",
    "lastSuccessfulTime",
    "missed",
    "nextScheduleTime",
    "notBefore",
    "observedGeneration",
    "timetable",
    "upcoming",
    "waitingTime",
)

UPCOMING: Final = 5


class Problem(NamedTuple):
    """Why the schedule does not do what it should; `stalled`: only a change of it can help."""

    reason: Reason
    message: str
    stalled: bool = False


@dataclass(frozen=True, slots=True)
class Seen:
    """What a look has found. `jobs` are all of the schedule, by name."""

    generation: int
    course: Course
    jobs: Mapping[str, JobView]
    zone: ZoneInfo | None = None
    timetable: str | None = None
    suspended: bool = False
    upcoming: Sequence[datetime] = ()
    problem: Problem | None = None


def course_of(status: FluidScheduleStatus, begin: Course) -> Course:
    """How far the schedule had come when its status was written; `begin` for one that was never looked at."""
    if status.not_before is None:
        return begin
    return Course(status.not_before, status.last_schedule_time, status.waiting_time, status.missed or 0)


def was_suspended(status: FluidScheduleStatus) -> bool:
    """Whether the schedule was suspended when its status was written."""
    found = find_condition(status.conditions or (), ConditionType.SUSPENDED)
    return found is not None and found.status is ConditionStatus.TRUE


def fold(before: FluidScheduleStatus, seen: Seen, now: datetime) -> FluidScheduleStatus:
    """The status after the look."""
    course = seen.course
    active = sorted((name, view) for name, view in seen.jobs.items() if not view.terminal)
    upcoming = [time.astimezone(seen.zone) for time in seen.upcoming]
    return before.model_copy(
        update={
            "observed_generation": seen.generation,
            "timetable": seen.timetable,
            "last_schedule_time": _utc(course.last),
            "last_successful_time": _last_success(before.last_successful_time, seen.jobs),
            "next_schedule_time": upcoming[0] if upcoming else None,
            "upcoming": upcoming or None,
            "waiting_time": _utc(course.waiting),
            "active": [ActiveJob(name=name, uid=view.uid) for name, view in active[:ACTIVE_SHOWN]] or None,
            "active_count": len(active),
            "missed": course.missed or None,
            "not_before": _utc(course.not_before),
            "conditions": list(_conditions(before, seen, now)),
        }
    )


def _utc(moment: datetime | None) -> datetime | None:
    return None if moment is None else moment.astimezone(UTC)


def _last_success(before: datetime | None, jobs: Mapping[str, JobView]) -> datetime | None:
    ends = [view.finished for view in jobs.values() if view.phase == Phase.SUCCEEDED and view.finished]
    latest = datetime.fromtimestamp(max(ends), UTC) if ends else None
    return max(filter(None, (before, latest)), default=None)


def _conditions(before: FluidScheduleStatus, seen: Seen, now: datetime) -> tuple[Any, ...]:
    problem = seen.problem
    reason, message = (problem.reason, problem.message) if problem else _well(seen)
    wanted = {
        ConditionType.READY: problem is None,
        ConditionType.RECONCILING: problem is not None and not problem.stalled,
        ConditionType.STALLED: problem is not None and problem.stalled,
        ConditionType.SUSPENDED: seen.suspended,
    }
    conditions = tuple(before.conditions or ())
    for kind, holds in wanted.items():
        if holds or kind is ConditionType.READY:
            conditions = set_condition(
                conditions, kind, holds, reason=reason, message=message, generation=seen.generation, now=now
            )
        else:
            conditions = drop_condition(conditions, kind)
    return conditions


def _well(seen: Seen) -> tuple[Reason, str]:
    """What there is to say when nothing is wrong."""
    if seen.suspended:
        return Reason.SUSPENDED, "No jobs are created while spec.suspend is true; what is missed is not made up for."
    if seen.course.waiting is not None:
        time = format_whole_time(seen.course.waiting.astimezone(seen.zone))
        return Reason.WAITING_FOR_ACTIVE_JOB, f"The job for {time} is created as soon as no other is active."
    if not seen.upcoming:
        return Reason.NO_MORE_TIMES, "The expressions name no time to come."
    return Reason.ON_SCHEDULE, "A job is created at each time of the timetable."
