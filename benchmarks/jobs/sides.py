"""Who takes part: our FluidJobs, the Jobs of Kubernetes, and a client that only writes what the first would write."""

from __future__ import annotations

from dataclasses import dataclass

from benchmarks.jobs.manifests import JOBS
from fluid_operator.kube.keys import FLUID_JOBS, Resource


@dataclass(frozen=True, slots=True)
class Side:
    """One kind of jobs, and who sees to them."""

    name: str
    key: str
    """What the processes of the benchmark call it."""
    resource: Resource
    slow: bool = False
    """It takes its time: of a long load, one repetition has to be enough."""
    tuned: bool = False
    """On a control plane with more hands for Jobs."""


FLUID = Side("fluid jobs", "fluid", FLUID_JOBS)
NATIVE = Side("native Jobs", "native", JOBS, slow=True)
"""As Kubernetes and kwok come, but for the rate of requests, which is raised until it is no limit."""

NATIVE_TUNED = Side("native Jobs, tuned", "native", JOBS, slow=True, tuned=True)
"""Ten times as many Jobs looked at side by side as by default, eight times as many pods."""

BARE = Side("bare client", "bare", FLUID_JOBS)
"""Creates a FluidJob and writes the status of a finished one onto it: what an operator would need that costs nothing
itself. One status write per job, the least that there can be."""

US = FLUID.name

TUNED_CONTROLLERS = ("--concurrent-job-syncs=50",)
TUNED_PODS = 32
