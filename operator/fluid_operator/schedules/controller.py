"""All FluidSchedules of a leading replica: an informer that knows them, one that knows their jobs, one timer, a work
queue that looks at each in turn.

What wakes a schedule: its time, a change of it by somebody else, a job of it that came, ended or went. A look is
level-triggered: whatever woke it, it does what is due.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Final

from fluid_operator.jobs.retention import Archive
from fluid_operator.kube.client import Json, Kube
from fluid_operator.kube.errors import Conflict, NotFound
from fluid_operator.kube.events import Happening
from fluid_operator.kube.informer import Informer
from fluid_operator.kube.keys import FLUID_SCHEDULES, ObjectKey
from fluid_operator.kube.lease import Leadership
from fluid_operator.kube.workqueue import Again, Reconciled, WorkQueue
from fluid_operator.schedules.agenda import Agenda
from fluid_operator.schedules.clock import Clock, SystemClock
from fluid_operator.schedules.history import History
from fluid_operator.schedules.jobs import ScheduleJobs
from fluid_operator.schedules.reconciler import ScheduleReconciler, SchedulesObserver
from fluid_operator.schedules.view import ScheduleView, project

_WORKERS: Final = 256
"""Looks side by side. They wait for answers, and those that wait for the same list share it."""
_UNKNOWN_SECONDS: Final = 1.0
"""Before the jobs of a namespace are known, a look would take the active ones out of the status. One namespace that
cannot be listed holds up no other."""

_STOP_SECONDS: Final = 1.0
"""A look that is cancelled loses nothing: the next leader looks again."""


class SchedulesController:
    """One term's care for all FluidSchedules. Create it inside the loop; `run` must be awaited."""

    def __init__(
        self,
        kube: Kube,
        leadership: Leadership,
        *,
        namespaces: Sequence[str] = (),
        clock: Clock | None = None,
        observer: SchedulesObserver | None = None,
        reconciled: Callable[[Reconciled], None] | None = None,
        record: Callable[[Happening], None] = lambda happening: None,
        archive: Archive | None = None,
    ) -> None:
        """Serve these namespaces, or all of them when none is given. `record` is told what is worth an event,
        `archive` of each job that is about to be deleted."""
        guarded = kube.guarded(leadership.check)
        clock = clock or SystemClock()
        self._kube = kube
        self.queue = WorkQueue(observe=reconciled)
        self.agenda = Agenda(clock, self.queue.add)
        self.informer: Informer[ScheduleView] = Informer(
            kube,
            FLUID_SCHEDULES,
            project=project,
            on_change=self._changed,
            on_relist=self._relisted,
            namespaces=namespaces,
        )
        self._jobs = ScheduleJobs(kube, self.queue.add, namespaces=namespaces)
        self._reconciler = ScheduleReconciler(
            guarded,
            self._jobs,
            now=clock.now,
            observe=self._observe,
            observer=observer or SchedulesObserver(),
            record=record,
            history=History(guarded, archive=archive),
        )
        self._own = False
        self._turn = asyncio.Lock()

    async def run(self) -> None:
        """Follow all FluidSchedules until cancelled. Raises only for a defect."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self.informer.run(), name="fluidschedules informer")
            tasks.create_task(self._jobs.run(), name="jobs of schedules informer")
            tasks.create_task(self.agenda.run(), name="fluidschedules agenda")
            work = self.queue.run(_WORKERS, self.reconcile, grace=_STOP_SECONDS)
            tasks.create_task(work, name="fluidschedules workers")

    async def reconcile(self, key: ObjectKey) -> Again | None:
        """One look at one schedule."""
        async with self._turn:
            await asyncio.sleep(0)  # a look that asks nobody anything would keep the loop from everything else
        view = self.informer.get(key)
        if view is None or view.deleting:
            self._reconciler.forget(key)
            self.agenda.set(key, None)
            return None
        if not self._jobs.knows(key.namespace):
            return Again(_UNKNOWN_SECONDS)
        try:
            wanted = await self._reconciler.reconcile(key, view)
        except NotFound:
            return None  # it has just been deleted, which the watch tells
        except Conflict:
            if not await self._refresh(key):
                raise
            return Again(0.0)
        self.agenda.set(key, wanted.at)
        return None if wanted.after is None else Again(wanted.after)

    async def _refresh(self, key: ObjectKey) -> bool:
        """Learn what somebody else has written before the watch tells; whether it was news."""
        try:
            return self._observe(await self._kube.get(FLUID_SCHEDULES, key))
        except NotFound:
            return True

    def _observe(self, raw: Json) -> bool:
        """Our own write: the cache learns it, and nobody needs to look at the schedule for that."""
        self._own = True
        try:
            return self.informer.observe(raw)
        finally:
            self._own = False

    def _relisted(self, schedules: Mapping[ObjectKey, ScheduleView]) -> None:
        """The API server is back: what it refused or left unanswered is tried at once."""
        for key in schedules:
            self.queue.add(key)

    def _changed(self, key: ObjectKey, old: ScheduleView | None, new: ScheduleView | None) -> None:
        if not self._own:
            self.queue.add(key)
