"""Whoever watches all FluidJobs and FluidSchedules of a namespace, and forgets nothing: also a job that was created
twice and deleted in between is there to be counted."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from fluid_operator.jobs.view import JobView, project
from fluid_operator.kube.client import Kube
from fluid_operator.kube.informer import Informer
from fluid_operator.kube.keys import FLUID_JOBS, FLUID_SCHEDULES, ObjectKey

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
        self.gaps = 0
        """How often the watch was lost since the first job: a job may have come and gone unseen then."""
        self.jobs: Informer[JobView] = Informer(
            kube,
            FLUID_JOBS,
            project=project,
            on_change=self._changed,
            on_relist=self._relisted,
            namespaces=[namespace],
        )

    def _changed(self, key: ObjectKey, old: JobView | None, new: JobView | None) -> None:
        if new is not None and (old is None or old.uid != new.uid):
            self.created.setdefault(key.name, []).append(new)

    def _relisted(self, jobs: Mapping[ObjectKey, JobView]) -> None:
        if self.created:
            self.gaps += 1

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
    tasks = [asyncio.create_task(each.run()) for each in (witness.jobs, witness.schedules)]
    try:
        async with asyncio.timeout(30):
            await witness.jobs.synced()
            await witness.schedules.synced()
        yield witness
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


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
