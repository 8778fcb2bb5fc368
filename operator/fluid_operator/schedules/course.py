"""How far has a schedule come, and what is due now? Pure: a timetable, a course and the time in, decisions out.

A course is all that one look hands down to the next, and it stands in the status: the latest time that a job was
created for, the time before which nothing is made up, the time whose job waits for another to end. Together they make a
cursor that only moves forward, so that a look which is repeated, by whomever, decides the same.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Final, NamedTuple, Protocol

ON_TIME: Final = timedelta(seconds=10)
"""A job that is created so late is in time, whatever startingDeadlineSeconds says: nobody is faster than the API
server, and 0 must not mean never."""

_TICK: Final = timedelta(microseconds=1)
_SECOND: Final = timedelta(seconds=1)


class Times(Protocol):
    """What is asked of a timetable. Every time is aware."""

    def after(self, moment: datetime) -> datetime | None:
        """The first time later than this; None: never again."""

    def latest(self, after: datetime, until: datetime) -> datetime | None:
        """The last time in (after, until]."""

    def count(self, after: datetime, until: datetime) -> int:
        """How many times lie in (after, until]."""


@dataclass(frozen=True, slots=True)
class Course:
    """How far a schedule has come. Times are whole seconds."""

    not_before: datetime
    last: datetime | None = None
    waiting: datetime | None = None
    missed: int = 0

    @property
    def cursor(self) -> datetime:
        """Every time up to and including this moment is dealt with."""
        before = self.not_before - _TICK
        return before if self.last is None else max(self.last, before)

    def fired(self, time: datetime) -> Course:
        """There is a job for this time, which may be the one that waited."""
        last = time if self.last is None else max(self.last, time)
        return replace(self, last=last, waiting=None if self.waiting == time else self.waiting)

    def dealt_with(self, time: datetime, *, missed: int) -> Course:
        """Everything up to this time is past; so many times of it went without a job."""
        return replace(self, not_before=max(self.not_before, time + _SECOND), missed=self.missed + missed)

    def waits(self, time: datetime) -> Course:
        """The job for this time waits for another to end; the one that waited before never comes."""
        given_up = 0 if self.waiting is None else 1
        return replace(self.dealt_with(time, missed=given_up), waiting=time)

    def afresh(self, now: datetime) -> Course:
        """Nothing before this moment is made up any more."""
        return replace(self, not_before=max(self.not_before, _next_second(now)))

    def put_off(self) -> Course:
        """What waits is given up."""
        return self if self.waiting is None else replace(self, waiting=None, missed=self.missed + 1)


def begun(created: datetime) -> Course:
    """The course of a new schedule. Its creation is known to the second, and what came before does not count."""
    return Course(not_before=created + _SECOND)


class Due(NamedTuple):
    """What the clock says."""

    time: datetime | None
    """The time that wants a job now."""
    ripe: datetime | None
    """When it wanted it, jitter included."""
    until: datetime | None
    """The latest time that is over, which is `time` or one that comes too late; None: no time has come."""
    missed: int
    """Times up to `until` that nobody makes up for."""
    wake: datetime | None
    """When the next one comes, jitter included; None: never."""


def due(times: Times, course: Course, now: datetime, window: timedelta, delay: Callable[[datetime], timedelta]) -> Due:
    """Of all times that have come since the cursor the latest is due, if it is not older than the window.

    `delay` is the jitter of a time: when the job for it is created, it has come.
    """
    first = times.after(course.cursor)
    if first is None or first + delay(first) > now:
        return Due(None, None, None, 0, first + delay(first) if first else None)
    latest = times.latest(course.cursor, now) or first
    if latest + delay(latest) > now:
        latest = times.latest(course.cursor, latest - _TICK) or first
    passed = 1 if latest == first else times.count(course.cursor, latest)
    following = times.after(latest)
    wake = following + delay(following) if following else None
    ripe = latest + delay(latest)
    if now - ripe > max(window, ON_TIME):
        return Due(None, None, latest, passed, wake)
    return Due(latest, ripe, latest, passed - 1, wake)


def jitter(uid: str, time: datetime, seconds: int, following: datetime | None) -> timedelta:
    """How long after its time a job is created: the same for everybody who asks, evenly spread over so many seconds,
    and before the time that follows."""
    gap = (following - time).total_seconds() - 1 if following else seconds
    longest = max(0.0, min(float(seconds), gap))
    digest = hashlib.blake2b(f"{uid} {time.timestamp():.0f}".encode(), digest_size=8).digest()
    return timedelta(seconds=longest * int.from_bytes(digest) / 2**64)


def _next_second(moment: datetime) -> datetime:
    return moment.astimezone(UTC).replace(microsecond=0) + _SECOND
