"""How many workers a pool should have: by the age of its oldest waiting job first, by its backlog second, and fewer
only after fewer would have been enough for a while, as a HorizontalPodAutoscaler does it.

Pure but for the memory of one pool's last recommendations, which a restart loses: until a window has passed after
that, no worker goes. What counts is only what another worker could do. A queue that is paused, has used up its rate
limit, is stopped by its circuit breaker or runs as many jobs as its limit lets it would not be any faster with more.
Nothing is known here of Deployments, or of who carries a decision out.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final, NamedTuple

from fluid_operator.api.fluidenvironment import FluidEnvironmentSpec
from fluid_operator.api.pools import (
    CONCURRENCY,
    STABILIZATION_SECONDS,
    TARGET_LATENCY_SECONDS,
    Autoscaling,
    AutoscalingProvider,
    WorkerPool,
)
from fluid_operator.api.queues import QueueSettings
from fluid_queue import Durations, QueueStats, Stats

WANTED_WORKERS: Final = "fluid_operator_pool_wanted_workers"
"""The metric that tells a decision to whoever carries it out instead of the operator."""

UTILIZATION: Final = 0.8
"""The share of a pool's places that may be taken when workers go; the rest is for the next jobs."""
STEP_FACTOR: Final = 2
STEP_WORKERS: Final = 4
"""A step goes to twice the workers, or to so many more where that is more: what a HorizontalPodAutoscaler permits."""
START_SECONDS: Final = 60.0
"""New workers may take so long to get ready before others are started on top of them."""
_RATE_SPARE: Final = 2
"""Times the places that a rate limit lets jobs fill on average, as no two jobs take equally long."""

RunSeconds = Mapping[str, Mapping[str, Durations]]
"""How long jobs have run, by queue and type, as far as that is known."""


@dataclass(frozen=True, slots=True)
class Load:
    """What a pool has to do.

    `waiting`: jobs that would start now, had they a worker; `oldest_seconds`: how long the first of them waits.
    `active`: jobs that run. `held`: waiting jobs of queues that start no more for now, because they run as many as they
    may, have used up their rate, or have an open circuit: a single worker is enough to see to these. `run_seconds`: how
    long a waiting job will run on average, None when nobody knows.

    Jobs of queues that several pools work on count for each of these, since any of them may have to run them alone.
    """

    waiting: int = 0
    active: int = 0
    held: int = 0
    oldest_seconds: float = 0.0
    run_seconds: float | None = None


class Bounds(NamedTuple):
    """What the spec says about the number of workers. `concurrency`: jobs that one worker runs at once."""

    least: int
    most: int
    concurrency: int
    target_seconds: float
    window_seconds: float

    @classmethod
    def of(cls, pool: WorkerPool) -> Bounds:
        """The bounds of a pool, with what holds where it does not say."""
        least = 1 if pool.min_replicas is None else pool.min_replicas
        scaling = pool.autoscaling or Autoscaling()
        target, window = scaling.target_latency_seconds, scaling.stabilization_window_seconds
        return cls(
            least,
            least if pool.max_replicas is None else pool.max_replicas,
            pool.concurrency or CONCURRENCY,
            TARGET_LATENCY_SECONDS if target is None else target,
            STABILIZATION_SECONDS if window is None else window,
        )

    def at_least(self, workers: int) -> Bounds:
        """The same bounds, but never fewer workers than these: somebody needs them for something else than jobs."""
        least = max(self.least, workers)
        return self._replace(least=least, most=max(self.most, least))

    def clamp(self, workers: int) -> int:
        """The nearest number within the bounds."""
        return max(self.least, min(self.most, workers))


class Decision(NamedTuple):
    """How many workers there should be, and a sentence that says why the number changes, "" when it does not."""

    replicas: int
    reason: str = ""


