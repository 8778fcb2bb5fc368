"""What is measured of FluidSchedules and their peer, and how moments and counts become numbers. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta

from prometheus_client.parser import text_string_to_metric_families

from benchmarks.common.measures import percentile
from benchmarks.jobs.measures import megabytes
from benchmarks.jobs.requests import Request, writes
from benchmarks.jobs.usage import Usage

UNITS = {
    "known": "s",
    "rest_cpu": "% of a core",
    "rest_rss": "MB",
    "rest_requests": "requests/s",
    "restart": "s",
    "restart_writes": "writes",
    "fire_delay_p50": "ms",
    "fire_delay_p99": "ms",
    "due_half": "s",
    "due_created": "s",
    "due_complete": "s",
    "due_missing": "jobs",
    "due_doubled": "jobs",
    "due_writes": "writes/job",
    "due_cpu": "ms/job",
    "due_rss": "MB",
}
"""Every measure with its unit. Less is better, of each."""

_LEASES = "leases"
_REQUESTS = "fluid_operator_kube_requests_total"


def next_minute(now: datetime, ahead: float) -> datetime:
    """The first full minute that is at least so many seconds ahead."""
    earliest = now.astimezone(UTC) + timedelta(seconds=ahead)
    full = earliest.replace(second=0, microsecond=0)
    return full if full == earliest else full + timedelta(minutes=1)


def rest_measures(before: Usage, after: Usage, seconds: float) -> dict[str, float]:
    """What a process takes while nothing happens."""
    return {"rest_cpu": share(before, after, seconds), "rest_rss": megabytes(after.rss_bytes)}


def share(before: Usage, after: Usage, seconds: float) -> float:
    """CPU time in percent of a core."""
    return (after.cpu_seconds - before.cpu_seconds) / seconds * 100


def delay_measures(delays: Iterable[float]) -> dict[str, float]:
    """From milliseconds."""
    found = list(delays)
    return {"fire_delay_p50": percentile(found, 50), "fire_delay_p99": percentile(found, 99)}


def due_measures(due: datetime, first: Mapping[str, float], jobs: int, schedules: int) -> dict[str, float]:
    """How the jobs came to be that so many schedules wanted at one time: each of them one.

    `first` tells of each schedule that has a job when that was seen, in seconds since the epoch; `jobs`: how many jobs
    there are in all. With some missing, half and all are of those that came.
    """
    found = {"due_missing": float(schedules - len(first)), "due_doubled": float(jobs - len(first))}
    if not first:
        return found
    waits = [moment - due.timestamp() for moment in first.values()]
    return {"due_half": percentile(waits, 50), "due_created": max(waits), **found}


def cost_measures(asked: Mapping[Request, int], before: Usage, after: Usage, jobs: int) -> dict[str, float]:
    """What the jobs cost: writes of everybody, CPU time and the most memory of the process that created them."""
    return {
        "due_writes": writes(without_leases(asked)) / jobs,
        "due_cpu": (after.cpu_seconds - before.cpu_seconds) * 1000 / jobs,
        "due_rss": megabytes(after.peak_bytes),
    }


def without_leases(asked: Mapping[Request, int]) -> dict[Request, int]:
    """Requests that have to do with the load: a Lease is renewed whatever else happens."""
    return {request: count for request, count in asked.items() if request.resource != _LEASES}


class Reading:
    """The operator's metrics at one moment, from their text."""

    def __init__(self, text: str) -> None:
        self._samples = [sample for family in text_string_to_metric_families(text) for sample in family.samples]

    def total(self, name: str, **labels: str) -> float:
        """The sum over the series of a metric that have these labels."""
        return sum(
            sample.value for sample in self._samples if sample.name == name and labels.items() <= sample.labels.items()
        )

    @property
    def requests(self) -> float:
        """What the operator has asked the API server so far, its Lease included."""
        return self.total(_REQUESTS)

    @property
    def looks(self) -> int:
        """How often it has looked at a schedule."""
        return int(self.total("fluid_operator_reconciles_total", controller="schedules"))

    def serves(self, schedules: int) -> bool:
        """Whether it leads, and has looked at so many schedules, with none left that waits for a look."""
        depth = "fluid_operator_workqueue_depth"
        left = sum(self.total(depth, controller="schedules", state=state) for state in ("waiting", "processing"))
        return self.total("fluid_operator_leader") == 1 and self.looks >= schedules and not left
