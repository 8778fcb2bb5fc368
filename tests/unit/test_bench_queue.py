"""How the queue's benchmark counts: rates and starts, and what its goals are."""

from pathlib import Path

import pytest

from benchmarks.common import goals
from benchmarks.queue import measures
from benchmarks.queue.measures import UNITS, first_starts, rate, repeated

GOALS = Path(measures.__file__).parent / "goals.yaml"
SECOND = 1_000_000_000


def starts(*moments: float) -> list[tuple[str, int]]:
    return [(f"job-{number}", int(moment * SECOND)) for number, moment in enumerate(moments)]


def test_a_rate_counts_the_jobs_between_the_first_and_the_last():
    assert rate({"1": starts(10, 10.5, 11, 11.5, 12)}) == 2.0


def test_the_rate_of_two_processes_is_that_of_the_time_in_which_both_worked():
    assert rate({"1": starts(0, 1, 2, 3, 4), "2": starts(2, 3, 4, 5, 6)}) == pytest.approx(2.5)


def test_what_was_started_twice_is_counted_once_and_told():
    twice = {"1": [("a", 5), ("b", 6)], "2": [("a", 3)]}
    assert first_starts(twice) == {"a": 3, "b": 6}
    assert repeated(twice) == 1


def test_the_goals_of_the_file_are_readable_and_those_of_the_design():
    found = {(each.name, each.peer): (str(each.must), str(each.stretch)) for each in goals.read(GOALS, UNITS)}
    assert found["noop_concurrency_100", "dramatiq, 8 threads"] == (">= 5x", ">= 8x")
    assert found["noop_concurrency_100", "bullmq on Node"][0] == ">= 1x"
    assert found["idle_pickup_p99", None] == ("<= 10", "<= 4")
    assert found["recovery", None][0] == "<= 16"
    assert {name for name, _ in found} <= set(UNITS)
