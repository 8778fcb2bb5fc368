"""How the queue's benchmark counts and judges: rates, percentiles, goals, rows."""

import json
from pathlib import Path

import pytest

from benchmarks.queue import goals
from benchmarks.queue.errors import GoalError
from benchmarks.queue.goals import Bound, Goal
from benchmarks.queue.measures import UNITS, Results, first_starts, percentile, rate, repeated
from benchmarks.queue.report import not_judged, rows

GOALS = Path(goals.__file__).parent / "goals.yaml"
SECOND = 1_000_000_000


def starts(*moments: float) -> list[tuple[str, int]]:
    return [(f"job-{number}", int(moment * SECOND)) for number, moment in enumerate(moments)]


def goal(**changes: str) -> Goal:
    entry = {"name": "noop_concurrency_100", "unit": "jobs/s", "peer": "other", "must": ">= 5x", "stretch": ">= 8x"}
    return Goal.parse({key: value for key, value in (entry | changes).items() if value})


def results(**values: float) -> Results:
    found = Results()
    for side, value in values.items():
        found.add(side, {"noop_concurrency_100": value})
    return found


def test_a_rate_counts_the_jobs_between_the_first_and_the_last():
    assert rate({"1": starts(10, 10.5, 11, 11.5, 12)}) == 2.0


def test_the_rate_of_two_processes_is_that_of_the_time_in_which_both_worked():
    assert rate({"1": starts(0, 1, 2, 3, 4), "2": starts(2, 3, 4, 5, 6)}) == pytest.approx(2.5)


def test_a_percentile_is_a_value_that_was_measured():
    assert percentile([5, 1, 4, 2, 3], 50) == 3
    assert percentile(range(1, 101), 99) == 99
    assert percentile([7], 99) == 7


def test_what_was_started_twice_is_counted_once_and_told():
    twice = {"1": [("a", 5), ("b", 6)], "2": [("a", 3)]}
    assert first_starts(twice) == {"a": 3, "b": 6}
    assert repeated(twice) == 1


@pytest.mark.parametrize(("ours", "met", "stretch"), [(79.0, True, False), (80.0, True, True), (49.0, False, False)])
def test_a_ratio_is_judged_against_the_peer_of_the_same_run(ours, met, stretch):
    (row,) = rows(results(us=ours, other=10.0), [goal()], "us")
    assert (row.met, row.stretch_met, row.ratio) == (met, stretch, pytest.approx(ours / 10))


def test_a_value_is_judged_without_a_peer_and_peers_stand_below_it():
    found = Results()
    found.add("us", {"idle_pickup_p50": 2.5})
    found.add("other", {"idle_pickup_p50": 5.0})
    limit = Goal.parse({"name": "idle_pickup_p50", "unit": "ms", "must": "<= 2"})
    judged, compared = rows(found, [limit], "us")
    assert (judged.peer, judged.must, judged.met) == (None, "<= 2", False)
    assert (compared.peer, compared.must, compared.met, compared.ratio) == ("other", None, True, 0.5)


def test_the_median_of_the_repetitions_counts():
    found = results(us=10.0, other=1.0)
    found.add("us", {"noop_concurrency_100": 90.0})
    found.add("us", {"noop_concurrency_100": 60.0})
    assert rows(found, [], "us")[0].ours == 60.0


def test_a_goal_without_its_peer_is_named_and_not_judged():
    found = results(us=10.0)
    assert rows(found, [goal()], "us") == []
    unmeasured = Goal.parse({"name": "idle_pickup_p50", "unit": "ms", "must": "<= 2"})
    assert not_judged(found, [goal(), unmeasured], "us") == [goal()]


def test_a_row_is_json_with_these_keys():
    (row,) = rows(results(us=50.0, other=10.0), [goal()], "us")
    assert json.loads(json.dumps(row.to_json())) == {
        "name": "noop_concurrency_100",
        "unit": "jobs/s",
        "ours": 50.0,
        "peer": "other",
        "peer_value": 10.0,
        "ratio": 5.0,
        "must": ">= 5x",
        "stretch": ">= 8x",
        "met": True,
    }


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"must": "5x"}, "'5x' is no bound"),
        ({"must": ">= 5"}, "a ratio needs a peer"),
        ({"peer": ""}, "a ratio needs a peer"),
        ({"unit": "ms"}, "no measure of this name in ms"),
        ({"name": "noop"}, "no measure of this name"),
        ({"stretchy": ">= 8x"}, "does not know stretchy"),
    ],
)
def test_a_goal_that_cannot_be_judged_is_refused_by_name(changes, problem):
    with pytest.raises(GoalError, match=problem):
        goal(**changes)


def test_the_goals_of_the_file_are_readable_and_those_of_the_design():
    found = {(each.name, each.peer): (str(each.must), str(each.stretch)) for each in goals.read(GOALS)}
    assert found["noop_concurrency_100", "dramatiq, 8 threads"] == (">= 5x", ">= 8x")
    assert found["noop_concurrency_100", "bullmq on Node"][0] == ">= 1x"
    assert found["idle_pickup_p99", None] == ("<= 10", "<= 4")
    assert found["recovery", None][0] == "<= 16"
    assert {name for name, _ in found} <= set(UNITS)


def test_a_bound_reads_as_it_was_written():
    for text in (">= 5x", "<= 2", ">= 0.5x"):
        assert str(Bound.parse("any", text)) == text
