"""What a cron expression is written with: the five fields, their values and names, the words for whole expressions,
and the patterns by which the API server refuses what is none. The meaning of an expression, and what no pattern can
see (a range that runs backwards, 30 February), is known in `fluid_operator.timetables.expressions`.
"""

from collections.abc import Mapping
from typing import Final, NamedTuple

from fluid_operator.api.fields import rule

CRON_LONGEST: Final = 256
"""Characters of one expression."""

BLANKS: Final = " \t\n\f\r"
"""What stands between fields: `\\s` in the API server's regular expressions, which know ASCII only."""


class CronField(NamedTuple):
    """One of the five fields: its name in sentences, its values `low` to `high`, the words for the values from
    `first_word` on, and the highest value that H may stand for."""

    name: str
    low: int
    high: int
    highest_hash: int
    words: tuple[str, ...] = ()
    first_word: int = 0

    def value_of(self, text: str) -> int | None:
        """The value that a number or a word (in any case) stands for; None for anything else."""
        if text.upper() in self.words:
            return self.words.index(text.upper()) + self.first_word
        if text.isascii() and text.isdigit() and len(text) <= len(str(self.high)):
            return int(text) if self.low <= int(text) <= self.high else None
        return None

    @property
    def allowed(self) -> str:
        """The values in words, such as `1-12 or JAN-DEC`."""
        numbers = f"{self.low}-{self.high}"
        return f"{numbers} or {self.words[0]}-{self.words[-1]}" if self.words else numbers

    @property
    def pattern(self) -> str:
        """What the API server takes for this field."""
        value, hashed, step = (self._value(self.high), self._value(self.highest_hash), rf"(/{self._step()})?")
        item = rf"(\*{step}|{value}(-{value})?{step}|H(\({hashed}-{hashed}\))?{step})"
        return f"{item}(,{item})*"

    def _value(self, high: int) -> str:
        numbers = _numbers(self.low, high, len(str(self.high)))
        return f"({numbers}|(?i:{'|'.join(self.words)}))" if self.words else f"({numbers})"

    def _step(self) -> str:
        return f"({_numbers(1, self.high, len(str(self.high)))})"


def _numbers(low: int, high: int, width: int) -> str:
    """A pattern for the numbers low to high, with or without zeros in front, of at most `width` digits."""
    if width == 1:
        return f"[{low}-{high}]"
    tens, ones = divmod(high, 10)
    parts = [f"0?[{low}-{9 if tens else ones}]"]
    if tens > 1:
        parts.append(f"[1-{tens - 1}][0-9]" if tens > 2 else "1[0-9]")
    if tens:
        parts.append(f"{tens}[0-{ones}]")
    return "|".join(parts)


MINUTE: Final = CronField("minute", 0, 59, 59)
HOUR: Final = CronField("hour", 0, 23, 23)
# A schedule that H moved to the 31st would leave out most months.
DAY_OF_MONTH: Final = CronField("day of month", 1, 31, 28)
MONTH: Final = CronField(
    "month", 1, 12, 12, ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC"), 1
)
# 7 is Sunday, as 0 is; H need not name it twice.
DAY_OF_WEEK: Final = CronField("day of week", 0, 7, 6, ("SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"))

CRON_FIELDS: Final = (MINUTE, HOUR, DAY_OF_MONTH, MONTH, DAY_OF_WEEK)

CRON_WORDS: Final[Mapping[str, str]] = {
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
    "@monthly": "0 0 1 * *",
    "@weekly": "0 0 * * 0",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@hourly": "0 * * * *",
}

CRON_SHAPE: Final = rf"^\s*(@({'|'.join(word[1:] for word in CRON_WORDS)})|[^@\s]\S*(\s+\S+){{4}})\s*$"
"""One of the words, or five fields of whatever content."""


def field_pattern(index: int) -> str:
    """A pattern for whole expressions whose field number `index` can be read, whatever the others hold."""
    return rf"^\s*(@|(\S+\s+){{{index}}}{CRON_FIELDS[index].pattern}(\s|$))"


# One rule for each field and not one pattern for all: the API server quotes a refused pattern, which nobody can
# read, but says the message of a refused rule.
CRON_RULES: Final = tuple(
    rule(
        f"self.matches(r'{field_pattern(index)}')",
        f"the {field.name} must be {field.allowed}, *, H or H(from-to); also as a range with -, "
        f"with a step (/1 to /{field.high}), or as a list with commas",
    )
    for index, field in enumerate(CRON_FIELDS)
)
