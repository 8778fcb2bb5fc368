"""All FluidJobs of a leading replica: an informer that knows them, a work queue that looks at each in turn, hints
that say which.

What wakes a key: a change of the object by somebody else, a hint about its job, an environment that came, went or
learnt new types, a resync.
What the reconciler cannot see by looking at one object is done here: jobs in the queue whose object is gone.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from fluid_operator.environments.link import EnvironmentLink
from fluid_operator.environments.registry import EnvironmentRegistry
from fluid_operator.jobs.events import event_of
from fluid_operator.jobs.ledger import Ledger
from fluid_operator.jobs.orphans import Orphan, Orphans
from fluid_operator.jobs.pacing import PaceSettings, Pacing
from fluid_operator.jobs.reconciler import Reconciler, ReconcilerSettings
from fluid_operator.jobs.retention import Archive, Retention, RetentionObserver, RetentionSettings
from fluid_operator.jobs.view import JobView, remember
from fluid_operator.jobs.writer import StatusWriter
from fluid_operator.kube.client import Json, Kube
from fluid_operator.kube.errors import NotLeader
from fluid_operator.kube.events import Happening
from fluid_operator.kube.informer import Informer, InformerSettings
from fluid_operator.kube.keys import FLUID_JOBS, ObjectKey
from fluid_operator.kube.lease import Leadership
from fluid_operator.kube.workqueue import Again, Reconciled, WorkQueue
from fluid_operator.sharding import EVERYTHING, Shard
from fluid_queue import Hints, JobRecord, QueueError

log = logging.getLogger(__name__)

_ORPHAN_SECONDS = 1.0
"""How soon to look again at a job that is being stopped because its object is gone."""

_RESYNC_PAUSE = 1.0
"""Seconds before a comparison that Redis cut off begins anew."""

_COMPARISONS = 4
"""Environments that are compared with the cluster at the same time: with a hundred of them, all at once would be a herd
at the very moment when the first jobs wait for their answer."""

_GATHER_SECONDS = 0.01
"""For so long changes of environments are gathered, because each means a walk through all FluidJobs."""

_STOP_SECONDS = 1.0
"""What is in progress may take so long when the term ends. A look that is cancelled loses nothing: the next leader
looks again."""


class JobsObserver(RetentionObserver):
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
        shard: Shard = EVERYTHING,
        workers: int = 64,
        pace: PaceSettings | None = None,
        settings: ReconcilerSettings | None = None,
        informer: InformerSettings | None = None,
        observer: JobsObserver | None = None,
        record: Callable[[Happening], None] = lambda happening: None,
        archive: Archive | None = None,
    ) -> None:
        """Serve the FluidJobs of this shard in these namespaces, or in all of them when none is given. `record` is told
        what is worth an event, `archive` of each object that retention is about to delete."""
        observer = observer or JobsObserver()
        self._shard = shard
        self._registry = registry
        self._observer = observer
        self._record = record
        self._workers = workers
        self.queue = WorkQueue(observe=observer.reconciled)
        self.informer: Informer[JobView] = Informer(
            kube,
            FLUID_JOBS,
            project=remember,
            on_change=self._changed,
            on_relist=self._relisted,
            namespaces=namespaces,
            owns=None if shard == EVERYTHING else shard.owns,
            settings=informer,
        )
        self._writer = StatusWriter(kube.guarded(leadership.check), self._observe, self._written)
        self._ledger = Ledger(kube.guarded(leadership.check), written=observer.ledger_written)
        self._reconciler = Reconciler(
            kube,
            registry,
            self._writer,
            Pacing(pace or PaceSettings()),
            settings=settings or ReconcilerSettings(),
            ledger=self._ledger,
            wake=self.queue.add,
        )
        self._orphans = Orphans(registry)
        self._retention = Retention(
            kube.guarded(leadership.check),
            self._ledger,
            registry,
            archive=archive,
            observer=observer,
            settings=RetentionSettings(shards=shard.count),
        )
        self._own = False
        self._resyncs: dict[ObjectKey, asyncio.Task[None]] = {}
        self._comparing = asyncio.Semaphore(_COMPARISONS)
        self._changed_namespaces: set[str] = set()
        registry.on_hints = self._hinted
        registry.on_change = self._environment_changed

    async def run(self) -> None:
        """Follow all FluidJobs until cancelled. Raises only for a defect."""
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self.informer.run(), name="fluidjobs informer")
                # Before all environments are known, a job that finds none would be told so, and wrongly.
                await self._registry.listed.wait()
                work = self.queue.run(self._workers, self.reconcile, grace=_STOP_SECONDS)
                tasks.create_task(work, name="fluidjobs workers")
                tasks.create_task(self._retention.run(), name="fluidjobs retention")
                tasks.create_task(self._ledger.run(), name="fluidjobs ledger")
        finally:
            for task in self._resyncs.values():
                task.cancel()

    async def reconcile(self, key: ObjectKey) -> Again | None:
        """One look at one key. A re-created object waits until the job of its predecessor has stopped."""
        if not await self._orphans.stop(key):
            return Again(_ORPHAN_SECONDS)
        view = self.informer.get(key)
        if view is None:
            self._reconciler.forget(key)
            return None
        if view.deleting:
            self._reconciler.forget(key)  # it is in nobody's way any more, however long others keep the object
            return None
        if view.abridged:
            uid, view = view.uid, await self._writer.refresh(key)
            if view is None or view.uid != uid:
                return None  # the watch tells, and wakes us
        return await self._reconciler.reconcile(key, view)

    # -- what wakes a key ---------------------------------------------------------------------------------------------

    def _observe(self, raw: Json) -> None:
        """Our own write: the cache learns it, and nobody needs to look at the object for that."""
        self._own = True
        try:
            self.informer.observe(raw)
        finally:
            self._own = False

    def _written(self, key: ObjectKey, before: JobView, status: Mapping[str, Any]) -> None:
        self._observer.status_written(status["phase"])
        if happening := event_of(key, before, status):
            self._record(happening)

    def _changed(self, key: ObjectKey, old: JobView | None, new: JobView | None) -> None:
        self._retention.changed(key, old, new)
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
            bound = view.environment if run == view.run else ""
            self._orphan(key, Orphan(f"{view.uid}.{run}", view.uid, bound))

    def _orphan(self, key: ObjectKey, orphan: Orphan) -> None:
        self._orphans.add(key, orphan)
        self.queue.add(key)

    def _hinted(self, link: EnvironmentLink, hints: Hints) -> None:
        self._observer.hinted(len(hints.ids))
        for job_id in hints.ids:
            uid = job_id.partition(".")[0]
            found = self.informer.by_uid(uid)
            if found is not None:
                if not found[1].settled:
                    self.queue.add(found[0])
            elif (gone := self._orphans.key_of(uid)) is not None:
                self.queue.add(gone)
        if hints.types:
            self._environment_changed(link.key.namespace)
        if hints.resync:
            self._resync(link)

    def _environment_changed(self, namespace: str) -> None:
        if not self._changed_namespaces:
            asyncio.get_running_loop().call_later(_GATHER_SECONDS, self._wake_namespaces)
        self._changed_namespaces.add(namespace)

    def _wake_namespaces(self) -> None:
        """Look at everything unsettled where environments have changed."""
        changed, self._changed_namespaces = self._changed_namespaces, set()
        for key, view in self.informer.items():
            if key.namespace in changed and not view.settled:
                self.queue.add(key)
        for namespace in changed:
            self._retention.look(namespace)
            for key in self._orphans.keys(namespace):
                self.queue.add(key)

    def _relisted(self, _: Mapping[ObjectKey, JobView]) -> None:
        for link in self._registry:
            self._resync(link)

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
        while any(each is link for each in self._registry):  # else it was closed meanwhile
            try:
                async with self._comparing:
                    async for page in link.queue.unacknowledged():
                        records = await link.queue.inspect(page)
                        await asyncio.gather(*(self._compare_one(link, each) for each in records if each is not None))
            except NotLeader:
                return
            except QueueError as error:
                facts = {"environment": str(link.key), "error": str(error)}
                log.info("A resync was cut off and begins anew.", extra={"fields": facts})
                await asyncio.sleep(_RESYNC_PAUSE)
            else:
                link.compared()
                return

    async def _compare_one(self, link: EnvironmentLink, record: JobRecord) -> None:
        found = _origin(record)
        if found is None:
            return
        key, uid, run = found
        if not self._shard.owns(key):
            return
        if key.namespace != link.key.namespace or record.id != f"{uid}.{run}":
            # Whoever may write to this Redis must not have a say in another namespace.
            facts = {"environment": str(link.key), "job": record.id}
            log.warning("A record speaks for a job that is not of this environment.", extra={"fields": facts})
            return
        view = self.informer.get(key)
        over = view is not None and (run < view.run or (run == view.run and view.terminal))
        if view is None or view.uid != uid or (over and not record.ended):
            await link.withdraw(record.id)  # before anybody can claim it; what runs is asked to stop
            self._orphan(key, Orphan(record.id, uid, link.key.name))
        elif run == view.run and view.job_id and view.environment != link.key.name:
            # This environment was gone, and the run went elsewhere meanwhile.
            await link.withdraw(record.id)
            await link.acknowledge(record.id)
        elif over:
            await link.acknowledge(record.id)
        elif not view.settled:
            if not link.adopted and not _unchanged(record, view):
                await link.suspend(record.id)  # it may have been cancelled meanwhile; the look decides
            self.queue.add(key)


def _unchanged(record: JobRecord, view: JobView) -> bool:
    """Whether the object still asks for just what stands in the queue."""
    asks = view.suspend or view.held or view.cancelled or view.requested
    told = record.origin.get("generation")
    return isinstance(told, int) and told >= view.generation and not asks


def _origin(record: JobRecord) -> tuple[ObjectKey, str, int] | None:
    """Key, uid and run of the FluidJob that a record is for; None when it is for none. Redis may hold anything."""
    if record.origin.get("kind") != "FluidJob":
        return None
    match record.origin:
        case {"namespace": str(namespace), "name": str(name), "uid": str(uid), "run": int(run)}:
            return ObjectKey(namespace, name), uid, run
    log.warning("A record tells no FluidJob.", extra={"fields": {"job": record.id}})
    return None
