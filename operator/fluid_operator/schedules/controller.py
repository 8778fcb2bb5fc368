"""Reconciles FluidSchedules, which means for now: answers each with the condition NotYetSupported.

A schedule that was accepted and silently never fired would be worse than none.
"""

import asyncio
import logging
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Final

from fluid_operator.api.fluidschedule import FLUID_SCHEDULE, FluidScheduleStatus
from fluid_operator.api.meta import GROUP, VERSION, parse
from fluid_operator.kube.client import Kube
from fluid_operator.kube.errors import NotFound
from fluid_operator.kube.keys import ObjectKey, Resource
from fluid_operator.kube.lease import Leadership
from fluid_operator.kube.workqueue import WorkQueue
from fluid_operator.metrics import Metrics
from fluid_operator.patches import status_changes
from fluid_operator.schedules.status import OWNED, fold
from fluid_operator.waking import wake_all_for_ever

log = logging.getLogger(__name__)

FLUID_SCHEDULES: Final = Resource(GROUP, VERSION, FLUID_SCHEDULE.plural, FLUID_SCHEDULE.kind)

_WORKERS = 4
_STOP_SECONDS = 1.0


class SchedulesController:
    """One term's reconciliation of all FluidSchedules. Create it inside the loop; `run` must be awaited."""

    def __init__(
        self,
        kube: Kube,
        leadership: Leadership,
        metrics: Metrics,
        *,
        namespaces: Sequence[str] = (),
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        """Serve these namespaces, or all of them when none is given."""
        self._kube = kube
        self._leadership = leadership
        self._metrics = metrics
        self._namespaces = tuple(namespaces)
        self._now = now
        self._queue = WorkQueue(observe=metrics.reconciled("schedules"))

    def wake(self, key: ObjectKey) -> None:
        """Have the schedule reconciled."""
        self._queue.add(key)

    async def run(self) -> None:
        """Reconcile until cancelled."""
        with self._metrics.readings.queue("schedules", self._queue):
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._queue.run(_WORKERS, self.reconcile, grace=_STOP_SECONDS))
                tasks.create_task(wake_all_for_ever(self._kube, FLUID_SCHEDULES, self._namespaces, self.wake))

    async def reconcile(self, key: ObjectKey) -> None:
        """Write the status, if it does not say so already."""
        try:
            raw = await self._kube.get(FLUID_SCHEDULES, key)
        except NotFound:
            return
        meta, before = raw["metadata"], raw.get("status") or {}
        status = parse(FluidScheduleStatus, before, at="status")
        after = fold(status, raw["spec"], meta["generation"], self._now())
        changes = status_changes(before, after, OWNED)
        if not changes:
            return
        self._leadership.check()
        await self._kube.patch_status(
            FLUID_SCHEDULES, key, changes, uid=meta["uid"], resource_version=meta["resourceVersion"]
        )
        facts = {"namespace": key.namespace, "name": key.name, "uid": meta["uid"]}
        log.info("Wrote the status of a schedule.", extra={"fields": facts})
