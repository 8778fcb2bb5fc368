"""What a job that waits meets in its environment: workers or none, a suspended environment, queues that start nothing.
Pure but for the memory of the last look.

A rate limit holds a busy queue every other moment. Telling each of its jobs each time would cost a status write per
job, so an obstacle that may be gone in a moment counts only when two looks in a row have found it, and is gone only
when two have not.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from fluid_operator.api.conditions import Reason
from fluid_queue import QueueStats, Stats


@dataclass(frozen=True, slots=True)
class Obstacle:
    """Why a queue starts nothing: a reason of the Ready condition, and a sentence."""

    reason: str
    message: str


@dataclass(frozen=True, slots=True)
class Surroundings:
    """`workers` were heard of in the last minute; `held`: queues that start nothing."""

    workers: int = 1
    suspended: bool = False
    held: Mapping[str, Obstacle] = field(default_factory=dict)

    def like(self, other: Surroundings) -> bool:
        """Whether the status of a waiting job would say the same: how many workers there are does not matter."""
        return (bool(self.workers), self.suspended, self.held) == (bool(other.workers), other.suspended, other.held)


class Obstacles:
    """Of one environment, from one look at its queues to the next."""

    def __init__(self) -> None:
        self._held: dict[str, Obstacle] = {}
        self._seen: dict[str, str] = {}
        """What the last look found, by queue."""

    def held(self, stats: Stats) -> Mapping[str, Obstacle]:
        """The queues that start nothing, as of now and of the look before."""
        found = {queue.queue: queue for queue in stats.queues if queue.held_by}
        held: dict[str, Obstacle] = {}
        for name in found.keys() | self._held.keys():
            now, before = found.get(name), self._held.get(name)
            if now and (now.held_by != "RateLimited" or self._seen.get(name) == now.held_by):
                held[name] = _obstacle(now)
            elif before and before.reason == Reason.RATE_LIMITED and name in self._seen:
                held[name] = before
        self._seen = {name: queue.held_by for name, queue in found.items()}
        self._held = held
        return held


def _obstacle(queue: QueueStats) -> Obstacle:
    if queue.held_by == "QueuePaused":
        return Obstacle(Reason.QUEUE_PAUSED.value, f"queue {queue.queue} is paused")
    if queue.held_by == "CircuitOpen":
        message = (
            f"queue {queue.queue} is stopped: its jobs kept failing with {queue.circuit_error}; one at a time is tried"
        )
        return Obstacle(Reason.CIRCUIT_OPEN.value, message)
    return Obstacle(Reason.RATE_LIMITED.value, f"queue {queue.queue} has used up its rate limit for the moment")
