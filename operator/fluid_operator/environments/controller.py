"""Looks after all FluidEnvironments of one term: who is looked at when, and what of it is written down.

What a look does is the reconciler's. An environment is looked at again every few seconds, because neither a Redis that
went away nor a changed Secret sends an event; Kopf's events and the watches of its children only make that sooner.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Sequence
from contextlib import aclosing
from datetime import UTC, datetime
from typing import Final

from fluid_operator.api.fluidenvironment import FLUID_ENVIRONMENT, FluidEnvironmentStatus
from fluid_operator.api.meta import GROUP, VERSION, parse
from fluid_operator.environments import events
from fluid_operator.environments.reconciler import EnvironmentReconciler, Looked
from fluid_operator.environments.registry import EnvironmentRegistry
from fluid_operator.environments.sizing import Sizing
from fluid_operator.environments.status import OWNED, fold
from fluid_operator.environments.upkeep import Upkeep
from fluid_operator.environments.watching import ChildWatches
from fluid_operator.kube.client import Json, Kube
from fluid_operator.kube.errors import NotFound
from fluid_operator.kube.events import Happening
from fluid_operator.kube.keys import ObjectKey, Resource
from fluid_operator.kube.lease import Leadership
from fluid_operator.kube.workqueue import Again, WorkQueue
from fluid_operator.metrics import Metrics
from fluid_operator.patches import status_changes
from fluid_operator.waking import wake_all_for_ever

log = logging.getLogger(__name__)

FLUID_ENVIRONMENTS: Final = Resource(GROUP, VERSION, FLUID_ENVIRONMENT.plural, FLUID_ENVIRONMENT.kind)

_WORKERS = 64
"""Looks side by side. They mostly wait, some of them for a Redis that does not answer; the API server is protected by
the client's own limits."""
_GOING_SECONDS = 2.0
"""Between two looks at one that is being deleted: it may be made again under its name."""
_STOP_SECONDS = 1.0
"""A reconciliation that is cancelled loses nothing."""


class EnvironmentsController:
    """One term's reconciliation of all FluidEnvironments. Create it inside the loop; `run` must be awaited."""

    def __init__(
        self,
        kube: Kube,
        registry: EnvironmentRegistry,
        leadership: Leadership,
        metrics: Metrics,
        *,
        namespaces: Sequence[str] = (),
        answers: bool = True,
        operator_namespace: str = "",
        metrics_url: str = "",
        record: Callable[[Happening], None] = lambda happening: None,
        clock: Callable[[], float] = time.monotonic,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        """Serve these namespaces, or all of them when none is given. `clock` is monotonic, `now` for people.

        Without `answers` the links are opened and kept, and everything else (children, status, requests, the settings
        of the queues) is left to the operator whose environments these are. `operator_namespace`, `metrics_url`: see
        Upkeep.
        """
        self._kube = kube
        self._registry = registry
        self._leadership = leadership
        self._metrics = metrics
        self._namespaces = tuple(namespaces)
        self._answers = answers
        self._record = record
        self._now = now
        guarded = kube.guarded(leadership.check)
        self._watches = ChildWatches(kube, self._child_changed)
        self._upkeep = Upkeep(
            guarded,
            operator_namespace=operator_namespace,
            metrics_url=metrics_url,
            watched=self._watches.complete,
            clock=clock,
            now=now,
        )
        sizing = Sizing(self._upkeep, metrics.loads, record=record, clock=clock)
        self._reconciler = EnvironmentReconciler(guarded, registry, self._upkeep, sizing, answers=answers, clock=clock)
        self._kept: set[ObjectKey] = set()
        """Environments with children."""
        self._unseen: set[ObjectKey] | None = None
        """What the first list named and nobody has looked at yet; None before that list."""
        self._queue = WorkQueue(observe=metrics.reconciled("environments"))

    def wake(self, key: ObjectKey) -> None:
        """Have the environment reconciled."""
        self._queue.add(key)

    async def run(self) -> None:
        """Reconcile until cancelled."""
        with self._metrics.readings.queue("environments", self._queue):
            async with aclosing(self._reconciler), asyncio.TaskGroup() as tasks:
                tasks.create_task(self._queue.run(_WORKERS, self.reconcile, grace=_STOP_SECONDS))
                waking = wake_all_for_ever(self._kube, FLUID_ENVIRONMENTS, self._namespaces, self.wake, self._listed)
                tasks.create_task(waking)
                tasks.create_task(self._watches.run())

    async def reconcile(self, key: ObjectKey) -> Again | None:
        """Make the link and the status of one environment what they should be."""
        try:
            return await self._reconcile(key)
        finally:
            self._saw(key)

    def _listed(self, keys: set[ObjectKey]) -> None:
        for key in keys:
            self._registry.expect(key)
        if self._unseen is None:
            self._unseen = set(keys)
            self._saw(None)

    def _saw(self, key: ObjectKey | None) -> None:
        """One more was looked at, successfully or not: one broken environment must not hold up the jobs of all."""
        if self._unseen is None:
            return
        if key is not None:
            self._unseen.discard(key)
        if not self._unseen:
            self._registry.listed.set()

    async def _reconcile(self, key: ObjectKey) -> Again | None:
        try:
            raw = await self._kube.get(FLUID_ENVIRONMENTS, key)
        except NotFound:
            self._forget(key)
            return None
        if raw["metadata"].get("deletionTimestamp"):
            # Somebody's finalizer, or a deletion in the foreground: what is going must not be made again.
            self._forget(key)
            return Again(_GOING_SECONDS)
        self._registry.expect(key)
        looked = await self._reconciler.look(key, raw)
        self._metrics.redis_up(key, looked.seen.problem is None)
        if self._answers:
            self._watch(key, with_children=bool(looked.seen.children))
            await self._write(key, raw, looked)
        return Again(looked.again)

    def _forget(self, key: ObjectKey) -> None:
        self._watch(key, with_children=False)
        self._reconciler.forget(key)
        self._metrics.environment_gone(key)

    def _child_changed(self, key: ObjectKey) -> None:
        self._upkeep.touch(key)
        self._queue.add(key)

    def _watch(self, key: ObjectKey, *, with_children: bool) -> None:
        """Watch the children of a namespace as long as an environment there has any."""
        if with_children:
            self._kept.add(key)
            self._watches.follow(key.namespace)
        elif key in self._kept:
            self._kept.discard(key)
            if not any(other.namespace == key.namespace for other in self._kept):
                self._watches.unfollow(key.namespace)

    async def _write(self, key: ObjectKey, raw: Json, looked: Looked) -> None:
        """Write the status if it changed, and tell of what is worth it."""
        before, meta = raw.get("status") or {}, raw["metadata"]
        if looked.rotated:
            self._record(events.rotated(key, meta["uid"]))
        after = fold(parse(FluidEnvironmentStatus, before, at="status"), looked.seen, self._now())
        changes = status_changes(before, after, OWNED)
        if not changes:
            return
        self._leadership.check()
        await self._kube.patch_status(
            FLUID_ENVIRONMENTS, key, changes, uid=meta["uid"], resource_version=meta["resourceVersion"]
        )
        for happening in events.events_of(key, meta["uid"], before, after):
            self._record(happening)
        obstacle = looked.seen.obstacle
        facts = {"namespace": key.namespace, "name": key.name, "uid": meta["uid"], "ready": obstacle is None}
        reason = {"reason": obstacle.reason.value} if obstacle else {}
        log.info("Wrote the status of an environment.", extra={"fields": facts | reason})
