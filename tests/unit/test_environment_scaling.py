"""How many workers a pool should have: up by age, then by backlog, down by time, and never out of bounds."""

import itertools
import math
from collections import deque
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fluid_operator.api.fluidenvironment import FluidEnvironmentSpec
from fluid_operator.api.meta import parse
from fluid_operator.api.pools import WorkerPool
from fluid_operator.environments.scaling import (
    START_SECONDS,
    UTILIZATION,
    Bounds,
    Load,
    PoolScaler,
    autoscaled,
    by_keda,
    load_of,
    needed_for,
    scaled,
)
from fluid_queue import Durations, Histogram, QueueStats, Stats, TypeStats

TEN = Bounds(least=1, most=10, concurrency=10, target_seconds=5, window_seconds=300)
FROM_ZERO = TEN._replace(least=0)
IDLE = Load()
LATE = Load(waiting=1000, active=10, oldest_seconds=6)


def pool(**fields):
    return parse(WorkerPool, {"name": "default", **fields})


def spec(*queues, **fields):
    return parse(FluidEnvironmentSpec, {"redis": {"managed": {}}, "queues": list(queues), **fields})


def queue(name, waiting=0, active=0, *, age=0.0, **fields):
    return QueueStats(name, waiting, active, 0, age, 0, 0, 0, **fields)


def ran(seconds, times=1):
    histogram = Histogram([times], seconds * times)
    return Durations(histogram, histogram)


def load(*queues, of=None, pool_of=None, **more):
    return load_of(Stats(1, queues), of or spec(), pool_of or pool(), **more)


def decide(bounds, work, replicas, ready=None, scaler=None, now=0.0):
    return (scaler or PoolScaler()).decide(bounds, work, replicas, replicas if ready is None else ready, now).replicas


# -- what the spec says ------------------------------------------------------------------------------------------------


def test_unset_bounds_are_those_that_the_fields_describe():
    assert Bounds.of(pool()) == Bounds(1, 1, 50, 5, 300)


def test_bounds_are_those_of_the_pool():
    wanted = pool(
        minReplicas=0,
        maxReplicas=7,
        concurrency=3,
        autoscaling={"targetLatencySeconds": 20, "stabilizationWindowSeconds": 0},
    )
    assert Bounds.of(wanted) == Bounds(0, 7, 3, 20, 0)


PROVIDERS = {
    "a fixed number": ({"minReplicas": 2}, (False, False, False)),
    "equal bounds": ({"minReplicas": 2, "maxReplicas": 2, "autoscaling": {"provider": "KEDA"}}, (False, False, False)),
    "unset": ({"maxReplicas": 2}, (True, True, False)),
    "built in": ({"maxReplicas": 2, "autoscaling": {"provider": "BuiltIn"}}, (True, True, False)),
    "KEDA": ({"maxReplicas": 2, "autoscaling": {"provider": "KEDA"}}, (True, False, True)),
}


@pytest.mark.parametrize("case", PROVIDERS)
def test_a_pool_is_scaled_by_one_of_them_or_not_at_all(case):
    fields, want = PROVIDERS[case]
    asked = pool(**fields)
    assert (autoscaled(asked), scaled(asked), by_keda(asked)) == want


def test_who_needs_a_worker_for_something_else_gets_it_beyond_the_bounds():
    assert FROM_ZERO.at_least(1) == TEN
    assert TEN.at_least(20)[:2] == (20, 20)
    assert decide(FROM_ZERO.at_least(1), IDLE, 0) == 1


# -- the load of a pool ------------------------------------------------------------------------------------------------


def test_all_queues_count_for_a_pool_that_works_on_all():
    assert load(queue("a", 3, 1, age=2), queue("b", 4, 2, age=9)) == Load(7, 3, 0, 9)


def test_other_pools_queues_do_not_count():
    mail = pool(queues=["mail"])
    assert load(queue("mail", 3, 1, age=2), queue("sync", 4, 2, age=9), pool_of=mail) == Load(3, 1, 0, 2)


def test_nothing_of_a_suspended_environment_can_start():
    assert load(queue("a", 3, 1, age=2), of=spec(suspend=True)) == Load(active=1)


HELD = {"QueuePaused": Load(active=1), "RateLimited": Load(active=1, held=3), "CircuitOpen": Load(active=1, held=3)}


@pytest.mark.parametrize("reason", HELD)
def test_jobs_of_a_queue_that_starts_nothing_do_not_call_for_workers(reason):
    assert load(queue("a", 3, 1, age=99, held_by=reason)) == HELD[reason]


