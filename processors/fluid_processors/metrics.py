"""What the worker counts, for Prometheus. One registry per worker, so that two workers in one process
(tests) do not mix.

Labels are types, queues and outcomes; ids, tags and addresses are never labels.
"""

import time
from collections.abc import Callable, Iterable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from fluid_processors.context import Job

OUTCOMES = ("completed", "failed", "retry", "postponed", "released", "stopped", "lost")
UNKNOWN = "unknown"
"""The label of a type that this worker does not have: names from outside must not grow the set of series."""

_SECONDS = (0.005, 0.025, 0.1, 0.25, 1, 2.5, 10, 30, 60, 300, 900, 3600)


class Metrics:
    """The consumer's observer. Every series of a known type exists from the start, as zero."""

    def __init__(self, types: Iterable[str]) -> None:
        self.registry = CollectorRegistry()
        self.last_finished = 0.0
        """time.monotonic() of the last end of a job; 0 before the first."""
        self._types = frozenset(types)
        started = Counter(
            "fluid_worker_jobs_started", "Attempts that this worker began.", ["type"], registry=self.registry
        )
        finished = Counter(
            "fluid_worker_jobs_finished",
            "Attempts that ended, by outcome.",
            ["type", "outcome"],
            registry=self.registry,
        )
        seconds = Histogram(
            "fluid_worker_job_duration_seconds",
            "How long attempts took.",
            ["type"],
            buckets=_SECONDS,
            registry=self.registry,
        )
        self._leaks = Counter(
            "fluid_worker_stop_grace_leaks",
            "Threads that did not return within the stop grace.",
            registry=self.registry,
        )
        self._crashes = Counter(
            "fluid_worker_child_crashes",
            "Child processes that died in a job without having been told to.",
            registry=self.registry,
        )
        labels = (*sorted(self._types), UNKNOWN)
        # Looking labels up costs more than counting; jobs are short and many.
        self._started = {label: started.labels(label) for label in labels}
        self._finished = {(label, end): finished.labels(label, end) for label in labels for end in OUTCOMES}
        self._seconds = {label: seconds.labels(label) for label in labels}

    def watch(self, running: Callable[[], int], last_claim: Callable[[], float], children: Callable[[], int]) -> None:
        """Adds the series that are read from the consumer and the child processes when somebody asks."""
        alive = Gauge("fluid_worker_children", "Child processes that live now.", registry=self.registry)
        alive.set_function(children)
        gauge = Gauge("fluid_worker_jobs_running", "Jobs that run now.", registry=self.registry)
        gauge.set_function(running)
        age = Gauge(
            "fluid_worker_claim_age_seconds",
            "Seconds since the last claim that Redis answered; -1 before the first.",
            registry=self.registry,
        )
        age.set_function(lambda: time.monotonic() - at if (at := last_claim()) else -1.0)

    def job_started(self, job: Job) -> None:
        """Called by the consumer."""
        self._started[self._label(job.type)].inc()

    def job_finished(self, job: Job, outcome: str, seconds: float) -> None:
        """Called by the consumer with one of OUTCOMES."""
        label = self._label(job.type)
        self.last_finished = time.monotonic()
        self._finished[label, outcome].inc()
        self._seconds[label].observe(seconds)

    def leaked(self) -> None:
        """A thread outlived its stop grace."""
        self._leaks.inc()

    def crashed(self) -> None:
        """A child process died in a job."""
        self._crashes.inc()

    def render(self) -> bytes:
        """All series in the text format."""
        return generate_latest(self.registry)

    def _label(self, job_type: str) -> str:
        return job_type if job_type in self._types else UNKNOWN
