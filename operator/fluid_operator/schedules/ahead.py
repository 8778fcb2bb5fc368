"""A timetable that remembers the next few times: a schedule is looked at several times between two of them, and the
same questions come again at each look. Pure but for what it remembers; whatever was asked before, the answers are the
same.

Worth it because a cron expression takes some hundred microseconds to tell its next times, which was a quarter of the
operator's work when thousands of schedules were due at once.
"""

from __future__ import annotations

from bisect import bisect_right
from datetime import datetime
from typing import Final

from fluid_operator.timetables.cron import Timetable

_KEPT: Final = 8
"""Times. A look asks for the one that is due and the five that follow it."""


class Ahead:
    """Answers as its timetable does. Not shared between schedules: they would push each other's times out."""

    def __init__(self, timetable: Timetable) -> None:
        self._timetable = timetable
        self._since: datetime | None = None
        """`_times` are all those that come after this moment, up to the last of them."""
        self._times: list[datetime] = []

    def after(self, moment: datetime) -> datetime | None:
        """The first time later than this; None: never again."""
        return next(iter(self.upcoming(moment, 1)), None)

    def upcoming(self, moment: datetime, count: int) -> list[datetime]:
        """The next `count` times, strictly later; fewer if there are no more."""
        if not self._covers(moment):
            self._since, self._times = moment, []
        first = bisect_right(self._times, moment)
        missing = first + count - len(self._times)
        if missing > 0:
            self._times += self._timetable.upcoming(self._times[-1] if self._times else moment, missing)
        found = self._times[first : first + count]
        if len(self._times) > _KEPT:
            self._since, self._times = self._times[-_KEPT - 1], self._times[-_KEPT:]
        return found

    def latest(self, after: datetime, until: datetime) -> datetime | None:
        """The last time in (after, until]."""
        if self._covers(after) and self._times and self._times[-1] > until:
            last = bisect_right(self._times, until)
            return self._times[last - 1] if last and self._times[last - 1] > after else None
        return self._timetable.latest(after, until)

    def count(self, after: datetime, until: datetime) -> int:
        """How many times lie in (after, until]."""
        return self._timetable.count(after, until)

    def _covers(self, moment: datetime) -> bool:
        return self._since is not None and self._since <= moment and bool(self._times) and moment <= self._times[-1]