def autoscaled(pool: WorkerPool) -> bool:
    """Whether the number of workers follows the work, whoever sets it."""
    bounds = Bounds.of(pool)
    return bounds.most > bounds.least


def by_keda(pool: WorkerPool) -> bool:
    """Whether KEDA sets the number."""
    scaling = pool.autoscaling or Autoscaling()
    return autoscaled(pool) and scaling.provider is AutoscalingProvider.KEDA


def scaled(pool: WorkerPool) -> bool:
    """Whether the operator sets the number, by the work."""
    return autoscaled(pool) and not by_keda(pool)


def load_of(stats: Stats, spec: FluidEnvironmentSpec, pool: WorkerPool, durations: RunSeconds | None = None) -> Load:
    """What the pool has to do, from what the queues of its environment say."""
    settings = {each.name: each for each in spec.queues or ()}
    found = [
        _load_of_queue(queue, settings.get(queue.queue), (durations or {}).get(queue.queue, {}), bool(spec.suspend))
        for queue in stats.queues
        if _works_on(pool, queue.queue)
    ]
    return Load(
        waiting=sum(load.waiting for load in found),
        active=sum(load.active for load in found),
        held=sum(load.held for load in found),
        oldest_seconds=max((load.oldest_seconds for load in found), default=0.0),
        run_seconds=_mean((load.waiting, load.run_seconds) for load in found),
    )


def _works_on(pool: WorkerPool, queue: str) -> bool:
    selectors = pool.queues or ["*"]
    return "*" in selectors or queue in selectors


def _load_of_queue(
    queue: QueueStats, settings: QueueSettings | None, durations: Mapping[str, Durations], suspended: bool
) -> Load:
    if suspended or queue.held_by == "QueuePaused":
        return Load(active=queue.active)
    if queue.held_by:
        return Load(active=queue.active, held=queue.waiting)
    run_seconds = _run_seconds(queue, durations)
    places = max(0, _most_active(settings, run_seconds) - queue.active)
    startable = min(queue.waiting, places) if math.isfinite(places) else queue.waiting
    if not startable:
        return Load(active=queue.active, held=queue.waiting)
    return Load(int(startable), queue.active, 0, queue.oldest_seconds, run_seconds)


def _most_active(settings: QueueSettings | None, run_seconds: float | None) -> float:
    """How many jobs of a queue can run at once, whatever the number of workers."""
    if settings is None:
        return math.inf
    most = math.inf if settings.concurrency is None else float(settings.concurrency)
    rate = settings.rate_limit
    if rate is None:
        return most
    if run_seconds is None:
        return min(most, rate.max)
    return min(most, 1 + math.ceil(_RATE_SPARE * run_seconds * rate.max / rate.per_seconds))


def _run_seconds(queue: QueueStats, durations: Mapping[str, Durations]) -> float | None:
    """How long the jobs that wait will run on average: each as those of its type have run so far."""
    return _mean(
        (max(1, queue.types[type_].waiting), found.run.sum_seconds / found.run.count)
        for type_, found in durations.items()
        if found.run.count and type_ in queue.types
    )


def _mean(weighted: Iterable[tuple[int, float | None]]) -> float | None:
    known = [(weight, value) for weight, value in weighted if value is not None and weight > 0]
    weights = sum(weight for weight, _ in known)
    return sum(weight * value for weight, value in known) / weights if weights else None


