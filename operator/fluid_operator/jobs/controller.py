"""All FluidJobs of a leading replica: an informer that knows them, a work queue that looks at each in turn, hints
that say which.

What wakes a key: a change of the object by somebody else, a hint about its job, an environment that came, went or
learnt new types, a resync.
What the reconciler cannot see by looking at one object is done here: jobs in the queue whose object is gone.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping, Sequence

from fluid_operator.environments.link import EnvironmentLink, Leadership
from fluid_operator.environments.registry import EnvironmentRegistry
from fluid_operator.jobs.pacing import PaceSettings, Pacing
from fluid_operator.jobs.reconciler import Reconciler, ReconcilerSettings
from fluid_operator.jobs.view import JobView, project
from fluid_operator.jobs.writer import StatusWriter
from fluid_operator.kube.client import Json, Kube
from fluid_operator.kube.informer import Informer, InformerSettings
from fluid_operator.kube.keys import FLUID_JOBS, ObjectKey
from fluid_operator.kube.workqueue import Again, Reconciled, WorkQueue
from fluid_queue import Hints, JobRecord, QueueError, QueueUnavailable

log = logging.getLogger(__name__)

_ORPHAN_SECONDS = 1.0
"""How soon to look again at a job that is being stopped because its object is gone."""

_STOP_SECONDS = 1.0
"""What is in progress may take so long when the term ends. A look that is cancelled loses nothing: the next leader
looks again."""


class JobsObserver:
    """What metrics want to know; every method may be left as it is."""

    def status_written(self, phase: str) -> None:
        """A status with this phase was written."""

    def reconciled(self, reconciled: Reconciled) -> None:
        """One look at one object has ended."""

    def hinted(self, ids: int) -> None:
        """Hints about so many jobs arrived."""


class JobsController:
    """`run` must be awaited while this replica leads."""

    def __init__(
        self,
        kube: Kube,
        registry: EnvironmentRegistry,
        leadership: Leadership,
        *,
        namespaces: Sequence[str] = (),
        workers: int = 64,
        pace: PaceSettings | None = None,
        settings: ReconcilerSettings | None = None,
        informer: InformerSettings | None = None,
        observer: JobsObserver | None = None,
    ) -> None:
        observer = observer or JobsObserver()
        self._registry = registry
        self._observer = observer
        self._workers = workers
        self.queue = WorkQueue(observe=observer.reconciled)
        self.informer: Informer[JobView] = Informer(
            kube,
            FLUID_JOBS,
            project=project,
            on_change=self._changed,
            on_relist=self._relisted,
            namespaces=namespaces,
            settings=informer,
        )
        writer = StatusWriter(kube.guarded(leadership.check), self._observe, observer.status_written)
        self._reconciler = Reconciler(
            kube, registry, writer, Pacing(pace or PaceSettings()), settings=settings or ReconcilerSettings()
        )
        self._orphans: dict[ObjectKey, dict[str, str]] = {}
        """Jobs without an object, by the name that it had: job id -> uid."""
        self._gone: dict[str, ObjectKey] = {}
        self._own = False
        self._resyncs: dict[ObjectKey, asyncio.Task[None]] = {}
        registry.on_hints = self._hinted
        registry.on_change = self._environment_changed

    async def run(self) -> None:
        """Follow all FluidJobs until cancelled. Raises only for a defect."""
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self.informer.run(), name="fluidjobs informer")
                work = self.queue.run(self._workers, self.reconcile, grace=_STOP_SECONDS)
                tasks.create_task(work, name="fluidjobs workers")
        finally:
            for task in self._resyncs.values():
                task.cancel()

    async def reconcile(self, key: ObjectKey) -> Again | None:
        """One look at one key. A re-created object waits until the job of its predecessor has stopped."""
        if again := await self._stop_orphans(key):
            return again
        view = self.informer.get(key)
        if view is None or view.deleting:
            return None
        return await self._reconciler.reconcile(key, view)

    # -- what wakes a key ---------------------------------------------------------------------------------------------

    def _observe(self, raw: Json) -> None:
        """Our own write: the cache learns it, and nobody needs to look at the object for that."""
        self._own = True
        try:
            self.informer.observe(raw)
        finally:
            self._own = False

    def _changed(self, key: ObjectKey, old: JobView | None, new: JobView | None) -> None:
        if new is None:
            if old is not None:
                self._reconciler.forget(key)
                self._leave(key, old)
        elif not self._own and not new.settled:
            self.queue.add(key)

    def _leave(self, key: ObjectKey, view: JobView) -> None:
        """An object is gone: its jobs, also one whose number the status does not tell yet, are to stop."""
        if view.settled:
            return
        for run in {view.run or 1, view.run + 1}:
            self._orphan(key, view.uid, f"{view.uid}.{run}")

    def _orphan(self, key: ObjectKey, uid: str, job_id: str) -> None:
        self._orphans.setdefault(key, {})[job_id] = uid
        self._gone[uid] = key
        self.queue.add(key)

    def _hinted(self, link: EnvironmentLink, hints: Hints) -> None:
        self._observer.hinted(len(hints.ids))
        for job_id in hints.ids:
            uid = job_id.partition(".")[0]
            found = self.informer.by_uid(uid)
            if found is not None:
                if not found[1].settled:
                    self.queue.add(found[0])
            elif uid in self._gone:
                self.queue.add(self._gone[uid])
        if hints.types:
            self._environment_changed(link.key.namespace)
        if hints.resync:
            self._resync(link)

    def _environment_changed(self, namespace: str) -> None:
        for key, view in self.informer.items():
            if key.namespace == namespace and not view.settled:
                self.queue.add(key)

    def _relisted(self, _: Mapping[ObjectKey, JobView]) -> None:
        for link in self._registry:
            self._resync(link)

    # -- jobs whose object is gone ------------------------------------------------------------------------------------

    async def _stop_orphans(self, key: ObjectKey) -> Again | None:
        """Cancel and acknowledge what the predecessors of this name left behind; answers while one of them still
        runs."""
        orphans = self._orphans.get(key)
        if not orphans:
            return None
        try:
            for job_id, uid in list(orphans.items()):
                if await self._stop_orphan(key.namespace, job_id):
                    del orphans[job_id]
                    self._gone.pop(uid, None)
        except QueueUnavailable:
            return Again(_ORPHAN_SECONDS)
        if orphans:
            return Again(_ORPHAN_SECONDS)
        del self._orphans[key]
        return None

    async def _stop_orphan(self, namespace: str, job_id: str) -> bool:
        """Whether the job has stopped in every environment of the namespace; the object does not tell any more which
        it was."""
        stopped = True
        for link in self._registry:
            if link.key.namespace == namespace:
                code = await link.cancel(job_id)
                if code == "stopping":
                    stopped = False
                elif code != "gone":
                    await link.acknowledge(job_id)
        return stopped

    # -- resync -------------------------------------------------------------------------------------------------------

    def _resync(self, link: EnvironmentLink) -> None:
        """Compare everything in a key space with everything in the cluster; one comparison at a time, the newest
        counts."""
        running = self._resyncs.get(link.key)
        if running:
            running.cancel()
        self._resyncs[link.key] = asyncio.create_task(self._compare(link), name=f"resync {link.key}")

    async def _compare(self, link: EnvironmentLink) -> None:
        await self.informer.synced()
        self._environment_changed(link.key.namespace)
        try:
            async for page in link.queue.unacknowledged():
                for record in await link.queue.inspect(page):
                    if record is not None and record.origin.get("kind") == "FluidJob":
                        await self._compare_one(link, record)
        except QueueError as error:
            log.info(
                "a resync ended early; the next one follows", extra={"environment": str(link.key), "error": str(error)}
            )

    async def _compare_one(self, link: EnvironmentLink, record: JobRecord) -> None:
        origin = record.origin
        key = ObjectKey(origin["namespace"], origin["name"])
        view = self.informer.get(key)
        if view is None or view.uid != origin["uid"]:
            self._orphan(key, origin["uid"], record.id)
        elif view.terminal and view.run == origin["run"] and record.ended:
            await link.acknowledge(record.id)
        elif not view.settled:
            self.queue.add(key)
