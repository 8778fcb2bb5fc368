"""Placeholders such as `{{ date-1d }}` in what a schedule's jobs carry: found, checked and replaced. Pure.

A closed set and plain substitution: no template engine, nothing is evaluated, and what was put in is not looked at
again. Whatever opens with `{{` and is not of the set is refused, because a text that stays in a payload by mistake is
found out only by whoever receives the e-mail. This room knows a time, its zone and a name; what a job is, it does not.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Final, NamedTuple
from zoneinfo import ZoneInfo

from fluid_operator.timetables.errors import PlaceholderError, TemplateError

FARTHEST: Final = timedelta(days=3650)
"""How far an offset may lead: ten years."""

DEEPEST: Final = 200
"""Levels of nesting in a payload: a few less than what can be written as JSON again."""

_SHOWN = 40
"""Characters of a refused text that its message repeats."""

_OPENING: Final = "{{"
_WAY_OUT: Final = "a text that needs {{ as such belongs into a ConfigMap or Secret, see payloadFrom"
# Neither part can match the same text in two ways, so the time grows with the length of the text and no faster.
_PLACEHOLDER: Final = re.compile(r"\{\{(?:([^{}]*)\}\})?")
_INSIDE: Final = re.compile(r"\s*([A-Za-z]+)\s*(?:([+-])\s*([0-9]+)\s*([A-Za-z]*)\s*)?")
_PLAIN_KEY: Final = re.compile(r"[A-Za-z0-9_-]{1,63}")

_EXACT: Final[Mapping[str, timedelta]] = {"m": timedelta(minutes=1), "h": timedelta(hours=1)}
_CALENDAR: Final[Mapping[str, timedelta]] = {"d": timedelta(days=1), "w": timedelta(weeks=1)}
_MOST_DIGITS: Final = 8
"""One more than the longest offset has, in minutes."""
_UNITS: Final[Mapping[str, timedelta]] = {**_EXACT, **_CALENDAR}

_TIMES: Final[Mapping[str, Callable[[datetime], str]]] = {
    "scheduledTime": lambda local: local.isoformat(timespec="seconds"),
    "date": lambda local: f"{local.year:04}-{local.month:02}-{local.day:02}",
    "year": lambda local: f"{local.year:04}",
    "month": lambda local: f"{local.month:02}",
    "day": lambda local: f"{local.day:02}",
    "hour": lambda local: f"{local.hour:02}",
}
_NAME: Final = "name"
NAMES: Final = (*_TIMES, _NAME)
"""Everything that may stand between the braces; all but `name` may be followed by an offset."""

_KNOWN: Final = f"{', '.join(NAMES[:-1])} and {NAMES[-1]}"


class Facts(NamedTuple):
    """What placeholders stand for: the time of the schedule, its zone, and the schedule's name."""

    time: datetime
    zone: ZoneInfo
    name: str


class Placeholder(NamedTuple):
    """What stands between two pairs of braces: a name, and an offset of `steps` units, 0 where there is none."""

    name: str
    steps: int = 0
    unit: str = "m"

    def text(self, facts: Facts) -> str:
        """What is put in its place."""
        if self.name == _NAME:
            return facts.name
        return _TIMES[self.name](moved(facts.time, facts.zone, self.steps, self.unit))


def moved(time: datetime, zone: ZoneInfo, steps: int, unit: str) -> datetime:
    """The local time so many units later (earlier where `steps` is negative).

    Minutes and hours are exact. Days and weeks keep the time of the day; where a change of the clock has left that
    time out, it is as much later as the clock was put forward, and where it comes twice, the first one is meant."""
    if unit in _EXACT or not steps:
        return (time.astimezone(UTC) + steps * _UNITS[unit]).astimezone(zone)
    there = time.astimezone(zone) + steps * _CALENDAR[unit]
    # Arithmetic of Python stays on the wall clock, also where that shows no such time; the way through UTC mends it.
    return there.astimezone(UTC).astimezone(zone)


def fill(value: Any, facts: Facts, path: str) -> Any:
    """A copy of a JSON value with every placeholder in its texts replaced; `path` is where it stands in the schedule.

    Raises PlaceholderError, and TemplateError for a value that is nested too deeply."""
    return _walk(value, path, lambda found: found.text(facts), 0)


