"""Jobs, retries and endings as values: what is refused, and what the arithmetic promises."""

from datetime import datetime

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fluid_queue import (
    Backoff,
    InvalidJob,
    NewJob,
    Outcome,
    PermanentError,
    RateLimited,
    RetryLater,
    errors,
)
from fluid_queue.keys import KeySpace, selector
from fluid_queue.outcomes import failed, interrupted, succeeded
from support.claims import claimed

backoffs = st.builds(
    Backoff,
    type=st.sampled_from(["Exponential", "Fixed"]),
    delay_seconds=st.integers(0, 315_360_000),
    factor=st.integers(1, 100),
    max_delay_seconds=st.integers(0, 315_360_000),
    jitter_percent=st.integers(0, 100),
)


@given(backoffs, st.integers(1, 10_000), st.floats(-1, 1))
def test_a_wait_stays_within_its_maximum_and_jitter(backoff, failures, spread):
    wait = backoff.wait(failures, spread)
    most = backoff.delay_seconds if backoff.type == "Fixed" else backoff.max_delay_seconds
    assert 0 <= wait <= most * (1 + backoff.jitter_percent / 100) * (1 + 1e-9)


@given(backoffs, st.integers(1, 100))
def test_a_later_retry_never_waits_less(backoff, failures):
    assert backoff.wait(failures, 0) <= backoff.wait(failures + 1, 0)


def test_the_built_in_backoff_spans_hours():
    waits = [Backoff().wait(failure, 0) for failure in range(1, 9)]
    assert waits == [10, 30, 90, 270, 810, 2430, 3600, 3600]


@pytest.mark.parametrize(
    ("field", "job"),
    [
        ("id", {"id": "two words"}),
        ("id", {"id": "x" * 257}),
        ("queue", {"queue": "*"}),
        ("queue", {"queue": "Mail"}),
        ("queue", {"queue": "a,b"}),
        ("type", {"type": "", "queue": "q"}),
        ("priority", {"priority": 1001}),
        ("start_after", {"start_after": datetime.fromisoformat("2026-01-01")}),
        ("start_by", {"start_by": datetime.fromisoformat("2026-01-01")}),
        ("start_by", {"start_by": 1764000000}),
        ("suspended", {"suspended": "yes"}),
        ("backoff_limit", {"backoff_limit": -1}),
        ("delay_seconds", {"delay_seconds": -1}),
    ],
)
def test_a_job_that_the_queue_cannot_take_names_its_field(field, job):
    with pytest.raises(InvalidJob) as caught:
        NewJob(**{"id": "a", "type": "email"} | job)
    assert caught.value.field == field


@pytest.mark.parametrize("payload", [{"x": object()}, {"x": "y" * 1_048_576}])
def test_a_payload_that_is_not_json_or_too_large_is_refused(payload):
    with pytest.raises(InvalidJob) as caught:
        NewJob(id="a", type="email", payload=payload).arguments()
    assert caught.value.field == "payload"


@pytest.mark.parametrize("prefix", ["", "a b", "a}b", "x" * 129])
def test_a_key_prefix_cannot_leave_its_braces(prefix):
    with pytest.raises(InvalidJob):
        KeySpace(prefix)


def test_a_selector_is_canonical():
    assert selector(["b", "a", "b"]) == "a,b"
    assert selector(["b", "*"]) == "*"
    with pytest.raises(InvalidJob):
        selector([])


@pytest.mark.parametrize(
    ("error", "failures", "want"),
    [
        (ValueError("no"), 0, ("retry", "Failed", 10)),
        (ValueError("no"), 1, ("retry", "Failed", 30)),
        (ValueError("no"), 2, ("failed", "BackoffLimitExceeded", 0)),
        (PermanentError("no"), 0, ("failed", "PermanentError", 0)),
        (PermanentError("no", reason="InvalidPayload"), 0, ("failed", "InvalidPayload", 0)),
        (RetryLater(after=7), 0, ("retry", "Failed", 7)),
        (RetryLater(after=7), 2, ("failed", "BackoffLimitExceeded", 0)),
        (RateLimited(after=9), 2, ("postponed", "RateLimited", 9)),
    ],
)
def test_what_a_handler_raises_decides_what_comes_next(error, failures, want):
    ending = failed(claimed(failures=failures), error, now=0, spread=0)
    assert (ending.outcome, ending.reason, ending.delay_seconds) == want


def test_an_error_tells_its_type_message_and_attempt_within_bounds():
    ending = failed(claimed(attempt=3), PermanentError("é" * 5000, type="Bounced"), now=0, spread=0)
    assert orjson.loads(ending.error) == {"type": "Bounced", "message": "é" * 1024, "attempt": 3}


def test_an_error_with_half_a_character_is_still_json():
    ending = failed(claimed(), ValueError("\ud800"), now=0, spread=0)
    assert orjson.loads(ending.error)["message"] == "?"


def test_a_deadline_counts_and_the_last_one_names_itself():
    assert interrupted(claimed(), "deadline", 0, 1, 0).outcome == "retry"
    last = interrupted(claimed(failures=2), "deadline", 0, 1, 0)
    assert (last.outcome, last.reason) == ("failed", "AttemptTimeout")


def test_the_deadline_of_the_whole_job_leaves_no_retry():
    job = claimed(started_at=1_000, active_deadline=5_000)
    ending = interrupted(job, "deadline", 6_000, 5, 0)
    assert (ending.outcome, ending.reason) == ("failed", "DeadlineExceeded")


def test_a_retry_that_could_only_start_after_the_deadline_of_the_job_is_not_waited_for():
    job = claimed(started_at=1_000, active_deadline=5_000)
    ending = failed(job, ValueError("no"), now=2_000, spread=0)
    assert (ending.outcome, ending.reason) == ("failed", "DeadlineExceeded")


@pytest.mark.parametrize("value", [object(), "x" * 70_000])
def test_a_result_that_cannot_be_kept_does_not_run_the_job_again(value):
    ending = succeeded(value)
    assert ending.outcome == "completed"
    assert "dropped" in orjson.loads(ending.result)


def test_the_tree_in_the_docstring_is_the_tree_in_the_code():
    drawn = [line for line in errors.__doc__.splitlines() if line.startswith("    ") and line.strip()]
    tree = [((len(line) - len(line.lstrip())) // 4 - 1, line.split()[0]) for line in drawn]
    parents: dict[int, type] = {}
    for depth, name in tree:
        kind = getattr(errors, name)
        parents[depth] = kind
        assert kind.__base__ is (parents[depth - 1] if depth else Exception)
    assert {name for _, name in tree} == {
        name for name, kind in vars(errors).items() if isinstance(kind, type) and issubclass(kind, Exception)
    }


def test_an_outcome_reads_what_the_script_writes():
    assert Outcome.parse("failed 3 10 20 Stalled v1:ab") == Outcome("failed", 3, 10, 20, "Stalled", "v1:ab")
    assert Outcome.parse("cancelled 0 0 20 Cancelled ").started_at == 0
