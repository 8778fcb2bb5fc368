"""Jobs that a queue takes no more of for now, in line: the oldest goes first. Pure; it only remembers who waits.

A queue with a creation limit refuses nothing, it lets wait. If each job tried again by itself, chance would decide who
gets in. So only the oldest tries, and whoever gets in calls the next.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable
from typing import NamedTuple

from fluid_operator.kube.keys import ObjectKey


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

    def __len__(self) -> int:
        return len(self._waiting)

    def may_try(self, place: Place, key: ObjectKey, created: float) -> bool:
        """Whether nobody is in line before this job. If somebody is, it gets in line by its age."""
        first = self._first(place)
        if first is None or first == key:
            return True
        self.wait(place, key, created)
        return self._first(place) == key

    def wait(self, place: Place, key: ObjectKey, created: float) -> None:
        """The queue did not take this job: it waits in line."""
        if self._waiting.get(key) != (place, created):
            self.leave(key)
            self._waiting[key] = (place, created)
            heapq.heappush(self._heaps.setdefault(place, []), (created, key))

    def leave(self, key: ObjectKey) -> None:
        """The job got in, or does not want to any more; if it was the first, the next is called."""
        found = self._waiting.get(key)
        if found is None:
            return
        place, _ = found
        was_first = self._first(place) == key
        del self._waiting[key]
        following = self._first(place)
        if was_first and following is not None:
            self._wake(following)

    def _first(self, place: Place) -> ObjectKey | None:
        heap = self._heaps.get(place, [])
        while heap and self._waiting.get(heap[0][1]) != (place, heap[0][0]):
            heapq.heappop(heap)
        if not heap:
            self._heaps.pop(place, None)
            return None
        return heap[0][1]
