"""The status as a fold over the record: phases, conditions, bounds."""

from datetime import UTC, datetime

import pytest

from fluid_operator.api.conditions import Reason
from fluid_operator.api.fluidjob_status import FluidJobStatus
from fluid_operator.api.meta import parse
from fluid_operator.environments.surroundings import Obstacle, Surroundings
from fluid_operator.jobs import status
from fluid_operator.jobs.problems import ending, waiting
from fluid_operator.jobs.requests import parse_request
from fluid_operator.jobs.runs import Target
from fluid_queue import Attempt
from support.jobs import record, view

NOW = datetime(2026, 11, 24, 7, 0, 0, tzinfo=UTC)
ERROR = {"type": "SMTPError", "message": "no", "attempt": 1}
WANTED = Target(1, "v1:a", None, known=True)


def told(state, *, seen=None, wanted=WANTED, around=None, indexes=None, twin="", **fields):
    found = status.fold(
        seen or view(generation=1),
        wanted,
        record(state, **fields),
        now=NOW,
        around=around or Surroundings(),
        indexes=indexes,
        twin=twin,
    )
    parse(FluidJobStatus, found, at="status", unknown="forbid")  # whatever is told fits the schema
    return found


def conditions(found):
    return {each["type"]: (each["status"], each["reason"]) for each in found["conditions"]}


@pytest.mark.parametrize(
    ("state", "fields", "phase", "want"),
    [
        ("waiting", {}, "Queued", {"Ready": ("False", "Queued"), "Reconciling": ("True", "Queued")}),
        (
            "delayed",
            {"due_at": 9000},
            "Scheduled",
            {"Ready": ("False", "Scheduled"), "Reconciling": ("True", "Scheduled")},
        ),
        (
            "delayed",
            {"due_at": 9000, "attempt": 1, "error": ERROR},
            "Retrying",
            {"Ready": ("False", "Retrying"), "Reconciling": ("True", "Retrying")},
        ),
        ("active", {}, "Running", {"Ready": ("False", "Running"), "Reconciling": ("True", "Running")}),
        (
            "active",
            {"stopping": True},
            "Running",
            {"Ready": ("False", "Stopping"), "Reconciling": ("True", "Stopping")},
        ),
        (
            "waiting-children",
            {"children": 3, "children_succeeded": 1},
            "Running",
            {"Ready": ("False", "WaitingForChildren"), "Reconciling": ("True", "WaitingForChildren")},
        ),
        ("blocked", {"key": "k"}, "Queued", {"Ready": ("False", "KeyHeld"), "Reconciling": ("True", "KeyHeld")}),
        ("suspended", {}, "Suspended", {"Ready": ("False", "Suspended"), "Suspended": ("True", "Suspended")}),
        ("completed", {}, "Succeeded", {"Ready": ("True", "Succeeded"), "Complete": ("True", "Succeeded")}),
        (
            "failed",
            {"reason": "BackoffLimitExceeded", "error": ERROR},
            "Failed",
            {
                "Ready": ("False", "BackoffLimitExceeded"),
                "Failed": ("True", "BackoffLimitExceeded"),
                "Stalled": ("True", "BackoffLimitExceeded"),
            },
        ),
        (
            "cancelled",
            {},
            "Cancelled",
            {"Ready": ("False", "Cancelled"), "Failed": ("True", "Cancelled"), "Stalled": ("True", "Cancelled")},
        ),
    ],
    ids=[
        *("waiting", "scheduled", "retrying", "running", "stopping", "waiting-children", "blocked", "suspended"),
        *("succeeded", "failed", "cancelled"),
    ],
)
def test_each_state_has_its_phase_and_conditions(state, fields, phase, want):
    found = told(state, **fields)
    assert found["phase"] == phase
    assert conditions(found) == want
    assert found["observedGeneration"] == 1


def test_children_are_counted():
    found = told("waiting-children", children=3, children_succeeded=1, children_failed=1)
    assert found["children"] == {"total": 3, "succeeded": 1, "failed": 1}


PAUSED = {"mail": Obstacle("QueuePaused", "queue mail is paused")}


@pytest.mark.parametrize(
    ("around", "reason"),
    [
        (Surroundings(workers=0), "NoWorkers"),
        (Surroundings(workers=0, held=PAUSED), "QueuePaused"),
        (Surroundings(suspended=True, held=PAUSED), "EnvironmentSuspended"),
        (Surroundings(held={"other": PAUSED["mail"]}), "Queued"),
    ],
)
def test_a_waiting_job_says_what_it_waits_for(around, reason):
    assert conditions(told("waiting", around=around))["Ready"] == ("False", reason)


def test_a_blocked_job_says_first_what_blocks_its_whole_queue():
    assert conditions(told("blocked", key="k", around=Surroundings(held=PAUSED)))["Ready"] == ("False", "QueuePaused")


