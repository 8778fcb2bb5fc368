"""Rules about failures, on a real queue and a real worker: what stops at once, what goes on uncounted, what is seen of
it.
"""

import asyncio

import pytest

from fluid_queue import ActiveJob, Backoff, FailureRule, Indexes
from support.claims import claim
from support.queues import consuming, ended, job, record
from support.waiting import auntil


def raising(*errors: Exception):
    """A handler that raises these, one after the other, and succeeds then."""
    left = list(errors)

    async def handle(_: ActiveJob) -> None:
        if left:
            raise left.pop(0)

    return handle


async def test_an_error_that_a_rule_names_fails_the_job_at_its_first_attempt(queue):
    rules = [FailureRule(["ValueError"], "FailJob")]
    async with consuming(queue, raising(OSError("away"), ValueError("never"))):
        await queue.enqueue([job("a", failure_rules=rules, backoff_limit=9)])
        found = await ended(queue, "a")
    assert (found.state, found.reason, found.attempt, found.failures) == ("failed", "PolicyFailed", 2, 1)
    assert found.error == {"type": "ValueError", "message": "never", "attempt": 2}


async def test_ignored_attempts_are_told_and_do_not_count(queue):
    rules = [FailureRule(["OSError"], "Ignore")]
    errors = [OSError("away"), OSError("still away"), OSError("back soon"), ValueError("once")]
    async with consuming(queue, raising(*errors)):
        await queue.enqueue([job("a", failure_rules=rules, backoff_limit=1)])
        found = await ended(queue, "a")
    assert (found.state, found.attempt, found.failures) == ("completed", 5, 1)
    assert [past.outcome for past in found.attempts] == ["Ignored", "Ignored", "Ignored", "Failed"]
    assert found.attempts[1].error == {"type": "OSError", "message": "still away", "attempt": 2}


async def test_an_ignored_attempt_waits_for_the_backoff(queue):
    wait = Backoff(type="Fixed", delay_seconds=3600, jitter_percent=0)
    async with consuming(queue, raising(OSError("away"))):
        await queue.enqueue([job("a", failure_rules=[FailureRule(["OSError"], "Ignore")], backoff=wait)])

        async def delayed():
            found = await record(queue, "a")
            return found if found.state == "delayed" else None

        found = await auntil(delayed, 10, "the wait")
    assert found.due_at - found.attempts[0].ended_at == 3_600_000
    assert (found.failures, found.error["type"]) == (0, "OSError")


async def test_ignored_attempts_end_with_the_deadline_of_the_job(queue):
    rules = [FailureRule(["OSError"], "Ignore")]
    backoff = Backoff(type="Fixed", delay_seconds=0)

    async def away(_: ActiveJob) -> None:
        await asyncio.sleep(0.05)
        raise OSError("away")

    async with consuming(queue, away):
        await queue.enqueue([job("a", failure_rules=rules, backoff=backoff, active_deadline_seconds=0.5)])
        found = await ended(queue, "a")
    assert (found.state, found.reason, found.failures) == ("failed", "DeadlineExceeded", 0)
    assert found.attempt > 2


async def test_an_attempt_that_takes_too_long_has_a_type_for_rules(queue):
    async with consuming(queue, lambda _: asyncio.sleep(60)):
        rules = [FailureRule(["AttemptTimeout"], "FailJob")]
        await queue.enqueue([job("a", failure_rules=rules, attempt_deadline_seconds=0.1)])
        found = await ended(queue, "a")
    assert (found.reason, found.error["type"]) == ("PolicyFailed", "AttemptTimeout")


async def test_the_indexes_of_a_job_obey_its_rules(queue):
    async def odd(active: ActiveJob) -> None:
        if active.index == 1:
            raise ValueError("never")

    async with consuming(queue, odd):
        rules = [FailureRule(["ValueError"], "FailJob")]
        await queue.enqueue([job("i", indexes=Indexes(3, 3, None), failure_rules=rules)])
        found = await ended(queue, "i")
    assert (found.reason, found.succeeded, found.failed) == ("FailedIndexes", 2, 1)
    assert found.error["attempt"] == 1


@pytest.mark.parametrize("rules", [20, 0])
async def test_a_worker_gets_the_rules_as_they_were_given(queue, rules):
    given = tuple(FailureRule(tuple(f"E{n}.{k}" for k in range(32)), "Count") for n in range(rules))
    await queue.enqueue([job("a", failure_rules=given)])
    (got,) = await claim(queue)
    assert tuple(got.failure_rules) == given
