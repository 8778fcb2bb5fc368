"""`fluid why`: what is told of a job, and how it looks at two widths."""

from dataclasses import replace

import pytest
from rich.console import Console

from fluid_cli.console import print_trimmed
from fluid_cli.events import Event, read_event
from fluid_cli.explanation import explain
from fluid_cli.explanation_text import as_data, queue_lines, render
from fluid_cli.queue_facts import QueueFacts
from fluid_cli.settings_text import settings_of
from fluid_queue import JobRecord, QueueStats
from support.cli_jobs import NOON, cli_job

EFFECTIVE = {
    "priority": 0,
    "backoffLimit": 3,
    "backoff": {"type": "Exponential", "delaySeconds": 10, "factor": 3, "maxDelaySeconds": 3600, "jitterPercent": 10},
    "attemptDeadlineSeconds": 300,
    "runPolicy": "Always",
    "ttl": {"succeededSeconds": 3600, "failedSeconds": 604_800},
}
RETRYING = cli_job(
    phase="Retrying",
    message="attempt 1 failed: SMTPError: mailbox busy",
    attempts=1,
    attemptHistory=[
        {
            "attempt": 1,
            "startTime": "2026-11-24T11:59:30.500000Z",
            "duration": "1.24s",
            "worker": "w1",
            "outcome": "Failed",
            "errorType": "SMTPError",
            "message": "mailbox busy",
        }
    ],
    error={"type": "SMTPError", "message": "mailbox busy", "attempt": 1},
    nextAttemptTime="2026-11-24T12:00:08Z",
    startTime="2026-11-24T11:59:30.500000Z",
    queue="email",
    environment="default",
    effective=EFFECTIVE,
)
STATS = QueueStats("email", waiting=4, active=2, delayed=1, oldest_seconds=90, completed=0, failed=0, cancelled=0)
FACTS = QueueFacts("email", workers=2, suspended=False, stats=STATS)


def shown(told, width):
    console = Console(width=width, color_system=None)
    with console.capture() as capture:
        print_trimmed(console, render(told, NOON, NOON.tzinfo))
    return capture.get()


def test_a_retrying_job_is_explained_in_80_columns():
    want = """\
mail  Retrying
email · queue email · environment default

Waits for
  Retrying: attempt 1 failed: SMTPError: mailbox busy

Timeline
  11:59:00.000  60s ago  · created
  11:59:30.500  30s ago  ✗ attempt 1 failed  after 1.24s on w1: SMTPError:
                         mailbox busy
  12:00:08.000    in 8s  … next attempt  retry 1 of 3

Last error
  SMTPError: mailbox busy (attempt 1)

Next attempt
  in 8s (12:00:08.000)

Queue
  the oldest waiting job could have started 90s ago
  email: 4 waiting, 1 delayed, 2 running
  2 workers alive (heard of in the last minute)

Effective settings
  priority                0
  backoffLimit            3 (retries)
  backoff                 10s, each time x3, at most 1h, up to 10 % more or less
  attemptDeadlineSeconds  300 (5m)
  activeDeadlineSeconds   no limit
  runPolicy               Always
  ttl                     1h after success, 7d after failure
"""
    assert shown(explain(RETRYING, NOON, FACTS), 80) == want


def test_a_long_line_has_its_place_in_120_columns():
    assert "✗ attempt 1 failed  after 1.24s on w1: SMTPError: mailbox busy\n" in shown(
        explain(RETRYING, NOON, None), 120
    )


@pytest.mark.parametrize("width", [80, 120])
def test_no_line_is_wider_than_the_terminal_or_ends_in_spaces(width):
    long = "You lack the right to look at the queue, " * 8
    told = explain(RETRYING, NOON, long, [Event(NOON, "Warning", "Retrying", "why " * 60, 3)])
    found = shown(told, width).splitlines()
    assert max(map(len, found)) <= width
    assert all(line == line.rstrip() for line in found)


def test_an_ended_job_waits_for_nothing_and_tells_when_it_goes():
    job = cli_job(
        phase="Failed",
        reason="BackoffLimitExceeded",
        message="failed after 1 attempt",
        startTime="2026-11-24T11:59:30Z",
        completionTime="2026-11-24T11:59:31Z",
        durationMilliseconds=1000,
        effective=EFFECTIVE,
    )
    told = explain(job, NOON, None)
    assert told.waits_for is None
    assert [moment.what for moment in told.timeline] == ["created", "failed", "to be deleted"]
    assert told.timeline[1].detail == "BackoffLimitExceeded, 1.0s after its first start"
    assert "failed after 1 attempt" in shown(told, 80)