def test_a_job_that_is_held_by_request_says_so():
    asked = Target(1, "v1:a", parse_request("suspend@2026-11-24T07:00:00Z"), known=True)
    found = told("suspended", wanted=asked)
    assert conditions(found)["Suspended"] == ("True", "SuspendedByRequest")
    assert found["lastHandledRequest"] == "suspend@2026-11-24T07:00:00Z"


def test_a_suspend_is_handled_when_the_job_is_held_and_not_while_it_is_being_stopped():
    asked = Target(1, "v1:a", parse_request("suspend@2026-11-24T07:00:00Z"), known=True)
    assert "lastHandledRequest" not in told("active", wanted=asked, stopping=True)


def test_a_twin_names_the_job_that_does_its_work():
    found = told("completed", reason="Deduplicated", twin="first", attempt=0, started_at=0, claimed_at=0)
    assert (found["phase"], found["deduplicatedBy"]) == ("Succeeded", "first")
    assert conditions(found)["Complete"] == ("True", "Deduplicated")
    assert "first" in found["conditions"][0]["message"]


def test_times_are_those_of_the_record():
    found = told("completed")
    assert found["startTime"] == "1970-01-01T00:00:01.000000Z"
    assert (found["durationMilliseconds"], found["duration"]) == (1240, "1.24s")


def test_a_job_that_was_cancelled_before_it_started_has_no_duration():
    found = told("cancelled", attempt=0, started_at=0, claimed_at=0)
    assert "duration" not in found
    assert "attemptHistory" not in found


def test_the_history_ends_with_the_attempt_that_ended_the_job():
    past = [Attempt(n, 1000, 1500, "w", "Failed", ERROR) for n in range(1, 6)]
    found = told("failed", attempt=6, attempts=past, error=ERROR | {"attempt": 6}, reason="BackoffLimitExceeded")
    assert [each["attempt"] for each in found["attemptHistory"]] == [2, 3, 4, 5, 6]
    assert found["attemptHistory"][-1]["errorType"] == "SMTPError"


def test_a_job_cancelled_between_two_attempts_is_not_shown_with_a_third():
    past = [Attempt(1, 1000, 1500, "w", "Failed", ERROR)]
    assert len(told("cancelled", attempt=1, attempts=past)["attemptHistory"]) == 1


def test_a_result_is_shown_up_to_4_kib():
    assert told("completed", result=b'{"a":null}')["result"] == {"a": None}
    large = told("completed", result=b'"' + b"x" * 5000 + b'"')
    assert large["resultTruncated"] is True
    assert "result" not in large


@pytest.mark.parametrize(
    "result",
    [b"[" * 70 + b"]" * 70, b"[" * 300 + b"]" * 300, b"[" * 1100 + b"]" * 1100, b"no json"],
    ids=["70 levels", "300 levels", "1100 levels", "no JSON"],
)
def test_a_result_that_no_status_can_show_does_not_hide_the_end(result):
    found = told("completed", result=result)
    assert (found["phase"], found["resultTruncated"]) == ("Succeeded", True)
    assert "result" not in found


def test_a_start_after_the_last_date_is_shown_as_the_last_second():
    year_10000 = 253_402_304_399_000
    assert told("delayed", due_at=year_10000)["nextAttemptTime"] == "9999-12-31T23:59:59.000000Z"


def test_messages_are_cut_to_what_the_schema_takes():
    found = told("failed", reason="X", error={"type": "T", "message": "m" * 5000, "attempt": 1})
    assert len(found["error"]["message"]) == 1024
    assert len(found["attemptHistory"][0]["message"]) == 256


def test_a_reason_that_is_no_word_is_not_repeated():
    assert conditions(told("failed", reason="two words"))["Failed"] == ("True", "BackoffLimitExceeded")


def test_progress_is_shown_only_while_the_job_runs():
    progress = {"percent": 40, "message": "half"}
    assert told("active", progress=progress)["progress"] == progress
    assert "progress" not in told("completed", progress=progress)


def test_an_unfinished_older_spec_keeps_its_generation():
    """The status speaks of the generation that runs, not of the one that waits."""
    seen = view(generation=2, run=1, observed=1, phase="Running")
    found = told("active", seen=seen, wanted=Target(1, "v1:b", None, known=True))
    assert (found["observedGeneration"], found["specHash"]) == (1, "v1:a")


def test_a_condition_that_stays_keeps_its_transition_time():
    since = "2026-11-24T06:00:00.000000Z"
    seen = view(conditions=(("Ready", "False", since), ("Reconciling", "True", since)))
    found = told("completed", seen=seen)
    times = {each["type"]: each["lastTransitionTime"] for each in found["conditions"]}
    assert times == {"Ready": "2026-11-24T07:00:00.000000Z", "Complete": "2026-11-24T07:00:00.000000Z"}
    stays = told("waiting", seen=seen)
    assert {each["lastTransitionTime"] for each in stays["conditions"]} == {since}


def test_a_request_that_cannot_be_understood_is_told():
    found = told("waiting", seen=view(misread="annotation: not of the form"))
    assert conditions(found)["RequestIgnored"] == ("True", "InvalidRequest")


