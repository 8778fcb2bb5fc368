"""The beginning and the end of a range as somebody types them, read in the zone of a schedule. Pure; the present is an
argument.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from fluid_cli.errors import BadUsage
from fluid_operator.timetables.zones import Readings, readings

_NOW = "now"
_JUST_BEFORE = timedelta(microseconds=1)


def beginning(option: str, text: str, zone: ZoneInfo, now: datetime) -> datetime:
    """The moment that a text means, as the beginning of a range; a date is its midnight. Raises BadUsage."""
    found = _read(option, text, now)
    if not isinstance(found, datetime):
        found = datetime.combine(found, time.min)
    return _moments(option, found, zone).first


def end(option: str, text: str, zone: ZoneInfo, now: datetime) -> datetime:
    """The moment that a text means, as the end of a range, which belongs to it; a date is the whole day, and of today
    what has passed of it. Raises BadUsage."""
    found = _read(option, text, now)
    if isinstance(found, datetime):
        return _moments(option, found, zone).second
    if found == now.astimezone(zone).date():
        return now
    midnight = datetime.combine(found, time.min)
    return _moments(option, midnight, zone, days=1).first - _JUST_BEFORE


def _read(option: str, text: str, now: datetime) -> date:
    """A date, or (a subclass of it) a moment, with a zone or without."""
    if text.strip().lower() == _NOW:
        return now
    for read in (date.fromisoformat, datetime.fromisoformat):
        try:
            return read(text.strip())
        except ValueError:
            continue
    raise BadUsage(option, f"{text!r} is no time: write 2026-11-24, 2026-11-24T07:00 or 2026-11-24T06:00:00Z")


def _moments(option: str, found: datetime, zone: ZoneInfo, *, days: int = 0) -> Readings:
    """A time with a zone of its own is one moment; one without is what the clock of this zone shows, maybe twice."""
    try:
        if found.tzinfo is None:
            return readings(zone, found + timedelta(days=days))
        moment = found.astimezone(UTC)
    except OverflowError as error:
        raise BadUsage(option, f"{found} is outside of any calendar") from error
    return Readings(moment, moment, exists=True)
