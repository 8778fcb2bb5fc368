"""Controllers that die at any moment, and two at once that both lead, which is worse than any election can come out.

The name is the lock, and a witness that forgets nothing counts what it let through. The API server is real; a minute
of the clock lasts as long as everybody needs for it. `--log-cli-level=info` shows the counts.
"""

import asyncio
import logging
import random
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import datetime
from typing import NamedTuple

import pytest

from fluid_dev.cluster import Cluster
from fluid_operator.api.fields import format_time
from fluid_operator.jobs.view import JobView
from fluid_operator.kube.client import connect
from fluid_operator.kube.connection import open_connection
from fluid_operator.kube.keys import FLUID_JOBS, ObjectKey
from fluid_operator.schedules.controller import SchedulesController
from support.faulty_kube import FaultyKube
from support.schedule_witness import MINUTE, Witness, witnessing
from support.schedules import Play, playing
from support.waiting import auntil

log = logging.getLogger(__name__)

EXCLUSIVE = ("Forbid", "Replace", "Enqueue")


@pytest.fixture(autouse=True)
def quiet(caplog: pytest.LogCaptureFixture) -> None:
    """What the dying say is no news."""
    caplog.set_level(logging.ERROR, "fluid_operator.kube")


class Count(NamedTuple):
    """What became of the times of one schedule."""

    due: int
    fired: int
    missed: int


class Race:
    """Schedules of all policies that are due every minute, every second one without a history; and who looks after
    them at the moment."""

    def __init__(self, cluster: Cluster, play: Play, witness: Witness, rng: random.Random) -> None:
        self._cluster = cluster
        self.play = play
        self.witness = witness
        self.rng = rng
        self.policies: dict[str, str] = {}
        """Of the schedules, by name."""
        self.alive: list[SchedulesController] = []
        self.deaths = 0

    async def create(self, **schedules: int) -> None:
        """So many schedules of each policy."""
        for policy, count in schedules.items():
            self.policies |= {f"{policy.lower()}-{n}": policy for n in range(count)}
        requests = (
            self.play.create(name, concurrencyPolicy=policy, successfulJobsHistoryLimit=n % 2 * 3)
            for n, (name, policy) in enumerate(self.policies.items())
        )
        await asyncio.gather(*requests)

    # -- controllers --------------------------------------------------------------------------------------------------

    @asynccontextmanager
    async def steady(self) -> AsyncIterator[None]:
        """A controller that lives."""
        async with connect(self._cluster.kubeconfig) as kube, self.play.controller(kube) as controller:
            self.alive.append(controller)
            yield
            self.alive.remove(controller)

    @asynccontextmanager
    async def mortal(self) -> AsyncIterator[None]:
        """Controllers that follow each other, each killed at a moment that nobody chose."""
        task = asyncio.create_task(self._die_again_and_again())
        try:
            yield
        finally:
            task.cancel()
            (result,) = await asyncio.gather(task, return_exceptions=True)
        if isinstance(result, Exception):
            raise result

    async def _die_again_and_again(self) -> None:
        while True:
            async with open_connection(self._cluster.kubeconfig) as connection:
                kube = FaultyKube(connection)
                async with self.play.controller(kube) as controller:
                    self.alive.append(controller)
                    await asyncio.sleep(self.rng.uniform(0.2, 1.5))
                    self.alive.remove(controller)
                    kube.die()
                    self.deaths += 1

    # -- time passes --------------------------------------------------------------------------------------------------

    async def minutes(self, count: int) -> datetime:
        """Let so many minutes pass; returns the last one."""
        minute = self.play.clock.now().replace(second=0, microsecond=0)
        for _ in range(count):
            minute += MINUTE
            self.play.clock.set(minute)
            # Jobs of earlier minutes end while those of this one are created.
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._some_end(before=minute))
                tasks.create_task(self._dealt_with(minute))
            # A job may be deleted as soon as it has ended, because minutes are so short here: nobody must be about to
            # create it any more.
            await auntil(self._idle, 60, "nobody looks at a schedule")
        return minute

    async def _dealt_with(self, minute: datetime) -> None:
        def look() -> bool:
            told = [each for _, each in self.witness.schedules.items()]
            return len(told) == len(self.policies) and all(each.dealt_with >= minute for each in told)

        await auntil(look, 60, f"all have dealt with {minute}")

    def _idle(self) -> bool:
        return bool(self.alive) and not any(each.queue.depth or each.queue.processing for each in self.alive)

    async def _some_end(self, before: datetime) -> None:
        """Half of the jobs of earlier minutes; those that were asked to stop do."""
        await asyncio.sleep(self.rng.uniform(0, 0.2))
        for name, view in self.witness.active():
            if view.scheduled < before.timestamp() and (view.request or self.rng.random() < 0.5):
                await self._end(name, view)

    async def _end(self, name: str, view: JobView) -> None:
        status = {
            "phase": "Cancelled" if view.request else self.rng.choice(["Succeeded", "Succeeded", "Failed"]),
            "run": 1,
            "observedGeneration": view.generation,
            "completionTime": format_time(self.play.clock.now()),
        }
        key = ObjectKey(self.play.namespace, name)
        await self.play.kube.patch(FLUID_JOBS, key, {"status": status}, subresource="status")

    async def all_end(self) -> None:
        """Until no job is active and none waits."""

        async def ended() -> bool:
            active = self.witness.active()
            for name, view in active:
                await self._end(name, view)
            return not active and all(told.waiting is None for _, told in self.witness.schedules.items())

        await auntil(ended, 60, "all jobs have ended")
        await auntil(self._idle, 60, "nobody looks at a schedule")

    # -- the verdict --------------------------------------------------------------------------------------------------

    def counts(self, until: datetime) -> Mapping[str, Count]:
        """By schedule. Fails where a time has fired twice, or one that was not due."""
        doubles = {name: len(views) for name, views in self.witness.created.items() if len(views) > 1}
        assert doubles == {}
        found = {}
        for name in self.policies:
            due, fired = self.witness.due(name, self.play.namespace, until), self.witness.fired(name)
            assert len(fired) == len(set(fired))
            assert set(fired) <= set(due)
            told = self.witness.schedules.get(ObjectKey(self.play.namespace, name))
            assert told is not None
            found[name] = Count(len(due), len(fired), told.missed)
        return found


