"""The soak's judge condemns: forged evidence, each piece wrong in one way, next to evidence that is right."""

from dataclasses import fields, replace
from typing import Any

import orjson
import pytest

from fluid_queue import JobRecord
from soak.facts import Evidence, Leftovers, Told, Window
from soak.faults import Struck
from soak.plan import PlannedJob
from soak.verdict import Verdict, judge
from soak.witness import Sighting

SECOND = 1_000_000
T0 = 1_700_000_000 * SECOND
"""When the job of the evidence was claimed first: its epoch."""

JOB = PlannedJob(name="job-1", kind="no-op")


def seen(how: str, *, at: float, epoch: int = T0, attempt: int = 1, worker: str = "w1") -> Sighting:
    """A line of the witness, `at` seconds after T0."""
    return Sighting(T0 + round(at * SECOND), how, "job-1", attempt, epoch, worker)


def completed(epoch: int = T0, **fields: Any) -> JobRecord:
    """What the queue records of a job that the holder of `epoch` completed."""
    values: dict[str, Any] = {
        "id": "job-1",
        "state": "completed",
        "epoch": epoch,
        "attempt": 1,
        "worker": "w1",
        "created_at": T0 // 1000 - 5,
        "finished_at": T0 // 1000 + 2000,
        "result": orjson.dumps({"epoch": epoch}),
    }
    return JobRecord(**values | fields)


RIGHT = Evidence(
    planned=[JOB],
    ids={"job-1": "job-1"},
    sightings=[seen("start", at=0.01), seen("ok", at=0.02)],
    records={"job-1": completed()},
    objects={},
    told=[],
    pauses=[],
    faults=[],
    counted={"completed": 1},
    left=Leftovers(),
    lease=3.0,
)

KILLED = Struck("worker", "kill", "w1", T0 + SECOND, T0 + SECOND)

LATER = T0 + 5 * SECOND
"""The epoch of a second claim."""

TAKEN_OVER = replace(
    RIGHT,
    sightings=[
        seen("start", at=0.01),
        seen("start", at=5.01, epoch=LATER, attempt=2, worker="w2"),
        seen("ok", at=5.02, epoch=LATER, attempt=2, worker="w2"),
    ],
    records={"job-1": completed(LATER, attempt=2, worker="w2", stalls=1)},
    faults=[KILLED],
)
"""A job whose worker was killed, and which another one completed."""


def kinds(verdict: Verdict) -> set[str]:
    return {problem.kind for problem in verdict.problems}


def record_with(**fields: Any) -> Evidence:
    return replace(RIGHT, records={"job-1": replace(RIGHT.records["job-1"], **fields)})


def test_what_is_right_is_found_good():
    verdict = judge(RIGHT)
    assert verdict.good
    assert verdict.outcomes == {"Succeeded": 1}
    assert verdict.reruns == {}


def test_a_take_over_from_a_killed_worker_is_good_and_counted():
    verdict = judge(TAKEN_OVER)
    assert verdict.good, verdict.problems
    assert verdict.reruns == {"worker: kill": 1}
    assert verdict.runs == 2


def test_a_job_that_the_queue_does_not_know_is_lost():
    verdict = judge(replace(RIGHT, records={}, counted={}, sightings=[]))
    assert kinds(verdict) == {"lost"}
    assert verdict.histories["job-1"]


@pytest.mark.parametrize("state", ["waiting", "active", "delayed"])
def test_a_job_without_an_end_is_found(state):
    assert "unfinished" in kinds(judge(record_with(state=state)))


def test_a_wrong_outcome_is_found():
    assert "outcome" in kinds(judge(record_with(state="failed", reason="BackoffLimitExceeded")))
    assert "outcome" in kinds(judge(record_with(state="cancelled")))


def test_a_job_that_fails_for_another_reason_than_planned_is_found():
    hopeless = PlannedJob(
        name="job-1",
        kind="hopeless",
        outcomes=frozenset({"failed"}),
        reason="BackoffLimitExceeded",
        backoff_limit=0,
    )
    failed = completed(state="failed", reason="BackoffLimitExceeded", result=None, error={"type": "E", "attempt": 1})
    right = replace(
        RIGHT,
        planned=[hopeless],
        sightings=[seen("start", at=0.01), seen("error", at=0.02)],
        records={"job-1": failed},
        counted={"failed": 1},
    )
    assert judge(right).good
    assert kinds(judge(replace(right, records={"job-1": replace(failed, reason="PermanentError")}))) == {"outcome"}
    assert kinds(judge(replace(right, records={"job-1": replace(failed, failures=3)}))) == {"retries"}
    assert kinds(judge(replace(right, sightings=RIGHT.sightings))) == {"unwitnessed"}


