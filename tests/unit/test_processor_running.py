"""What a processor meets when it runs: context, threads, resources, stops."""

import asyncio
import threading
import time
from contextlib import asynccontextmanager

import pytest
from pydantic import BaseModel, Field

from fluid_processors import Outbound, OutboundMode, Registry, Resource, processor, resource
from fluid_processors.context import Context
from fluid_processors.execution import Threads
from fluid_processors.handler import JobHandler
from fluid_processors.resources import ResourcePool
from fluid_processors.testing import LocalJob, run_processor
from support.waiting import auntil


class Anything(BaseModel):
    value: str = ""


class Answer(BaseModel):
    run_time: int = Field(alias="runTime")


async def test_the_context_tells_attempt_token_and_a_key_that_is_stable_over_attempts():
    @processor("probe", payload=Anything)
    async def probe(ctx: Context, payload: Anything):
        return [ctx.attempt, ctx.idempotency_key, ctx.fencing_token, ctx.remaining()]

    first = await run_processor(probe, {}, attempt=1)
    third = await run_processor(probe, {}, attempt=3)
    assert first.result == [1, "job-1", 1, None]
    assert third.result[:2] == [3, "job-1"]


async def test_a_model_is_returned_by_its_aliases():
    @processor("probe", payload=Anything)
    async def probe(ctx, payload):
        return Answer(runTime=3)

    assert (await run_processor(probe, {})).result == {"runTime": 3}


async def test_a_plain_function_runs_in_a_thread_and_reports_in_order():
    @processor("probe", payload=Anything)
    def probe(ctx: Context, payload: Anything):
        for number in range(5):
            ctx.log(f"line {number}")
        ctx.progress(150, "beyond")
        return threading.current_thread().name

    outcome = await run_processor(probe, {})
    assert outcome.result.startswith("processor")
    assert outcome.lines == [f"line {number}" for number in range(5)]
    assert outcome.reports == [(100, "beyond")]


async def test_reports_are_sent_before_the_job_ends_because_later_ones_would_be_refused():
    @processor("probe", payload=Anything)
    async def probe(ctx: Context, payload: Anything):
        ctx.log("last words")
        ctx.progress(100, "done")

    threads = Threads(1, stop_grace_seconds=1, on_leak=lambda _: None)
    async with ResourcePool() as pool:
        job = LocalJob("probe", {})
        await JobHandler(Registry([probe]), threads=threads, resources=pool)(job)
        assert (job.lines, job.reports) == (["last words"], [(100, "done")])
    threads.close()


async def test_a_stop_sets_cancelled_and_waits_for_the_thread():
    returned = threading.Event()

    @processor("probe", payload=Anything)
    def probe(ctx: Context, payload: Anything):
        ctx.cancelled.wait(30)
        assert ctx.cancelled.reason == "deadline"
        returned.set()
        return "too late to count"

    outcome = await run_processor(probe, {}, attempt_deadline=0.05)
    assert returned.is_set()
    assert outcome.stopped == "deadline"
    assert outcome.result is None


async def test_a_plain_function_can_leave_at_a_safe_place_by_raise_if_set():
    @processor("probe", payload=Anything)
    def probe(ctx: Context, payload: Anything):
        while True:
            ctx.cancelled.raise_if_set()
            time.sleep(0.001)

    assert (await run_processor(probe, {}, attempt_deadline=0.05)).stopped == "deadline"


async def test_an_async_function_sees_the_stop_before_it_is_cancelled():
    seen = []

    @processor("probe", payload=Anything)
    async def probe(ctx: Context, payload: Anything):
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            seen.append((ctx.cancelled.is_set(), ctx.cancelled.reason))
            raise

    await run_processor(probe, {}, attempt_deadline=0.05)
    assert seen == [(True, "deadline")]


