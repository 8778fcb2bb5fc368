"""What a FluidSchedule asks for, read and checked once for each version of its spec. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

import orjson

from fluid_operator.api.conditions import Reason
from fluid_operator.api.errors import InvalidSpec
from fluid_operator.api.fluidschedule import ConcurrencyPolicy, FluidScheduleSpec
from fluid_operator.api.meta import parse
from fluid_operator.jobs.view import MAX_DEPTH
from fluid_operator.kube.keys import ObjectKey
from fluid_operator.schedules.ahead import Ahead
from fluid_operator.schedules.course import jitter
from fluid_operator.schedules.view import ScheduleView
from fluid_operator.timetables.creation import check_template
from fluid_operator.timetables.cron import Timetable
from fluid_operator.timetables.errors import CronError, TemplateError, UnknownTimeZone

WINDOW_SECONDS: Final = 3600
SUCCEEDED_LIMIT: Final = 3
FAILED_LIMIT: Final = 1


class Misunderstood(Exception):
    """A spec that the API server let pass cannot be carried out; `str` is a sentence that names the field."""

    def __init__(self, reason: Reason, message: str) -> None:
        super().__init__(message)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Rules:
    """What holds for one schedule."""

    uid: str
    timetable: Timetable
    times: Ahead
    """The timetable's, remembered."""
    policy: ConcurrencyPolicy
    suspended: bool
    window: timedelta
    jitter_seconds: int
    keep_succeeded: int
    keep_failed: int

    @property
    def told(self) -> str:
        """The times in words, for the status. Another text is another timetable, so a release that words it otherwise
        makes every schedule forget the times that were missed during its rollout."""
        return f"{self.timetable.resolved} {self.timetable.zone.key}"

    def delay(self, time: datetime) -> timedelta:
        """The jitter of a time."""
        if not self.jitter_seconds:
            return timedelta()
        return jitter(self.uid, time, self.jitter_seconds, self.times.after(time))


def understand(key: ObjectKey, view: ScheduleView) -> Rules:
    """Read a spec. Raises Misunderstood."""
    if view.too_deep:
        message = f"spec.jobTemplate.spec: is nested in more than {MAX_DEPTH} levels, which no FluidJob may be"
        raise Misunderstood(Reason.INVALID_SPEC, message)
    raw: Mapping[str, Any] = orjson.loads(view.spec)
    try:
        spec = parse(FluidScheduleSpec, raw)
        check_template(raw)
    except (InvalidSpec, TemplateError) as error:
        raise Misunderstood(Reason.INVALID_SPEC, str(error)) from error
    try:
        timetable = Timetable.of(spec.schedules or [spec.schedule or ""], spec.time_zone, seed=str(key))
    except UnknownTimeZone as error:
        raise Misunderstood(Reason.INVALID_TIME_ZONE, f"spec.timeZone: {error}") from error
    except CronError as error:
        raise Misunderstood(Reason.INVALID_SCHEDULE, f"{_place(spec, error)}: {error}") from error
    return Rules(
        uid=view.uid,
        timetable=timetable,
        times=Ahead(timetable),
        policy=spec.concurrency_policy or ConcurrencyPolicy.ALLOW,
        suspended=spec.suspend,
        window=timedelta(seconds=_or(spec.starting_deadline_seconds, WINDOW_SECONDS)),
        jitter_seconds=spec.jitter_seconds or 0,
        keep_succeeded=_or(spec.successful_jobs_history_limit, SUCCEEDED_LIMIT),
        keep_failed=_or(spec.failed_jobs_history_limit, FAILED_LIMIT),
    )


def _or(value: int | None, default: int) -> int:
    return default if value is None else value


def _place(spec: FluidScheduleSpec, error: CronError) -> str:
    if spec.schedules is None:
        return "spec.schedule"
    return f"spec.schedules[{spec.schedules.index(error.expression)}]"