def test_no_more_jobs_count_than_a_queue_may_run_at_once():
    limited = spec({"name": "a", "concurrency": 5})
    assert load(queue("a", 100, 2, age=9), of=limited) == Load(3, 2, 0, 9)
    assert load(queue("a", 100, 5, age=9), of=limited) == Load(0, 5, 100)


def test_no_more_jobs_count_than_a_rate_can_keep_running():
    limited = spec({"name": "a", "rateLimit": {"max": 10, "perSeconds": 1}})
    of_half_a_second = {"a": {"x": ran(0.5)}}
    found = load(
        queue("a", 1000, 4, age=9, types={"x": TypeStats(waiting=1000)}), of=limited, durations=of_half_a_second
    )
    assert found == Load(7, 4, 0, 9, 0.5)


def test_before_any_job_has_run_a_rate_is_what_may_start_in_its_time():
    limited = spec({"name": "a", "rateLimit": {"max": 10, "perSeconds": 60}})
    assert load(queue("a", 1000, age=9), of=limited) == Load(10, 0, 0, 9)


def test_the_time_that_a_job_will_run_is_that_of_its_type():
    types = {"short": TypeStats(waiting=90), "long": TypeStats(waiting=10), "done": TypeStats()}
    known = {"a": {"short": ran(1, 5), "long": ran(11, 2), "gone": ran(500)}}
    assert load(queue("a", 100, types=types), durations=known).run_seconds == pytest.approx(2.0)


def test_a_queue_of_which_nothing_is_known_does_not_change_the_time():
    types = {"x": TypeStats(waiting=1)}
    found = load(queue("a", 1, types=types), queue("b", 99), durations={"a": {"x": ran(3)}})
    assert found.run_seconds == 3


# -- up ----------------------------------------------------------------------------------------------------------------


def test_a_job_that_waits_too_long_calls_workers():
    scaler = PoolScaler()
    decision = scaler.decide(TEN, LATE, 2, 2, 0)
    assert decision.replicas == 6
    assert decision.reason == "From 2 to 6 workers: the oldest job has waited 6 s, and 5 s are the target."


def test_a_job_that_waits_no_longer_than_wanted_calls_nobody():
    assert decide(TEN, replace(LATE, oldest_seconds=5), 2) == 2


def test_a_step_doubles_the_workers_where_that_is_more_than_four():
    assert decide(TEN._replace(most=100), LATE, 20) == 40


def test_no_worker_is_called_that_would_have_nothing_to_do():
    assert decide(TEN, Load(waiting=15, active=10, oldest_seconds=60), 1) == 3


def test_free_places_are_no_reason_for_workers():
    assert decide(TEN, Load(waiting=5, active=5, oldest_seconds=60), 1) == 1


def test_the_next_step_waits_until_the_workers_of_the_last_one_are_ready():
    scaler = PoolScaler()
    assert decide(TEN, LATE, 2, scaler=scaler) == 6
    assert decide(TEN, LATE, 6, ready=5, scaler=scaler, now=5) == 6
    assert decide(TEN, LATE, 6, ready=6, scaler=scaler, now=6) == 10


def test_workers_that_never_get_ready_do_not_stop_the_steps_for_good():
    scaler = PoolScaler()
    assert decide(TEN, LATE, 2, scaler=scaler) == 6
    assert decide(TEN, LATE, 6, ready=2, scaler=scaler, now=START_SECONDS - 1) == 6
    assert decide(TEN, LATE, 6, ready=2, scaler=scaler, now=START_SECONDS) == 10


def test_a_backlog_that_would_take_too_long_calls_as_many_as_it_takes():
    scaler = PoolScaler()
    backlog = Load(waiting=70, active=20, oldest_seconds=0.1, run_seconds=2)
    decision = scaler.decide(TEN, backlog, 2, 2, 0)
    assert decision.replicas == 3
    assert decision.reason == (
        "From 2 to 3 workers: the last of 70 waiting jobs would wait 7 s, and 5 s are the target."
    )


def test_a_backlog_of_jobs_of_unknown_length_calls_nobody():
    assert decide(TEN, Load(waiting=1000, active=20), 2) == 2


def test_a_sleeping_pool_wakes_for_a_single_job():
    decision = PoolScaler().decide(FROM_ZERO, Load(waiting=1), 0, 0, 0)
    assert decision == (1, "From 0 to 1 worker: 1 job waits.")


def test_a_sleeping_pool_begins_with_no_more_than_four():
    assert decide(FROM_ZERO, Load(waiting=25), 0) == 3
    assert decide(FROM_ZERO, Load(waiting=5000), 0) == 4
    assert decide(FROM_ZERO._replace(most=2), Load(waiting=5000), 0) == 2


