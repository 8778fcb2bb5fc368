"""Which jobs a request makes sense of, and what is written."""

import pytest

from fluid_cli.steering import Verb, plan, request_patch, request_text, why_not
from fluid_operator.jobs.requests import parse_request
from support.cli_jobs import NOON, cli_job

REQUEST = "jobs.fluidcalendar.com/request"


@pytest.mark.parametrize("verb", list(Verb))
def test_the_operator_understands_what_is_written(verb):
    request = parse_request(request_text(verb, NOON))
    assert request is not None
    assert request.verb == verb.value


@pytest.mark.parametrize("phase", ["Pending", "Queued", "Scheduled", "Retrying", "Running", "Suspended"])
def test_an_unfinished_job_can_be_cancelled_and_not_retried(phase):
    assert why_not(Verb.CANCEL, cli_job(phase=phase), by_name=True) == ""
    assert why_not(Verb.RETRY, cli_job(phase=phase), by_name=True) == f"has not ended ({phase})"


@pytest.mark.parametrize("verb", [Verb.CANCEL, Verb.SUSPEND, Verb.RESUME])
def test_an_ended_job_is_left_alone(verb):
    assert why_not(verb, cli_job(phase="Succeeded"), by_name=True) == "has already ended (Succeeded)"


def test_a_success_is_retried_only_by_name():
    job = cli_job(phase="Succeeded")
    assert why_not(Verb.RETRY, job, by_name=True) == ""
    assert why_not(Verb.RETRY, job, by_name=False) == "has not failed (Succeeded)"


def test_only_suspended_jobs_are_resumed():
    assert why_not(Verb.RESUME, cli_job(phase="Suspended"), by_name=True) == ""
    assert why_not(Verb.RESUME, cli_job(phase="Queued"), by_name=True) == "is not suspended (Queued)"


def test_a_suspend_that_is_under_way_can_be_taken_back():
    job = cli_job(phase="Running", annotations={REQUEST: "suspend@2026-11-24T12:00:00Z"})
    assert why_not(Verb.RESUME, job, by_name=True) == ""


def test_a_job_that_its_spec_holds_cannot_be_resumed_by_request():
    job = cli_job(phase="Suspended", spec={"suspend": True})
    assert "spec.suspend" in why_not(Verb.RESUME, job, by_name=True)


def test_a_suspended_job_is_not_suspended_again():
    assert why_not(Verb.SUSPEND, cli_job(phase="Suspended"), by_name=True) == "is already suspended"


def test_a_plan_sorts_jobs_by_what_can_have_an_effect():
    jobs = [cli_job("a", "Failed"), cli_job("b", "Running"), cli_job("c", "Failed", deleting=True)]
    found = plan(Verb.RETRY, jobs, by_name=False)
    assert [job.name for job in found.asked] == ["a"]
    assert [(job.name, reason) for job, reason in found.passed_over] == [
        ("b", "has not ended (Running)"),
        ("c", "is being deleted"),
    ]


def test_the_patch_holds_the_annotation_and_its_preconditions():
    assert request_patch("cancel@x", uid="u1") == {"metadata": {"uid": "u1", "annotations": {REQUEST: "cancel@x"}}}
