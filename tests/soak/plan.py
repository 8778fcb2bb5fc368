"""Which jobs a soak consists of, and how each of them may end. Pure: a seed in, jobs out.

A job's kind decides what its handler does and which outcomes are right. Only one thing may replace the right outcome:
a job whose worker vanished three times fails as Stalled, and the verdict wants to know each time why.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

QUEUES = ("soak-a", "soak-b", "soak-c")

ASYNC, THREAD, PROCESS = "soak-async", "soak-thread", "soak-process"
"""The job types of the probe, by the kind of isolation."""

KEYS = 12
"""Concurrency keys that share the jobs which have one."""

Command = Literal["cancel", "suspend", "resume", "promote"]


class Step(NamedTuple):
    """What is asked of a job later; `after` in seconds from the moment that it was handed in."""

    command: Command
    after: float


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedJob:
    """One job. Durations in seconds."""

    name: str
    """The id of a direct job, the object's name of a FluidJob."""
    kind: str
    fluid: bool = False
    type: str = ASYNC
    queue: str = QUEUES[0]
    priority: int = 0
    payload: Mapping[str, Any] = field(default_factory=dict)
    delay: float = 0
    backoff_limit: int = 3
    attempt_deadline: int = 300
    key: str = ""
    """At most one running job of its queue has it."""
    twin_of: str = ""
    """The deduplication key; two jobs have it."""
    indexes: int = 0
    children: int = 0
    """How many its handler enqueues; see `children_of`."""
    then: Sequence[Step] = ()
    outcomes: frozenset[str] = frozenset({"completed"})
    """States in which it may end."""
    reason: str = ""
    """Why it fails, if it does."""

    @property
    def fails_on_purpose(self) -> bool:
        """Whether its handler raises at all."""
        return self.kind in ("flaky", "hopeless", "refused")

    @property
    def may_fail(self) -> bool:
        """Whether its handler may raise: a family's does when Redis is away while it enqueues."""
        return self.fails_on_purpose or self.kind == "family"


_SHARES: Mapping[str, float] = {
    "no-op": 52,
    "sleep": 12,
    "thread": 6,
    "flaky": 6,
    "delayed": 4,
    "refused": 3,
    "hopeless": 2.5,
    "cancelled-waiting": 2,
    "cancelled-racing": 1.5,
    "cancelled-running": 1.5,
    "long": 6,
    "overdue": 1,
}
"""Parts of each kind."""

_DIRECT_SHARES: Mapping[str, float] = {
    "keyed": 4,
    "suspended": 1.5,
    "promoted": 1,
    "twin": 1,
    "process": 1,
    "family": 0.7,
    "indexed": 0.3,
}
"""Kinds that only direct jobs have, for as long as FluidJobs cannot ask for them."""


def plan(seed: int, count: int, *, prefix: str, fluid: bool = False) -> Iterator[PlannedJob]:
    """So many jobs, the same ones for the same seed."""
    chance = random.Random(f"{seed} {prefix}")
    shares = _SHARES if fluid else {**_SHARES, **_DIRECT_SHARES}
    number = 0
    while number < count:
        (kind,) = chance.choices(list(shares), list(shares.values()))
        common: dict[str, Any] = {
            "kind": kind,
            "fluid": fluid,
            "queue": chance.choice(QUEUES),
            "priority": chance.choice((0, 0, 0, -10, 10, 500)),
        }
        fields = common | _fields(kind, chance)
        twin = f"{prefix}-{number:06}" if kind == "twin" else ""
        for _ in range(2 if twin else 1):
            yield PlannedJob(name=f"{prefix}-{number:06}", twin_of=twin, **fields)
            number += 1


def children_of(job: PlannedJob) -> list[PlannedJob]:
    """The children that a job's handler enqueues, as jobs."""
    return [PlannedJob(name=f"{job.name}/{child_key(n)}", kind="child", queue=job.queue) for n in range(job.children)]


def child_key(number: int) -> str:
    """Under which a parent enqueues its child of this number."""
    return f"child-{number}"


def _fields(kind: str, chance: random.Random) -> dict[str, Any]:
    """What makes a job one of this kind."""
    seconds = chance.uniform
    match kind:
        case "sleep":
            return {"payload": {"seconds": seconds(0.05, 1.5)}}
        case "thread":
            return {"type": THREAD, "payload": {"seconds": seconds(0.05, 1)}}
        case "long":
            return {"payload": {"seconds": seconds(2, 6)}}
        case "delayed":
            return {"delay": seconds(0.2, 8)}
        case "flaky":
            return {"payload": {"succeedAt": chance.choice((2, 2, 3))}}
        case "hopeless":
            return {"payload": {"do": "fail"}, "backoff_limit": 1} | _failing("BackoffLimitExceeded")
        case "refused":
            return {"payload": {"do": "refuse"}} | _failing("PermanentError")
        case "overdue":
            return {"payload": {"seconds": 60}, "attempt_deadline": 1, "backoff_limit": 0} | _failing("AttemptTimeout")
        case "cancelled-waiting":
            return {"delay": 3600, "then": [Step("cancel", seconds(0.5, 3))]} | _ending("cancelled")
        case "cancelled-running":
            return {"payload": {"seconds": 120}, "then": [Step("cancel", seconds(1, 4))]} | _ending("cancelled")
        case "cancelled-racing":
            then = [Step("cancel", seconds(0, 0.3))]
            return {"payload": {"seconds": 0.1}, "then": then} | _ending("completed", "cancelled")
    return _direct_fields(kind, chance)


def _direct_fields(kind: str, chance: random.Random) -> dict[str, Any]:
    seconds = chance.uniform
    match kind:
        case "keyed":
            return {"key": f"key-{chance.randrange(KEYS)}", "payload": {"seconds": seconds(0.02, 0.4)}}
        case "suspended":
            then = [Step("suspend", seconds(0, 1)), Step("resume", seconds(2, 4))]
            return {"payload": {"seconds": seconds(0.2, 2)}, "delay": chance.choice((0, 1)), "then": then}
        case "promoted":
            return {"delay": 3600, "then": [Step("promote", seconds(0.1, 2))]}
        case "twin":
            return {"payload": {"seconds": seconds(0.5, 2)}}
        case "process":
            return {"type": PROCESS, "payload": {"seconds": seconds(0.05, 1)}}
        case "family":
            children = chance.randint(1, 5)
            return {"children": children, "payload": {"seconds": seconds(0, 0.5), "children": children}}
        case "indexed":
            return {"indexes": chance.randint(10, 40), "payload": {"seconds": 0.02}}
    return {}


def _failing(reason: str) -> dict[str, Any]:
    return {"reason": reason} | _ending("failed")


def _ending(*outcomes: str) -> dict[str, Any]:
    return {"outcomes": frozenset(outcomes)}
