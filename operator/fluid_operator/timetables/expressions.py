"""From the text of a cron expression to its meaning, or to an error that points at the place that has none.

Read as Vixie's cron and Kubernetes read it, and stricter where they guess: a step or a range that cannot be meant is
refused, and so is a date that never comes. H, as Jenkins has it, is a value out of the schedule's own name. This room
knows no time and no zone.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import blake2b
from typing import Final, NamedTuple, NoReturn

from fluid_operator.api.cron_fields import (
    BLANKS,
    CRON_FIELDS,
    CRON_LONGEST,
    CRON_WORDS,
    DAY_OF_WEEK,
    MONTH,
    CronField,
)
from fluid_operator.timetables.errors import CronError

_FIELD: Final = re.compile(rf"[^{BLANKS}]+")
_HASHED: Final = re.compile(r"H\(([^()]*)-([^()]*)\)")
_DAYS_IN_MONTH: Final = (31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)
_FIELD_NAMES: Final = "minute, hour, day of month, month, day of week"
_SUNDAY: Final = 7
_STRANGERS: Final = {
    "?": "write * instead of ?",
    "L": "L (the last day) is not supported",
    "W": "W (the nearest working day) is not supported",
    "#": "# (the n-th weekday of a month) is not supported",
}


@dataclass(frozen=True, slots=True)
class Cron:
    """One expression: `text` as written, and `resolved`, five fields with numbers in place of H.

    `by_interval` tells what happens when clocks are changed. True: minute or hour is `*` or a step from it, the
    expression says how often, and holds for each moment at which the clock shows such a time. False: it says at what
    time of the day, and each such time has its moment exactly once.
    """

    text: str
    resolved: str
    by_interval: bool

    @classmethod
    def parse(cls, text: str, *, seed: str) -> Cron:
        """Read an expression; `seed` is the schedule's namespace/name, for H. Raises CronError."""
        fields = list(_read(text, seed))
        _refuse_what_never_comes(text, fields)
        resolved = " ".join(field.resolved for field in fields)
        by_interval = any(field.written.startswith(("*", "H/")) for field in fields[:2])
        return cls(text, text if text == resolved else resolved, by_interval)


class _Field(NamedTuple):
    """A field: as written, with numbers in place of H, its values, and the column where it begins."""

    written: str
    resolved: str
    values: frozenset[int]
    column: int


class _Item(NamedTuple):
    """A part of a field between commas, in cronsim's words, and its values."""

    resolved: str
    values: range


def _read(text: str, seed: str) -> Iterator[_Field]:
    if len(text) > CRON_LONGEST:
        raise CronError(text, CRON_LONGEST, f"an expression has at most {CRON_LONGEST} characters")
    expression = _spelled_out(text)
    found = list(_FIELD.finditer(expression))
    _refuse_other_than_five(text, found)
    for field, match in zip(CRON_FIELDS, found, strict=True):
        yield _FieldReader(text, field, seed).read(match.group(), match.start())


def _spelled_out(text: str) -> str:
    """The expression that an @word stands for; any other text as it is."""
    word = text.strip(BLANKS)
    if not word.startswith("@"):
        return text
    if word not in CRON_WORDS:
        raise CronError(text, text.index("@"), f"{word!r} is no word for a time; there are {', '.join(CRON_WORDS)}")
    return CRON_WORDS[word]


def _refuse_other_than_five(text: str, found: list[re.Match[str]]) -> None:
    if len(found) == len(CRON_FIELDS):
        return
    if found and "TZ=" in found[0].group():
        raise CronError(text, found[0].start(), "the zone belongs into the field timeZone")
    count = f"{len(found)} field{'' if len(found) == 1 else 's'}"
    place = found[len(CRON_FIELDS)].start() if len(found) > len(CRON_FIELDS) else len(text.rstrip(BLANKS))
    raise CronError(text, place, f"{count}, but an expression has five ({_FIELD_NAMES}), no seconds and no years")


def _refuse_what_never_comes(text: str, fields: list[_Field]) -> None:
    """Only days of the month can be impossible, and only where the day of the week does not bring days of its own."""
    _, _, day, month, weekday = fields
    either = not day.written.startswith("*") and not weekday.written.startswith("*")
    first = min(day.values)
    if either or first <= max(_DAYS_IN_MONTH[number - 1] for number in month.values):
        return
    months = [MONTH.words[number - 1] for number in sorted(month.values)]
    whose = f"{months[0]} has no" if len(months) == 1 else f"none of {', '.join(months)} has a"
    raise CronError(text, day.column, f"never comes: {whose} day {first}")


