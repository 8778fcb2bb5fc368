"""From the moments in the workers' ledgers to numbers, and what the numbers are called. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

Starts = Mapping[str, Sequence[tuple[str, int]]]
"""Of each worker process, in order: the jobs that it started and when, in monotonic nanoseconds."""

UNITS = {
    "enqueue_one_by_one": "jobs/s",
    "enqueue_bulk": "jobs/s",
    "noop_concurrency_10": "jobs/s",
    "noop_concurrency_100": "jobs/s",
    "noop_two_processes": "jobs/s",
    "sleep_10_ms": "jobs/s",
    "idle_pickup_p50": "ms",
    "idle_pickup_p99": "ms",
    "delay_lateness_p50": "ms",
    "delay_lateness_p99": "ms",
    "recovery": "s",
    "recovery_lost": "jobs",
    "recovery_duplicated": "jobs",
}
"""Every measure with its unit. Of jobs/s more is better, of the others less."""


def rate(starts: Starts) -> float:
    """Jobs per second while every one of these processes was at work: between the last of their first jobs and the
    first of their last ones."""
    times = [[at for _, at in process] for process in starts.values()]
    begin = max(process[0] for process in times)
    end = min(process[-1] for process in times)
    inside = sum(begin <= at <= end for process in times for at in process)
    # The two at the ends bound the time; one of them has to be left out.
    return (inside - 1) / ((end - begin) / 1e9) if end > begin else 0.0


def first_starts(starts: Starts) -> dict[str, int]:
    """When each job was started first."""
    every = sorted((at, job_id) for process in starts.values() for job_id, at in process)
    return {job_id: at for at, job_id in reversed(every)}


def repeated(starts: Starts) -> int:
    """How many starts are of jobs that had been started before."""
    return sum(map(len, starts.values())) - len(first_starts(starts))
