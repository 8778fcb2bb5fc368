"""The status of a FluidEnvironment, from what was seen of it. Pure: no request, no clock.

Conditions follow kstatus. Ready speaks of what works: Redis answers, every pool has its minimum, and everything is as
the spec wants it. What only threatens the jobs has a condition of its own, QueueHealthy. Reconciling says that the
operator goes on trying, Stalled that only a change by somebody can help; both are absent when they do not hold.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final, NamedTuple

from fluid_operator.api.conditions import ConditionType, Reason, drop_condition, set_condition
from fluid_operator.api.fluidenvironment import FluidEnvironmentStatus, PoolStatus
from fluid_operator.api.meta import REQUEST_ANNOTATION, Condition
from fluid_operator.environments.health import Flaw
from fluid_operator.environments.pools import PoolState, told
from fluid_operator.environments.requests import Pauses

OWNED: Final = (
    "childObjects",
    "conditions",
    "keyPrefix",
    "lastHandledRequest",
    "observedGeneration",
    "pausedQueues",
    "pools",
    "readyWorkers",
    "waiting",
    "workers",
)
"""The fields that are written by reconciling."""


class Problem(NamedTuple):
    """Why the environment cannot be used: one word, a sentence that says what to do, and whether only a change of
    the object or its Secret can help."""

    reason: Reason
    message: str
    stalled: bool = False


@dataclass(frozen=True, slots=True)
class Workers:
    """The pools, and why they are not what they should be."""

    pools: Sequence[PoolState] = ()
    problem: Problem | None = None
    undiscovered: str = ""
    """A sentence about the images whose types nobody knows yet."""


@dataclass(frozen=True, slots=True)
class Seen:
    """What one look at an environment found.

    `problem` None: its Redis answers. `others` stand in the way of Ready as well, the most important first. `workers`
    None: nobody looked, so what was told of them stays. `under_way`: what is changing while everything works. `flaws`:
    what threatens the jobs in Redis, None: nobody knows. `waiting` None: nobody knows.
    """

    generation: int
    key_prefix: str | None = None
    problem: Problem | None = None
    waiting: int | None = None
    pauses: Pauses = field(default_factory=Pauses)
    others: Sequence[Problem] = ()
    workers: Workers | None = None
    under_way: Problem | None = None
    children: int | None = None
    flaws: Sequence[Flaw] | None = None

    @property
    def obstacle(self) -> Problem | None:
        """Why the environment is not ready: what only a change can help first, as the rest often follows from it."""
        workers = self.workers.problem if self.workers else None
        found = [each for each in (self.problem, *self.others, workers) if each]
        return next((each for each in found if each.stalled), found[0] if found else None)


def fold(before: FluidEnvironmentStatus, seen: Seen, now: datetime) -> FluidEnvironmentStatus:
    """Return the status after this look; transition times stay where nothing turned."""
    return before.model_copy(
        update={
            "observed_generation": seen.generation,
            "conditions": list(_conditions(before.conditions or (), seen, now)),
            "key_prefix": seen.key_prefix,
            "child_objects": before.child_objects if seen.children is None else seen.children or None,
            "waiting": seen.waiting,
            "paused_queues": list(seen.pauses.queues) or None,
            "last_handled_request": seen.pauses.handled or None,
            **_pools(before, seen.workers),
        }
    )


def _pools(before: FluidEnvironmentStatus, workers: Workers | None) -> dict[str, Any]:
    if workers is None:
        return {"ready_workers": before.ready_workers, "workers": before.workers, "pools": before.pools}
    shown = [
        PoolStatus(name=each.name, replicas=each.replicas, ready_replicas=each.ready, updated_replicas=each.updated)
        for each in workers.pools
    ]
    return {
        # Workers that were started by hand are none of the environment's pools.
        "ready_workers": sum(each.ready for each in workers.pools),
        "workers": told(workers.pools) if workers.pools else None,
        "pools": shown or None,
    }


class _Fact(NamedTuple):
    """One condition: whether it holds, and what is said of it. `holds` None: it is not told at all."""

    holds: bool | None
    reason: Reason = Reason.AVAILABLE
    message: str = ""


def _conditions(conditions: Sequence[Condition], seen: Seen, now: datetime) -> Sequence[Condition]:
    for kind, fact in _facts(seen).items():
        if fact.holds is None:
            conditions = drop_condition(conditions, kind)
            continue
        conditions = set_condition(
            conditions,
            kind,
            fact.holds,
            reason=fact.reason,
            message=fact.message,
            generation=seen.generation,
            now=now,
        )
    return _with_request(conditions, seen, now)


def _facts(seen: Seen) -> dict[ConditionType, _Fact]:
    obstacle = seen.obstacle
    facts = {
        ConditionType.READY: _truth(obstacle, _good(seen)),
        ConditionType.REDIS_READY: _truth(seen.problem, "Redis answers."),
        ConditionType.RECONCILING: _going_on(seen),
        ConditionType.STALLED: _while(obstacle, stalled=True),
        ConditionType.QUEUE_HEALTHY: _health(seen.flaws),
    }
    if seen.workers is not None:
        facts |= _facts_of_workers(seen.workers)
    return facts


def _facts_of_workers(workers: Workers) -> dict[ConditionType, _Fact]:
    if not workers.pools:
        return {ConditionType.WORKERS_READY: _Fact(None), ConditionType.TYPES_DISCOVERED: _Fact(None)}
    known = _Fact(True, message="The types of every image are known.")
    unknown = _Fact(False, Reason.DISCOVERING, workers.undiscovered)
    return {
        ConditionType.WORKERS_READY: _truth(workers.problem, f"{told(workers.pools)} workers are ready."),
        ConditionType.TYPES_DISCOVERED: unknown if workers.undiscovered else known,
    }


def _good(seen: Seen) -> str:
    pools = seen.workers.pools if seen.workers else ()
    return f"Redis answers, and {told(pools)} workers are ready." if pools else "Redis answers."


def _truth(problem: Problem | None, otherwise: str) -> _Fact:
    return _Fact(False, problem.reason, problem.message) if problem else _Fact(True, message=otherwise)


def _while(obstacle: Problem | None, *, stalled: bool) -> _Fact:
    if obstacle is None or obstacle.stalled is not stalled:
        return _Fact(None)
    return _Fact(True, obstacle.reason, obstacle.message)


def _going_on(seen: Seen) -> _Fact:
    if seen.obstacle is None and seen.under_way:
        return _Fact(True, seen.under_way.reason, seen.under_way.message)
    return _while(seen.obstacle, stalled=False)


def _health(flaws: Sequence[Flaw] | None) -> _Fact:
    if flaws is None:
        return _Fact(None)
    if not flaws:
        return _Fact(True, message="Nothing threatens the jobs in Redis.")
    return _Fact(False, flaws[0].reason, " ".join(flaw.message for flaw in flaws))


def _with_request(conditions: Sequence[Condition], seen: Seen, now: datetime) -> Sequence[Condition]:
    if not seen.pauses.problem:
        return drop_condition(conditions, ConditionType.REQUEST_IGNORED)
    return set_condition(
        conditions,
        ConditionType.REQUEST_IGNORED,
        True,
        reason=Reason.INVALID_REQUEST,
        message=f"annotation {REQUEST_ANNOTATION}: {seen.pauses.problem}",
        generation=seen.generation,
        now=now,
    )
