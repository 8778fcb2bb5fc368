"""A second, slow way to say when a schedule comes: look at the clock in each minute. It shares no code with the
operator, and knows an expression by the sets of values that it was made from.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

MINUTE = timedelta(minutes=1)


@dataclass(frozen=True)
class Field:
    """A field's text and its values."""

    text: str
    values: frozenset[int]

    @property
    def starred(self) -> bool:
        return self.text.startswith("*")


@dataclass(frozen=True, repr=False)
class Expression:
    """The five fields; days of the week from 0, Sunday."""

    minute: Field
    hour: Field
    day: Field
    month: Field
    weekday: Field

    def __repr__(self) -> str:
        return self.text

    @property
    def text(self) -> str:
        return " ".join(field.text for field in (self.minute, self.hour, self.day, self.month, self.weekday))

    @property
    def by_interval(self) -> bool:
        return self.minute.starred or self.hour.starred

    def names(self, local: datetime) -> bool:
        """Whether the clock shows a time of the expression."""
        in_month = local.day in self.day.values
        in_week = local.isoweekday() % 7 in self.weekday.values
        either = not self.day.starred and not self.weekday.starred
        return (
            local.minute in self.minute.values
            and local.hour in self.hour.values
            and local.month in self.month.values
            and (in_month or in_week if either else in_month and in_week)
        )


def times(expression: Expression, zone: ZoneInfo, after: datetime, until: datetime) -> list[datetime]:
    """All times later than `after`, which is a whole minute, and not later than `until`."""
    found = []
    shown = after.astimezone(zone)
    moment = after + MINUTE
    while moment <= until:
        before, shown = shown, moment.astimezone(zone)
        if _comes(expression, before, shown):
            found.append(moment)
        moment += MINUTE
    return [moment.astimezone(UTC) for moment in found]


def _comes(expression: Expression, before: datetime, shown: datetime) -> bool:
    if expression.by_interval:
        return expression.names(shown)
    if shown.fold == 0 and expression.names(shown):
        return True
    return any(expression.names(skipped) for skipped in _skipped(before, shown))


def _skipped(before: datetime, shown: datetime) -> Iterator[datetime]:
    """What the clock jumped over from one minute to the next."""
    local = before.replace(tzinfo=None, fold=0) + MINUTE
    while local < shown.replace(tzinfo=None):
        yield local
        local += MINUTE
