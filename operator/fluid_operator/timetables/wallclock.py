"""The only door to cronsim: which readings of a clock on the wall a cron expression names.

cronsim gets expressions of numbers that `expressions` has checked, and local times without a zone. What a zone does to
them is settled in `zones` and `cron`, because cronsim's own handling of zones leaves out times where clocks move by
half an hour, makes some up where midnight does not exist, and goes back in time in a repeated hour.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, datetime, timedelta
from typing import Final

from cronsim import CronSim

_SECOND: Final = timedelta(seconds=1)
_ANY: Final = datetime(2000, 1, 1)  # noqa: DTZ001 - local times have no zone


def forward(expression: str, local: datetime) -> Iterator[datetime]:
    """The local times from `local` on, including it, in order; none after 50 years without one."""
    return CronSim(expression, _whole_second(local) - _SECOND)


def backward(expression: str, local: datetime) -> Iterator[datetime]:
    """The local times up to `local`, including it, the latest first."""
    return CronSim(expression, local.replace(microsecond=0) + _SECOND, reverse=True)


class DayPlan:
    """What an expression names of one day: `minutes` has a bit for each minute of the day, if it is one of the days."""

    __slots__ = ("_cronsim", "minutes")

    def __init__(self, expression: str) -> None:
        self._cronsim = CronSim(expression, _ANY)
        hour = sum(1 << minute for minute in self._cronsim.minutes)
        self.minutes: int = sum(hour << 60 * number for number in self._cronsim.hours)

    def holds(self, day: date) -> bool:
        """Whether the expression names this day."""
        return day.month in self._cronsim.months and self._cronsim.match_day(day)


def _whole_second(local: datetime) -> datetime:
    """`local`, or the next second if it lies between two."""
    whole = local.replace(microsecond=0)
    return whole if whole == local else whole + _SECOND
