"""Who takes part: our FluidJobs, the Jobs of Kubernetes, and a client that only writes what the first would write."""

from __future__ import annotations

from dataclasses import dataclass

from benchmarks.jobs.manifests import JOBS
from fluid_operator.kube.keys import FLUID_JOBS, Resource


@dataclass(frozen=True, slots=True)
class Side:
    """`key` is how the processes of the benchmark call it."""

    name: str
    key: str
    resource: Resource


FLUID = Side("fluid jobs", "fluid", FLUID_JOBS)
NATIVE = Side("native Jobs", "native", JOBS)
BARE = Side("bare client", "bare", FLUID_JOBS)
"""Creates a FluidJob and writes the status of a finished one onto it: what an operator would need that costs nothing
itself. One status write per job, the least that there can be."""

US = FLUID.name