def test_a_result_of_an_older_epoch_is_a_stale_word():
    stale = replace(TAKEN_OVER.records["job-1"], result=orjson.dumps({"epoch": T0}))
    assert kinds(judge(replace(TAKEN_OVER, records={"job-1": stale}))) == {"stale"}


def test_an_end_by_a_holder_that_had_been_replaced_is_a_stale_word():
    both = [*TAKEN_OVER.sightings, seen("ok", at=6)]
    by_the_first = completed(attempt=2)
    assert "stale" in kinds(judge(replace(TAKEN_OVER, sightings=both, records={"job-1": by_the_first})))


def test_the_late_end_of_a_replaced_holder_is_harmless_when_it_is_not_taken():
    both = [*TAKEN_OVER.sightings, seen("ok", at=6)]
    verdict = judge(replace(TAKEN_OVER, sightings=both))
    assert verdict.good
    assert verdict.done_twice == 1


def test_an_end_that_nobody_saw_is_found():
    assert kinds(judge(replace(RIGHT, sightings=[]))) == {"unwitnessed"}


def test_an_epoch_that_runs_twice_is_found():
    twice = [*RIGHT.sightings, seen("start", at=0.03, worker="w2"), seen("ok", at=0.04, worker="w2")]
    assert "impossible" in kinds(judge(replace(RIGHT, sightings=twice)))


def test_two_ends_of_one_epoch_are_found():
    assert kinds(judge(replace(RIGHT, sightings=[*RIGHT.sightings, seen("ok", at=0.03)]))) == {"impossible"}


def test_an_attempt_that_does_not_go_up_with_the_epoch_is_found():
    same = [replace_attempt(each, 1) for each in TAKEN_OVER.sightings]
    assert "order" in kinds(judge(replace(TAKEN_OVER, sightings=same)))


def replace_attempt(sighting: Sighting, attempt: int) -> Sighting:
    return sighting._replace(attempt=attempt)


@pytest.mark.parametrize(
    "fault",
    [
        None,
        replace(KILLED, victim="w2"),
        replace(KILLED, began=T0 + 6 * SECOND, ended=T0 + 6 * SECOND),
        replace(KILLED, began=T0 - 9 * SECOND, ended=T0 - 8 * SECOND),
        replace(KILLED, target="operator"),
        replace(KILLED, blow="short freeze"),
        replace(KILLED, target="redis", ended=T0 + 2 * SECOND),
    ],
    ids=["none", "another worker", "afterwards", "long before", "operator", "short freeze", "Redis, back in time"],
)
def test_a_re_run_that_no_fault_explains_is_found(fault):
    verdict = judge(replace(TAKEN_OVER, faults=[fault] if fault else []))
    assert kinds(verdict) == {"re-run"}
    assert verdict.reruns == {"nothing": 1}


@pytest.mark.parametrize(
    "fault",
    [
        replace(KILLED, blow="long freeze", ended=T0 + 6 * SECOND),
        replace(KILLED, target="redis", victim="redis", ended=T0 + 3 * SECOND),
        replace(KILLED, target="machine", victim="machine", blow="pause"),
    ],
    ids=["long freeze", "Redis, away for long", "the machine"],
)
def test_a_re_run_that_a_fault_explains_is_good(fault):
    assert judge(replace(TAKEN_OVER, faults=[fault])).good


def test_a_third_stall_needs_three_lost_leases_and_a_reason():
    stalled = completed(state="failed", reason="Stalled", result=None, stalls=3)
    evidence = replace(
        RIGHT, sightings=[seen("start", at=0.01)], records={"job-1": stalled}, counted={"failed": 1}, faults=[KILLED]
    )
    assert judge(evidence).outcomes == {"Failed as Stalled": 1}
    assert judge(evidence).good
    assert kinds(judge(replace(evidence, faults=[]))) == {"re-run"}
    assert kinds(judge(replace(evidence, records={"job-1": replace(stalled, stalls=1)}))) == {"outcome"}


def test_a_handler_that_failed_though_it_must_not_is_found():
    again = [
        seen("start", at=0.01),
        seen("error", at=0.02),
        *TAKEN_OVER.sightings[1:],
    ]
    assert "error" in kinds(judge(replace(TAKEN_OVER, sightings=again)))


