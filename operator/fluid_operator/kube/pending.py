"""Which key is next: the bookkeeping of the work queue, without a loop, a clock or a task.

Three sets, as in client-go. *Waiting* keys are ready to be taken, each once however often it was added.
*Processing* keys have been taken and not yet given back; one that is added meanwhile is remembered and waits
again only after `done`, so that no two workers ever hold the same key. *Delayed* keys become waiting when
their time has come.

Namespaces take turns: one with ten thousand waiting keys delays the only key of another by one key, not by
all. Every method takes the time as an argument, in seconds of whatever clock the caller uses.
"""

import heapq
from collections import deque

from fluid_operator.kube.keys import ObjectKey


class Pending:
    """The three sets of a work queue."""

    def __init__(self) -> None:
        # A line per namespace that has waiting keys. The order of the dictionary is the order of turns.
        self._lines: dict[str, deque[ObjectKey]] = {}
        # When a key became due: of waiting keys, and of processing keys that were added again.
        self._since: dict[ObjectKey, float] = {}
        self._processing: set[ObjectKey] = set()
        self._due: dict[ObjectKey, float] = {}
        # An entry whose time is not the one in _due was overtaken by an earlier one and is skipped when it
        # surfaces.
        self._heap: list[tuple[float, ObjectKey]] = []

    @property
    def waiting(self) -> int:
        """How many keys could be taken now."""
        return sum(map(len, self._lines.values()))

    @property
    def delayed(self) -> int:
        """How many keys wait for their time."""
        return len(self._due)

    @property
    def processing(self) -> int:
        """How many keys have been taken and not given back."""
        return len(self._processing)

    def add(self, key: ObjectKey, now: float) -> bool:
        """Make the key due. Returns whether it can be taken now, which a key in processing cannot."""
        if key in self._since:
            return False
        self._since[key] = now
        if key in self._processing:
            return False
        self._line_up(key)
        return True

    def add_at(self, key: ObjectKey, due: float) -> bool:
        """Make the key due at a time; the earliest wins. Returns whether it is now the next of all."""
        if self._due.get(key, float("inf")) <= due:
            return False
        self._due[key] = due
        heapq.heappush(self._heap, (due, key))
        return self._heap[0] == (due, key)

    def next_due(self) -> float | None:
        """Return when the first delayed key becomes due, None if there is none."""
        while self._heap and self._due.get(self._heap[0][1]) != self._heap[0][0]:
            heapq.heappop(self._heap)
        return self._heap[0][0] if self._heap else None

    def promote(self, now: float) -> int:
        """Add every delayed key whose time has come; returns how many of them can be taken."""
        ready = 0
        while (due := self.next_due()) is not None and due <= now:
            key = heapq.heappop(self._heap)[1]
            del self._due[key]
            ready += self.add(key, due)
        return ready

    def take(self) -> tuple[ObjectKey, float] | None:
        """Take the next key for processing, with the time since which it was due. None when nothing waits."""
        if not self._lines:
            return None
        namespace, line = next(iter(self._lines.items()))
        key = line.popleft()
        del self._lines[namespace]
        if line:
            self._lines[namespace] = line  # to the end of the turns
        self._processing.add(key)
        return key, self._since.pop(key)

    def done(self, key: ObjectKey) -> bool:
        """Give a taken key back. Returns whether it waits again because it was added meanwhile."""
        self._processing.discard(key)
        if key not in self._since:
            return False
        self._line_up(key)
        return True

    def _line_up(self, key: ObjectKey) -> None:
        self._lines.setdefault(key.namespace, deque()).append(key)