def test_a_cancel_is_acknowledged_only_when_the_job_has_ended():
    request = parse_request("cancel@2026-12-01T07:00:00Z")
    wanted = Target(1, "v1:a", request, known=True)
    assert "lastHandledRequest" not in told("active", wanted=wanted)
    assert told("cancelled", wanted=wanted)["lastHandledRequest"] == request.text


def test_a_waiting_problem_leaves_the_job_pending_without_a_number():
    problem = waiting(Reason.ENVIRONMENT_NOT_FOUND, "there is none")
    found = status.refused(view(), Target(1, "v1:a", None, known=False), problem, now=NOW)
    assert found["phase"] == "Pending"
    assert "run" not in found
    assert conditions(found)["Ready"] == ("False", "EnvironmentNotFound")


BOUND = {"run": 1, "spec_hash": "v1:a", "job_id": "u1.1", "environment": "default", "attempts": 2, "observed": 1}


@pytest.mark.parametrize("phase", ["Queued", "Running", "Retrying"])
def test_a_run_that_cannot_be_asked_about_keeps_its_binding(phase):
    """Whatever happened to it meanwhile is in that environment, under that id."""
    problem = waiting(Reason.ENVIRONMENT_NOT_FOUND, "it is gone")
    found = status.refused(view(phase=phase, **BOUND), WANTED, problem, now=NOW)
    assert found["phase"] == "Pending"
    assert (found["environment"], found["jobId"], found["run"]) == ("default", "u1.1", 1)
    assert (found["attempts"], found["observedGeneration"]) == (2, 1)
    parse(FluidJobStatus, found, at="status", unknown="forbid")


def test_a_bound_run_that_cannot_be_asked_speaks_of_the_spec_it_was_enqueued_for():
    problem = waiting(Reason.ENVIRONMENT_NOT_FOUND, "it is gone")
    changed = Target(1, "v1:b", None, known=True)
    found = status.refused(view(generation=2, phase="Queued", **BOUND), changed, problem, now=NOW)
    assert (found["specHash"], found["observedGeneration"]) == ("v1:a", 1)


def test_a_run_that_was_never_enqueued_is_bound_to_nothing():
    """The next environment that can take it may be another one."""
    ended = view(generation=2, phase="Succeeded", **BOUND)
    problem = waiting(Reason.QUEUE_UNAVAILABLE, "Redis is away")
    found = status.refused(ended, Target(2, "v1:b", None, known=False), problem, now=NOW)
    assert (found["phase"], found["run"], found["specHash"]) == ("Pending", 2, "v1:b")
    assert not {"environment", "jobId", "attempts"} & set(found)


def test_a_first_run_has_no_number_before_anything_happened_to_it_and_the_next_one_has():
    """Were the second number not told, the next look would take the first one's end for an answer."""
    first = status.held(view(), Target(1, "v1:a", None, known=False), now=NOW)
    assert "run" not in first
    taken_out = status.held(view(), Target(2, "v1:a", None, known=False), now=NOW)
    assert (taken_out["run"], taken_out["specHash"]) == (2, "v1:a")
    assert "jobId" not in taken_out


def test_a_finished_status_that_is_touched_keeps_its_end_and_names_a_request_without_effect():
    ended = told("completed")
    request = parse_request("cancle@2026-12-01T07:00:00Z")
    seen = view(generation=3, phase="Succeeded", misread="annotation: not of the form")
    found = status.touched(ended, seen, Target(1, "v1:a", request, known=True), now=NOW)
    assert conditions(found) == conditions(ended) | {"RequestIgnored": ("True", "InvalidRequest")}
    assert {each["observedGeneration"] for each in found["conditions"]} == {found["observedGeneration"]} == {3}
    assert found["lastHandledRequest"] == request.text
    assert (found["phase"], found["completionTime"]) == ("Succeeded", ended["completionTime"])
    again = status.touched(found, view(generation=4, phase="Succeeded"), WANTED, now=NOW)
    assert conditions(again) == conditions(ended)


def test_an_ending_problem_fails_the_run_and_says_why():
    problem = ending(Reason.INVALID_PAYLOAD, "spec.payload.to: missing")
    found = status.refused(view(), Target(2, "v1:a", None, known=False), problem, now=NOW)
    assert (found["phase"], found["run"], found["error"]["type"]) == ("Failed", 2, "InvalidPayload")
    assert conditions(found)["Stalled"] == ("True", "InvalidPayload")
    parse(FluidJobStatus, found, at="status", unknown="forbid")


@pytest.mark.parametrize(
    ("milliseconds", "text"),
    [(0, "0ms"), (-5, "0ms"), (999, "999ms"), (1240, "1.24s"), (9_994, "9.99s"), (9_996, "10.0s"), (59_900, "59.9s"),
     (59_960, "1m00s"), (200_000, "3m20s"), (3_599_600, "1h00m"), (7_500_000, "2h05m")],
)  # fmt: skip
def test_durations_are_short_texts(milliseconds, text):
    assert status.duration_text(milliseconds) == text