@pytest.mark.parametrize("answer", ["cancelled", "finished failed", "gone"])
def test_an_answer_to_a_cancel_that_does_not_come_true_is_found(answer):
    assert kinds(judge(replace(RIGHT, told=[Told("job-1", "cancel", answer, T0, T0 + 1)]))) == {"cancel"}


@pytest.mark.parametrize("answer", ["stopping", "finished completed"])
def test_an_answer_to_a_cancel_that_comes_true_is_good(answer):
    assert judge(replace(RIGHT, told=[Told("job-1", "cancel", answer, T0, T0 + 1)])).good


def test_a_job_that_nobody_planned_is_found():
    stranger = seen("start", at=0)._replace(job="job-2")
    assert kinds(judge(replace(RIGHT, sightings=[*RIGHT.sightings, stranger]))) == {"stranger"}


def test_an_end_that_was_counted_twice_is_found():
    assert kinds(judge(replace(RIGHT, counted={"completed": 2}))) == {"count"}


@pytest.mark.parametrize("name", [each.name for each in fields(Leftovers)])
def test_leftovers_are_found(name):
    assert kinds(judge(replace(RIGHT, left=Leftovers(**{name: 1})))) == {"left over"}


STATUS = {"phase": "Succeeded", "jobId": "job-1", "run": 1, "attempts": 1, "result": {"epoch": T0}}

FLUID = replace(
    RIGHT, planned=[replace(JOB, name="fj", fluid=True)], ids={"fj": "job-1"}, objects={"fj": {"status": STATUS}}
)


def test_a_status_that_agrees_is_good():
    assert judge(FLUID).good


@pytest.mark.parametrize(
    "change",
    [{"phase": "Running"}, {"jobId": "job-0"}, {"run": 2}, {"attempts": 2}, {"result": {"epoch": 1}}],
    ids=lambda change: next(iter(change)),
)
def test_a_status_that_disagrees_with_the_queue_is_found(change):
    assert kinds(judge(replace(FLUID, objects={"fj": {"status": STATUS | change}}))) == {"status"}


def test_a_fluid_job_that_is_gone_is_found():
    assert kinds(judge(replace(FLUID, objects={}))) == {"status"}


def test_a_fluid_job_may_be_cancelled_before_it_has_a_record_but_not_after_it_ran():
    cancelled = replace(
        FLUID,
        planned=[replace(FLUID.planned[0], outcomes=frozenset({"cancelled"}))],
        objects={"fj": {"status": {"phase": "Cancelled"}}},
        records={},
        counted={},
    )
    assert "lost" in kinds(judge(cancelled))
    assert judge(replace(cancelled, sightings=[])).outcomes == {"Cancelled": 1}
    assert judge(replace(cancelled, sightings=[])).good


# -- keys, pauses, suspends, twins, indexes ---------------------------------------------------------------------------


def with_kind(kind: str, **fields: Any) -> list[PlannedJob]:
    return [replace(JOB, kind=kind, **fields)]


def test_a_job_that_starts_between_suspend_and_resume_is_found():
    """The record is right all the same: only the witness knows when it ran."""
    suspended = replace(
        RIGHT,
        planned=with_kind("suspended"),
        told=[
            Told("job-1", "suspend", "suspended", T0 - 2 * SECOND, T0 - SECOND),
            Told("job-1", "resume", "resumed", T0 - 10, T0 - 5),
        ],
    )
    assert judge(suspended).good
    early = replace(suspended, told=[suspended.told[0], suspended.told[1]._replace(sent=T0 + SECOND)])
    assert kinds(judge(early)) == {"suspend"}


def test_a_suspended_attempt_may_run_again_under_the_same_number_but_only_if_it_was_stopped():
    again = [
        seen("start", at=0.01),
        seen("stopped", at=1),
        seen("start", at=5.01, epoch=LATER),
        seen("ok", at=5.02, epoch=LATER),
    ]
    stopped = replace(
        RIGHT, planned=with_kind("suspended"), sightings=again, records={"job-1": completed(LATER, worker="w1")}
    )
    assert judge(stopped).good
    assert judge(stopped).reruns == {"suspended meanwhile": 1}
    assert kinds(judge(replace(stopped, planned=[JOB]))) == {"order", "re-run"}


def test_an_attempt_that_a_draining_worker_handed_back_may_have_its_number_again():
    again = [
        seen("start", at=0.01),
        seen("stopped", at=1),
        seen("start", at=5.01, epoch=LATER, worker="w2"),
        seen("ok", at=5.02, epoch=LATER, worker="w2"),
    ]
    drained = replace(
        RIGHT,
        sightings=again,
        records={"job-1": completed(LATER, worker="w2")},
        faults=[Struck("worker", "drain", "w1", T0, T0 + SECOND)],
    )
    assert judge(drained).good
    assert judge(drained).reruns == {"worker: drain": 1}
    assert kinds(judge(replace(drained, faults=[KILLED]))) == {"order", "re-run"}


