"""Schedules on a real API server with a clock that the test sets: the controller runs inside the test's loop, and the
FluidJobs that it creates end when the test says so.

There is no operator for FluidJobs here, so a job stays Pending, which is active, until `end` writes its status.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from cluster.builders import fluid_schedule
from fluid_dev.cluster import Cluster
from fluid_operator.api.fields import format_time
from fluid_operator.kube.client import Kube, connect
from fluid_operator.kube.errors import NotLeader
from fluid_operator.kube.events import Happening
from fluid_operator.kube.keys import FLUID_JOBS, FLUID_SCHEDULES, ObjectKey
from fluid_operator.schedules.controller import SchedulesController
from fluid_operator.timetables.creation import MANUAL, job_for
from support.waiting import auntil

Json = dict[str, Any]

NOON = datetime(2050, 1, 11, 12, tzinfo=UTC)
"""A Tuesday so far ahead that no clock of an API server is past it."""


def noon(**parts: float) -> datetime:
    """So long after NOON, in the parts of a timedelta."""
    return NOON + timedelta(**parts)


class HandClock:
    """A wall clock that stands still until it is set. Any number of controllers may wait for it."""

    def __init__(self, now: datetime) -> None:
        self._now = now
        self._set = asyncio.Event()

    def now(self) -> datetime:
        return self._now

    def set(self, now: datetime) -> None:
        """Any time, also an earlier one."""
        self._now = now
        self._set.set()
        self._set = asyncio.Event()

    def advance(self, **parts: float) -> None:
        """By a timedelta, such as minutes=1."""
        self.set(self._now + timedelta(**parts))

    async def wait(self, until: datetime | None, woken: asyncio.Event) -> None:
        """As schedules.clock says: until this time, a wake-up, or a change of the clock."""
        if until is not None and until <= self._now:
            return
        waits = [asyncio.ensure_future(event.wait()) for event in (woken, self._set)]
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for each in waits:
                each.cancel()


class Leads:
    """Whoever asks leads, until the test says that it does not."""

    def __init__(self, identity: str = "test") -> None:
        self.identity = identity
        self.leading = True

    def check(self) -> None:
        if not self.leading:
            raise NotLeader("test", self.identity)


class Play:
    """One namespace, one clock, and as many controllers as the test runs."""

    def __init__(self, kube: Kube, namespace: str, clock: HandClock) -> None:
        self.kube = kube
        self.namespace = namespace
        self.clock = clock
        self.told: list[Happening] = []

    @asynccontextmanager
    async def controller(
        self, kube: Kube | None = None, leads: Leads | None = None, **options: Any
    ) -> AsyncIterator[SchedulesController]:
        """One controller that runs inside the block; `kube` is its client, `leads` its leadership."""
        made = SchedulesController(
            kube or self.kube,
            leads or Leads(),
            namespaces=[self.namespace],
            clock=self.clock,
            record=self.told.append,
            **options,
        )
        task = asyncio.create_task(made.run())
        try:
            yield made
        finally:
            died = task.done()
            task.cancel()
            (result,) = await asyncio.gather(task, return_exceptions=True)
        if died:
            raise AssertionError("the controller ended by itself") from (
                result if isinstance(result, BaseException) else None
            )

    # -- objects ------------------------------------------------------------------------------------------------------

    async def create(
        self, name: str, schedule: str | None = "* * * * *", /, *, payload: Json | None = None, **spec: Any
    ) -> Json:
        """A FluidSchedule; `spec` are further fields of it, such as timeZone."""
        body = fluid_schedule(name).spec(schedule=schedule, **spec).manifest()
        body["metadata"]["namespace"] = self.namespace
        if payload is not None:
            body["spec"]["jobTemplate"]["spec"]["payload"] = payload
        return await self.kube.create(FLUID_SCHEDULES, body)

    async def begin(self, name: str, schedule: str | None = "* * * * *", /, **spec: Any) -> Json:
        """A FluidSchedule whose past does not count: nothing before the clock's present is ever made up for. Needs a
        controller that runs."""
        await self.create(name, schedule, **spec, suspend=True)
        await self.reaches(name, lambda status: "notBefore" in status, "the schedule is suspended")
        await self.change(name, suspend=None)
        return await self.reaches(name, lambda status: "nextScheduleTime" in status, "the schedule goes on")

    async def change(self, name: str, **spec: Any) -> Json:
        """Fields of the spec; None takes a field away."""
        return await self.kube.patch(FLUID_SCHEDULES, ObjectKey(self.namespace, name), {"spec": spec})

    async def follows(self, name: str, **spec: Any) -> Json:
        """Change fields of the spec, wait until the controller has looked at them, and answer the status."""
        generation = (await self.change(name, **spec))["metadata"]["generation"]
        return await self.reaches(
            name, lambda status: status.get("observedGeneration") == generation, "the change is looked at"
        )

    async def schedule(self, name: str) -> Json:
        return await self.kube.get(FLUID_SCHEDULES, ObjectKey(self.namespace, name))

    async def status(self, name: str) -> Json:
        found: Json = (await self.schedule(name)).get("status", {})
        return found

    async def jobs(self, schedule: str | None = None) -> dict[str, Json]:
        """FluidJobs by name, all or those of one schedule."""
        page = await self.kube.list_page(FLUID_JOBS, self.namespace, limit=0)
        return {
            item["metadata"]["name"]: item
            for item in page.items
            if schedule is None
            or any(owner["name"] == schedule for owner in item["metadata"].get("ownerReferences", []))
        }

    async def by_hand(self, schedule: str, job: str, *, counted: bool = False) -> Json:
        """A job of the schedule that somebody asks for, as `fluid trigger` creates it."""
        body = job_for(
            await self.schedule(schedule),
            self.clock.now(),
            ZoneInfo("UTC"),
            name=job,
            instantiate=MANUAL,
            counted=counted,
        )
        return await self.kube.create(FLUID_JOBS, body)

    async def job(self, name: str) -> Json:
        return await self.kube.get(FLUID_JOBS, ObjectKey(self.namespace, name))

    async def end(self, job: str, phase: str = "Succeeded") -> None:
        """Let a job end, as the operator for FluidJobs would write it."""
        key = ObjectKey(self.namespace, job)
        raw = await self.kube.get(FLUID_JOBS, key)
        status = {
            "phase": phase,
            "run": 1,
            "observedGeneration": raw["metadata"]["generation"],
            "completionTime": format_time(self.clock.now()),
        }
        await self.kube.patch(FLUID_JOBS, key, {"status": status}, subresource="status")

    # -- waiting ------------------------------------------------------------------------------------------------------

    async def reaches(
        self, name: str, look: Callable[[Json], bool], what: str = "the status is as wanted", within: float = 30.0
    ) -> Json:
        """Wait until the status of a schedule satisfies `look`, and answer it."""

        async def matches() -> Json | None:
            status = await self.status(name)
            return status if look(status) else None

        found: Json = await auntil(matches, within, what)  # type: ignore[assignment]  # not None, says auntil
        return found

    async def looked(self, name: str, within: float = 30.0) -> Json:
        """Wait until the schedule has dealt with every time up to the clock's present, and answer its status."""

        def nothing_left(status: Json) -> bool:
            following = status.get("nextScheduleTime")
            return following is not None and datetime.fromisoformat(following) > self.clock.now()

        return await self.reaches(name, nothing_left, "every time that has come is dealt with", within)

    async def at(self, moment: datetime, name: str) -> Json:
        """Set the clock, and wait until the schedule has dealt with what that brings."""
        self.clock.set(moment)
        return await self.looked(name)

    async def has_jobs(self, count: int, schedule: str | None = None, within: float = 30.0) -> dict[str, Json]:
        """Wait until there are so many jobs, and answer them."""

        async def enough() -> list[dict[str, Json]]:
            jobs = await self.jobs(schedule)
            return [jobs] if len(jobs) == count else []

        (found,) = await auntil(enough, within, f"there are {count} jobs")
        return found

    async def tells(self, *reasons: str) -> None:
        """Wait until exactly these events have been recorded, in this order."""
        await auntil(lambda: [each.reason for each in self.told] == list(reasons), 10, f"the events are {reasons}")

    async def condition(self, name: str, kind: str = "Ready") -> Mapping[str, Any]:
        """One condition, {} where it is not there."""
        conditions = (await self.status(name)).get("conditions", [])
        return next((each for each in conditions if each["type"] == kind), {})


@asynccontextmanager
async def playing(cluster: Cluster, namespace: str, now: datetime | None = None) -> AsyncIterator[Play]:
    """A play whose clock shows this time, by default the present, and stands still. The API server's clock does not,
    and a schedule begins when that says that it was created: for another time than the present use `begin`."""
    start = now or datetime.now(UTC)
    async with connect(cluster.kubeconfig) as kube:
        yield Play(kube, namespace, HandClock(start))
