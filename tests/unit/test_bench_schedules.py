"""How the schedules' benchmark counts: minutes, delays, what is missing or there twice, and what its goals are."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from benchmarks.common import goals
from benchmarks.jobs.requests import Request
from benchmarks.jobs.usage import Usage
from benchmarks.schedules import manifests, measures
from benchmarks.schedules.bench import FULL
from benchmarks.schedules.measures import UNITS, Reading
from benchmarks.schedules.phases import PHASES, ripe
from benchmarks.schedules.seen import Jobs, Schedules
from benchmarks.schedules.sides import FLUID, NATIVE
from fluid_operator.timetables.creation import TIME_ANNOTATION
from fluid_operator.timetables.cron import Timetable

GOALS = Path(measures.__file__).parent / "goals.yaml"
NOON = datetime(2026, 11, 24, 12, tzinfo=UTC)

METRICS = """\
# TYPE fluid_operator_leader gauge
fluid_operator_leader 1.0
# TYPE fluid_operator_kube_requests counter
fluid_operator_kube_requests_total{code="200",resource="fluidjobs",verb="list"} 2.0
fluid_operator_kube_requests_total{code="200",resource="leases",verb="update"} 5.0
# TYPE fluid_operator_reconciles counter
fluid_operator_reconciles_total{controller="schedules",result="settled"} 20.0
fluid_operator_reconciles_total{controller="schedules",result="retry"} 1.0
fluid_operator_reconciles_total{controller="jobs",result="settled"} 500.0
# TYPE fluid_operator_workqueue_depth gauge
fluid_operator_workqueue_depth{controller="schedules",state="waiting"} 0.0
fluid_operator_workqueue_depth{controller="schedules",state="processing"} 0.0
fluid_operator_workqueue_depth{controller="schedules",state="delayed"} 7.0
fluid_operator_workqueue_depth{controller="jobs",state="waiting"} 3.0
"""


def job(name, owner, *, uid="u", complete=False):
    meta = {"name": name, "uid": uid, "ownerReferences": [{"uid": owner}]}
    conditions = [{"type": "Complete", "status": "True"}] if complete else []
    return {"metadata": meta, "status": {"conditions": conditions}}


def schedule(name, generation, observed):
    return {"metadata": {"name": name, "generation": generation}, "status": {"observedGeneration": observed}}


@pytest.mark.parametrize(
    ("seconds", "ahead", "minutes"), [(0, 0, 0), (0, 20, 1), (30, 20, 1), (45, 20, 2), (40, 20, 1), (1, 120, 3)]
)
def test_the_common_minute_is_full_and_far_enough_ahead(seconds, ahead, minutes):
    assert measures.next_minute(NOON + timedelta(seconds=seconds), ahead) == NOON + timedelta(minutes=minutes)


def test_a_schedule_that_names_one_minute_is_due_at_it_and_then_not_for_months():
    times = Timetable.of([manifests.once_at(NOON)], manifests.ZONE, seed="a/b")
    first = times.after(NOON - timedelta(seconds=1))
    assert first == NOON
    assert times.after(first) > NOON + timedelta(days=300)


@pytest.mark.parametrize("month", range(1, 13))
def test_a_far_schedule_is_not_due_for_months_whatever_month_it_is(month):
    now = NOON.replace(month=month)
    far = Timetable.of([manifests.far_from(now)], manifests.ZONE, seed="a/b").after(now)
    assert far > now + timedelta(days=120)


@pytest.mark.parametrize(("forbid", "policy"), [(True, "Forbid"), (False, "Allow")])
def test_both_sides_are_asked_for_the_same(forbid, policy):
    ours, theirs = (manifests.schedule(side, "a", "b", "0 0 * * *", forbid=forbid) for side in (FLUID, NATIVE))
    for made in (ours["spec"], theirs["spec"]):
        assert made.pop("jobTemplate")
        assert made == {"schedule": "0 0 * * *", "timeZone": "Etc/UTC", "concurrencyPolicy": policy}


def test_jobs_of_cron_jobs_are_suspended():
    assert manifests.schedule(NATIVE, "a", "b", "0 0 * * *")["spec"]["jobTemplate"]["spec"]["suspend"] is True


def test_the_first_job_of_each_schedule_counts_from_when_it_was_first_shown():
    found = Jobs("schedule-")
    found.look(job("schedule-1-x", "one", uid="a"))
    shown = found.created["one"]
    found.look(job("schedule-1-x", "one", uid="a", complete=True))
    found.look(job("schedule-1-y", "one", uid="b"))
    found.look(job("single-1-x", "other"))
    assert found.created == {"one": shown}
    assert found.first["one"]["metadata"]["uid"] == "a"
    assert found.complete["one"] >= shown


def test_a_schedule_is_known_only_as_it_is_now():
    found = Schedules("schedule-")
    for look in (schedule("schedule-1", 1, 1), schedule("schedule-2", 1, -1), schedule("new", 1, 1)):
        found.look(look)
    assert found.known == {"schedule-1"}
    found.look(schedule("schedule-1", 2, 1))
    assert found.known == set()


def test_a_job_that_is_missing_and_one_that_is_there_twice_do_not_make_up_for_each_other():
    first = {str(number): NOON.timestamp() + number for number in range(9)}
    found = measures.due_measures(NOON, first, jobs=10, schedules=10)
    assert (found["due_missing"], found["due_doubled"]) == (1, 1)
    assert (found["due_half"], found["due_created"]) == (4, 8)


def test_no_job_at_all_is_told_as_missing():
    assert measures.due_measures(NOON, {}, jobs=0, schedules=10) == {"due_missing": 10, "due_doubled": 0}


def test_the_cost_of_a_job_has_all_writes_in_it_but_those_of_leases():
    asked = {Request("POST", "fluidjobs", ""): 10, Request("PUT", "leases", ""): 9, Request("LIST", "fluidjobs", ""): 5}
    found = measures.cost_measures(asked, Usage(1.0, 0, 0), Usage(1.5, 0, 2_000_000), 10)
    assert found == {"due_writes": 1, "due_cpu": 50, "due_rss": 2}


def test_rest_is_told_in_percent_of_a_core():
    assert measures.rest_measures(Usage(2.0, 0, 0), Usage(2.3, 5_000_000, 0), 30)["rest_cpu"] == pytest.approx(1.0)


def test_delays_are_told_by_their_middle_and_by_the_worst_of_a_hundred():
    assert measures.delay_measures(range(1, 101)) == {"fire_delay_p50": 50, "fire_delay_p99": 99}


def test_a_job_of_a_schedule_with_jitter_is_late_only_after_its_own_moment():
    made = job("single-1-x", "one")
    made["metadata"]["annotations"] = {TIME_ANNOTATION: "2026-11-24T12:00:00Z"}
    moments = {ripe(owner, made, 30) - NOON.timestamp() for owner in ("one", "two", "three")}
    assert len(moments) == 3
    assert all(0 <= moment < 30 for moment in moments)


def test_the_operators_requests_are_summed_over_all_kinds():
    assert Reading(METRICS).requests == 7


@pytest.mark.parametrize(
    ("change", "serves"),
    [
        (("", ""), True),
        (("leader 1.0", "leader 0.0"), False),
        (('"settled"} 20.0', '"settled"} 19.0'), True),
        (('"settled"} 20.0', '"settled"} 18.0'), False),
        (('"schedules",state="processing"} 0.0', '"schedules",state="processing"} 1.0'), False),
    ],
)
def test_an_operator_serves_when_it_leads_and_has_looked_at_every_schedule(change, serves):
    assert Reading(METRICS.replace(*change)).serves(20) is serves


def test_the_goals_are_those_of_the_issue():
    found = {(each.name, each.peer): str(each.must) for each in goals.read(GOALS, UNITS)}
    assert found["rest_cpu", None] == "<= 2"
    assert found["due_created", None] == "<= 60"
    assert found["restart", None] == "<= 10"
    assert found["fire_delay_p99", None] == "<= 100"
    assert found["due_missing", None] == found["due_doubled", None] == "<= 0"
    assert FULL.schedules == 5_000


def test_every_goal_is_judged_by_a_full_run():
    for goal in goals.read(GOALS, UNITS):
        phase = max((name for name in PHASES if goal.name.startswith(name)), key=len)
        assert {FLUID.name, goal.peer or FLUID.name} <= {side.name for side in PHASES[phase].sides}
