"""Rules about the types of errors: what follows from them, and which rules are refused."""

import orjson
import pytest

from fluid_queue import FailureRule, InvalidJob, NewJob, PermanentError, RateLimited, RetryLater
from fluid_queue.failures import action_for
from fluid_queue.outcomes import failed, interrupted
from support.claims import claimed

FAIL, IGNORE, COUNT = (
    FailureRule(["Refused", "ValueError"], "FailJob"),
    FailureRule(["ConnectionError", "AttemptTimeout"], "Ignore"),
    FailureRule(["ValueError", "KeyError"], "Count"),
)
RULES = (FAIL, IGNORE, COUNT)


class Refused(Exception):
    """An error of a provider."""


class Named(Exception):
    """An error that says its own type, as status.error.type shows it."""

    type = "Refused"


@pytest.mark.parametrize(
    ("type_", "want"),
    [("ValueError", "FailJob"), ("KeyError", "Count"), ("AttemptTimeout", "Ignore"), ("Else", "Count")],
)
def test_the_first_rule_that_names_the_type_decides(type_, want):
    assert action_for(type_, RULES) == want


@pytest.mark.parametrize(
    ("error", "failures", "want"),
    [
        (Refused("no"), 0, ("failed", "PolicyFailed", 0)),
        (Named("no"), 0, ("failed", "PolicyFailed", 0)),
        (ConnectionError("away"), 0, ("postponed", "Ignored", 10)),
        (ConnectionError("away"), 2, ("postponed", "Ignored", 90)),
        (ConnectionError("away"), 99, ("postponed", "Ignored", 3600)),
        (KeyError("no"), 1, ("retry", "Failed", 30)),
        (KeyError("no"), 2, ("failed", "BackoffLimitExceeded", 0)),
        (OSError("no rule"), 2, ("failed", "BackoffLimitExceeded", 0)),
    ],
)
def test_a_rule_decides_what_follows_from_a_failed_attempt(error, failures, want):
    ending = failed(claimed(failures=failures, failure_rules=RULES), error, now=0, spread=0)
    assert (ending.outcome, ending.reason, ending.delay_seconds) == want


def test_the_type_that_a_rule_names_is_the_one_that_the_job_shows():
    long = "x" * 200
    error = PermanentError("no", type=long)
    shown = orjson.loads(failed(claimed(), error, now=0, spread=0).error)["type"]
    rules = (FailureRule([shown], "FailJob"),)
    assert failed(claimed(failure_rules=rules), error, now=0, spread=0).reason == "PolicyFailed"


@pytest.mark.parametrize("action", ["Ignore", "Count"])
def test_no_rule_lets_a_job_run_again_whose_handler_says_that_no_retry_can_help(action):
    rules = (FailureRule(["PermanentError"], action),)
    ending = failed(claimed(failure_rules=rules), PermanentError("no"), now=0, spread=0)
    assert (ending.outcome, ending.reason) == ("failed", "PermanentError")


def test_a_pause_is_no_error_on_which_a_rule_could_decide():
    rules = (FailureRule(["RateLimited"], "FailJob"),)
    ending = failed(claimed(failure_rules=rules), RateLimited(after=9), now=0, spread=0)
    assert (ending.outcome, ending.delay_seconds) == ("postponed", 9)


def test_an_ignored_attempt_that_says_when_to_try_again_is_taken_at_its_word():
    rules = (FailureRule(["RetryLater"], "Ignore"),)
    ending = failed(claimed(failure_rules=rules, failures=8), RetryLater(after=7), now=0, spread=0)
    assert (ending.outcome, ending.reason, ending.delay_seconds) == ("postponed", "Ignored", 7)


@pytest.mark.parametrize(
    ("action", "want"),
    [
        ("FailJob", ("failed", "PolicyFailed")),
        ("Ignore", ("postponed", "Ignored")),
        ("Count", ("retry", "AttemptTimeout")),
    ],
)
def test_a_passed_attempt_deadline_is_a_type_like_any_other(action, want):
    rules = (FailureRule(["AttemptTimeout"], action),)
    ending = interrupted(claimed(failure_rules=rules), "deadline", 0, 1.0, 0)
    assert (ending.outcome, ending.reason) == want


def test_not_even_ignored_attempts_go_on_behind_the_deadline_of_the_job():
    rules = (FailureRule(["OSError"], "Ignore"),)
    for now in (5000, 99_000):
        ending = failed(claimed(failure_rules=rules, active_deadline=9000), OSError("no"), now=now, spread=0)
        assert (ending.outcome, ending.reason) == ("failed", "DeadlineExceeded")


@pytest.mark.parametrize(
    ("field", "types", "action"),
    [
        ("failureRules.errorTypes", [], "FailJob"),
        ("failureRules.errorTypes", ["E"] * 33, "FailJob"),
        ("failureRules.errorTypes", ["E" * 129], "FailJob"),
        ("failureRules.errorTypes", [""], "FailJob"),
        ("failureRules.errorTypes", [None], "FailJob"),
        ("failureRules.errorTypes", "E", "FailJob"),
        ("failureRules.action", ["E"], "Retry"),
        ("failureRules.action", ["E"], None),
    ],
)
def test_a_rule_that_is_none_names_its_field(field, types, action):
    with pytest.raises(InvalidJob) as caught:
        FailureRule(types, action)
    assert caught.value.field == field


@pytest.mark.parametrize("rules", [[COUNT] * 21, COUNT, [None], "rules", {"action": "FailJob"}])
def test_a_job_takes_a_bounded_list_of_rules_and_nothing_else(rules):
    with pytest.raises(InvalidJob) as caught:
        NewJob(id="a", type="t", failure_rules=rules)
    assert caught.value.field == "failureRules"


def test_rules_are_part_of_what_a_worker_gets_only_where_there_are_any():
    assert b"failureRules" not in NewJob(id="a", type="t").spec()
    assert orjson.loads(NewJob(id="a", type="t", failure_rules=[FAIL]).spec())["failureRules"] == [
        {"errorTypes": ["Refused", "ValueError"], "action": "FailJob"}
    ]
