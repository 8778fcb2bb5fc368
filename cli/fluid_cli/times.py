"""Times and durations as people read them. Pure; the moment and the time zone are arguments."""

from datetime import UTC, datetime, tzinfo

_MINUTE, _HOUR, _DAY = 60, 3600, 86_400
_YEAR = 365 * _DAY


def parse_time(text: str | None) -> datetime | None:
    """A time of the API; None for none, and for text that is none (another program may have written it)."""
    if not text:
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def from_milliseconds(value: int) -> datetime | None:
    """A time of the queue, in milliseconds since 1970; None for 0 and for what no calendar holds."""
    try:
        return datetime.fromtimestamp(value / 1000, UTC) if value else None
    except (ValueError, OverflowError, OSError):
        return None


def span(seconds: float) -> str:
    """A duration in at most two units, such as 40ms, 1.2s, 3m20s, 2h05m, 4d2h."""
    if seconds < 0.9995:
        return f"{max(0, round(seconds * 1000))}ms"
    if seconds < 9.95:
        return f"{seconds:.1f}s"
    return age(seconds)


def age(seconds: float) -> str:
    """As `span`, in whole seconds: for how long something has been there."""
    whole = max(0, round(seconds))
    if whole < 2 * _MINUTE:
        return f"{whole}s"
    if whole < _HOUR:
        return _two(whole, _MINUTE, "m", 1, "s")
    if whole < _DAY:
        return _two(whole, _HOUR, "h", _MINUTE, "m")
    if whole < _YEAR:
        return _two(whole, _DAY, "d", _HOUR, "h") if whole < 10 * _DAY else f"{whole // _DAY}d"
    return _two(whole, _YEAR, "y", _DAY, "d")


def _two(whole: int, large: int, large_unit: str, small: int, small_unit: str) -> str:
    rest = whole % large // small
    return f"{whole // large}{large_unit}{rest}{small_unit}" if rest else f"{whole // large}{large_unit}"


def clock(moment: datetime, now: datetime, zone: tzinfo | None) -> str:
    """The time of the day, with the date in front where it is not today's. `zone` None: the machine's."""
    there, today = moment.astimezone(zone), now.astimezone(zone).date()
    time = f"{there:%H:%M:%S}.{there.microsecond // 1000:03d}"
    return time if there.date() == today else f"{there:%Y-%m-%d} {time}"


def distance(moment: datetime, now: datetime) -> str:
    """How far a moment is: `3m20s ago`, `in 8s`."""
    seconds = (moment - now).total_seconds()
    return f"in {age(seconds)}" if seconds > 0 else f"{age(-seconds)} ago"
