"""Who has to go, and when: never what must stay, the earliest end first, no more than may be kept."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fluid_operator.api.fluidenvironment import Retention
from fluid_operator.jobs.keeping import YOUNGEST, Limits, Rules, plan, removable
from support.jobs import view

NOW = 1_800_000_000.0
NO_ENVIRONMENT = Rules({})


def ended(phase="Succeeded", ago=0.0, **fields):
    """A finished object whose run ended so many seconds ago."""
    return view(**{"phase": phase, "run": 1, "observed": 1, "job_id": "u1.1", "finished": NOW - ago} | fields)


def gone(finished, rules=NO_ENVIRONMENT, now=NOW):
    return [(each.name, each.why) for each in plan(finished, rules, now).deletions]


# -- what must stay ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "stays",
    [
        view(),
        ended("Running"),
        ended(generation=2),
        ended(request="retry@2026-12-01T07:00:00Z"),
        ended(deleting=True),
        ended(once=True, job_id="u0.3"),
    ],
    ids=["new", "under way", "changed", "asked to run again", "being deleted", "a mirror that somebody created again"],
)
def test_nothing_is_removable_while_something_is_left_to_do_or_somebody_would_create_it_again(stays):
    assert not removable(stays)


@pytest.mark.parametrize("phase", ["Succeeded", "Failed", "Cancelled"])
def test_what_has_ended_is_removable(phase):
    assert removable(ended(phase))
    assert removable(ended(phase, once=True))
    assert removable(ended(phase, once=True, job_id=""))
    assert removable(ended(phase, once=False, job_id="u0.3"))  # it mirrors, but nobody tracks it any more


# -- time to live -----------------------------------------------------------------------------------------------------


def test_the_own_time_to_live_comes_first_then_the_environments_then_what_is_built_in():
    rules = Rules({"default": Limits(succeeded=100, failed=200), "plain": Limits()}, fallback="default")
    assert rules.seconds(ended(ttl=7, environment="default")) == 7
    assert rules.seconds(ended(ttl=0, environment="default")) == 0
    assert rules.seconds(ended(environment="default")) == 100
    assert rules.seconds(ended("Failed", environment="default")) == 200
    assert rules.seconds(ended("Cancelled", environment="default")) == 200
    assert rules.seconds(ended(environment="plain")) == 3600
    assert rules.seconds(ended("Failed", environment="plain")) == 604_800


def test_an_object_of_no_environment_goes_by_the_one_that_it_would_have_got():
    assert Rules({"default": Limits(succeeded=100)}, fallback="default").seconds(ended()) == 100
    assert Rules({"a": Limits(succeeded=100), "b": Limits()}).seconds(ended()) == 3600
    assert Rules({"a": Limits(succeeded=100)}, fallback="a").seconds(ended(environment="deleted")) == 3600


def test_what_a_schedule_fired_goes_by_its_own_time_to_live_and_no_environments():
    rules = Rules({"default": Limits(succeeded=100, failed=200)}, fallback="default")
    assert rules.seconds(ended(schedule="daily", ttl=7)) == 7
    assert rules.seconds(ended(schedule="daily")) is None
    assert rules.seconds(ended("Failed", schedule="daily")) is None
    assert rules.seconds(ended(schedule="daily", by_hand=True)) == 100


def test_what_a_schedule_fired_counts_when_there_are_too_many():
    finished = {"fired": ended(ago=1e9, schedule="daily"), "other": ended(ago=10)}
    assert gone(finished) == []
    assert gone(finished, Rules({"default": Limits(at_most=1)})) == [("fired", "cap")]


def test_the_name_of_a_schedules_job_stays_taken_for_a_minute_whatever_else_says_it_may_go():
    """Or the request of a former leader, late but still under way, would find it free, and the time would run twice."""
    young = ended(ttl=0, schedule="daily", scheduled=NOW - 60, created=NOW - 59)
    assert plan({"a": young}, NO_ENVIRONMENT, NOW) == ([], NOW + 1)
    assert plan({"a": young}, Rules({"default": Limits(at_most=0)}), NOW) == ([], NOW + 1)
    assert gone({"a": young}, now=NOW + 1) == [("a", "ttl")]
    by_hand = ended(ttl=0, schedule="daily", by_hand=True, created=NOW - 5)
    assert gone({"a": by_hand}) == [("a", "ttl")]


def test_one_that_has_to_stay_for_its_minute_counts_all_the_same():
    young = ended(ago=30, schedule="daily", scheduled=NOW - 60, created=NOW - 40)
    finished = {"young": young, "old": ended(ago=20), "older": ended(ago=25)}
    assert gone(finished, Rules({"default": Limits(at_most=2)})) == [("older", "cap")]


def test_an_environment_sets_what_it_names_and_nothing_else():
    assert Limits.of(None) == Limits(3600, 604_800, 1000)
    assert Limits.of(Retention(succeeded_seconds=0)) == Limits(0, 604_800, 1000)
    assert Limits.of(Retention(failed_seconds=5, max_finished=0)) == Limits(3600, 5, 0)


def test_an_object_goes_when_its_time_is_over_and_the_next_one_is_known():
    finished = {"young": ended(ago=99, ttl=100), "due": ended(ago=100, ttl=100), "late": ended(ago=500, ttl=100)}
    found = plan(finished, NO_ENVIRONMENT, NOW)
    assert [each.name for each in found.deletions] == ["late", "due"]
    assert found.next_at == NOW + 1
    assert plan({}, NO_ENVIRONMENT, NOW) == ([], math.inf)


def test_a_time_to_live_of_nothing_ends_with_the_run():
    assert gone({"a": ended(ttl=0)}) == [("a", "ttl")]


def test_an_end_without_a_time_counts_from_the_creation():
    odd = ended(finished=0.0, created=NOW - 50, ttl=100)
    assert plan({"a": odd}, NO_ENVIRONMENT, NOW) == ([], NOW + 50)


def test_what_an_unreadable_environment_may_want_to_keep_stays():
    rules = Rules({"default": None, "other": Limits(at_most=0)})
    old = {"a": ended(ago=1e9, environment="default"), "b": ended("Failed", ago=1e9, environment="default")}
    assert plan(old, rules, NOW) == ([], math.inf)
    assert gone({**old, "own": ended(ago=2, environment="default", ttl=1)}, rules) == [("own", "ttl")]


# -- too many ---------------------------------------------------------------------------------------------------------


def test_of_too_many_the_earliest_ends_go():
    finished = {name: ended(ago=ago) for name, ago in (("a", 10), ("b", 30), ("c", 20), ("d", 40))}
    assert gone(finished, Rules({"default": Limits(at_most=2)})) == [("d", "cap"), ("b", "cap")]


def test_the_most_generous_environment_of_a_namespace_decides_how_many_may_stay():
    assert Rules({}).at_most == 1000
    assert Rules({"a": Limits(at_most=0)}).at_most == 0
    assert Rules({"a": Limits(at_most=5), "b": Limits(at_most=7)}).at_most == 7
    assert Rules({"a": Limits(at_most=5), "b": Limits()}).at_most == 1000
    assert Rules({"a": Limits(at_most=5), "b": None}).at_most is None


def test_shards_share_what_may_stay():
    assert Rules({"a": Limits(at_most=100)}, shards=3).at_most == 34


times = st.integers(0, 200)
finished_objects = st.dictionaries(
    st.text("abcdef", min_size=1, max_size=4),
    st.builds(
        ended,
        phase=st.sampled_from(["Succeeded", "Failed", "Cancelled"]),
        ago=times,
        ttl=st.none() | times,
        environment=st.sampled_from(["", "a", "b", "gone"]),
        created=st.sampled_from([NOW - 1000, NOW - 50, NOW - 20]),
        schedule=st.sampled_from(["", "", "daily"]),
        scheduled=st.sampled_from([0.0, NOW - 2000]),
    ),
    max_size=40,
)
limits = st.builds(Limits, succeeded=times, failed=times, at_most=st.integers(0, 40))
rules = st.builds(
    Rules,
    st.dictionaries(st.sampled_from(["a", "b"]), st.none() | limits, max_size=2),
    st.none() | st.just("a"),
    st.integers(1, 3),
)


@given(finished_objects, rules)
def test_a_plan_deletes_what_is_over_and_the_earliest_of_too_many_and_nothing_else(finished, rules):
    found = plan(finished, rules, NOW)
    chosen = {each.name for each in found.deletions}
    young = {name for name, seen in finished.items() if seen.scheduled and seen.created + YOUNGEST > NOW}
    over = {
        name
        for name, seen in finished.items()
        if (seconds := rules.seconds(seen)) is not None and seen.finished + seconds <= NOW and name not in young
    }
    left = finished.keys() - chosen
    assert {each.name for each in found.deletions if each.why == "ttl"} == over
    assert over <= chosen
    assert len(chosen) == len(found.deletions)
    surplus = chosen - over
    if rules.at_most is None:
        assert not surplus
    else:
        assert len(left) == max(len(young), min(len(finished) - len(over), rules.at_most))
        assert all(finished[one].finished <= finished[other].finished for one in surplus for other in left - young)
    ends = [each.view.finished for each in found.deletions]
    assert ends == sorted(ends)


@given(finished_objects, rules)
def test_nothing_happens_before_the_time_that_a_plan_names_and_something_does_then(finished, rules):
    first = plan(finished, rules, NOW)
    left = {name: seen for name, seen in finished.items() if name not in {each.name for each in first.deletions}}
    if math.isinf(first.next_at):
        assert plan(left, rules, NOW + 1e12).deletions == []
    else:
        assert first.next_at > NOW
        assert plan(left, rules, first.next_at - 0.5).deletions == []
        assert plan(finished, rules, first.next_at).deletions != first.deletions
