"""Jobs that a queue takes no more of for now, in line: the oldest goes first. Pure; it only remembers who waits.

A queue with a creation limit refuses nothing, it lets wait. If each job tried again by itself, chance would decide who
gets in. So only the oldest tries. Whoever gets in calls the next two, so that a line empties as fast as the queue takes
its jobs; who was called too early goes back to its place, and all that were called with it.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable
from typing import NamedTuple

from fluid_operator.kube.keys import ObjectKey

_CALLED = 2
"""Jobs that are called when one got in."""


class Place(NamedTuple):
    """One queue of one environment."""

    environment: ObjectKey
    queue: str


class CreationLine:
    """`wake` is called with the key of a job whose turn it is."""

    def __init__(self, wake: Callable[[ObjectKey], None]) -> None:
        self._wake = wake
        self._waiting: dict[ObjectKey, tuple[Place, float]] = {}
        self._heaps: dict[Place, list[tuple[float, ObjectKey]]] = {}
        self._called: dict[Place, dict[ObjectKey, float]] = {}
        """Whose turn it is, with their ages: they were woken and have not answered yet."""

    def __len__(self) -> int:
        return len(self._waiting) + sum(map(len, self._called.values()))

    def may_try(self, place: Place, key: ObjectKey, created: float) -> bool:
        """Whether it is the job's turn: it was called, or there is no line. If there is one, it gets in by its age."""
        called = self._called.get(place, ())
        if key in called or (not called and self._first(place) is None):
            return True
        self.wait(place, key, created)
        if not called and (first := self._take(place)) is not None:
            if first == key:
                return True
            self._wake(first)
        return False

    def wait(self, place: Place, key: ObjectKey, created: float) -> None:
        """The queue did not take this job: it waits in line, and so do all that were called after it."""
        if key in self._called.get(place, ()):
            for each, age in self._called.pop(place).items():
                self._line_up(place, each, age)
        elif self._waiting.get(key) != (place, created):
            self.leave(key)  # if it was its turn elsewhere, that is somebody else's now
            self._line_up(place, key, created)

    def _line_up(self, place: Place, key: ObjectKey, created: float) -> None:
        self._waiting[key] = (place, created)
        heapq.heappush(self._heaps.setdefault(place, []), (created, key))

    def admitted(self, key: ObjectKey) -> None:
        """The job got in; there may be room for more."""
        self._pass_on(self._drop(key), _CALLED)

    def leave(self, key: ObjectKey) -> None:
        """The job does not want to get in any more. If it was its turn, it is another's now."""
        self._pass_on(self._drop(key), 1)

    def _drop(self, key: ObjectKey) -> Place | None:
        """Forget the job. Answers the place at which it was its turn; None when it was not."""
        waited = self._waiting.get(key)
        first = waited is not None and self._first(waited[0]) == key
        self._waiting.pop(key, None)
        if waited is not None:
            return waited[0] if first else None
        for place, called in self._called.items():
            if key in called:
                del called[key]
                if not called:
                    del self._called[place]
                return place
        return None

    def _pass_on(self, place: Place | None, calls: int) -> None:
        for _ in range(calls if place else 0):
            if place and (following := self._take(place)) is not None:
                self._wake(following)

    def _take(self, place: Place) -> ObjectKey | None:
        """Let it be the turn of the first in line."""
        first = self._first(place)
        if first is not None:
            _, created = self._waiting.pop(first)
            self._called.setdefault(place, {})[first] = created
        return first

    def _first(self, place: Place) -> ObjectKey | None:
        heap = self._heaps.get(place, [])
        while heap and self._waiting.get(heap[0][1]) != (place, heap[0][0]):
            heapq.heappop(heap)
        if not heap:
            self._heaps.pop(place, None)
            return None
        return heap[0][1]
