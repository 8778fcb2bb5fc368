"""What threatens the jobs in a Redis that works, in words and without noise."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fluid_operator.api.conditions import Reason
from fluid_operator.environments.health import FULL_NO_MORE, NEARLY_FULL, health_of
from fluid_queue import QueueStats, ServerState, Stats

LIMIT = 200 * 1024**2
GOOD = ServerState(
    version=(7, 2, 4), appendonly=True, max_memory=LIMIT, used_memory=0, policy="noeviction", role="master"
)
NO_JOBS = Stats(0, [])


def stats(**circuits: str) -> Stats:
    """Queues that their circuit has stopped, with the error that did it."""
    queues = [
        QueueStats(name, 1, 0, 0, 0.0, 0, 0, 0, held_by="CircuitOpen", circuit_error=error)
        for name, error in circuits.items()
    ]
    return Stats(1, [QueueStats("good", 1, 0, 0, 0.0, 0, 0, 0), *queues])


def used(share: float) -> ServerState:
    return replace(GOOD, used_memory=int(share * LIMIT))


def reasons(*args):
    flaws = health_of(*args)
    assert flaws is not None
    return [flaw.reason for flaw in flaws]


def test_a_redis_that_keeps_every_job_has_no_flaw():
    assert health_of(GOOD, NO_JOBS) == []


def test_of_a_redis_that_is_away_nobody_knows_anything():
    assert health_of(None, None) is None


@pytest.mark.parametrize(
    ("state", "reason", "advice"),
    [
        (replace(GOOD, appendonly=False), Reason.PERSISTENCE_OFF, "Set appendonly to yes"),
        (replace(GOOD, policy="allkeys-lru"), Reason.EVICTION_ON, "Set maxmemory-policy to noeviction"),
        (replace(GOOD, policy="volatile-ttl"), Reason.EVICTION_ON, "policy volatile-ttl"),
        (replace(GOOD, version=(6, 0, 16)), Reason.REDIS_TOO_OLD, "Redis 6.0.16 is too old"),
        (used(0.81), Reason.MEMORY_NEARLY_FULL, "200 MiB"),
    ],
)
def test_each_flaw_says_what_to_do(state, reason, advice):
    (flaw,) = health_of(state, NO_JOBS) or []
    assert flaw.reason is reason
    assert advice in flaw.message


@pytest.mark.parametrize(
    "state",
    [
        ServerState(),
        replace(GOOD, max_memory=0, used_memory=10**12, policy="allkeys-lru"),
        replace(GOOD, max_memory=None, used_memory=10**12),
        replace(GOOD, used_memory=None),
        replace(GOOD, version=(6, 2, 0)),
        replace(GOOD, version=(10, 0)),
        used(0.80),
    ],
)
def test_what_is_not_told_or_does_no_harm_is_no_flaw(state):
    assert health_of(state, NO_JOBS) == []


def test_a_memory_that_hovers_around_the_limit_turns_the_condition_once():
    flaws = health_of(used(0.79), NO_JOBS)
    assert flaws == []
    told = []
    for share in (0.81, 0.79, 0.76, 0.81, 0.76, 0.75, 0.79):
        flaws = health_of(used(share), NO_JOBS, flaws)
        told.append(bool(flaws))
    assert told == [True, True, True, True, True, False, False]


@given(st.lists(st.floats(0, 1), max_size=20))
def test_memory_is_told_above_the_upper_limit_and_never_below_the_lower(shares):
    flaws = None
    for share in shares:
        state = used(share)
        flaws = health_of(state, NO_JOBS, flaws)
        if state.used_memory / LIMIT > NEARLY_FULL:
            assert flaws
        if state.used_memory / LIMIT <= FULL_NO_MORE:
            assert flaws == []


def test_a_message_stays_the_same_while_the_flaw_does():
    first = health_of(used(0.81), NO_JOBS)
    assert health_of(used(0.93), NO_JOBS, first) == first


def test_an_open_circuit_names_the_queue_and_what_its_jobs_failed_with():
    (flaw,) = health_of(GOOD, stats(email="SMTPAuthenticationError")) or []
    assert flaw.reason is Reason.CIRCUIT_OPEN
    assert "email (SMTPAuthenticationError)" in flaw.message
    assert "good" not in flaw.message


def test_many_open_circuits_are_one_flaw_of_bounded_length():
    (flaw,) = health_of(GOOD, stats(**{f"q{n:03}": "E" * 63 for n in range(500)})) or []
    assert "q000" in flaw.message
    assert "and 497 more" in flaw.message
    assert len(flaw.message) < 1024


def test_what_threatens_everything_is_told_before_what_holds_a_queue():
    bad = replace(used(0.9), appendonly=False, policy="allkeys-lru")
    assert reasons(bad, stats(email="E")) == [
        Reason.PERSISTENCE_OFF,
        Reason.EVICTION_ON,
        Reason.MEMORY_NEARLY_FULL,
        Reason.CIRCUIT_OPEN,
    ]


def test_the_half_that_is_not_known_this_time_counts_as_it_did():
    before = health_of(used(0.9), stats(email="E"))
    assert health_of(None, NO_JOBS, before) == before[:1]
    assert health_of(GOOD, None, before) == before[1:]
