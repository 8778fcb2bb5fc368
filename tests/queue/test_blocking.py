"""The queue from plain code: threads, forks, interrupts, and nothing left running."""

import asyncio
import subprocess
import sys
import textwrap
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from fluid_queue import BlockingQueue, Consumer, InvalidJob, Queue, QueueUnavailable
from support.queues import QUICK, job
from support.waiting import until


@pytest.fixture
def worker(redis_server, key_prefix) -> Iterator[None]:
    """A worker in a thread of its own, that answers with the payload."""
    ready, ending = threading.Event(), threading.Event()

    async def work() -> None:
        async with Queue.from_url(redis_server.url, key_prefix) as queue:
            await queue.open()
            consumer = Consumer(queue, _echo, worker="w")
            running = asyncio.create_task(consumer.run())
            ready.set()
            await asyncio.to_thread(ending.wait)
            consumer.drain(0)
            await running

    thread = threading.Thread(target=lambda: asyncio.run(work()))
    thread.start()
    assert ready.wait(10)
    yield
    ending.set()
    thread.join(10)
    assert not thread.is_alive()


async def _echo(active):
    await active.log("working")
    return dict(active.payload)


def engines() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("fluid-blocking")]


def test_plain_code_adds_a_job_and_gets_its_result(redis_server, key_prefix, worker):
    with BlockingQueue(redis_server.url, key_prefix) as queue:
        added = queue.add("echo", {"to": "ä"}, tags={"user": "u1"})
        record = queue.wait(added, timeout=20)
        assert (record.state, record.value) == ("completed", {"to": "ä"})
        assert queue.log_lines(added) == ["working"]
        assert queue.inspect([added])[0].state == "completed"
        assert queue.stats().queues[0].completed == 1
    assert engines() == []


def test_many_threads_share_one_queue(redis_server, key_prefix, worker):
    with BlockingQueue(redis_server.url, key_prefix) as queue, ThreadPoolExecutor(16) as pool:
        records = list(pool.map(lambda n: queue.wait(queue.add("echo", {"n": n}), timeout=30), range(64)))
        assert [record.value["n"] for record in records] == list(range(64))
        assert len(engines()) == 1


def test_jobs_are_enqueued_cancelled_and_waited_for(redis_server, key_prefix):
    with BlockingQueue(redis_server.url, key_prefix) as queue:
        assert [answer.code for answer in queue.enqueue([job("a"), job("a")])] == ["created", "exists"]
        with pytest.raises(TimeoutError):
            queue.wait("a", timeout=0.1)
        assert queue.cancel(["a"]) == ["cancelled"]
        assert queue.wait("a", timeout=5).state == "cancelled"


def test_errors_are_those_of_the_queue_and_a_bad_prefix_is_told_at_once(redis_server, key_prefix):
    with pytest.raises(InvalidJob, match="keyPrefix"):
        BlockingQueue(redis_server.url, "two words")
    with BlockingQueue("redis://127.0.0.1:1/0", key_prefix) as queue, pytest.raises(QueueUnavailable):
        queue.add("t")
    assert engines() == []


def test_a_closed_queue_comes_back_with_the_next_call(redis_server, key_prefix):
    queue = BlockingQueue(redis_server.url, key_prefix)
    queue.add("t", backoff=QUICK)
    queue.close()
    queue.close()
    assert engines() == []
    queue.add("t")
    assert queue.stats().queues[0].waiting == 2
    queue.close()


def test_a_queue_that_nobody_holds_any_more_ends_its_thread(redis_server, key_prefix):
    queue = BlockingQueue(redis_server.url, key_prefix)
    queue.add("t")
    del queue
    until(lambda: engines() == [], 5, "the thread to end")


_FORK = """
    import os, sys
    from fluid_queue import BlockingQueue
    queue = BlockingQueue(sys.argv[1], sys.argv[2])
    queue.add("t", id="before")
    children = []
    for number in range(3):
        child = os.fork()
        if not child:
            queue.add("t", id=f"child-{number}")
            sys.exit(0 if queue.stats().queues[0].waiting >= 2 else 7)
        children.append(child)
    for number in range(100):
        queue.add("t", id=f"parent-{number}")
    codes = [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children]
    print(codes, queue.stats().queues[0].waiting)
"""


def test_a_queue_made_before_a_fork_works_on_both_sides_of_it(redis_server, key_prefix):
    done = _script(_FORK, redis_server.url, key_prefix)
    assert done.stdout.split("\n")[0] == "[0, 0, 0] 104", done.stderr
    assert done.stderr == ""


_UNCLOSED = """
    import sys
    from fluid_queue import BlockingQueue
    queue = BlockingQueue(sys.argv[1], sys.argv[2])
    queue.add("t")
"""


def test_a_script_that_never_closes_its_queue_ends_in_silence(redis_server, key_prefix):
    done = _script(_UNCLOSED, redis_server.url, key_prefix)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def _script(text: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-W", "error", "-c", textwrap.dedent(text), *arguments],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
