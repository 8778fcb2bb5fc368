"""What example objects promise in their annotations, compared with what an API server would show."""

import pytest

from fluid_dev import examples
from fluid_dev.errors import DemoError
from fluid_dev.examples import Promise

PREFIX = "example.jobs.fluidcalendar.com/"


def job(**notes: str) -> dict:
    annotations = {PREFIX + key.replace("_", "-"): value for key, value in notes.items()}
    return {"kind": "FluidJob", "metadata": {"name": "welcome", "annotations": annotations}}


def seen(phase: str, attempts: int = 1, reason: str = "Succeeded", message: str = "") -> dict:
    condition = {"type": "Complete", "reason": reason, "message": message}
    return {"status": {"phase": phase, "attempts": attempts, "conditions": [condition]}}


FULL = job(phase="Failed", attempts="3", reason="BackoffLimitExceeded", message_contains="550", mail_subject="Hello")
KEPT = seen("Failed", 3, "BackoffLimitExceeded", "550 no such mailbox")


def test_a_kept_promise_has_no_differences():
    assert Promise.of(FULL).differences(KEPT, ["Hello", "Other"]) == []


@pytest.mark.parametrize(
    ("found", "subjects", "want"),
    [
        (None, [], "does not exist"),
        ({}, ["Hello"], "phase is None, not Failed"),
        (seen("Running", 3, "BackoffLimitExceeded", "550"), ["Hello"], "phase is Running, not Failed"),
        (seen("Failed", 2, "BackoffLimitExceeded", "550"), ["Hello"], "attempts are 2, not 3"),
        (seen("Failed", 3, "Other", "550"), ["Hello"], "no condition has the reason BackoffLimitExceeded"),
        (seen("Failed", 3, "BackoffLimitExceeded", "451"), ["Hello"], "no message contains '550'"),
        (KEPT, [], "not exactly one mail has the subject 'Hello'"),
        (KEPT, ["Hello", "Hello"], "not exactly one mail has the subject 'Hello'"),
    ],
)
def test_each_difference_is_named(found, subjects, want):
    assert want in Promise.of(FULL).differences(found, subjects)


def test_the_error_of_a_failed_job_counts_as_its_message():
    found = {"status": {"phase": "Failed", "error": {"message": "payload.to is required"}}}
    assert Promise.of(job(phase="Failed", message_contains="payload.to")).differences(found, []) == []


def test_an_object_without_annotations_promises_nothing():
    assert Promise.of(job()) is None


def test_an_annotation_that_nobody_checks_is_refused():
    with pytest.raises(DemoError, match=r"unknown annotation .*/fase"):
        Promise.of(job(fase="Failed"))


def test_a_promise_without_a_phase_is_refused():
    with pytest.raises(DemoError, match="phase is missing"):
        Promise.of(job(attempts="3"))


def test_what_jobs_need_is_read_first(tmp_path):
    (tmp_path / "a.yaml").write_text(
        "{kind: FluidJob, metadata: {name: a}}\n---\n{kind: Secret, metadata: {name: b}}\n---\n"
    )
    (tmp_path / "z.yaml").write_text("{kind: FluidEnvironment, metadata: {name: z}}\n")
    before, jobs = examples.split(examples.read(tmp_path))
    assert [document["metadata"]["name"] for document in before] == ["b", "z"]
    assert [document["metadata"]["name"] for document in jobs] == ["a"]
