"""Whoever watches all FluidJobs and FluidSchedules of a namespace, and forgets nothing: also a job that was created
twice and deleted in between is there to be counted."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from fluid_operator.jobs.view import JobView, project
from fluid_operator.kube.client import Kube
from fluid_operator.kube.errors import TooManyRequests, Unreachable
from fluid_operator.kube.informer import Informer
from fluid_operator.kube.keys import FLUID_JOBS, FLUID_SCHEDULES, ObjectKey
from support.waiting import auntil

MINUTE = timedelta(minutes=1)


@dataclass(frozen=True, slots=True)
class Told:
    """What a FluidSchedule says about itself."""

    uid: str
    created: datetime
    dealt_with: datetime
    """The latest moment that will not fire any more; the beginning of time for one that was never looked at."""
    waiting: datetime | None
    missed: int


class Witness:
    """`jobs` and `schedules` are what there is now, `created` what there ever was."""

    def __init__(self, kube: Kube, namespace: str) -> None:
        self.created: dict[str, list[JobView]] = {}
        """Jobs by name, each object once."""
        self.schedules: Informer[Told] = Informer(
            kube, FLUID_SCHEDULES, project=_told, on_change=lambda *change: None, namespaces=[namespace]
        )
        self.jobs: Informer[JobView] = Informer(
            kube, FLUID_JOBS, project=project, on_change=lambda *change: None, namespaces=[namespace]
        )
        self._kube = kube
        self._namespace = namespace

    async def record(self, version: str) -> None:
        """Note every FluidJob that is created after this resourceVersion, until cancelled. Not an informer: that lists
        anew after a lost connection, and leaves out what came and went meanwhile; a busy API server ends watches.
        Raises Gone when even this one cannot go on."""
        while True:
            with contextlib.suppress(Unreachable, TooManyRequests):
                watch = self._kube.watch(
                    FLUID_JOBS, self._namespace, resource_version=version, timeout=60, silence=100.0
                )
                async with watch as batches:
                    async for events in batches:
                        for event in events:
                            version = event.object["metadata"]["resourceVersion"]
                            if event.type == "ADDED":
                                self.created.setdefault(event.object["metadata"]["name"], []).append(
                                    project(event.object)
                                )

    def active(self) -> list[tuple[str, JobView]]:
        """The jobs that have not ended, by name."""
        return [(key.name, view) for key, view in self.jobs.items() if not view.terminal]

    def fired(self, schedule: str) -> list[datetime]:
        """The times for which a job of this schedule was created, as often as that happened."""
        return sorted(
            datetime.fromtimestamp(view.scheduled, UTC)
            for views in self.created.values()
            for view in views
            if view.schedule == schedule
        )

    def due(self, schedule: str, namespace: str, until: datetime) -> list[datetime]:
        """The times of an every-minute schedule from its creation to this moment."""
        told = self.schedules.get(ObjectKey(namespace, schedule))
        assert told is not None
        times = []
        time = told.created.replace(second=0, microsecond=0) + MINUTE
        while time <= until:
            times.append(time)
            time += MINUTE
        return times


@asynccontextmanager
async def witnessing(kube: Kube, namespace: str) -> AsyncIterator[Witness]:
    """A witness that watches inside the block."""
    witness = Witness(kube, namespace)
    recording = asyncio.create_task(witness.record(await _version(kube, namespace)))
    tasks = [recording, *(asyncio.create_task(each.run()) for each in (witness.jobs, witness.schedules))]
    try:
        async with asyncio.timeout(30):
            await witness.jobs.synced()
            await witness.schedules.synced()
        yield witness
        assert not recording.done(), recording.exception()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _version(kube: Kube, namespace: str) -> str:
    """That of a namespace without FluidJobs. A server that has just learnt the kind asks for patience."""

    async def found() -> str:
        with contextlib.suppress(TooManyRequests):
            page = await kube.list_page(FLUID_JOBS, namespace, limit=0)
            assert not page.items, "a witness comes first"
            return page.resource_version
        return ""

    return await auntil(found, 30, "the FluidJobs can be listed")


def _told(raw: dict[str, Any]) -> Told:
    meta, status = raw["metadata"], raw.get("status") or {}
    not_before = _moment(status.get("notBefore"))
    moments = [_moment(status.get("lastScheduleTime")), not_before and not_before - timedelta(seconds=1)]
    return Told(
        uid=meta["uid"],
        created=datetime.fromisoformat(meta["creationTimestamp"]),
        dealt_with=max((each for each in moments if each), default=datetime.min.replace(tzinfo=UTC)),
        waiting=_moment(status.get("waitingTime")),
        missed=status.get("missed", 0),
    )


def _moment(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text) if text else None