async def test_a_thread_that_outlives_the_stop_grace_is_a_leak_and_keeps_its_job():
    release = threading.Event()
    leaks = []

    @processor("probe", payload=Anything)
    def probe(ctx: Context, payload: Anything):
        release.wait(30)

    threads = Threads(1, stop_grace_seconds=0.02, on_leak=leaks.append)
    async with ResourcePool() as pool:
        job = LocalJob("probe", {})
        task = asyncio.ensure_future(JobHandler(Registry([probe]), threads=threads, resources=pool)(job))
        await asyncio.sleep(0)
        job.stop_reason = "cancel"
        task.cancel()
        await auntil(lambda: leaks, within=10)
        task.cancel()
        await asyncio.wait({task}, timeout=0.05)
        assert not task.done()
        assert threads.leaked == 1
        release.set()
        with pytest.raises(asyncio.CancelledError):
            await task
    assert [leak.job_id for leak in leaks] == ["job-1"]
    assert threads.leaked == 0
    threads.close()


def counting_resource() -> tuple[Resource[str], list[str]]:
    events: list[str] = []

    @resource("counted")
    @asynccontextmanager
    async def counted():
        events.append("open")
        yield "the thing"
        events.append("close")

    return counted, events


async def test_a_resource_is_opened_once_by_the_first_job_and_closed_at_the_end():
    counted, events = counting_resource()

    @processor("probe", payload=Anything, resources=[counted])
    async def probe(ctx: Context, payload: Anything):
        return ctx.resources[counted]

    threads = Threads(1, stop_grace_seconds=1, on_leak=lambda _: None)
    async with ResourcePool() as pool:
        handler = JobHandler(Registry([probe]), threads=threads, resources=pool)
        assert events == []
        results = await asyncio.gather(*(handler(LocalJob("probe", {})) for _ in range(5)))
        assert results == ["the thing"] * 5
        assert events == ["open"]
    assert events == ["open", "close"]
    threads.close()


async def test_a_resource_that_was_not_declared_is_an_error_that_says_what_to_do():
    counted, _ = counting_resource()

    @processor("probe", payload=Anything)
    async def probe(ctx: Context, payload: Anything):
        return ctx.resources[counted]

    error = (await run_processor(probe, {})).error
    assert isinstance(error, KeyError)
    assert "resources=[...]" in str(error)


async def test_a_test_may_replace_a_resource():
    counted, events = counting_resource()

    @processor("probe", payload=Anything, resources=[counted])
    async def probe(ctx: Context, payload: Anything):
        return ctx.resources[counted]

    assert (await run_processor(probe, {}, resources={counted: "mine"})).result == "mine"
    assert events == []


async def test_waiting_for_the_stop_on_the_loop_ends_with_it():
    woken = []

    @processor("probe", payload=Anything)
    async def probe(ctx: Context, payload: Anything):
        async def watch():
            await ctx.cancelled
            woken.append(ctx.cancelled.reason)

        watching = asyncio.ensure_future(watch())
        try:
            await asyncio.Event().wait()
        finally:
            context_stop.append(watching)

    context_stop: list[asyncio.Task[None]] = []
    await run_processor(probe, {}, attempt_deadline=0.05)
    await auntil(lambda: woken, within=5)
    assert woken == ["deadline"]
    await context_stop[0]


async def test_a_child_is_kept_with_its_concurrency_key():
    @processor("probe", payload=Anything)
    async def probe(ctx: Context, payload: Anything) -> str:
        return await ctx.enqueue("other", key="one", concurrency_key="k")

    (child,) = (await run_processor(probe, {})).enqueued
    assert (child.key, child.options) == ("one", {"concurrency_key": "k"})


def test_redirect_needs_an_address():
    with pytest.raises(ValueError, match="redirect_to"):
        Outbound(OutboundMode.REDIRECT)


@pytest.mark.parametrize(
    ("told", "mode"),
    [
        ({}, "Live"),
        ({"mode": "Redirect", "redirectTo": "a@example.org", "allow": ["example.org"]}, "Redirect"),
        ({"mode": "Redirect"}, "Suppress"),
        ({"mode": "Shout"}, "Suppress"),
        ({"mode": "Suppress", "allow": 5}, "Suppress"),
    ],
)
def test_an_outbound_rule_that_cannot_be_understood_suppresses(told, mode):
    assert Outbound.from_settings(told).mode == mode


def test_outbound_permits_allowed_addresses_and_domains_alone():
    rule = Outbound(OutboundMode.SUPPRESS, allow=("ada@example.org", "Example.com"))
    assert rule.permits("ADA@example.org")
    assert rule.permits("anyone@example.com")
    assert not rule.permits("bob@example.org")
    assert Outbound().permits("bob@example.org")
