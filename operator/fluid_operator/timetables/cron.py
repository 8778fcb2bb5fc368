"""When a schedule comes: cron expressions in a time zone, as moments in UTC.

What happens when clocks are changed (`Cron.by_interval` tells the two kinds apart):

* a time of the day (`30 2 * * *`) comes exactly once: if the clock jumps over it, with the first minute after the
  jump; if the clock shows it twice, the first time
* an interval (`*/15 * * * *`) comes at each moment at which the clock shows such a time, and at no other

All functions are pure. Times without a zone appear only inside; what goes in and out is aware, and comes out in UTC.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from heapq import heapify, heappop, heapreplace
from itertools import islice
from typing import Final
from zoneinfo import ZoneInfo

from fluid_operator.timetables import wallclock
from fluid_operator.timetables.errors import CronError, UnknownTimeZone
from fluid_operator.timetables.expressions import Cron
from fluid_operator.timetables.wallclock import DayPlan
from fluid_operator.timetables.zones import LONGEST_STEP_BACK, Stretch, offset_at, readings, stretches, zone_named

__all__ = ["Cron", "CronError", "Timetable", "UnknownTimeZone"]

_DAY: Final = timedelta(days=1)
_INSTANT: Final = timedelta(microseconds=1)
_MINUTE: Final = timedelta(minutes=1)
_MINUTES_PER_DAY: Final = 1440
_HORIZON: Final = timedelta(days=50 * 366)
"""As far as cronsim looks for a local time. One that comes each few years may be one that the clock always leaves
out."""


@dataclass(frozen=True, slots=True)
class Timetable:
    """The times of one or several expressions in one zone; a minute that more than one names counts once."""

    crons: tuple[Cron, ...]
    zone: ZoneInfo

    @classmethod
    def of(cls, expressions: Sequence[str], time_zone: str | None, *, seed: str) -> Timetable:
        """Read what a FluidSchedule says; `seed` is its namespace/name. Without a zone it is UTC.

        Raises CronError, whose `expression` is the refused one, and UnknownTimeZone.
        """
        crons = tuple(Cron.parse(text, seed=seed) for text in expressions)
        return cls(crons, zone_named("UTC" if time_zone is None else time_zone))

    @property
    def resolved(self) -> str:
        """The expressions with numbers in place of H."""
        return "; ".join(cron.resolved for cron in self.crons)

    def after(self, moment: datetime) -> datetime | None:
        """The next time, strictly later; None if there is none any more."""
        times = (_after(cron, self.zone, moment.astimezone(UTC)) for cron in self.crons)
        return min((time for time in times if time is not None), default=None)

    def upcoming(self, moment: datetime, count: int) -> list[datetime]:
        """The next `count` times, strictly later; fewer if there are no more."""
        return list(islice(self._from(moment), count))

    def latest(self, after: datetime, until: datetime) -> datetime | None:
        """The last time later than `after` and not later than `until`."""
        times = (_until(cron, self.zone, until.astimezone(UTC)) for cron in self.crons)
        return max((time for time in times if time is not None and time > after), default=None)

    def count(self, after: datetime, until: datetime, *, at_most: int = 10_000) -> int:
        """How many times are later than `after` and not later than `until`; `at_most` if there are more."""
        if until <= after:
            return 0
        counts = _Counting(self.crons).counts(
            self.zone, after.astimezone(UTC) + _INSTANT, until.astimezone(UTC) + _INSTANT
        )
        total = 0
        for found in counts:
            total += found
            if total >= at_most:
                return at_most
        return total

    def _from(self, moment: datetime) -> Iterator[datetime]:
        """Each expression is asked only when its own time has been told: some take milliseconds."""
        found = ((_after(cron, self.zone, moment.astimezone(UTC)), number) for number, cron in enumerate(self.crons))
        ahead = [(time, number) for time, number in found if time is not None]
        heapify(ahead)
        told: datetime | None = None
        while ahead:
            time, number = ahead[0]
            if time != told:
                yield time
                told = time
            following = _after(self.crons[number], self.zone, time)
            if following is None:
                heappop(ahead)
            else:
                heapreplace(ahead, (following, number))


def _after(cron: Cron, zone: ZoneInfo, moment: datetime) -> datetime | None:
    """Go through the local times that may lie ahead: those that the clock has shown already lie ahead only if it
    will be put back."""
    offset = min(offset_at(zone, moment), offset_at(zone, moment + LONGEST_STEP_BACK))
    repeated: datetime | None = None
    start = (moment + offset).replace(tzinfo=None)
    for local in wallclock.forward(cron.resolved, start):
        if local - start > _HORIZON:
            break
        times = _times(cron, zone, local)
        if times is None:
            continue
        first, second = times
        if first > moment:
            return first if repeated is None else min(first, repeated)
        if second > moment and repeated is None:
            repeated = second
    return repeated


def _until(cron: Cron, zone: ZoneInfo, moment: datetime) -> datetime | None:
    """The latest time that is not later than `moment`: `_after` backwards."""
    offset = max(offset_at(zone, moment), offset_at(zone, moment - LONGEST_STEP_BACK))
    shown_first: datetime | None = None
    start = (moment + offset).replace(tzinfo=None)
    for local in wallclock.backward(cron.resolved, start):
        if start - local > _HORIZON:
            break
        times = _times(cron, zone, local)
        if times is None:
            continue
        first, second = times
        if second <= moment:
            return second if shown_first is None else max(second, shown_first)
        if first <= moment and shown_first is None:
            shown_first = first
    return shown_first


def _times(cron: Cron, zone: ZoneInfo, local: datetime) -> tuple[datetime, datetime] | None:
    """The first and the last moment at which the expression comes for this local time; None if it does not."""
    read = readings(zone, local)
    if not cron.by_interval:
        return read.first, read.first
    return (read.first, read.second) if read.exists else None


class _Counting:
    """Counts times by days and not one by one, so that an outage of weeks costs no more than one of hours."""

    def __init__(self, crons: Sequence[Cron]) -> None:
        self._intervals = [DayPlan(cron.resolved) for cron in crons if cron.by_interval]
        self._times_of_day = [DayPlan(cron.resolved) for cron in crons if not cron.by_interval]

    def counts(self, zone: ZoneInfo, begin: datetime, end: datetime) -> Iterator[int]:
        """The number of times from `begin` up to `end`, without it, in portions."""
        shown: datetime | None = None
        for stretch in stretches(zone, begin - LONGEST_STEP_BACK, end):
            if stretch.end > begin:
                yield from self._in_stretch(stretch, begin, shown or stretch.local(stretch.start))
            last = stretch.local(stretch.end)
            shown = last if shown is None else max(shown, last)

    def _in_stretch(self, stretch: Stretch, begin: datetime, shown: datetime) -> Iterator[int]:
        """`shown` is how far the clock had come before the stretch: it has been put back from there, or forward."""
        first, last = stretch.local(max(stretch.start, begin)), stretch.local(stretch.end)
        jumped_from = shown if stretch.start >= begin and stretch.local(stretch.start) > shown else None
        day = first.date()
        while _midnight(day) < last:
            minutes = _named(self._intervals, day, first, last)
            minutes |= _named(self._times_of_day, day, max(first, shown), last)
            if jumped_from is not None and day == first.date() and self._comes_between(jumped_from, first):
                minutes |= 1 << _minute_of(day, first)
            yield minutes.bit_count()
            day += _DAY

    def _comes_between(self, low: datetime, high: datetime) -> bool:
        """Whether a time of the day is among what the clock has jumped over."""
        days = range((high.date() - low.date()).days + 1)
        return any(_named(self._times_of_day, low.date() + days_on * _DAY, low, high) for days_on in days)


def _named(plans: Sequence[DayPlan], day: date, low: datetime, high: datetime) -> int:
    """The minutes of the day, a bit for each, that any of the plans names and that lie from `low` up to `high`."""
    minutes = 0
    for plan in plans:
        if plan.holds(day):
            minutes |= plan.minutes
    first, end = _minute_of(day, low), _minute_of(day, high)
    return minutes & ((1 << end) - 1) >> first << first


def _minute_of(day: date, local: datetime) -> int:
    """The first minute of the day that does not lie before `local`; 0 to 1440."""
    minutes = -((_midnight(day) - local) // _MINUTE)
    return min(max(minutes, 0), _MINUTES_PER_DAY)


def _midnight(day: date) -> datetime:
    return datetime(day.year, day.month, day.day)  # noqa: DTZ001 - a reading of the clock, which has no zone
