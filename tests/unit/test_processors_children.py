"""Jobs in child processes, without a queue: what they see, how they end, and what is left of them."""

import asyncio
import logging
import os
import time
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest

from fluid_processors import MemoryLimitExceeded, Outbound, OutboundMode, ProcessorCrashed, logs
from fluid_processors.processes.limits import Limits
from fluid_processors.processes.pool import Children
from fluid_processors.testing import LocalJob, run_processor
from fluid_queue import Backoff, Deduplication, PermanentError, RateLimited, RetryLater
from support.process_probes import counted, in_a_thread, on_a_loop, plain, short_lived, small
from support.waiting import auntil


def alive(pid: int) -> bool:
    """Whether a process runs; one that is dead and waits to be reaped does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def exists(pid: int) -> bool:
    """Whether there is anything of a process, be it a zombie."""
    return Path(f"/proc/{pid}").exists()


@asynccontextmanager
async def open_children(size=4, limits=None, **options):
    """Children, and a function that starts a job in one: it gives the job and its task."""
    async with Children(size, limits, **options) as children:

        def start(processor, do="tell", job_id="job-1", deadline=None, outbound=None, **payload):
            job = LocalJob(processor.job_type, {"do": do, **payload}, job_id)
            if deadline is not None:
                job.deadline_seconds = time.monotonic() + deadline
            logger = logs.for_job(logging.getLogger("probe"), job)
            rule = {} if outbound is None else {"outbound": outbound}
            return job, asyncio.ensure_future(children.run(processor, job, logger, **rule))

        children.start = start
        yield children


def stop(job, task, reason="cancel"):
    """What a consumer does to stop a job."""
    job.stop_reason = reason
    task.cancel()


async def ended(task):
    """The outcome of a task, as data."""
    try:
        return await task
    except (Exception, asyncio.CancelledError) as error:  # noqa: BLE001 - the outcome is data here
        return error


def lines(path) -> list[str]:
    return path.read_text().splitlines() if path.exists() else []


@pytest.mark.parametrize("processor", [plain, on_a_loop])
async def test_a_job_in_a_child_sees_what_it_would_see_in_its_worker(processor, caplog):
    caplog.set_level("INFO")
    rule = Outbound(OutboundMode.REDIRECT, "all@example.org", ("example.com",))
    outcome = await run_processor(
        processor, {"do": "tell"}, attempt=2, job_id="ns.job", outbound=rule, attempt_deadline=30
    )
    assert outcome.error is None
    pid = outcome.result.pop("pid")
    assert pid != os.getpid()
    assert outcome.result == {
        "opened by": [pid], "token": 1, "key": "ns.job", "attempt": 2, "tags": {}, "has a deadline": True,
        "redirected to": "all@example.org", "live": False,
    }  # fmt: skip
    assert outcome.lines == ["a line"]
    assert outcome.reports == [(40, "nearly half")]
    [record] = [each for each in caplog.records if each.name == "a.library"]
    assert record.getMessage() == "hello from inside"
    assert record.fields == {"answer": 42, "child": pid}
    [told] = [each for each in caplog.records if each.message == "job log"]
    assert told.fields == {
        "job": "ns.job", "type": processor.job_type, "queue": "children", "attempt": 2, "line": "a line", "child": pid,
    }  # fmt: skip
    assert "the resource is closed" in caplog.messages
    assert not exists(pid)


@pytest.mark.parametrize(
    ("do", "kind", "meaning"),
    [
        ("raise permanent", PermanentError, {"type": "NoSuchUser", "reason": "UserGone"}),
        ("raise later", RetryLater, {"after": 12.5}),
        ("raise limited", RateLimited, {"after": 3, "scope": "key"}),
    ],
)
async def test_what_a_child_raises_on_purpose_keeps_its_meaning(do, kind, meaning):
    error = (await run_processor(plain, {"do": do})).error
    assert isinstance(error, kind)
    assert {key: getattr(error, key) for key in meaning} == meaning


async def test_odd_ends_of_a_function_are_outcomes_of_its_job_and_the_child_works_on():
    async with open_children() as children:
        ends = {}
        for do in ("exit", "surrogate", "large", "odd", "signal itself"):
            ends[do] = await ended(children.start(plain, do)[1])
        ends["cancel itself"] = await ended(children.start(on_a_loop, "cancel itself")[1])
        assert {type(end).__name__ for end in ends.values()} == {
            "SystemExit",
            "ValueError",
            "dict",
            "str",
            "CancelledError",
        }
        assert isinstance(ends["cancel itself"], Exception)  # a failure, and not a stop
        assert "not JSON" in ends["odd"]["dropped"]
        assert "bytes" in ends["large"]["dropped"]
        assert ends["signal itself"] == "still here"
        assert len(children) == 2


@pytest.mark.parametrize("processor", [plain, in_a_thread])
async def test_a_plain_function_enqueues_children_and_learns_what_was_refused(processor):
    outcome = await run_processor(processor, {"do": "family"}, job_id="ns.job")
    assert outcome.error is None
    assert outcome.result[:3] == ["ns.job/one", "ns.job/one", "ns.job/two"]
    assert outcome.result[3:5] == ["InvalidJob payload", "InvalidJob queue"]
    assert outcome.result[5] == "TypeError"
    one, two = outcome.enqueued
    assert (one.type, one.key, one.payload["do"], one.detached) == ("quick", "one", "a model", False)
    assert one.options == {"queue": "nursery", "delay_seconds": 60}
    assert (two.payload, two.detached) == ({"do": "told"}, True)
    assert two.options["backoff"] == Backoff(type="Fixed", delay_seconds=7)
    assert two.options["deduplication"] == Deduplication("twin")
    assert two.options["start_after"] == datetime(2099, 1, 1, tzinfo=UTC)


async def test_an_async_function_awaits_and_is_told_so_before_it_blocks_its_loop():
    outcome = await run_processor(on_a_loop, {"do": "enqueue"}, job_id="ns.job")
    assert (outcome.result, outcome.enqueued[0].payload) == ("ns.job/one", {"do": "told"})
    error = (await run_processor(on_a_loop, {"do": "enqueue in the wrong way"})).error
    assert type(error).__name__ == "RuntimeError"
    assert "await ctx.enqueue" in str(error)


async def test_a_payload_is_checked_inside_and_the_refusal_names_the_field():
    error = (await run_processor(plain, {"do": "tell", "seconds": "soon"})).error
    assert isinstance(error, PermanentError)
    assert (error.type, error.reason) == ("InvalidPayload", "InvalidPayload")
    assert str(error).startswith("seconds: ")


async def test_a_test_cannot_hand_objects_to_a_child():
    with pytest.raises(ValueError, match="opens its own"):
        await run_processor(plain, {}, resources={counted: []})


@pytest.mark.parametrize(
    ("do", "signal", "code", "said"),
    [
        ("crash", "SIGSEGV", None, "was killed by SIGSEGV"),
        ("die", "SIGKILL", None, "was killed by SIGKILL"),
        ("leave", "", 7, "exited with code 7"),
    ],
)
async def test_a_child_that_dies_fails_its_own_attempt_and_its_neighbour_goes_on(do, signal, code, said, caplog):
    crashes = []
    async with open_children(on_crash=lambda: crashes.append(1)) as children:
        _, neighbour = children.start(plain, "wait", "neighbour", seconds=1.5)
        _, task = children.start(plain, do)
        error = await ended(task)
        assert isinstance(error, ProcessorCrashed)
        assert (error.signal, error.exit_code) == (signal, code)
        assert said in str(error)
        assert not neighbour.done()
        assert await neighbour is None
        assert crashes == [1]
        [record] = [each for each in caplog.records if each.message == "a child process died"]
        if do == "crash":
            assert "process_probes.py" in record.fields["trace"]
        assert (await children.start(plain)[1])["key"] == "job-1"


@pytest.mark.parametrize("do", ["spin", "backtrack"])
async def test_a_loop_in_c_is_killed_when_its_job_is_stopped(do, tmp_path):
    mark = tmp_path / "mark"
    async with open_children(limits=Limits(stop_grace_seconds=0.2)) as children:
        job, task = children.start(plain, do, mark=str(mark))
        await auntil(lambda: lines(mark), 20, "the start")
        began = time.monotonic()
        stop(job, task)
        assert isinstance(await ended(task), asyncio.CancelledError)
        assert 0.15 < time.monotonic() - began < 1.0
        assert not exists(int(lines(mark)[0]))


@pytest.mark.parametrize(("processor", "do"), [(plain, "wait"), (on_a_loop, "pause")])
async def test_a_job_that_heeds_its_stop_ends_at_once_and_its_child_lives(processor, do):
    async with open_children(limits=Limits(stop_grace_seconds=30)) as children:
        first = (await children.start(processor)[1])["pid"]
        job, task = children.start(processor, do)
        await asyncio.sleep(0.1)
        began = time.monotonic()
        stop(job, task)
        assert isinstance(await ended(task), asyncio.CancelledError)
        assert time.monotonic() - began < 2
        assert (await children.start(processor)[1])["pid"] == first


async def test_a_stop_is_not_hurried_by_a_second_one():
    async with open_children(limits=Limits(stop_grace_seconds=0.5)) as children:
        await children.start(plain)[1]
        job, task = children.start(plain, "sleep")
        await asyncio.sleep(0.1)
        began = time.monotonic()
        stop(job, task)
        await asyncio.sleep(0.1)
        task.cancel()
        assert isinstance(await ended(task), asyncio.CancelledError)
        assert time.monotonic() - began > 0.4


async def test_a_child_is_killed_at_its_deadline_even_while_the_loop_is_blocked(tmp_path):
    mark = tmp_path / "mark"
    async with open_children(limits=Limits(stop_grace_seconds=0.1)) as children:
        await children.start(plain)[1]
        job, task = children.start(plain, "spin", deadline=0.5, mark=str(mark))
        await auntil(lambda: lines(mark), 20, "the start")
        pid = int(lines(mark)[0])
        until = time.monotonic() + 10
        while exists(pid) and time.monotonic() < until:
            time.sleep(0.01)  # noqa: ASYNC251 - the loop is to be blocked
        assert not exists(pid)
        stop(job, task, "deadline")  # the consumer's alarm rings as soon as the loop is free
        assert isinstance(await ended(task), asyncio.CancelledError)


async def test_a_blocked_loop_does_not_hold_a_child_up_that_reports_much(tmp_path):
    mark = tmp_path / "mark"
    async with open_children() as children:
        await children.start(plain)[1]
        job, task = children.start(plain, "flood", mark=str(mark))
        await auntil(lambda: lines(mark), 20, "the start")
        until = time.monotonic() + 20
        while len(lines(mark)) < 2 and time.monotonic() < until:
            time.sleep(0.01)  # noqa: ASYNC251 - the loop is to be blocked
        assert lines(mark)[1:] == ["flooded"]
        await task
        assert job.lines[-1].startswith("line 19999")


async def test_a_child_above_its_memory_limit_is_killed_and_says_so():
    async with open_children() as children:
        error = await ended(children.start(small, "grow")[1])
        assert isinstance(error, MemoryLimitExceeded)
        assert error.limit == 128
        assert error.used > 128
        assert "memory_limit_megabytes" in str(error)


async def test_a_child_is_replaced_after_its_jobs():
    async with open_children() as children:
        pids = [(await children.start(short_lived)[1])["pid"] for _ in range(6)]
        assert [pids[at] == pids[at + 1] for at in (0, 2, 4)] == [True] * 3
        assert len(set(pids)) == 3
        await auntil(lambda: len(children) == 1, 10, "only the newest child is left")


async def test_jobs_at_a_time_get_a_child_each_and_then_share_the_warm_ones():
    async with open_children(size=3, idle_seconds=0.3) as children:
        together = [children.start(plain, "wait", f"job-{n}", seconds=0.5)[1] for n in range(3)]
        await asyncio.gather(*together)
        assert len(children) == 3
        one_by_one = {(await children.start(plain)[1])["pid"] for _ in range(4)}
        assert len(one_by_one) == 1
        await auntil(lambda: len(children) == 1, 10, "children that nobody needs are let go")


async def test_a_child_of_another_type_makes_room_when_the_worker_is_full():
    async with open_children(size=1) as children:
        first = (await children.start(plain)[1])["pid"]
        await children.start(on_a_loop)[1]
        await auntil(lambda: not exists(first), 10, "the first child is gone")
        assert len(children) == 1


async def test_a_child_that_dies_idle_costs_no_attempt():
    async with open_children() as children:
        first = (await children.start(plain)[1])["pid"]
        os.kill(first, 9)
        assert (await children.start(plain)[1])["pid"] != first


async def test_what_a_child_has_started_is_killed_with_it(tmp_path):
    mark = tmp_path / "mark"
    async with open_children(limits=Limits(stop_grace_seconds=0)) as children:
        job, task = children.start(plain, "start another", mark=str(mark))
        await auntil(lambda: len(lines(mark)) == 2, 20, "the grandchild")
        child, grandchild = map(int, lines(mark))
        stop(job, task)
        await ended(task)
        assert not exists(child)
        await auntil(lambda: not alive(grandchild), 5, "the grandchild has gone too")


async def test_a_stop_while_a_child_still_starts_leaves_the_child_for_others():
    async with open_children() as children:
        job, task = children.start(plain)
        await asyncio.sleep(0.05)
        stop(job, task)
        assert isinstance(await ended(task), asyncio.CancelledError)
        assert len(children) == 1
        assert (await children.start(plain)[1])["attempt"] == 1
        assert len(children) == 1


async def test_nothing_is_left_open_by_children(tmp_path):
    def open_files() -> int:
        return len(os.listdir("/proc/self/fd"))

    async with open_children() as children:
        await children.start(plain)[1]
    before = open_files()
    async with open_children() as children:
        for do in ("crash", "leave", "tell", "exit"):
            await ended(children.start(plain, do)[1])
    assert open_files() == before
