"""Threads and child processes of a real worker on a real Redis: blocked loops, loops in C, crashes, kills, leaks."""

import os
import re
import signal
import time
from functools import partial
from pathlib import Path

import pytest

from fluid_queue import Backoff, NewJob, Queue
from support.queues import ended
from support.waiting import auntil
from support.workers import Running, install_probes, worker_process

QUICK = Backoff(type="Fixed", delay_seconds=0)


@pytest.fixture
def start(queue, tmp_path):
    """Starts a worker process on the test's key space."""
    return partial(worker_process, queue, tmp_path, install_probes(tmp_path, "process_probes"))


async def put(queue: Queue, kind: str, name: str = "job", payload=None, **options) -> None:
    usual = {"backoff": QUICK, "backoff_limit": 3, "queue": "children"}
    await queue.enqueue([NewJob(id=name, type=kind, payload=payload or {}, **{**usual, **options})])


async def started(path: Path, number: int = 1) -> list[str]:
    """Waits for so many lines in a file, and gives them."""
    return await auntil(lambda: found if len(found := lines(path)) >= number else None, 20, f"{number} lines in {path}")


def lines(path: Path) -> list[str]:
    return path.read_text().splitlines() if path.exists() else []


def exists(pid: int) -> bool:
    return Path(f"/proc/{pid}").exists()


def children_of(worker: Running) -> list[int]:
    pid = worker.process.pid
    return [
        int(each) for task in Path(f"/proc/{pid}/task").iterdir() for each in (task / "children").read_text().split()
    ]


async def blocked(queue, start, tmp_path, *, seconds: float, lease: float) -> None:
    """A handler blocks the loop of a worker for longer than a lease, while another worker waits for work."""
    mark = tmp_path / "mark"
    async with start(FLUID_LEASE_SECONDS=str(lease)) as worker:
        await worker.ready()
        await put(queue, "block", payload={"mark": str(mark), "seconds": seconds})
        await started(mark)
        async with start(FLUID_LEASE_SECONDS=str(lease), FLUID_WORKER_NAME="other") as other:
            await other.ready()
            done = await ended(queue, "job", seconds + 30)
    assert (done.state, done.attempt, list(done.attempts)) == ("completed", 1, [])
    assert done.worker != "other"
    assert lines(mark) == ["start 1"]


async def test_a_blocked_loop_keeps_its_job(queue, start, tmp_path):
    await blocked(queue, start, tmp_path, seconds=4, lease=1)


@pytest.mark.timeout(150)
async def test_an_async_handler_that_blocks_the_loop_for_40_s_with_a_lease_of_15_s_runs_once(queue, start, tmp_path):
    await blocked(queue, start, tmp_path, seconds=40, lease=15)


@pytest.mark.parametrize("do", ["spin", "backtrack"])
async def test_a_loop_in_c_is_killed_at_its_deadline_and_tried_again(queue, start, tmp_path, do):
    mark = tmp_path / "mark"
    async with start() as worker:
        await worker.ready()
        await put(
            queue, "child", payload={"do": do, "mark": str(mark)}, attempt_deadline_seconds=1, backoff_limit=1
        )  # fmt: skip
        done = await ended(queue, "job")
        assert (done.state, done.reason, done.attempt) == ("failed", "AttemptTimeout", 2)
        assert done.error["type"] == "AttemptTimeout"
        for attempt in done.attempts:
            assert 1 <= (attempt.ended_at - attempt.started_at) / 1000 < 2.5
        assert len(set(lines(mark))) == 2
        assert not any(exists(int(pid)) for pid in lines(mark))


async def test_a_crash_fails_its_own_attempt_and_the_neighbours_finish(queue, start):
    async with start() as worker:
        await worker.ready()
        await put(queue, "child", "neighbour", {"do": "wait", "seconds": 3})
        await put(queue, "thread", "in-a-thread", {"seconds": 3})
        await put(queue, "child", "crash", {"do": "crash"}, backoff_limit=1)
        await put(queue, "child", "killed", {"do": "die"}, backoff_limit=0)
        crash, killed = await ended(queue, "crash"), await ended(queue, "killed")
        for name in ("neighbour", "in-a-thread"):
            done = await ended(queue, name)
            assert (done.state, done.attempt) == ("completed", 1)
        _, metrics = await worker.get("/metrics")
    assert (crash.state, crash.attempt, crash.reason) == ("failed", 2, "BackoffLimitExceeded")
    assert crash.error == {
        "type": "ProcessorCrashed", "message": "the child process was killed by SIGSEGV", "attempt": 2,
    }  # fmt: skip
    assert killed.error["message"] == "the child process was killed by SIGKILL"
    assert re.search(r"fluid_worker_child_crashes_total 3\.0", metrics)
    [*_, died] = [each for each in worker.entries("a child process died") if each["signal"] == "SIGSEGV"]
    assert "process_probes.py" in died["trace"]


