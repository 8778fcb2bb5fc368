"""How a key space stands, as values: queues, types, and how long their jobs wait and run. No I/O."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal, Self

OVERFLOW = 23
"""The last bucket of a histogram: whatever took longer than the bound of the one before it, about 70 minutes."""


@dataclass(frozen=True, slots=True)
class TypeStats:
    """One type of job in one queue. The live states are numbers of jobs now, the ended ones count since the key space
    began. `oldest_seconds` as for the queue, looked for among the first 50 waiting jobs at each of the 20 best
    priorities."""

    waiting: int = 0
    active: int = 0
    delayed: int = 0
    blocked: int = 0
    suspended: int = 0
    waiting_children: int = 0
    completed: int = 0
    failed: int = 0
    cancelled: int = 0
    oldest_seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class QueueStats:
    """One queue. `oldest_seconds`: how long the oldest waiting job could have run already, 0 when none waits.
    `held_by`: why nothing of it starts: QueuePaused, RateLimited or CircuitOpen (then with the error's type in
    `circuit_error`), or nothing; until when, in ms of the server's clock, 0 when nobody knows."""

    queue: str
    waiting: int
    active: int
    delayed: int
    oldest_seconds: float
    completed: int
    failed: int
    cancelled: int
    blocked: int = 0
    suspended: int = 0
    waiting_children: int = 0
    held_by: Literal["", "QueuePaused", "RateLimited", "CircuitOpen"] = ""
    held_until: int = 0
    circuit_error: str = ""
    types: Mapping[str, TypeStats] = field(default_factory=dict)

    @property
    def unfinished(self) -> int:
        """Jobs that have not ended, whatever they wait for."""
        return self.waiting + self.active + self.delayed + self.blocked + self.suspended + self.waiting_children


@dataclass(frozen=True, slots=True)
class Stats:
    """The key space at one moment; `workers` were heard of in the last minute."""

    workers: int
    queues: Sequence[QueueStats]

    @property
    def active(self) -> int:
        """Jobs that run."""
        return sum(queue.active for queue in self.queues)

    @property
    def unfinished(self) -> int:
        """Jobs that have not ended, whatever they wait for."""
        return sum(queue.unfinished for queue in self.queues)

    @classmethod
    def parse(cls, answer: Sequence[Any]) -> Self:
        """Read stats.lua's answer."""
        now, workers, counts, *rows = answer
        types = _types(counts)
        queues = [_queue(row, now, types.get(row[0].decode(), {})) for row in rows]
        return cls(workers, sorted(queues, key=lambda queue: queue.queue))


@dataclass(frozen=True, slots=True)
class Histogram:
    """Durations in buckets: `counts[k]` were longer than 2^(k-1) ms and at most 2^k ms, `counts[OVERFLOW]` longer than
    all of them."""

    counts: Sequence[int]
    sum_seconds: float

    @property
    def count(self) -> int:
        return sum(self.counts)

    def quantile(self, q: float) -> float:
        """Seconds that the share `q` of all durations did not exceed: the upper bound of its bucket, so at most twice
        the truth."""
        rank, seen = q * self.count, 0
        for bucket, count in enumerate(self.counts):
            seen += count
            if count and seen >= rank:
                return float(2**bucket) / 1000
        return 0.0


@dataclass(frozen=True, slots=True)
class Durations:
    """One type of job in one queue: from ready to claimed, and from claimed to the end of the attempt."""

    wait: Histogram
    run: Histogram


def parse_durations(fields: Mapping[bytes, bytes]) -> dict[str, Durations]:
    """Read a `histogram:<queue>` hash, `<wait or run>:<bucket or sum>:<type>` -> number."""
    found: dict[str, dict[str, dict[str, int]]] = {}
    for name, value in fields.items():
        kind, bucket, type_ = name.decode().split(":", 2)
        found.setdefault(type_, {}).setdefault(kind, {})[bucket] = int(value)
    return {
        type_: Durations(*(_histogram(kinds.get(kind, {})) for kind in ("wait", "run")))
        for type_, kinds in sorted(found.items())
    }


def _histogram(buckets: Mapping[str, int]) -> Histogram:
    counts = [buckets.get(str(bucket), 0) for bucket in range(OVERFLOW + 1)]
    return Histogram(counts, buckets.get("sum", 0) / 1000)


def _types(counts: Sequence[bytes]) -> dict[str, dict[str, TypeStats]]:
    """From `<queue>:<state>:<type>`, number, ... to queue -> type -> numbers."""
    numbers: dict[str, dict[str, dict[str, int]]] = {}
    for name, value in zip(counts[::2], counts[1::2], strict=True):
        queue, state, type_ = name.decode().split(":", 2)
        numbers.setdefault(queue, {}).setdefault(type_, {})[state.replace("-", "_")] = int(value)
    return {
        queue: {type_: TypeStats(**states) for type_, states in sorted(types.items())}
        for queue, types in numbers.items()
    }


def _queue(row: Sequence[Any], now: int, types: Mapping[str, TypeStats]) -> QueueStats:
    name, waiting, active, delayed, blocked, suspended, children, since, paused, limited, circuit, error = row
    ages = {kind.decode(): max(0, now - ready) / 1000 for kind, ready in zip(since[::2], since[1::2], strict=True)}
    held: Literal["", "QueuePaused", "RateLimited", "CircuitOpen"] = ""
    until = 0
    if paused:
        held = "QueuePaused"
    elif circuit:
        held, until = "CircuitOpen", circuit
    elif limited > now:
        held, until = "RateLimited", limited
    return QueueStats(
        queue=name.decode(),
        waiting=waiting,
        active=active,
        delayed=delayed,
        oldest_seconds=max(ages.values(), default=0.0),
        completed=sum(found.completed for found in types.values()),
        failed=sum(found.failed for found in types.values()),
        cancelled=sum(found.cancelled for found in types.values()),
        blocked=blocked,
        suspended=suspended,
        waiting_children=children,
        held_by=held,
        held_until=until,
        circuit_error=error.decode(),
        types={kind: replace(found, oldest_seconds=ages.get(kind, 0.0)) for kind, found in types.items()},
    )
