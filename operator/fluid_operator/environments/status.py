"""The status of a FluidEnvironment, from what was seen of it. Pure: no request, no clock.

Conditions follow kstatus. Ready speaks of what works: jobs can be enqueued and their outcomes written. Fields without
an effect have a condition of their own, NotYetSupported. Reconciling says that the operator goes on trying, Stalled
that only a change by somebody can help; both are absent when they do not hold.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final, NamedTuple

from fluid_operator.api.conditions import ConditionType, Reason, drop_condition, set_condition
from fluid_operator.api.fluidenvironment import FluidEnvironmentStatus
from fluid_operator.api.meta import REQUEST_ANNOTATION, Condition
from fluid_operator.api.not_yet import Unsupported
from fluid_operator.environments.requests import Pauses

OWNED: Final = (
    "conditions",
    "keyPrefix",
    "lastHandledRequest",
    "observedGeneration",
    "pausedQueues",
    "readyWorkers",
    "waiting",
)
"""The fields that are written by reconciling."""


class Problem(NamedTuple):
    """Why the environment cannot be used: one word, a sentence that says what to do, and whether only a change of
    the object or its Secret can help."""

    reason: Reason
    message: str
    stalled: bool = False


@dataclass(frozen=True, slots=True)
class Seen:
    """What one look at an environment found. `problem` None: its Redis answers. `waiting` None: nobody knows."""

    generation: int
    key_prefix: str | None = None
    problem: Problem | None = None
    unsupported: Sequence[Unsupported] = ()
    waiting: int | None = None
    pauses: Pauses = field(default_factory=Pauses)


def fold(before: FluidEnvironmentStatus, seen: Seen, now: datetime) -> FluidEnvironmentStatus:
    """Return the status after this look; transition times stay where nothing turned."""
    return before.model_copy(
        update={
            "observed_generation": seen.generation,
            "conditions": list(_conditions(before.conditions or (), seen, now)),
            "key_prefix": seen.key_prefix,
            # The operator runs no pools yet. Workers that were started by hand are none of the environment's pools.
            "ready_workers": 0,
            "waiting": seen.waiting,
            "paused_queues": list(seen.pauses.queues) or None,
            "last_handled_request": seen.pauses.handled or None,
        }
    )


def _conditions(conditions: Sequence[Condition], seen: Seen, now: datetime) -> Sequence[Condition]:
    problem = seen.problem
    reason = problem.reason if problem else Reason.AVAILABLE
    message = problem.message if problem else "Redis answers."
    facts = {
        ConditionType.READY: problem is None,
        ConditionType.REDIS_READY: problem is None,
        ConditionType.RECONCILING: problem is not None and not problem.stalled,
        ConditionType.STALLED: problem is not None and problem.stalled,
    }
    for kind, holds in facts.items():
        if holds or kind in (ConditionType.READY, ConditionType.REDIS_READY):
            conditions = set_condition(
                conditions, kind, holds, reason=reason, message=message, generation=seen.generation, now=now
            )
        else:
            conditions = drop_condition(conditions, kind)
    conditions = _with_request(conditions, seen, now)
    return with_unsupported(conditions, seen.unsupported, seen.generation, now)


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


def with_unsupported(
    conditions: Sequence[Condition], unsupported: Sequence[Unsupported], generation: int, now: datetime
) -> Sequence[Condition]:
    """Return the conditions with one that names the fields without an effect, or without it where there are none."""
    if not unsupported:
        return drop_condition(conditions, ConditionType.NOT_YET_SUPPORTED)
    return set_condition(
        conditions,
        ConditionType.NOT_YET_SUPPORTED,
        True,
        reason=Reason.NOT_YET_SUPPORTED,
        message="; ".join(f"{field}: {sentence}" for field, sentence in unsupported),
        generation=generation,
        now=now,
    )