def test_a_queue_that_is_held_back_keeps_one_worker_awake():
    circuit_open = Load(held=5000)
    assert decide(FROM_ZERO, circuit_open, 0) == 1
    assert decide(FROM_ZERO._replace(window_seconds=0), circuit_open, 3) == 1


def test_jobs_that_others_run_wake_nobody():
    assert decide(FROM_ZERO, Load(active=3), 0) == 0


# -- down --------------------------------------------------------------------------------------------------------------


def test_workers_go_only_after_fewer_would_have_been_enough_for_the_whole_window():
    scaler = PoolScaler()
    for now in range(0, 300, 4):
        assert decide(TEN, IDLE, 8, scaler=scaler, now=now) == 8
    decision = scaler.decide(TEN, IDLE, 8, 8, 300)
    assert decision == (1, "From 8 to 1 worker: for 300 s no more would have been needed.")


def test_no_fewer_stay_than_the_busiest_moment_of_the_window_needed():
    scaler = PoolScaler()
    for now in range(0, 600, 4):
        busy = Load(active=32) if now == 400 else IDLE
        last = decide(TEN, busy, 8 if now < 300 else 4, scaler=scaler, now=now)
    assert last == 4


def test_a_pool_sleeps_only_when_nothing_waits_and_nothing_runs():
    quick = FROM_ZERO._replace(window_seconds=0)
    assert decide(quick, Load(active=1), 1) == 1
    assert decide(quick, Load(waiting=1), 1) == 1
    assert decide(quick, Load(held=1), 1) == 1
    assert decide(quick, IDLE, 1) == 0


def test_after_a_restart_no_worker_goes_before_a_window_has_passed():
    assert decide(TEN, IDLE, 8, now=12345) == 8


def test_workers_that_somebody_adds_by_hand_stay_for_a_window():
    scaler = PoolScaler()
    for now in range(0, 400, 4):
        decide(TEN, IDLE, 1, scaler=scaler, now=now)
    for now in range(400, 700, 4):
        assert decide(TEN, IDLE, 7, scaler=scaler, now=now) == 7
    assert decide(TEN, IDLE, 7, scaler=scaler, now=704) == 1


def test_who_carries_a_decision_out_slowly_does_not_take_it_back():
    scaler = PoolScaler()
    for now in range(0, 300, 4):
        decide(TEN, IDLE, 8, scaler=scaler, now=now)
    assert [decide(TEN, IDLE, found, scaler=scaler, now=now) for now, found in [(300, 8), (304, 8), (320, 1)]] == [
        1
    ] * 3


def test_other_bounds_hold_at_once():
    scaler = PoolScaler()
    assert decide(TEN, IDLE, 8, scaler=scaler) == 8
    less = scaler.decide(TEN._replace(most=3), IDLE, 8, 8, 1)
    assert less == (3, "From 8 to 3 workers: there are to be at most 3.")
    more = scaler.decide(TEN._replace(least=5), IDLE, 3, 3, 2)
    assert more == (5, "From 3 to 5 workers: there are to be at least 5.")


# -- always ------------------------------------------------------------------------------------------------------------


@st.composite
def bounds_of_any_kind(draw):
    least = draw(st.integers(0, 20))
    return Bounds(
        least,
        draw(st.integers(max(1, least), 60)),
        draw(st.integers(1, 100)),
        draw(st.integers(1, 60)),
        draw(st.sampled_from([0, 30, 300])),
    )


LOADS = st.builds(
    Load,
    waiting=st.integers(0, 5000),
    active=st.integers(0, 500),
    held=st.integers(0, 5),
    oldest_seconds=st.floats(0, 600),
    run_seconds=st.none() | st.floats(0.001, 600),
)


@given(
    bounds_of_any_kind(), st.lists(st.tuples(LOADS, st.integers(0, 80), st.integers(0, 80)), min_size=1, max_size=20)
)
def test_a_decision_is_always_within_the_bounds(bounds, looks):
    scaler = PoolScaler()
    for turn, (work, replicas, ready) in enumerate(looks):
        decision = scaler.decide(bounds, work, replicas, min(ready, replicas), turn * 4.0)
        assert bounds.least <= decision.replicas <= bounds.most
        assert bool(decision.reason) == (decision.replicas != replicas)


@given(bounds_of_any_kind(), LOADS, LOADS, st.integers(0, 60))
def test_more_load_never_means_fewer_workers(bounds, one, other, replicas):
    known = [seconds for seconds in (one.run_seconds, other.run_seconds) if seconds is not None]
    more = Load(
        max(one.waiting, other.waiting),
        max(one.active, other.active),
        max(one.held, other.held),
        max(one.oldest_seconds, other.oldest_seconds),
        max(known, default=None),
    )
    assert decide(bounds, more, replicas) >= decide(bounds, one, replicas)