class PoolScaler:
    """Decides for one pool, and remembers what it would have recommended lately. One for each pool and term."""

    def __init__(self) -> None:
        self._recent: deque[tuple[float, int]] = deque()
        """Recommendations and their times."""
        self._expected = -1
        """The most workers that may be there without anybody else's doing."""
        self._grew_at = -math.inf

    def decide(self, bounds: Bounds, load: Load, replicas: int, ready: int, now: float) -> Decision:
        """How many workers there should be; `now` in monotonic seconds.

        `replicas`: what the Deployment asks for now; `ready`: how many of them are. Call it again with the same load
        only when that was looked at again: each call may be one step.
        """
        if replicas > self._expected:
            # Found at the start, or asked for by somebody: it stands for a window as if we had recommended it.
            self._recent.append((now, replicas))
            self._grew_at = now
        self._recent.append((now, bounds.clamp(needed_for(bounds, load))))
        decided, why = self._decided(bounds, load, replicas, ready, now)
        if decided > replicas:
            self._recent.append((now, decided))
            self._grew_at = now
        self._expected = max(replicas, decided)
        return Decision(decided, "" if decided == replicas else _told(replicas, decided, why))

    def _decided(self, bounds: Bounds, load: Load, replicas: int, ready: int, now: float) -> tuple[int, str]:
        if replicas < bounds.least:
            return bounds.least, f"there are to be at least {bounds.least}"
        within = min(replicas, bounds.most)
        grown, why = self._grown(bounds, load, within, ready, now)
        if grown > within:
            return grown, why
        calm = max(bounds.least, min(within, self._highest(now - bounds.window_seconds)))
        if calm < within:
            return calm, f"for {bounds.window_seconds:g} s no more would have been needed"
        return within, f"there are to be at most {bounds.most}"

    def _grown(self, bounds: Bounds, load: Load, replicas: int, ready: int, now: float) -> tuple[int, str]:
        """The next step up, and why; the present number where none is due."""
        if replicas == 0:
            return _awake(bounds, load)
        if ready < replicas and now - self._grew_at < START_SECONDS:
            return replicas, ""
        step = min(max(STEP_FACTOR * replicas, replicas + STEP_WORKERS), fillable(bounds, load), bounds.most)
        target = bounds.target_seconds
        if load.waiting and load.oldest_seconds > target:
            return step, f"the oldest job has waited {load.oldest_seconds:.0f} s, and {target:g} s are the target"
        enough, last = _for_backlog(bounds, load, ready or replicas)
        why = f"the last of {load.waiting} waiting jobs would wait {last:.0f} s, and {target:g} s are the target"
        return min(step, enough), why

    def _highest(self, since: float) -> int:
        """The highest recommendation since then; older ones are forgotten. The one that was valid at that time still
        counts: what holds from one look to the next is known only by the two."""
        while len(self._recent) > 1 and self._recent[1][0] <= since:
            self._recent.popleft()
        return max(workers for _, workers in self._recent)


def needed_for(bounds: Bounds, load: Load) -> int:
    """Workers that can do with this load without being full, whatever the bounds; none only when nothing waits or
    runs."""
    jobs = load.waiting + load.active
    if jobs:
        return math.ceil(jobs / (UTILIZATION * bounds.concurrency))
    return 1 if load.held else 0


def fillable(bounds: Bounds, load: Load) -> int:
    """Workers that this load could keep busy: more of them would do nothing."""
    return math.ceil((load.waiting + load.active) / bounds.concurrency)


def _awake(bounds: Bounds, load: Load) -> tuple[int, str]:
    """From nothing: a first few workers at once, since nobody else would start a job."""
    if load.waiting:
        workers = min(math.ceil(load.waiting / bounds.concurrency), STEP_WORKERS, bounds.most)
        return workers, f"{load.waiting} {'job waits' if load.waiting == 1 else 'jobs wait'}"
    return (1, "a queue that is held back has jobs") if load.held else (0, "")


def _for_backlog(bounds: Bounds, load: Load, working: int) -> tuple[int, float]:
    """Workers with which the last waiting job would start in time, and how long it would wait as things are."""
    seconds = load.waiting * (load.run_seconds or 0.0) / bounds.concurrency
    last = seconds / working
    return (math.ceil(seconds / bounds.target_seconds) if last > bounds.target_seconds else 0), last


def _told(before: int, after: int, why: str) -> str:
    return f"From {before} to {after} worker{'' if after == 1 else 's'}: {why}."
