"""Time zones: by their name, and what their clocks do to a time of day.

The rules come from the package tzdata and never from the machine's own files: an image may have none, and operator
and command must agree. This room knows nothing of cron expressions. "Local" is a reading of the clock on the wall, a
datetime without a zone; "moment" a point in time, an aware datetime in UTC.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from difflib import get_close_matches
from functools import cache
from importlib.resources import files
from typing import Final, NamedTuple
from zoneinfo import ZoneInfo

from fluid_operator.timetables.errors import UnknownTimeZone

LONGEST_STEP_BACK: Final = timedelta(hours=8)
"""No clock has been put back by more than this since 1970; the largest step, Antarctica/Vostok's in 1994, was 7 h."""

_PROBE: Final = timedelta(days=1)
_SECOND: Final = timedelta(seconds=1)
_SIMILAR: Final = 3


class Readings(NamedTuple):
    """When a clock shows a local time. Both moments are the same, but for two cases: the clock shows it twice
    (`first` before `second`), or it jumps over it, and `first` = `second` is the moment of the jump."""

    first: datetime
    second: datetime
    exists: bool


class Stretch(NamedTuple):
    """Moments from `start` up to `end`, without it, in which the clock is not put forward or back."""

    start: datetime
    end: datetime
    offset: timedelta

    def local(self, moment: datetime) -> datetime:
        """What the clock shows, or at the end would show, at a moment of the stretch."""
        return (moment + self.offset).replace(tzinfo=None)


@cache
def zone_named(name: str) -> ZoneInfo:
    """The zone of that name, read once. Raises UnknownTimeZone."""
    if name not in _names():
        raise UnknownTimeZone(name, _similar(name))
    with files("tzdata").joinpath("zoneinfo", *name.split("/")).open("rb") as data:
        return ZoneInfo.from_file(data, key=name)


def offset_at(zone: ZoneInfo, moment: datetime) -> timedelta:
    """How far the zone's clock is ahead of UTC."""
    return moment.astimezone(zone).utcoffset() or timedelta()


def readings(zone: ZoneInfo, local: datetime) -> Readings:
    """When the zone's clock shows `local`."""
    first = local.replace(tzinfo=zone).astimezone(UTC)
    second = local.replace(tzinfo=zone, fold=1).astimezone(UTC)
    if first <= second:
        return Readings(first, second, exists=True)
    # Read with the offset before the jump it lies behind the jump, and with the one after it, before.
    jump = _change(zone, second, first)
    return Readings(jump, jump, exists=False)


def stretches(zone: ZoneInfo, start: datetime, end: datetime) -> Iterator[Stretch]:
    """The stretches that make up the time from `start` up to `end`, in order."""
    begin = probed = start
    offset = offset_at(zone, start)
    while probed < end:
        ahead = min(probed + _PROBE, end)
        if offset_at(zone, ahead) != offset:
            change = _change(zone, probed, ahead)
            yield Stretch(begin, change, offset)
            begin, offset = change, offset_at(zone, change)
        probed = ahead
    if begin < end:
        yield Stretch(begin, end, offset)


def _change(zone: ZoneInfo, before: datetime, after: datetime) -> datetime:
    """The first moment with the offset that holds at `after` and not yet at `before`; always a whole second."""
    offset = offset_at(zone, after)
    low, high = before.replace(microsecond=0), after.replace(microsecond=0)
    while high - low > _SECOND:
        middle = low + (high - low) // _SECOND // 2 * _SECOND
        if offset_at(zone, middle) == offset:
            high = middle
        else:
            low = middle
    return high


@cache
def _names() -> frozenset[str]:
    return frozenset(files("tzdata").joinpath("zones").read_text(encoding="utf-8").split())


def _similar(name: str) -> list[str]:
    """Real names for a wrong one: another case, the city alone, else the nearest by spelling."""
    wanted = name.strip().replace(" ", "_").lower()
    by_lower = {known.lower(): known for known in sorted(_names())}
    if wanted in by_lower:
        return [by_lower[wanted]]
    cities = [known for lower, known in by_lower.items() if lower.rpartition("/")[2] == wanted]
    near = [by_lower[lower] for lower in get_close_matches(wanted, by_lower, n=_SIMILAR)]
    return (cities or near)[:_SIMILAR]