@given(bounds_of_any_kind(), LOADS, st.integers(0, 60))
def test_under_a_load_that_stays_the_number_comes_to_rest(bounds, work, replicas):
    scaler, numbers = PoolScaler(), []
    for now in range(0, 1000, 4):
        replicas = decide(bounds, work, replicas, scaler=scaler, now=now)
        numbers.append(replicas)
    assert len(set(numbers[-100:])) == 1
    turns = [after - before for before, after in itertools.pairwise(numbers) if after != before]
    assert all(change > 0 for change in turns) or all(change < 0 for change in turns)


@given(bounds_of_any_kind(), st.lists(LOADS, min_size=1, max_size=60))
def test_no_worker_goes_that_was_needed_within_the_window(bounds, loads):
    scaler, replicas, needs = PoolScaler(), bounds.most, []
    for turn, work in enumerate(loads):
        now = turn * 4.0
        needs.append((now, bounds.clamp(needed_for(bounds, work))))
        decided = decide(bounds, work, replicas, scaler=scaler, now=now)
        if decided < replicas:
            assert decided >= max(need for at, need in needs if at >= now - bounds.window_seconds)
        replicas = decided


# -- a pool that works -------------------------------------------------------------------------------------------------


class ModelPool:
    """Jobs that arrive evenly and run equally long, and workers that take ten seconds to start. Somebody looks every
    four seconds; what happens in between happens in half seconds."""

    TICK, LOOK, START = 0.5, 4.0, 10.0

    def __init__(self, bounds, per_second, run_seconds, replicas):
        self.bounds, self.per_second, self.run_seconds = bounds, per_second, run_seconds
        self.scaler = PoolScaler()
        self.now, self.called_at = 0.0, 0.0
        self.replicas, self.ready = replicas, replicas
        self.due = 0.0
        self.waiting = deque()
        """When each waiting job arrived."""
        self.ends = deque()
        """When each running job ends."""
        self.history = []

    def run(self, seconds):
        until = self.now + seconds
        while self.now < until:
            self._tick()
            if self.now % self.LOOK == 0:
                self.look()

    def _tick(self):
        self.now += self.TICK
        if self.now - self.called_at >= self.START:
            self.ready = self.replicas
        while self.ends and self.ends[0] <= self.now:
            self.ends.popleft()
        self.due += self.per_second * self.TICK
        while self.due >= 1:
            self.due -= 1
            self.waiting.append(self.now)
        while self.waiting and len(self.ends) < self.ready * self.bounds.concurrency:
            self.waiting.popleft()
            self.ends.append(self.now + self.run_seconds)

    def look(self):
        oldest = self.now - self.waiting[0] if self.waiting else 0.0
        work = Load(len(self.waiting), len(self.ends), oldest_seconds=oldest, run_seconds=self.run_seconds)
        wanted = self.scaler.decide(self.bounds, work, self.replicas, self.ready, self.now).replicas
        if wanted > self.replicas:
            self.called_at = self.now
        self.ready, self.replicas = min(self.ready, wanted), wanted
        self.history.append((self.now, wanted, oldest))


LASTING = {"few long jobs": (2.0, 8.0), "many middling jobs": (20.0, 2.0), "a single worker's work": (0.5, 4.0)}


@pytest.mark.parametrize("case", LASTING)
@pytest.mark.parametrize("replicas", [0, 1, 30])
def test_a_pool_under_steady_work_finds_its_number_and_keeps_it(case, replicas):
    per_second, run_seconds = LASTING[case]
    bounds = Bounds(0, 30, 5, 5, 300)
    model = ModelPool(bounds, per_second, run_seconds, replicas)
    model.run(3600)
    last = [(wanted, oldest) for now, wanted, oldest in model.history if now > 1800]
    assert len({wanted for wanted, _ in last}) == 1
    busy = per_second * run_seconds / bounds.concurrency
    assert busy <= last[-1][0] <= math.ceil(busy / UTILIZATION)
    assert max(oldest for _, oldest in last) <= bounds.target_seconds


def test_a_pool_without_work_goes_to_sleep_and_wakes_again():
    model = ModelPool(Bounds(0, 30, 5, 5, 300), 4.0, 4.0, 0)
    model.run(1200)
    assert model.replicas > 0
    model.per_second = 0.0
    model.run(60)
    assert model.replicas > 0
    model.run(900)
    assert model.replicas == 0
    model.per_second = 4.0
    model.run(ModelPool.LOOK)
    assert model.replicas > 0
