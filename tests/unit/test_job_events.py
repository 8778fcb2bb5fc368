"""Which status of a FluidJob or a FluidEnvironment becomes an event, and what the event says."""

from datetime import UTC, datetime

import pytest

from fluid_operator.api.conditions import Reason
from fluid_operator.api.fluidenvironment import FluidEnvironmentStatus
from fluid_operator.api.meta import to_wire
from fluid_operator.environments import events as environment_events
from fluid_operator.environments.health import Flaw
from fluid_operator.environments.status import Problem, Seen, fold
from fluid_operator.jobs.events import event_of
from fluid_operator.kube.keys import ObjectKey
from support.jobs import view

KEY = ObjectKey("team-a", "mail-1")
NOW = datetime(2026, 12, 1, 7, 0, tzinfo=UTC)


def status(phase, reason, message="it is so", **more):
    ready = {"type": "Ready", "status": "False", "reason": reason, "message": message}
    return {"phase": phase, "run": 1, "conditions": [{**ready, "type": "Reconciling"}, ready], **more}


def told(before, after):
    found = event_of(KEY, before, after)
    return found and (found.type, found.reason, found.action, found.note)


@pytest.mark.parametrize(
    ("phase", "reason"),
    [
        ("Queued", "Queued"),
        ("Queued", "KeyHeld"),
        ("Queued", "RateLimited"),
        ("Scheduled", "Scheduled"),
        ("Running", "Running"),
        ("Running", "Stopping"),
        ("Running", "WaitingForChildren"),
        ("Pending", "Queued"),
    ],
)
def test_what_goes_its_way_is_no_event(phase, reason):
    assert told(view(), status(phase, reason)) is None


def test_success_at_the_first_attempt_is_no_event_and_at_a_later_one_it_is():
    assert told(view(phase="Running"), status("Succeeded", "Succeeded", attempts=1)) is None
    after = status("Succeeded", "Succeeded", "succeeded after 3 attempts", attempts=3)
    assert told(view(phase="Retrying"), after) == ("Normal", "Succeeded", "Complete", "succeeded after 3 attempts")


@pytest.mark.parametrize("reason", ["Deduplicated", "AlreadySucceeded"])
def test_a_job_that_did_not_run_itself_says_so(reason):
    assert told(view(), status("Succeeded", reason)) == ("Normal", reason, "Skip", "it is so")


@pytest.mark.parametrize(
    ("reason", "kind"),
    [
        ("EnvironmentNotFound", "Warning"),
        ("QueueUnavailable", "Warning"),
        ("SecretAccessDenied", "Warning"),
        ("TypeNotYetKnown", "Warning"),
        ("CreationRateLimited", "Normal"),
    ],
)
def test_a_job_that_cannot_be_enqueued_says_why(reason, kind):
    assert told(view(), status("Pending", reason)) == (kind, reason, "Wait", "it is so")


@pytest.mark.parametrize(
    ("reason", "kind"), [("NoWorkers", "Warning"), ("CircuitOpen", "Warning"), ("QueuePaused", "Normal")]
)
def test_a_job_that_waits_for_more_than_its_turn_says_why(reason, kind):
    assert told(view(phase="Queued"), status("Queued", reason)) == (kind, reason, "Wait", "it is so")


@pytest.mark.parametrize("reason", ["BackoffLimitExceeded", "InvalidPayload", "Stalled", "NoSuchUser"])
def test_a_failure_is_a_warning_with_the_reason_of_the_status(reason):
    assert told(view(phase="Running"), status("Failed", reason)) == ("Warning", reason, "Fail", "it is so")


def test_a_cancellation_is_nothing_to_worry_about():
    assert told(view(phase="Running"), status("Cancelled", "Cancelled")) == (
        "Normal",
        "Cancelled",
        "Cancel",
        "it is so",
    )