async def test_a_job_above_its_memory_limit_fails_with_a_name_of_its_own(queue, start):
    async with start() as worker:
        await worker.ready()
        await put(queue, "child-small", payload={"do": "grow"}, backoff_limit=0)
        done = await ended(queue, "job")
    assert (done.state, done.error["type"]) == ("failed", "MemoryLimitExceeded")


async def test_the_limits_of_the_worker_hold_where_a_processor_has_none(queue, start):
    async with start(FLUID_MAX_JOBS_PER_CHILD="1", FLUID_MEMORY_LIMIT_MEGABYTES="150") as worker:
        await worker.ready()
        pids = []
        for name in ("one", "two", "three"):
            await put(queue, "child", name)
            result = (await ended(queue, name)).result
            pids.append(re.search(rb'"pid":(\d+)', result)[1])
        assert len(set(pids)) == 3
        await put(queue, "child", payload={"do": "grow"}, backoff_limit=0)
        assert "its limit is 150 MB" in (await ended(queue, "job")).error["message"]


async def test_the_cancel_of_a_job_in_a_child_ends_it_within_a_second(queue, start, tmp_path):
    mark = tmp_path / "mark"
    async with start(FLUID_LEASE_SECONDS="15") as worker:
        await worker.ready()
        await put(queue, "child", payload={"do": "spin", "mark": str(mark)})
        [pid] = await started(mark)
        began = time.monotonic()
        await queue.cancel(["job"])
        assert (await ended(queue, "job")).state == "cancelled"
        assert time.monotonic() - began < 1
        assert not exists(int(pid))


async def test_a_lost_lease_ends_the_child_before_the_job_runs_here_again(
    queue, own_redis, start, tmp_path, key_prefix
):
    """A Redis that has lost everything knows of no lease; the job, enqueued again, must not run beside itself."""
    mark = tmp_path / "mark"
    async with Queue.from_url(own_redis.url, key_prefix) as theirs:
        await theirs.open()
        starting = partial(worker_process, theirs, tmp_path, install_probes(tmp_path / "own", "process_probes"))
        async with starting(FLUID_LEASE_SECONDS="1") as worker:
            await worker.ready()
            await put(theirs, "child", payload={"do": "spin", "mark": str(mark)})
            [pid] = await started(mark)
            own_redis.cli("FLUSHALL")
            await auntil(lambda: not exists(int(pid)), 10, "the child is gone")
    assert lines(mark) == [pid]


async def test_a_worker_that_is_killed_leaves_no_child(queue, start, tmp_path):
    mark = tmp_path / "mark"
    async with start() as worker:
        await worker.ready()
        await put(queue, "child", "spins", {"do": "spin", "mark": str(mark)})
        await put(queue, "child", "waits", {"do": "wait"})
        await started(mark)
        children = await auntil(lambda: found if len(found := children_of(worker)) >= 5 else None, 10, "5 children")
        worker.process.send_signal(signal.SIGKILL)
        await worker.exited()
        await auntil(lambda: not any(map(exists, children)), 5, "no child is left")


async def test_sigterm_lets_a_child_finish_its_job_and_leaves_no_child(queue, start, tmp_path):
    mark = tmp_path / "mark"
    async with start() as worker:
        await worker.ready()
        await put(queue, "child", payload={"do": "wait", "seconds": 1.5, "mark": str(mark)})
        await started(mark)
        children = children_of(worker)
        os.kill(int(lines(mark)[0]), signal.SIGTERM)  # as an init process that signals everybody
        worker.process.send_signal(signal.SIGTERM)
        assert await worker.exited() == 0
        assert not any(map(exists, children))
    assert (await ended(queue, "job")).state == "completed"
    assert lines(mark)[1:] == ["done"]


async def test_a_job_in_a_child_is_handed_back_when_the_grace_is_over(queue, start, tmp_path):
    mark = tmp_path / "mark"
    async with start(FLUID_GRACE_SECONDS="0.2") as worker:
        await worker.ready()
        await put(queue, "child", payload={"do": "spin", "mark": str(mark)}, backoff_limit=0)
        await started(mark)
        worker.process.send_signal(signal.SIGTERM)
        assert await worker.exited() == 0
    (found,) = await queue.inspect(["job"])
    assert (found.state, found.failures) == ("waiting", 0)


