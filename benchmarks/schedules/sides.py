"""Who takes part: our FluidSchedules, and the CronJobs of Kubernetes."""

from __future__ import annotations

from dataclasses import dataclass

from benchmarks.jobs.manifests import JOBS
from fluid_operator.kube.keys import FLUID_JOBS, FLUID_SCHEDULES, Resource

CRON_JOBS = Resource("batch", "v1", "cronjobs", "CronJob")


@dataclass(frozen=True, slots=True)
class Side:
    """One kind of schedules, the kind of jobs that they create, and the process that sees to that."""

    name: str
    schedules: Resource
    jobs: Resource
    component: str


FLUID = Side("fluid schedules", FLUID_SCHEDULES, FLUID_JOBS, "operator")

NATIVE = Side("CronJobs", CRON_JOBS, JOBS, "controller-manager")
"""Their Jobs are created suspended: what is measured is how they come to be, not what becomes of them."""

US = FLUID.name