class _FieldReader:
    """Reads one field of an expression. Columns are those of the whole text."""

    def __init__(self, text: str, field: CronField, seed: str) -> None:
        self._text = text
        self._field = field
        self._seed = seed

    def read(self, written: str, column: int) -> _Field:
        items = []
        place = column
        for part in written.split(","):
            items.append(self._item(part, place))
            place += len(part) + 1
        values = frozenset(value for item in items for value in item.values)
        return _Field(written, ",".join(item.resolved for item in items), values, column)

    def _item(self, part: str, column: int) -> _Item:
        base, slash, stride = part.partition("/")
        step = self._step(stride, column + len(base) + 1) if slash else None
        if base == "*":
            return _Item(part, range(self._field.low, self._top + 1, step or 1))
        if base == "H" or base.startswith("H("):
            return self._hashed(base, column, step)
        if "-" in base:
            return self._range(base, column, step)
        value = self._value(base, column, otherwise=", * or H")
        if step is None:
            return _Item(base.upper(), range(value, value + 1))
        return _stepped(value, max(value, self._top), step)

    def _range(self, base: str, column: int, step: int | None) -> _Item:
        begin, _, finish = base.partition("-")
        low, high = self._value(begin, column), self._value(finish, column + len(begin) + 1)
        as_written = True
        if self._field is DAY_OF_WEEK and low > high:
            # Sunday is the last day of a range that leads to it, and the first of one that begins with it.
            low, high = (0, high) if low == _SUNDAY else (low, high or _SUNDAY)
            as_written = False
        if low > high:
            self._refuse(column, f"the range {base} runs backwards: write {self._two_ranges(begin, finish)}")
        if step is None and as_written:
            return _Item(base.upper(), range(low, high + 1))
        return _stepped(low, high, step or 1)

    def _hashed(self, base: str, column: int, step: int | None) -> _Item:
        low, high = self._field.low, self._field.highest_hash
        if base != "H":
            low, high = self._hash_range(base, column)
        if step is None:
            value = low + self._hash() % (high - low + 1)
            return _Item(str(value), range(value, value + 1))
        first = low + self._hash() % min(step, high - low + 1)
        return _stepped(first, high, step)

    def _hash_range(self, base: str, column: int) -> tuple[int, int]:
        match = _HASHED.fullmatch(base)
        if match is None:
            self._refuse(column, f"{base!r} is not H(from-to), such as H({self._field.low}-{self._field.highest_hash})")
        low, high = (self._value(match.group(group), column + match.start(group)) for group in (1, 2))
        if high > self._field.highest_hash or low > self._field.highest_hash:
            limits = f"{self._field.low} to {self._field.highest_hash}"
            self._refuse(column, f"H stands for a {self._field.name} of {limits}, so {base} goes too far")
        if low > high:
            self._refuse(column, f"the range in {base} runs backwards")
        return low, high

    def _step(self, stride: str, column: int) -> int:
        numeral = stride.isascii() and stride.isdigit() and len(stride) <= len(str(self._field.high))
        if not numeral or not 1 <= int(stride) <= self._field.high:
            self._refuse(
                column, f"{stride!r} is no step for the {self._field.name}: write a number of 1 to {self._field.high}"
            )
        return int(stride)

    def _value(self, token: str, column: int, *, otherwise: str = "") -> int:
        value = self._field.value_of(token)
        if value is None:
            name, allowed = self._field.name, self._field.allowed
            hint = next((f"; {text}" for sign, text in _STRANGERS.items() if sign in token), "")
            what = f"{token!r} is no {name}" if token else f"the {name} is missing here"
            self._refuse(column, f"{what}: write {allowed}{otherwise}{hint}")
        return value

    def _hash(self) -> int:
        """The same number for the same schedule and field on every machine."""
        name = f"{self._seed}\n{self._field.name}".encode()
        return int.from_bytes(blake2b(name, digest_size=8).digest())

    @property
    def _top(self) -> int:
        """The last value of a whole round; Sunday does not count twice."""
        return self._field.high - (self._field is DAY_OF_WEEK)

    def _two_ranges(self, begin: str, finish: str) -> str:
        words = self._field.words if begin.upper() in self._field.words else ()
        last, first = (words[-1], words[0]) if words else (self._top, self._field.low)
        return f"{begin}-{last},{first}-{finish}"

    def _refuse(self, column: int, reason: str) -> NoReturn:
        raise CronError(self._text, column, reason)


def _stepped(low: int, high: int, step: int) -> _Item:
    values = range(low, high + 1, step)
    # cronsim reads a step after a range of a single value as one that goes on to the field's end.
    if len(values) == 1:
        return _Item(str(low), values)
    return _Item(f"{low}-{high}" + (f"/{step}" if step > 1 else ""), values)
