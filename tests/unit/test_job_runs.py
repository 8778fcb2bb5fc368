"""Which run an object asks for."""

import pytest

from fluid_operator.api.spechash import spec_hash
from fluid_operator.jobs.requests import parse_request
from fluid_operator.jobs.runs import asks_to_cancel, target
from support.jobs import view

SPEC = {"type": "email", "payload": {"to": "a"}}
OTHER = {"type": "email", "payload": {"to": "b"}}
STAMP = "2026-12-01T07:00:00Z"


def finished(spec=SPEC, **fields):
    return view(**{"run": 1, "spec_hash": spec_hash(spec), "phase": "Succeeded", "observed": 1} | fields)


def test_a_new_object_asks_for_its_first_run():
    got = target(view(run=0), SPEC)
    assert (got.run, got.hash, got.known) == (1, spec_hash(SPEC), False)


def test_a_finished_job_asks_for_nothing():
    got = target(finished(), None)
    assert (got.run, got.known) == (1, True)


def test_a_changed_spec_of_a_finished_job_is_a_new_run():
    got = target(finished(generation=2), OTHER)
    assert (got.run, got.hash, got.known) == (2, spec_hash(OTHER), False)


def test_a_changed_field_that_does_not_define_the_run_is_none():
    got = target(finished(generation=2), SPEC | {"priority": 7, "ttlSecondsAfterFinished": 5, "cancelled": False})
    assert (got.run, got.known) == (1, True)


def test_going_back_to_an_earlier_spec_is_a_new_run():
    got = target(finished(OTHER, run=2, generation=3, observed=2), SPEC)
    assert got.run == 3


def test_no_new_run_while_the_status_speaks_of_the_generation():
    """A CRD upgrade that adds a default changes what is stored, but not the generation."""
    got = target(finished(), SPEC | {"queue": "added-by-a-default"})
    assert (got.run, got.known) == (1, True)


@pytest.mark.parametrize("phase", ["Queued", "Running", "Retrying", "Scheduled", "Pending"])
def test_a_change_under_way_waits_for_the_run_to_end(phase):
    got = target(finished(phase=phase, generation=2), OTHER)
    assert (got.run, got.hash, got.known) == (1, spec_hash(OTHER), True)


def test_a_retry_request_is_a_new_run_of_the_same_spec_once():
    got = target(finished(request=f"retry@{STAMP}"), None)
    assert (got.run, got.hash, got.request.verb) == (2, spec_hash(SPEC), "retry")
    done = target(finished(run=2, request=f"retry@{STAMP}", last_request=f"retry@{STAMP}"), None)
    assert (done.run, done.request) == (2, None)


def test_a_retry_request_on_a_running_job_changes_nothing():
    assert target(finished(phase="Running", request=f"retry@{STAMP}"), None).run == 1


def test_cancelling_is_asked_for_by_field_or_by_request():
    assert asks_to_cancel(view(cancelled=True), target(view(cancelled=True), SPEC))
    by_request = view(request=f"cancel@{STAMP}")
    assert asks_to_cancel(by_request, target(by_request, SPEC))
    assert not asks_to_cancel(view(), target(view(), SPEC))


@pytest.mark.parametrize(
    "text", ["retry", "retry@yesterday", "Retry@" + STAMP, "explode@" + STAMP, "retry@" + STAMP + "x"]
)
def test_a_request_that_cannot_be_understood_has_no_verb(text):
    assert parse_request(text).verb is None


def test_a_request_may_carry_fractions_and_offsets():
    assert parse_request("cancel@2026-12-01T07:00:00.123+02:00").verb == "cancel"
    assert parse_request("") is None
