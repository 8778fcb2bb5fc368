"""How the benchmarks count and judge: percentiles, goals, rows."""

import json

import pytest

from benchmarks.common import command
from benchmarks.common.errors import BenchmarkError, GoalError
from benchmarks.common.goals import Bound, Goal
from benchmarks.common.measures import Results, percentile
from benchmarks.common.report import not_judged, rows

UNITS = {"speed": "jobs/s", "wait": "ms"}


def goal(**changes: str) -> Goal:
    entry = {"name": "speed", "unit": "jobs/s", "peer": "other", "must": ">= 5x", "stretch": ">= 8x"}
    return Goal.parse({key: value for key, value in (entry | changes).items() if value}, UNITS)


def results(**values: float) -> Results:
    found = Results()
    for side, value in values.items():
        found.add(side, {"speed": value})
    return found


def test_a_percentile_is_a_value_that_was_measured():
    assert percentile([5, 1, 4, 2, 3], 50) == 3
    assert percentile(range(1, 101), 99) == 99
    assert percentile([7], 99) == 7


@pytest.mark.parametrize(("ours", "met", "stretch"), [(79.0, True, False), (80.0, True, True), (49.0, False, False)])
def test_a_ratio_is_judged_against_the_peer_of_the_same_run(ours, met, stretch):
    (row,) = rows(results(us=ours, other=10.0), [goal()], "us", UNITS)
    assert (row.met, row.stretch_met, row.ratio) == (met, stretch, pytest.approx(ours / 10))


def test_a_value_is_judged_without_a_peer_and_peers_stand_below_it():
    found = Results()
    found.add("us", {"wait": 2.5})
    found.add("other", {"wait": 5.0})
    limit = Goal.parse({"name": "wait", "unit": "ms", "must": "<= 2"}, UNITS)
    judged, compared = rows(found, [limit], "us", UNITS)
    assert (judged.peer, judged.must, judged.met) == (None, "<= 2", False)
    assert (compared.peer, compared.must, compared.met, compared.ratio) == ("other", None, True, 0.5)


def test_a_stretch_without_a_must_is_shown_and_cannot_be_missed():
    (row,) = rows(results(us=6.0, other=10.0), [goal(must="", stretch=">= 0.7x")], "us", UNITS)
    assert (row.must, row.met, row.stretch, row.stretch_met) == (None, True, ">= 0.7x", False)


def test_the_median_of_the_repetitions_counts():
    found = results(us=10.0, other=1.0)
    found.add("us", {"speed": 90.0})
    found.add("us", {"speed": 60.0})
    assert rows(found, [], "us", UNITS)[0].ours == 60.0


def test_a_goal_without_its_peer_is_named_and_not_judged():
    found = results(us=10.0)
    assert [(row.peer, row.must, row.met) for row in rows(found, [goal()], "us", UNITS)] == [(None, None, True)]
    unmeasured = Goal.parse({"name": "wait", "unit": "ms", "must": "<= 2"}, UNITS)
    assert not_judged(found, [goal(), unmeasured], "us") == [goal()]


def test_a_row_is_json_with_these_keys():
    (row,) = rows(results(us=50.0, other=10.0), [goal()], "us", UNITS)
    assert json.loads(json.dumps(row.to_json())) == {
        "name": "speed",
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
        ({"must": "", "stretch": ""}, "neither must nor stretch"),
    ],
)
def test_a_goal_that_cannot_be_judged_is_refused_by_name(changes, problem):
    with pytest.raises(GoalError, match=problem):
        goal(**changes)


def test_a_bound_reads_as_it_was_written():
    for text in (">= 5x", "<= 2", ">= 0.5x"):
        assert str(Bound.parse("any", text)) == text


def test_a_missed_must_ends_the_command_after_the_rows_are_written(tmp_path):
    out = tmp_path / "new folder" / "rows.json"
    with pytest.raises(BenchmarkError, match="missed: speed >= 5x"):
        command.conclude("T", results(us=40.0, other=10.0), [goal()], us="us", units=UNITS, out=out)
    assert [(row["ours"], row["met"]) for row in json.loads(out.read_text())] == [(40.0, False)]


def test_a_quick_run_misses_nothing_since_it_is_too_short_to_judge_by(tmp_path):
    out = tmp_path / "rows.json"
    command.conclude("T", results(us=40.0, other=10.0), [goal()], us="us", units=UNITS, out=out, strict=False)
    assert [row["met"] for row in json.loads(out.read_text())] == [False]