def check(value: Any, path: str) -> None:
    """Raise what `fill` would raise for the same value, at whatever time."""
    _walk(value, path, lambda found: "", 0)


def refuse(value: Any, path: str) -> None:
    """Raise PlaceholderError for the first `{{` in a value where placeholders are not replaced."""
    _walk(value, path, None, 0)


def _walk(value: Any, path: str, text_of: Callable[[Placeholder], str] | None, level: int) -> Any:
    if isinstance(value, str):
        return value if _OPENING not in value else _replaced(value, path, text_of)
    if level > DEEPEST:
        raise TemplateError(path, f"is nested in more than {DEEPEST} levels")
    if isinstance(value, Mapping):
        for key in value:
            _check_key(key, path)
        return {key: _walk(each, _below(path, key), text_of, level + 1) for key, each in value.items()}
    if isinstance(value, list):
        return [_walk(each, f"{path}[{index}]", text_of, level + 1) for index, each in enumerate(value)]
    return value


def _check_key(key: str, path: str) -> None:
    at = key.find(_OPENING)
    if at >= 0:
        raise PlaceholderError(_below(path, key), at, "placeholders are replaced in values only, never in keys")


def _below(path: str, key: str) -> str:
    if _PLAIN_KEY.fullmatch(key):
        return f"{path}.{key}"
    return f"{path}[{_cut(key)!r}]"


def _replaced(text: str, path: str, text_of: Callable[[Placeholder], str] | None) -> str:
    if text_of is None:
        at = text.index(_OPENING)
        raise PlaceholderError(path, at, "placeholders are replaced in payload and items only: take the {{ out")

    def replacement(match: re.Match[str]) -> str:
        try:
            return text_of(_parse(match[1]))
        except _NotOfTheSet as error:
            raise PlaceholderError(path, match.start(), str(error)) from None

    return _PLACEHOLDER.sub(replacement, text)


class _NotOfTheSet(Exception):
    """What stands between the braces is refused; the message says why."""


def _parse(inside: str | None) -> Placeholder:
    """Read what stands between the braces; None where they are not closed. Raises _NotOfTheSet."""
    if inside is None:
        raise _NotOfTheSet(f"'{{{{' opens a placeholder that is not closed by '}}}}'; {_WAY_OUT}")
    shown = _braced(inside)
    match = _INSIDE.fullmatch(inside)
    if match is None:
        write = "write one such as {{ date }} or {{ date-1d }}, of"
        raise _NotOfTheSet(f"{shown} is no placeholder: {write} {_KNOWN}; {_WAY_OUT}")
    name, sign, digits, unit = match.groups()
    if name not in NAMES:
        raise _NotOfTheSet(f"{shown} is no placeholder: {_similar(name)}there are {_KNOWN}")
    if sign is None:
        return Placeholder(name)
    if name == _NAME:
        raise _NotOfTheSet(f"{shown}: a name takes no offset; write {{{{ name }}}}")
    if unit not in _UNITS:
        units = "m (minutes), h (hours), d (days) or w (weeks)"
        raise _NotOfTheSet(f"{shown}: an offset is a number and {units}, such as -1d")
    # Python refuses to read a number of thousands of digits, and no offset needs so many.
    number = digits.lstrip("0")[:_MOST_DIGITS] or "0"
    if int(number) * _UNITS[unit] > FARTHEST:
        raise _NotOfTheSet(f"{shown}: an offset may lead no farther than ten years")
    return Placeholder(name, int(f"{sign}{number}"), unit)


def _similar(name: str) -> str:
    by_lower = {known.lower(): known for known in NAMES}
    near = difflib.get_close_matches(name.lower(), by_lower, n=1, cutoff=0.5)
    return f"did you mean {by_lower[near[0]]}? " if near else ""


def _braced(inside: str) -> str:
    # Messages are one line, and a terminal must not obey what a payload holds.
    shown = "".join(sign if sign.isprintable() else "?" for sign in _cut(inside.strip()))
    return f"{{{{ {shown} }}}}"


def _cut(text: str) -> str:
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."
