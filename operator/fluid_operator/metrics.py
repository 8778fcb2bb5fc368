"""What the operator counts, for Prometheus: one object, made at start and handed down.

It has a registry of its own, so that two operators in one process do not mix. Series whose labels are known
beforehand exist as zero from the start: an alert on a rate must see the first event too. Labels are kinds, verbs,
phases, controllers, environments, their pools and (so many of) their queues; names of jobs, ids and tags are never
labels. What only a leader has (queues, jobs, environments) vanishes with its term, because the numbers of a former
leader are lies.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Final, get_args

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from fluid_operator.admission.reviews import Heard
from fluid_operator.api.fluidjob_status import Phase
from fluid_operator.jobs.keeping import REASONS, Why
from fluid_operator.jobs.retention import OBSTACLES, Obstacle
from fluid_operator.kube.client import Call, Verb
from fluid_operator.kube.events import Loss
from fluid_operator.kube.keys import FLUID_JOBS, ObjectKey
from fluid_operator.kube.throttle import Throttle
from fluid_operator.kube.workqueue import Outcome, Reconciled, WorkQueue
from fluid_operator.load_metrics import Loads

CONTROLLERS: Final = ("jobs", "environments", "schedules")
REVIEW_OUTCOMES: Final[tuple[Heard, ...]] = ("allowed", "refused", "unchecked", "malformed", "late")
NO_ANSWER: Final = "none"
"""The code of a request that got no answer."""

_REQUEST_SECONDS = (0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1, 5, 15)
_REVIEW_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2)
_FIRE_SECONDS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 5, 15, 60, 300, 3600)
_RECONCILE_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1, 5, 30)


class Metrics:
    """Every series of the operator. Its methods are called in one loop, and cost microseconds."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.readings = Readings()
        self.registry.register(self.readings)
        self.loads = Loads()
        self.registry.register(self.loads)
        self._count_requests()
        self._count_reconciles()
        self._count_jobs()
        self._count_retention()
        self._count_schedules()
        self._count_reviews()
        self._leader = Gauge("fluid_operator_leader", "1 while this replica leads.", registry=self.registry)
        self._redis_up = Gauge(
            "fluid_operator_redis_up",
            "1 while the environment's Redis answers an authenticated PING.",
            ["namespace", "environment"],
            registry=self.registry,
        )

    def render(self) -> bytes:
        """All series in the text format."""
        return generate_latest(self.registry)

    @contextmanager
    def leading(self) -> Iterator[None]:
        """Inside the block this replica leads."""
        self._leader.set(1)
        try:
            yield
        finally:
            self._leader.set(0)
            self._redis_up.clear()
            self.loads.clear()

    # -- the API server -----------------------------------------------------------------------------------------------

    def _count_requests(self) -> None:
        self._requests = Counter(
            "fluid_operator_kube_requests",
            "Requests to the API server, by HTTP code; none: no answer came.",
            ["verb", "resource", "code"],
            registry=self.registry,
        )
        seconds = Histogram(
            "fluid_operator_kube_request_duration_seconds",
            "How long answers took; of a watch, until its headers.",
            ["verb"],
            buckets=_REQUEST_SECONDS,
            registry=self.registry,
        )
        self._request_seconds = {verb: seconds.labels(verb) for verb in get_args(Verb)}
        self._throttled = Counter(
            "fluid_operator_kube_throttled_seconds",
            "Time that requests were held back by the limits of this process.",
            registry=self.registry,
        )

    def requested(self, call: Call) -> None:
        """One request has ended; for `observe` of the client."""
        self._requests.labels(call.verb, call.resource, str(call.code or NO_ANSWER)).inc()
        self._request_seconds[call.verb].observe(call.seconds)

    def throttled(self, seconds: float) -> None:
        """A request was held back for so long; for `waited` of the throttle."""
        self._throttled.inc(seconds)

    def show_throttle(self, throttle: Throttle) -> None:
        """Show how many requests are under way, and how many may be."""
        in_flight = Gauge(
            "fluid_operator_kube_in_flight",
            "Requests to the API server that wait for their answer; watches and Leases are not counted.",
            registry=self.registry,
        )
        limit = Gauge(
            "fluid_operator_kube_in_flight_limit",
            "How many may wait now; less than FLUID_KUBE_IN_FLIGHT after the server has answered 429.",
            registry=self.registry,
        )
        in_flight.set_function(lambda: throttle.in_flight)
        limit.set_function(lambda: throttle.limit)

    # -- work queues --------------------------------------------------------------------------------------------------

    def _count_reconciles(self) -> None:
        results = Counter(
            "fluid_operator_reconciles",
            "Reconciliations, by result: settled, again (will look once more), retry (failed), terminal (gave up).",
            ["controller", "result"],
            registry=self.registry,
        )
        seconds = Histogram(
            "fluid_operator_reconcile_duration_seconds",
            "How long reconciliations took.",
            ["controller"],
            buckets=_RECONCILE_SECONDS,
            registry=self.registry,
        )
        waits = Histogram(
            "fluid_operator_reconcile_wait_seconds",
            "How long objects that were due waited for a free worker.",
            ["controller"],
            buckets=_RECONCILE_SECONDS,
            registry=self.registry,
        )
        # Looking labels up costs more than counting; reconciliations are short and many.
        self._results = {
            (name, outcome): results.labels(name, outcome) for name in CONTROLLERS for outcome in get_args(Outcome)
        }
        self._seconds = {name: seconds.labels(name) for name in CONTROLLERS}
        self._waits = {name: waits.labels(name) for name in CONTROLLERS}

    def reconciled(self, controller: str) -> Callable[[Reconciled], None]:
        """Return what counts the reconciliations of a controller; for `observe` of its work queue."""
        seconds, waits = self._seconds[controller], self._waits[controller]
        results = {outcome: self._results[controller, outcome] for outcome in get_args(Outcome)}

        def observe(done: Reconciled) -> None:
            results[done.outcome].inc()
            seconds.observe(done.took)
            waits.observe(done.waited)

        return observe

    # -- jobs ---------------------------------------------------------------------------------------------------------

    def _count_jobs(self) -> None:
        writes = Counter(
            "fluid_operator_fluidjob_status_writes",
            "Status writes of FluidJobs, by the phase that was written.",
            ["phase"],
            registry=self.registry,
        )
        self._status_writes = {phase.value: writes.labels(phase.value) for phase in Phase}
        self._hints = Counter(
            "fluid_operator_hints_read", "Ids of changed jobs that were read from Redis.", registry=self.registry
        )

    def _count_retention(self) -> None:
        deletions = Counter(
            "fluid_operator_retention_deletions",
            "Finished FluidJobs that were deleted: ttl (their time was over) or cap (there were too many).",
            ["reason"],
            registry=self.registry,
        )
        postponed = Counter(
            "fluid_operator_retention_postponed",
            "Tries to delete a finished FluidJob that have to be repeated, by what was in the way.",
            ["obstacle"],
            registry=self.registry,
        )
        self._deletions = {reason: deletions.labels(reason) for reason in REASONS}
        self._postponed = {obstacle: postponed.labels(obstacle) for obstacle in OBSTACLES}
        self._ledger_entries = Counter(
            "fluid_operator_ledger_entries_written",
            "Outcomes of FluidJobs under OncePerSpec that were kept before these were deleted.",
            registry=self.registry,
        )
        self._events = Counter(
            "fluid_operator_events_written",
            "Events that were created, or whose count was brought up to date.",
            registry=self.registry,
        )
        lost = Counter(
            "fluid_operator_events_lost",
            "Events that were not written: the namespace's budget was used up, the queue was full, it was refused.",
            ["why"],
            registry=self.registry,
        )
        self._events_lost = {why: lost.labels(why) for why in get_args(Loss)}

    def _count_schedules(self) -> None:
        self._fire_delays = Histogram(
            "fluid_operator_schedule_delay_seconds",
            "How long after its time, jitter included, the job of a schedule was created.",
            buckets=_FIRE_SECONDS,
            registry=self.registry,
        )
        self._missed = Counter(
            "fluid_operator_schedule_missed_times",
            "Times of schedules that passed without a job: nobody was there, or an active job was in the way.",
            registry=self.registry,
        )

    def schedule_fired(self, late: float) -> None:
        """The job for a time of a schedule was created, so many seconds after it."""
        self._fire_delays.observe(late)

    def schedule_missed(self, times: int) -> None:
        """So many times of a schedule passed without a job."""
        self._missed.inc(times)

    def status_written(self, phase: str) -> None:
        """The status of a FluidJob was written with this phase."""
        self._status_writes[phase].inc()

    def hints_read(self, number: int) -> None:
        """So many ids arrived."""
        self._hints.inc(number)

    def event_written(self) -> None:
        """An event was written."""
        self._events.inc()

    def event_lost(self, why: Loss) -> None:
        """An event will never be written."""
        self._events_lost[why].inc()

    def retention_deleted(self, reason: Why) -> None:
        """A finished FluidJob was deleted."""
        self._deletions[reason].inc()

    def retention_postponed(self, obstacle: Obstacle) -> None:
        """A finished FluidJob could not be deleted, for now."""
        self._postponed[obstacle].inc()

    def ledger_written(self, entries: int) -> None:
        """So many outcomes were kept."""
        self._ledger_entries.inc(entries)

    # -- environments -------------------------------------------------------------------------------------------------

    def redis_up(self, environment: ObjectKey, up: bool) -> None:
        """Redis of this environment was tried."""
        self._redis_up.labels(*environment).set(up)

    def environment_gone(self, environment: ObjectKey) -> None:
        """The environment does not exist any more."""
        self._redis_up.remove(*environment)
        self.loads.forget(environment)

    # -- the webhook --------------------------------------------------------------------------------------------------

    def _count_reviews(self) -> None:
        reviews = Counter(
            "fluid_operator_admission_reviews",
            "Requests to the webhook: allowed; refused; unchecked (let pass because something was not known, or not in "
            "time); malformed (no review); late (not read in time, or too many at once).",
            ["outcome"],
            registry=self.registry,
        )
        self._reviews = {outcome: reviews.labels(outcome) for outcome in REVIEW_OUTCOMES}
        self._review_seconds = Histogram(
            "fluid_operator_admission_review_duration_seconds",
            "How long the webhook's answers took.",
            buckets=_REVIEW_SECONDS,
            registry=self.registry,
        )
        self._certificate_end = Gauge(
            "fluid_operator_admission_certificate_expiry_timestamp_seconds",
            "When the certificate that the webhook serves with ends; 0 without one.",
            registry=self.registry,
        )

    def admission_asked(self, heard: Heard, seconds: float) -> None:
        """The webhook has answered a request."""
        self._reviews[heard].inc()
        self._review_seconds.observe(seconds)

    def admission_certificate(self, ends: float) -> None:
        """The webhook serves with a certificate until then, in seconds since the epoch."""
        self._certificate_end.set(ends)


