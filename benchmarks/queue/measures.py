"""From moments to numbers: rates, percentiles, and what was measured of which side. Pure."""

from __future__ import annotations

import math
import statistics
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

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


@dataclass(slots=True)
class Results:
    """All repetitions of all measures; `capped` are those that only say "at least so much"."""

    values: dict[str, dict[str, list[float]]] = field(default_factory=lambda: defaultdict(lambda: defaultdict(list)))
    """Measure, then side."""
    capped: set[tuple[str, str]] = field(default_factory=set)

    def add(self, side: str, measured: Mapping[str, float]) -> None:
        """One repetition of one side."""
        for measure, value in measured.items():
            self.values[measure][side].append(value)

    def median(self, measure: str, side: str) -> float | None:
        """None: this side was not measured."""
        found = self.values.get(measure, {}).get(side)
        return statistics.median(found) if found else None

    def sides(self, measure: str) -> list[str]:
        """Who was measured, in the order in which they first were."""
        return list(self.values.get(measure, {}))


def rate(starts: Starts) -> float:
    """Jobs per second while every one of these processes was at work: between the last of their first jobs and the
    first of their last ones."""
    times = [[at for _, at in process] for process in starts.values()]
    begin = max(process[0] for process in times)
    end = min(process[-1] for process in times)
    inside = sum(begin <= at <= end for process in times for at in process)
    # The two at the ends bound the time; one of them has to be left out.
    return (inside - 1) / ((end - begin) / 1e9) if end > begin else 0.0


def percentile(values: Iterable[float], percent: float) -> float:
    """The smallest value that so many percent of all do not exceed (nearest rank)."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(len(ordered) * percent / 100) - 1)]


def first_starts(starts: Starts) -> dict[str, int]:
    """When each job was started first."""
    every = sorted((at, job_id) for process in starts.values() for job_id, at in process)
    return {job_id: at for at, job_id in reversed(every)}


def repeated(starts: Starts) -> int:
    """How many starts are of jobs that had been started before."""
    return sum(map(len, starts.values())) - len(first_starts(starts))