def test_a_job_that_nobody_has_looked_at_says_so():
    job = cli_job(phase="Pending", conditions=[], observedGeneration=-1)
    assert explain(job, NOON, None).waits_for[0] == "NotSeenYet"


def test_the_queue_tells_when_a_job_was_queued_and_its_attempt_began():
    record = JobRecord("u.1", "active", queue="email", created_at=1_795_521_541_000, claimed_at=1_795_521_542_000)
    job = cli_job(phase="Running", attempts=2, worker="w1")
    told = explain(job, NOON, replace(FACTS, record=record))
    assert [moment.what for moment in told.timeline] == ["created", "queued", "attempt 2 started"]


def test_indexes_and_children_are_counted():
    job = cli_job(
        phase="Running",
        spec={"completions": 20},
        succeeded=12,
        failed=1,
        active=5,
        failedIndexes="3",
        children={"total": 4, "succeeded": 1, "failed": 1},
    )
    assert explain(job, NOON, None).progress == [
        "indexes: 12 of 20 succeeded, 1 failed, 5 run now",
        "failed indexes: 3",
        "children: 1 of 4 succeeded, 1 failed, 2 left",
    ]


def test_a_request_that_is_not_carried_out_is_noted():
    job = cli_job(annotations={"jobs.fluidcalendar.com/request": "cancel@2026-11-24T12:00:00Z"})
    assert explain(job, NOON, None).notes == ["The request cancel@2026-11-24T12:00:00Z has not been carried out yet."]


def test_a_status_about_an_older_spec_is_noted():
    job = cli_job(observedGeneration=1)
    job.raw["metadata"]["generation"] = 2
    assert "The spec has changed since" in explain(job, NOON, None).notes[0]


def test_attempts_that_are_no_longer_kept_are_noted():
    job = cli_job(attemptHistory=[{"attempt": 4, "outcome": "Failed"}])
    assert explain(job, NOON, None).notes == ["Attempts before number 4 are no longer kept."]


def test_the_queue_tells_the_place_and_what_holds_it():
    stats = replace(STATS, held_by="CircuitOpen", circuit_error="SMTPError", held_until=1_795_521_630_000)
    assert queue_lines(replace(FACTS, stats=stats, place=3), NOON)[:2] == [
        "place 4 of 4 in email (3 before it)",
        "held by CircuitOpen after SMTPError, in 30s",
    ]


def test_a_queue_without_workers_and_a_suspended_environment_say_so():
    assert queue_lines(QueueFacts("email", workers=0, suspended=True), NOON) == [
        "the whole environment is suspended: nothing starts",
        "no worker was heard of in the last minute",
    ]


def test_missing_facts_are_one_sentence_for_people_and_a_field_for_programs():
    told = explain(RETRYING, NOON, "Not shown: its place.")
    assert "Queue\n  Not shown: its place.\n" in shown(told, 80)
    assert as_data(told)["queueFactsMissing"] == "Not shown: its place."


def test_the_explanation_for_programs_holds_the_same():
    data = as_data(explain(RETRYING, NOON, replace(FACTS, place=0)))
    assert data["waitsFor"]["reason"] == "Retrying"
    assert data["timeline"][-1] == {
        "time": "2026-11-24T12:00:08+00:00",
        "what": "next attempt",
        "detail": "retry 1 of 3",
    }
    assert data["queueFacts"]["place"] == 1
    assert data["lastError"]["type"] == "SMTPError"


def test_settings_without_retries_do_not_speak_of_a_backoff():
    assert settings_of({"backoffLimit": 0, "backoff": {"type": "Fixed", "delaySeconds": 5}})[1] == (
        "backoffLimit",
        "no retry",
    )
    assert "backoff" not in dict(settings_of({"backoffLimit": 0, "backoff": {"type": "Fixed", "delaySeconds": 5}}))


def test_an_event_of_an_older_client_has_its_time_and_count():
    event = read_event({"deprecatedLastTimestamp": "2026-11-24T12:00:00Z", "deprecatedCount": 3, "reason": "Queued"})
    assert (event.when, event.count, event.reason) == (NOON, 3, "Queued")
