"""When the address of an environment's Redis changes: which one holds, and why the other does not yet.

The jobs that an old Redis still has would be left behind by a change that simply happens; those that its workers still
run would run twice. So the old address holds until nothing is left there, or somebody puts the spec back. A new
password, another name of the same server, or the same data elsewhere has nothing to wait for. Whatever is new has to
work before what works is given up.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from typing import Final, NamedTuple

from fluid_operator.api.conditions import Reason
from fluid_operator.api.redis_settings import RedisChange
from fluid_operator.environments.link import EnvironmentLink
from fluid_operator.environments.status import Problem
from fluid_operator.kube.keys import ObjectKey
from fluid_queue import Address

GIVEN_UP_SECONDS: Final = 60.0
"""An old Redis that has not answered for so long can finish nothing. Its FluidJobs are enqueued again elsewhere, as
after any loss of Redis."""


_SETTLE_SECONDS: Final = 1.0
"""For what was on its way into the queue when enqueuing was stopped."""
_COUNT_SECONDS: Final = 10.0
"""Between two counts of what is left that are told."""


class Move(NamedTuple):
    """The address that holds. `problem`: why it is not the one that the spec wants. `hold`: why nothing new may be
    enqueued meanwhile."""

    url: str
    problem: Problem | None = None
    hold: str = ""


_LOOKING: Final = Problem(
    Reason.REDIS_CHANGE_BLOCKED,
    "The address of Redis has changed; the operator looks which jobs the old one still has.",
)
_LEAVING: Final = Problem(Reason.REDIS_DRAINING, "The address of Redis is changing; nothing is left at the old one.")
_UNTRIED: Final = Problem(
    Reason.REDIS_CHANGE_BLOCKED,
    "The address of Redis has changed, and the new one does not let the operator in, or is not there yet; the old one "
    "is used until it does.",
)

_HELD: Final = "The address of Redis has changed; new jobs wait until those at the old one are finished."
"""Told by each job that waits, so without a number."""

SameData = Callable[[str], Awaitable[bool | None]]
"""Whether an address leads to the data that the open link has; None: it does not lead anywhere that can be used."""


class Moves:
    """Of all environments, in one term. Remembers only what the last looks at an old Redis have found."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._away: dict[ObjectKey, float] = {}
        self._counts: dict[ObjectKey, tuple[int, float]] = {}
        self._empty: dict[ObjectKey, float] = {}
        """Since when the old Redis of an environment has had nothing any more."""

    def forget(self, key: ObjectKey) -> None:
        """The environment is gone, or where it wants to be."""
        self._away.pop(key, None)
        self._counts.pop(key, None)
        self._empty.pop(key, None)

    async def settle(
        self,
        key: ObjectKey,
        wanted: str,
        link: EnvironmentLink | None,
        noted: str | None,
        on_change: RedisChange | None,
        same_data: SameData,
    ) -> Move:
        """Decide which address holds. `noted`: the one that held before this operator started, if that is known."""
        current = link.queue.url if link else noted
        if current is None or current == wanted:
            self.forget(key)
            return Move(wanted)
        if link is None:
            return Move(current, _LOOKING)
        found = await same_data(wanted)
        if found is None and link.available:
            # What works is given up only for what works.
            return Move(current, _UNTRIED)
        if found or same_place(current, wanted):
            self.forget(key)
            return Move(wanted)
        return await self._leave(key, link, wanted, on_change)

    async def _leave(self, key: ObjectKey, link: EnvironmentLink, wanted: str, on_change: RedisChange | None) -> Move:
        """Go to another place, or say what is still to be done at this one."""
        current = link.queue.url
        left = await link.left_behind() if link.available else None
        if left is None:
            self._empty.pop(key, None)
            return Move(wanted) if self._given_up(key) else _refusal(current, None, on_change)
        self._away.pop(key, None)
        if left > 0:
            self._empty.pop(key, None)
            return _refusal(current, self._told(key, left), on_change)
        # What was on its way into the queue when it was counted arrives within a moment; nothing follows it.
        now = self._clock()
        if now - self._empty.setdefault(key, now) >= _SETTLE_SECONDS:
            self.forget(key)
            return Move(wanted)
        return Move(current, _LEAVING, hold=_HELD)

    def _told(self, key: ObjectKey, left: int) -> int:
        """The number to be told: the last one while that is fresh, as each other one is a status to write."""
        now = self._clock()
        told, at = self._counts.get(key, (left, float("-inf")))
        if now - at >= _COUNT_SECONDS:
            told = left
            self._counts[key] = (left, now)
        return told

    def _given_up(self, key: ObjectKey) -> bool:
        now = self._clock()
        return now - self._away.setdefault(key, now) >= GIVEN_UP_SECONDS


def same_place(one: str, other: str) -> bool:
    """Whether two addresses differ in nothing but users, passwords and certificates."""
    return _place(one) == _place(other)


def _place(url: str) -> tuple[object, ...]:
    address = Address.parse(url)
    return address.kind, frozenset(address.nodes), address.path, address.database, address.master


def _refusal(current: str, left: int | None, on_change: RedisChange | None) -> Move:
    if left is None:
        message = (
            "The address of Redis has changed, and the old one does not answer, so nobody knows which jobs it has; "
            f"after {GIVEN_UP_SECONDS:g} s without an answer the new one is used."
        )
        return Move(current, Problem(Reason.REDIS_CHANGE_BLOCKED, message))
    jobs, verb = ("1 job", "is") if left == 1 else (f"{left} jobs", "are")
    if on_change is RedisChange.DRAIN:
        message = f"The address of Redis has changed; new jobs wait until what the old one has ({jobs}) is finished."
        return Move(current, Problem(Reason.REDIS_DRAINING, message), hold=_HELD)
    message = (
        f"The address of Redis has changed, but {jobs} at the old one {verb} not finished, so that is still used. "
        "Set spec.redis.onChange: Drain to let them finish first, or put the old address back."
    )
    return Move(current, Problem(Reason.REDIS_CHANGE_BLOCKED, message, stalled=True))
