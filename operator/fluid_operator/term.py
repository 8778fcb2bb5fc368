"""One term of leadership: everything that only a leader does, made anew and torn down as a whole.

Nothing outlives a term: caches, work queues, links to Redis and the Kopf thread of a former leader are thrown away,
so that a replica which wins the Lease a second time knows as little as one that has just started. Whatever ends inside
a term ends all of it.
"""

import asyncio
from collections import Counter
from datetime import timedelta

from fluid_operator.environments.controller import EnvironmentsController
from fluid_operator.environments.registry import EnvironmentRegistry
from fluid_operator.following import follow
from fluid_operator.jobs.controller import JobsController, JobsObserver
from fluid_operator.jobs.keeping import Why
from fluid_operator.jobs.pacing import PaceSettings
from fluid_operator.jobs.reconciler import ReconcilerSettings
from fluid_operator.jobs.retention import Obstacle
from fluid_operator.kube.client import Kube
from fluid_operator.kube.events import EventRecorder
from fluid_operator.kube.lease import Elector
from fluid_operator.kube.workqueue import Reconciled
from fluid_operator.metrics import Metrics
from fluid_operator.schedules.controller import SchedulesController
from fluid_operator.schedules.reconciler import SchedulesObserver
from fluid_operator.settings import OperatorSettings


class JobsMetrics(JobsObserver):
    """Counts what the jobs controller does."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics
        self._reconciled = metrics.reconciled("jobs")

    def status_written(self, phase: str) -> None:
        """A status was written."""
        self._metrics.status_written(phase)

    def reconciled(self, reconciled: Reconciled) -> None:
        """One look at one object has ended."""
        self._reconciled(reconciled)

    def hinted(self, ids: int) -> None:
        """Hints arrived."""
        self._metrics.hints_read(ids)

    def deleted(self, why: Why) -> None:
        """Retention has deleted an object."""
        self._metrics.retention_deleted(why)

    def postponed(self, obstacle: Obstacle) -> None:
        """Retention could not delete an object."""
        self._metrics.retention_postponed(obstacle)

    def ledger_written(self, entries: int) -> None:
        """Outcomes were kept."""
        self._metrics.ledger_written(entries)


class SchedulesMetrics(SchedulesObserver):
    """Counts what the schedules controller does."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics

    def fired(self, late: timedelta) -> None:
        """A job was created."""
        self._metrics.schedule_fired(late.total_seconds())

    def missed(self, times: int) -> None:
        """Times passed without a job."""
        self._metrics.schedule_missed(times)


async def serve_term(kube: Kube, elector: Elector, settings: OperatorSettings, metrics: Metrics) -> None:
    """Do what a leader does until cancelled. Raises only for a defect, in an ExceptionGroup."""
    shard = settings.shard
    registry = EnvironmentRegistry(elector, shard=shard.index)
    namespaces = settings.namespaces
    events = EventRecorder(kube.guarded(elector.check), elector.identity, metrics)
    jobs = _jobs(kube, registry, elector, settings, metrics, events)
    environments = EnvironmentsController(
        kube,
        registry,
        elector,
        metrics,
        namespaces=namespaces,
        answers=shard.first,
        operator_namespace=settings.pod_namespace,
        metrics_url=settings.metrics_url,
        record=events.record,
    )
    schedules = SchedulesController(
        kube,
        elector,
        namespaces=namespaces,
        observer=SchedulesMetrics(metrics),
        reconciled=metrics.reconciled("schedules"),
        record=events.record,
    )
    try:
        with (
            metrics.leading(),
            metrics.readings.queue("jobs", jobs.queue),
            metrics.readings.queue("schedules", schedules.queue),
            metrics.readings.jobs(
                phases=lambda: Counter(view.phase for _, view in jobs.informer.items()),
                lists=lambda: jobs.informer.lists,
            ),
        ):
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(jobs.run(), name="jobs")
                tasks.create_task(events.run(), name="events")
                tasks.create_task(environments.run(), name="environments")
                if shard.first:
                    tasks.create_task(schedules.run(), name="schedules")
                kopf = follow(kube.connection, namespaces, environments=environments.wake)
                tasks.create_task(kopf, name="kopf")
    finally:
        await registry.aclose()


def _jobs(
    kube: Kube,
    registry: EnvironmentRegistry,
    elector: Elector,
    settings: OperatorSettings,
    metrics: Metrics,
    events: EventRecorder,
) -> JobsController:
    return JobsController(
        kube,
        registry,
        elector,
        namespaces=settings.namespaces,
        shard=settings.shard,
        workers=settings.reconcile_workers,
        pace=PaceSettings(hold=settings.status_hold_seconds, interval=settings.progress_interval_seconds),
        settings=ReconcilerSettings(unknown_type_grace=settings.unknown_type_grace_seconds),
        observer=JobsMetrics(metrics),
        record=events.record,
    )
