"""When is it whose turn? One timer for all schedules, however many there are.

Times are those of the wall clock, because that is what a cron expression speaks of. Who is told, and what they do
then, is not known here.
"""

from __future__ import annotations

import asyncio
import heapq
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Final

from fluid_operator.kube.keys import ObjectKey
from fluid_operator.schedules.clock import Clock

_SET_BACK: Final = timedelta(seconds=10)
"""By less than this a clock is only corrected."""


class Agenda:
    """At most one time for each key. Create it inside the loop; `run` must be awaited."""

    def __init__(self, clock: Clock, ring: Callable[[ObjectKey], None]) -> None:
        """`ring` is called once for a key whose time has come, and for all keys when the clock was set back. It must
        neither wait nor raise."""
        self._clock = clock
        self._ring = ring
        self._times: dict[ObjectKey, datetime] = {}
        self._heap: list[tuple[datetime, ObjectKey]] = []
        """Holds what `_times` holds, and times that were replaced since."""
        self._sooner = asyncio.Event()

    def __len__(self) -> int:
        return len(self._times)

    def set(self, key: ObjectKey, time: datetime | None) -> None:
        """Ring for the key at this time instead of the one before; None: not at all."""
        if time == self._times.get(key):
            return
        if time is None:
            del self._times[key]
            return
        self._times[key] = time
        heapq.heappush(self._heap, (time, key))
        if self._heap[0] == (time, key):
            self._sooner.set()
        if len(self._heap) > 2 * len(self._times) + 64:
            self._heap = [(each, name) for name, each in self._times.items()]
            heapq.heapify(self._heap)

    async def run(self) -> None:
        """Ring until cancelled."""
        now = self._clock.now()
        while True:
            self._sooner.clear()
            await self._clock.wait(self._next(), self._sooner)
            before, now = now, self._clock.now()
            if now < before - _SET_BACK:
                for key in self._times:
                    self._ring(key)
            while (time := self._next()) is not None and time <= now:
                _, key = heapq.heappop(self._heap)
                del self._times[key]
                self._ring(key)

    def _next(self) -> datetime | None:
        """The earliest time; drops what was replaced."""
        while self._heap and self._times.get(self._heap[0][1]) != self._heap[0][0]:
            heapq.heappop(self._heap)
        return self._heap[0][0] if self._heap else None