@asynccontextmanager
async def racing(cluster: Cluster, namespace: str, seed: int) -> AsyncIterator[Race]:
    async with playing(cluster, namespace) as play, witnessing(play.kube, namespace) as witness:
        yield Race(cluster, play, witness, random.Random(seed))


async def test_two_operators_that_both_lead_fire_a_thousand_times_and_none_twice_and_none_never(cluster, namespace):
    async with racing(cluster, namespace, seed=6) as race:
        async with race.steady(), race.mortal():
            await race.create(Allow=80, Forbid=6, Replace=6, Enqueue=6)
            last = await race.minutes(14)
            await race.all_end()
        counts = race.counts(last)
    fired, due = sum(each.fired for each in counts.values()), sum(each.due for each in counts.values())
    both = sum(max(0, each.fired + each.missed - each.due) for each in counts.values())
    log.info("%d fires of %d times, 0 doubles, %d counted as missed as well; %d deaths", fired, due, both, race.deaths)
    assert fired >= 1000
    for name, count in counts.items():
        if race.policies[name] == "Allow":
            assert (count.fired, count.missed) == (count.due, 0), name
        else:
            # A job that ends between two looks is in the way for one of them and not for the other.
            assert count.fired + count.missed >= count.due, name


async def test_operators_that_die_at_any_moment_leave_every_time_either_fired_or_counted(cluster, namespace):
    async with racing(cluster, namespace, seed=18) as race:
        async with race.mortal():
            await race.create(Allow=10, Forbid=10, Replace=10, Enqueue=10)
            last = await race.minutes(10)
            await race.all_end()
        counts = race.counts(last)
    log.info("%d fires, %d deaths", sum(each.fired for each in counts.values()), race.deaths)
    assert race.deaths >= 1
    for name, count in counts.items():
        assert count.fired + count.missed == count.due, name
        if race.policies[name] == "Allow":
            assert count.missed == 0, name
    for policy in EXCLUSIVE:
        assert any(count.missed for name, count in counts.items() if race.policies[name] == policy)