async def test_a_thread_that_ignores_its_deadline_ends_the_worker_and_its_job_runs_elsewhere(queue, start, tmp_path):
    mark = tmp_path / "mark"
    async with start(FLUID_LEASE_SECONDS="1", FLUID_WORKER_NAME="first") as worker:
        await worker.ready()
        payload = {"mark": str(mark), "seconds": 60}
        await put(queue, "stubborn", payload=payload, attempt_deadline_seconds=0.5)
        await put(queue, "thread", "neighbour", {"seconds": 2})
        await started(mark)
        async with start(FLUID_LEASE_SECONDS="1", FLUID_WORKER_NAME="second") as other:
            await other.ready()
            await auntil(lambda: worker.entries("a thread ignores its stop; the worker drains and exits"), 10)
            assert (await worker.get("/readyz"))[0] in (0, 503)
            assert lines(mark) == ["start 1"]
            assert await worker.exited() == 1
            assert lines(mark) == ["start 1"], "the lease is held for as long as the thread can do harm"
            done = await ended(queue, "job")
    assert (done.state, done.worker) == ("completed", "second")
    assert lines(mark) == ["start 1", "start 2"]
    assert (await ended(queue, "neighbour")).state == "completed"


async def test_blocked_threads_starve_neither_health_nor_the_executor_of_the_loop(queue, start):
    async with start(FLUID_CONCURRENCY="41") as worker:
        await worker.ready()
        for number in range(40):
            await put(queue, "thread", f"thread-{number}", {"seconds": 60})

        async def all_running() -> bool:
            return "fluid_worker_jobs_running 40.0" in (await worker.get("/metrics"))[1]

        await auntil(all_running, 20, "40 threads run")
        assert await worker.get("/livez") == (200, "ok\n")
        await put(queue, "quick", "quick")
        done = await ended(queue, "quick", 10)
        assert done.result == b'"quick"'


async def test_reports_of_a_child_reach_the_record_of_its_job(queue, start):
    async with start() as worker:
        await worker.ready()
        await put(queue, "child", payload={"do": "tell"}, tags={"user": "u1"})
        done = await ended(queue, "job")
        assert await queue.log_lines("job") == ["a line"]
        [entry] = worker.entries("hello from inside")
        assert (entry["logger"], entry["answer"]) == ("a.library", 42)
    assert b'"tags":{"user":"u1"}' in done.result


async def test_a_child_of_a_job_in_a_child_process_is_a_child_of_the_job(queue, start):
    async with start() as worker:
        await worker.ready()
        await put(queue, "child-loop", payload={"do": "enqueue"})
        await ended(queue, "job/one")
        done = await ended(queue, "job")
    assert (done.state, done.result) == ("completed", b'"job/one"')
    (child,) = await queue.inspect(["job/one"])
    assert child.origin == {"kind": "Child", "parent": "job"}


async def test_a_worker_tells_how_its_types_are_isolated(queue, start):
    async with start() as worker:
        await worker.ready()
        types = await auntil(lambda: queue.types("local"), 10)
    assert types["child-small"]["settings"]["isolation"] == "process"
    assert types["child-small"]["settings"]["memoryLimitMegabytes"] == 128
    assert types["child-short"]["settings"]["maxJobsPerChild"] == 2
    assert types["stubborn"]["settings"]["stopGraceSeconds"] == 0.3
    assert types["quick"]["settings"]["isolation"] == "async"


async def test_a_module_that_only_children_cannot_import_fails_its_jobs_and_nothing_else(queue, start, tmp_path):
    """The worker is ready all the same, says what is wrong, and runs its other types."""
    site = tmp_path / "moody"
    site.mkdir()
    (site / "moody.py").write_text(
        "import sys\n"
        "from support.process_probes import Deed\n"
        "from fluid_processors import processor\n"
        "if 'fluid_processors.processes.program' in sys.modules:\n"
        "    raise RuntimeError('not in a child')\n"
        "@processor('moody', payload=Deed, queue='children', isolation='process')\n"
        "def moody(ctx, deed): ...\n"
    )
    path = install_probes(tmp_path / "more", "process_probes")
    points = next((tmp_path / "more").rglob("entry_points.txt"))
    points.write_text(points.read_text() + "moody = moody\n")
    async with start(PYTHONPATH=os.pathsep.join([path, str(site)])) as worker:
        await worker.ready()
        await put(queue, "moody", backoff_limit=0)
        await put(queue, "child", "other")
        done = await ended(queue, "job")
        assert done.error["type"] == "ProcessorCrashed"
        assert "RuntimeError: not in a child" in done.error["message"]
        assert (await ended(queue, "other")).state == "completed"
    assert worker.entries("a child process could not be started")[0]["type"] == "moody"
