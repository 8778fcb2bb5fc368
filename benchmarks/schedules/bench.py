"""One side on its stage, and the verbs that all phases have in common: create schedules, wait until they are known, see
their jobs.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial

from benchmarks.common.errors import BenchmarkError
from benchmarks.common.progress import bar
from benchmarks.schedules import manifests
from benchmarks.schedules.manifests import Json
from benchmarks.schedules.objects import attend, follow, for_each
from benchmarks.schedules.seen import Jobs, Schedules
from benchmarks.schedules.sides import Side
from benchmarks.schedules.stage import NAMESPACE, Stage
from fluid_operator.kube.client import Kube
from fluid_operator.kube.keys import FLUID_SCHEDULES

_PATIENCE = 300.0
"""Seconds for what takes a minute at most."""

_PAUSE = 0.1


@dataclass(frozen=True, slots=True)
class Scale:
    """How much of everything: a full run, or a quick one that only shows that all works."""

    schedules: int = 5_000
    rest_seconds: float = 30.0
    singles: int = 100
    """Schedules that fire each at a moment of its own."""
    spread_seconds: int = 30
    """How long after a full minute these moments lie, at most."""
    ahead: float = 20.0
    """Seconds that the common minute is ahead, at least, when everybody has been told of it."""


FULL = Scale()
QUICK = Scale(schedules=200, rest_seconds=5.0, singles=20, spread_seconds=5, ahead=10.0)


@dataclass(slots=True)
class Bench:
    """One side on its stage, and what the phases hand down."""

    stage: Stage
    side: Side
    scale: Scale
    kube: Kube
    known_after: float = 0.0
    """Seconds that it took until every schedule was created and known."""

    @property
    def names(self) -> Sequence[str]:
        """Of the schedules that are due together."""
        return [f"schedule-{number}" for number in range(self.scale.schedules)]

    def schedule(self, name: str, cron: str, *, forbid: bool = False, **spec: object) -> Json:
        """As it is sent to the API server."""
        return manifests.schedule(self.side, NAMESPACE, name, cron, forbid=forbid, **spec)

    async def create(self, schedules: Iterable[Json], total: int) -> None:
        """Create them as fast as one client can."""
        with bar(f"{self.side.name}: created", total) as told:
            await for_each(schedules, partial(self.kube.create, self.side.schedules), told)

    async def informed(self, prefix: str, total: int) -> None:
        """Until the operator has looked at so many schedules of this prefix, as they are now."""
        found = Schedules(prefix)
        following = follow(self.kube, FLUID_SCHEDULES, NAMESPACE, found.look, lambda: len(found.known) >= total)
        await self._attend(following, "known", total, lambda: len(found.known))

    async def serving(self) -> None:
        """Until the operator says that it leads, and has looked at every schedule."""
        total, looks = self.scale.schedules, 0

        async def ask() -> None:
            nonlocal looks
            while not (reading := self.stage.operator()).serves(total):
                looks = reading.looks
                await asyncio.sleep(_PAUSE)

        await self._attend(ask(), "looked at", total, lambda: looks)

    async def see(self, found: Jobs, what: str, total: int, count: Callable[[], int]) -> bool:
        """Look at the jobs until so many of them are counted; False: after a long while they are not."""
        following = follow(self.kube, self.side.jobs, NAMESPACE, found.look, lambda: count() >= total)
        return await attend(following, f"{self.side.name}: {what}", total, count, self.stage.check, _PATIENCE)

    async def _attend(self, work: Awaitable[None], what: str, total: int, count: Callable[[], int]) -> None:
        if not await attend(work, f"{self.side.name}: {what}", total, count, self.stage.check, _PATIENCE):
            raise BenchmarkError(f"{what}: only {count():,} of {total:,} after {_PATIENCE:g} s")