def test_attempts_that_fail_in_the_same_way_tell_the_same():
    error = {"type": "SMTPError", "message": "refused", "attempt": 1}
    first = status("Retrying", "Retrying", "attempt 1 failed: SMTPError: refused", attempts=1, error=error)
    second = status("Retrying", "Retrying", "attempt 2 failed: SMTPError: refused", attempts=2, error=error)
    want = ("Warning", "Retrying", "Retry", "SMTPError: refused")
    assert told(view(phase="Running", attempts=1), first) == told(view(phase="Running", attempts=2), second) == want


def test_an_attempt_is_told_once_however_often_its_status_is_written():
    after = status("Retrying", "Retrying", attempts=2)
    assert told(view(phase="Retrying", attempts=2), after) is None
    assert told(view(phase="Retrying", attempts=1), after) == ("Warning", "Retrying", "Retry", "it is so")


def test_suspension_and_its_end_are_told_once():
    held = status("Suspended", "SuspendedByRequest")
    assert told(view(phase="Running", run=1), held) == ("Normal", "SuspendedByRequest", "Suspend", "it is so")
    assert told(view(phase="Suspended", run=1), held) is None
    goes_on = status("Queued", "Queued", "waits in queue mail")
    assert told(view(phase="Suspended", run=1), goes_on) == ("Normal", "Resumed", "Resume", "waits in queue mail")


def test_a_write_onto_a_run_that_has_ended_tells_nothing_again():
    ended = view(phase="Failed", run=1)
    assert told(ended, status("Failed", "BackoffLimitExceeded")) is None
    assert told(ended, status("Failed", "BackoffLimitExceeded", run=2)) is not None


def test_an_event_names_the_object_that_it_is_about():
    found = event_of(KEY, view(uid="u7"), status("Failed", "Stalled"))
    assert found.regarding == ("jobs.fluidcalendar.com/v1alpha1", "FluidJob", KEY, "u7")


def test_a_status_without_a_ready_condition_is_no_event():
    assert told(view(), {"phase": "Failed", "conditions": []}) is None


# -- environments


def environment(problem=None, before=None):
    return fold(before or FluidEnvironmentStatus(), Seen(1, problem=problem), NOW)


def environment_told(before, after):
    found = environment_events.events_of(ObjectKey("team-a", "default"), "u1", to_wire(before), after)
    return [(each.type, each.reason, each.note) for each in found]


def test_an_environment_tells_when_it_becomes_ready_and_when_it_is_so_no_more():
    away = environment(Problem(Reason.REDIS_UNAVAILABLE, "connection refused"))
    well = environment(before=away)
    assert environment_told(FluidEnvironmentStatus(), away) == [("Warning", "RedisUnavailable", "connection refused")]
    assert environment_told(away, well) == [("Normal", "Available", "Redis answers.")]
    ((_, reason, _),) = environment_told(well, environment(Problem(Reason.SECRET_NOT_FOUND, "gone"), well))
    assert reason == "SecretNotFound"


def test_an_environment_that_is_as_before_tells_nothing():
    away = environment(Problem(Reason.REDIS_UNAVAILABLE, "connection refused"))
    again = environment(Problem(Reason.REDIS_UNAVAILABLE, "connection timed out"), away)
    assert environment_told(away, again) == []
    assert environment_told(environment(), environment(before=environment())) == []


def test_a_threat_to_the_jobs_is_an_event_and_its_end_too_but_not_health_from_the_beginning():
    def healthy(flaws, before=None):
        return fold(before or FluidEnvironmentStatus(), Seen(1, flaws=flaws), NOW)

    well = healthy([])
    ill = healthy([Flaw(Reason.EVICTION_ON, "It deletes.")], well)
    assert environment_told(FluidEnvironmentStatus(), well) == [("Normal", "Available", "Redis answers.")]
    assert environment_told(well, ill) == [("Warning", "EvictionOn", "It deletes.")]
    assert environment_told(ill, healthy([], ill)) == [
        ("Normal", "QueueHealthy", "Nothing threatens the jobs in Redis.")
    ]
