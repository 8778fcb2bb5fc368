"""What can go wrong with what a FluidSchedule means.

Exception
└── TimetableError
    ├── TemplateError              the template of the jobs cannot be used; names the field
    │   └── PlaceholderError       by a placeholder, or what looks like one; names the place in the text
    └── ManualError                what somebody asked of a schedule by hand cannot be done
        ├── BadRange               these times cannot be backfilled
        └── TooManyTimes           more times than one backfill may create jobs for
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime


class TimetableError(Exception):
    """Anything this package raises about a schedule."""


class CronError(TimetableError, ValueError):
    """`position` is the column in `expression`, from 0, of what is wrong there; `reason` says what that is, and what
    to write instead. The message counts columns from 1, as people do."""

    def __init__(self, expression: str, position: int, reason: str) -> None:
        super().__init__(f"{expression!r}, column {position + 1}: {reason}")
        self.expression = expression
        self.position = position
        self.reason = reason


class UnknownTimeZone(TimetableError, ValueError):
    """There is no zone `name`; `similar` are the names that it may be a misspelling of, the likeliest first."""

    def __init__(self, name: str, similar: Sequence[str]) -> None:
        instead = f"did you mean {' or '.join(similar)}?" if similar else "write a name such as Europe/Berlin or UTC"
        super().__init__(f"{name!r} is no time zone of the IANA database; {instead}")
        self.name = name
        self.similar = tuple(similar)


class TemplateError(TimetableError):
    """`path` is the refused field as a user writes it (`spec.jobTemplate.spec.payload.to[0]`), `message` the sentence
    without it."""

    def __init__(self, path: str, message: str) -> None:
        super().__init__(f"{path}: {message}")
        self.path = path
        self.message = message


class PlaceholderError(TemplateError):
    """`position` is where the braces open, in characters from the beginning of the text at `path`, from 0."""

    def __init__(self, path: str, position: int, message: str) -> None:
        super().__init__(path, f"at character {position + 1}: {message}")
        self.position = position


class ManualError(TimetableError):
    """Any refusal of a trigger or a backfill."""


class BadRange(ManualError):
    """No backfill can go from `first` to `last`; the message says why."""

    def __init__(self, first: datetime, last: datetime, message: str) -> None:
        super().__init__(message)
        self.first = first
        self.last = last


class TooManyTimes(ManualError):
    """The range holds `count` times (or more, if that is as far as was counted), of which `limit` are allowed."""

    def __init__(self, count: int, limit: int) -> None:
        super().__init__(f"the schedule comes {count} times in this range, and at most {limit} are allowed at once")
        self.count = count
        self.limit = limit
