"""What is measured of FluidJobs and their peers, and how moments and counts become numbers. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping

from benchmarks.jobs.requests import Requests, status_writes, total, writes
from benchmarks.jobs.usage import Usage

Moments = Mapping[str, int]
"""Of each job by name: when something happened to it, in monotonic nanoseconds of this machine."""

COMPONENTS = ("apiserver", "etcd", "controller-manager", "scheduler", "kwok", "operator", "worker", "redis")
"""Every process whose cost is told, in the order in which it is shown."""

HELPERS = ("client", "watcher")
"""Our own two ends of a load. They share the machine, so their CPU time is told; it is in no sum."""

_CPU = "burst_5000_cpu"
_RSS = "burst_5000_rss"

CPU_MEASURES = {component: f"{_CPU}_{component}" for component in (*COMPONENTS, *HELPERS)}
RSS_MEASURES = {component: f"{_RSS}_{component}" for component in COMPONENTS}

UNITS = {
    "burst_1000": "jobs/s",
    "burst_5000": "jobs/s",
    "burst_5000_requests": "requests/job",
    "burst_5000_writes": "requests/job",
    "burst_5000_status_writes": "writes/job",
    _CPU: "ms/job",
    **dict.fromkeys(CPU_MEASURES.values(), "ms/job"),
    _RSS: "MB",
    **dict.fromkeys(RSS_MEASURES.values(), "MB"),
    "steady_p50": "ms",
    "steady_p99": "ms",
    "objects_restart": "s",
    "objects_operator_rss": "MB",
    "objects_operator_peak": "MB",
    "objects_writes": "writes",
    "indexes_wall": "s",
    "indexes_rate": "indexes/s",
    "indexes_status_writes": "writes/s",
    "indexes_operator_peak": "MB",
    "indexes_objects": "objects",
    "fairness_p50": "ms",
    "fairness_delay": "s",
}
"""Every measure with its unit. Of jobs/s and indexes/s more is better, of the others less."""

_MB = 1_000_000


def throughput(created: Moments, completed: Moments) -> float:
    """Jobs per second from the first create until a watcher has seen the last Complete."""
    return len(completed) / ((max(completed.values()) - min(created.values())) / 1e9)


def waits(created: Moments, completed: Moments) -> list[float]:
    """Milliseconds of each job from before its create until a watcher has seen its Complete."""
    return [(completed[name] - at) / 1e6 for name, at in created.items()]


def request_measures(requests: Requests, resource: str, jobs: int) -> dict[str, float]:
    """What the API server was asked while so many jobs of this resource ran, for each job."""
    return {
        "burst_5000_requests": total(requests) / jobs,
        "burst_5000_writes": writes(requests) / jobs,
        "burst_5000_status_writes": status_writes(requests, resource) / jobs,
    }


def cost_measures(
    before: Mapping[str, Usage], after: Mapping[str, Usage], helpers: Mapping[str, float], jobs: int
) -> dict[str, float]:
    """CPU milliseconds for each job and the most memory, by component and of all of them; `helpers`: CPU seconds."""
    cpu = {name: (after[name].cpu_seconds - before[name].cpu_seconds) * 1000 / jobs for name in after}
    peak = {name: megabytes(after[name].peak_bytes) for name in after}
    return {
        _CPU: sum(cpu.values()),
        **{CPU_MEASURES[name]: value for name, value in cpu.items()},
        **{CPU_MEASURES[name]: seconds * 1000 / jobs for name, seconds in helpers.items()},
        _RSS: sum(peak.values()),
        **{RSS_MEASURES[name]: value for name, value in peak.items()},
    }


def megabytes(size: int) -> float:
    """From bytes."""
    return size / _MB


def series_sums(metrics: str) -> dict[str, float]:
    """Of each metric in a text, the sum over its series."""
    found: dict[str, float] = defaultdict(float)
    for line in metrics.splitlines():
        if line and not line.startswith("#"):
            series, _, value = line.rpartition(" ")
            found[series.partition("{")[0]] += float(value)
    return found