class Readings(Collector):
    """What is read from the present term when somebody asks. Without a term, every series is there as zero."""

    def __init__(self) -> None:
        self._queues: dict[str, WorkQueue] = {}
        self._phases: Callable[[], Mapping[str, int]] = dict
        self._lists: Callable[[], int] = int

    @contextmanager
    def queue(self, controller: str, queue: WorkQueue) -> Iterator[None]:
        """Show the depth of this work queue inside the block."""
        self._queues[controller] = queue
        try:
            yield
        finally:
            del self._queues[controller]

    @contextmanager
    def jobs(self, phases: Callable[[], Mapping[str, int]], lists: Callable[[], int]) -> Iterator[None]:
        """Show the FluidJobs by phase, and how often they were listed in full, inside the block."""
        self._phases, self._lists = phases, lists
        try:
            yield
        finally:
            self._phases, self._lists = dict, int

    def collect(self) -> Iterator[Metric]:
        """Called by the registry."""
        yield self._depth()
        phases = self._phases()
        jobs = GaugeMetricFamily("fluid_operator_fluidjobs", "FluidJobs that exist, by phase.", labels=["phase"])
        for phase in Phase:
            jobs.add_metric([phase.value], phases.get(phase.value, 0))
        yield jobs
        lists = CounterMetricFamily(
            "fluid_operator_informer_lists",
            "Full lists in this term; more than one for each namespace means that watches were lost.",
            labels=["resource"],
        )
        lists.add_metric([FLUID_JOBS.plural], self._lists())
        yield lists

    def _depth(self) -> Metric:
        depth = GaugeMetricFamily(
            "fluid_operator_workqueue_depth",
            "Objects in a work queue: waiting for a worker, being processed, or delayed until a time.",
            labels=["controller", "state"],
        )
        for name in CONTROLLERS:
            queue = self._queues.get(name)
            depth.add_metric([name, "waiting"], queue.depth if queue else 0)
            depth.add_metric([name, "processing"], queue.processing if queue else 0)
            depth.add_metric([name, "delayed"], queue.delayed if queue else 0)
        return depth
