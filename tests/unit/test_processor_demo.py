"""The demo types do what the examples promise."""

from fluid_processors.demo import fail, flaky, sleep
from fluid_processors.registry import Registry
from fluid_processors.testing import run_processor


async def test_the_flaky_type_succeeds_at_its_third_attempt():
    outcomes = [await run_processor(flaky, {}, attempt=attempt) for attempt in (1, 2, 3)]
    assert [type(outcome.error).__name__ for outcome in outcomes] == ["DemoError", "DemoError", "NoneType"]
    assert outcomes[-1].result == {"attempt": 3}


async def test_the_sleeping_type_reports_progress_up_to_100():
    outcome = await run_processor(sleep, {"milliseconds": 20, "steps": 2})
    assert outcome.result == {"sleptMilliseconds": 20}
    assert outcome.reports[-1] == (100, "step 2 of 2")


async def test_the_sleeping_type_can_be_stopped_while_it_runs():
    assert (await run_processor(sleep, {"milliseconds": 60_000}, attempt_deadline=0.05)).stopped == "deadline"


async def test_the_failing_type_fails_with_its_message_and_the_attempt():
    assert str((await run_processor(fail, {"message": "out of tea"}, attempt=2)).error) == "out of tea (attempt 2)"


async def test_a_demo_payload_with_an_unknown_field_is_refused():
    assert "sleepFor: is not a field of this payload" in str((await run_processor(sleep, {"sleepFor": 1})).error)


def test_the_demo_types_are_three():
    assert [each.job_type for each in Registry([fail, flaky, sleep])] == ["demo-fail", "demo-flaky", "demo-sleep"]