def test_a_start_while_its_queue_is_paused_is_found():
    paused = Window("soak-a", T0 - SECOND, T0 + SECOND)
    assert kinds(judge(replace(RIGHT, pauses=[paused]))) == {"pause"}
    assert judge(replace(RIGHT, pauses=[paused._replace(queue="soak-b")])).good
    assert judge(replace(RIGHT, pauses=[paused._replace(since=T0 + 1)])).good


def test_two_holders_of_one_key_at_once_are_found_unless_a_lease_was_lost():
    other = T0 + SECOND
    second = [
        seen("start", at=1.01, epoch=other, worker="w2")._replace(job="job-2"),
        seen("ok", at=1.02, epoch=other, worker="w2")._replace(job="job-2"),
    ]
    in_turn = replace(
        RIGHT,
        planned=[replace(JOB, key="k"), replace(JOB, name="job-2", key="k")],
        ids={"job-1": "job-1", "job-2": "job-2"},
        sightings=[*RIGHT.sightings, *second],
        records=RIGHT.records | {"job-2": completed(other, id="job-2", worker="w2")},
        counted={"completed": 2},
    )
    assert judge(in_turn).good
    at_once = replace(in_turn, sightings=[seen("start", at=0.01), *second, seen("ok", at=1.5)])
    assert kinds(judge(at_once)) == {"key"}
    frozen = Struck("worker", "long freeze", "w1", T0 + 100_000, T0 + 1_400_000)
    assert judge(replace(at_once, faults=[frozen])).good
    stopped_late = [seen("start", at=0.01), *second, seen("stopped", at=1.5)]
    assert kinds(judge(replace(at_once, sightings=stopped_late, faults=[frozen]))) == {"unwitnessed"}
    assert judge(replace(at_once, planned=[JOB, replace(JOB, name="job-2")])).good


def test_a_needless_twin_that_runs_is_found():
    needless = completed(reason="Deduplicated", deduplicated_by="job-0", epoch=0, attempt=0, result=None)
    twin = replace(RIGHT, planned=with_kind("twin", twin_of="k"), sightings=[], records={"job-1": needless})
    assert judge(twin).outcomes == {"Succeeded as Deduplicated": 1}
    assert judge(twin).good
    assert "needless" in kinds(judge(replace(twin, sightings=RIGHT.sightings)))


def test_each_index_must_have_come_to_a_good_end():
    ran = [each._replace(job=f"job-1.{number}") for number in range(3) for each in RIGHT.sightings]
    indexed = replace(RIGHT, planned=with_kind("indexed", indexes=3), sightings=ran)
    assert judge(indexed).good
    assert [problem.job for problem in judge(replace(indexed, sightings=ran[:-1])).problems] == ["job-1.2"]
    assert kinds(judge(replace(indexed, planned=with_kind("indexed", indexes=2)))) == {"stranger"}


def test_a_parent_must_have_all_its_children_and_end_after_them():
    child = "job-1/child-0"
    parent = completed(children=1, children_succeeded=1)
    family = replace(
        RIGHT,
        planned=[replace(JOB, kind="family", children=1), replace(JOB, name=child, kind="child")],
        ids={"job-1": "job-1", child: child},
        sightings=[*RIGHT.sightings, *(each._replace(job=child) for each in RIGHT.sightings)],
        records={"job-1": parent, child: completed(id=child)},
        counted={"completed": 2},
    )
    assert judge(family).good
    fewer = replace(parent, children_succeeded=0)
    assert kinds(judge(replace(family, records=family.records | {"job-1": fewer}))) == {"children"}
    early = replace(parent, finished_at=T0 // 1000)
    assert kinds(judge(replace(family, records=family.records | {"job-1": early}))) == {"children"}


def test_claims_that_never_reached_a_handler_need_a_fault_as_well():
    third = [sighting._replace(attempt=3) for sighting in TAKEN_OVER.sightings[1:]]
    unseen = replace(
        TAKEN_OVER,
        sightings=[TAKEN_OVER.sightings[0], *third],
        records={"job-1": completed(LATER, attempt=3, worker="w2")},
    )
    assert judge(unseen).reruns == {"worker: kill": 2}
    assert kinds(judge(replace(unseen, faults=[]))) == {"re-run"}
