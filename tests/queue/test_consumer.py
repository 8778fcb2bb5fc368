"""The consumer on a real Redis: it runs, retries, stops, drains, and loses nothing when its worker, its loop or
Redis fails."""

import asyncio
import signal
import subprocess
import sys
import time

import pytest

from fluid_queue import (
    ActiveJob,
    Ending,
    PermanentError,
    Queue,
    QueueFull,
    RateLimited,
    RetryLater,
)
from support.queues import all_completed, consuming, ended, job, record, state
from support.waiting import auntil


async def test_jobs_run_and_their_results_are_kept(queue):
    async def double(active: ActiveJob):
        return {"n": active.payload["n"] * 2}

    async with consuming(queue, double):
        await queue.enqueue([job(f"j{n}", payload={"n": n}) for n in range(300)])
        await auntil(lambda: all_completed(queue, 300), 20, "300 jobs")
    assert (await record(queue, "j7")).result == b'{"n":14}'


async def test_a_failing_job_is_retried_until_its_limit(queue):
    attempts = []

    async def fail(active: ActiveJob):
        attempts.append(active.attempt)
        raise ValueError("always")

    async with consuming(queue, fail):
        await queue.enqueue([job("a")])
        found = await ended(queue, "a")
    assert attempts == [1, 2, 3]
    assert (found.state, found.reason, found.error["type"]) == ("failed", "BackoffLimitExceeded", "ValueError")


@pytest.mark.parametrize(
    ("error", "want"),
    [
        (PermanentError("no"), ("failed", "PermanentError", 1)),
        (RetryLater(after=0), ("failed", "BackoffLimitExceeded", 3)),
    ],
)
async def test_what_a_handler_raises_is_obeyed(queue, error, want):
    async def fail(_: ActiveJob):
        raise error

    async with consuming(queue, fail):
        await queue.enqueue([job("a")])
        found = await ended(queue, "a")
    assert (found.state, found.reason, found.attempt) == want


async def test_being_rate_limited_counts_no_failure(queue):
    async def limited(active: ActiveJob):
        if active.attempt < 6:
            raise RateLimited(after=0)
        return "through"

    async with consuming(queue, limited):
        await queue.enqueue([job("a", backoff_limit=0)])
        found = await ended(queue, "a")
    assert (found.state, found.failures) == ("completed", 0)


async def test_a_deadline_stops_the_handler_and_counts(queue):
    stopped = []

    async def slow(active: ActiveJob):
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            stopped.append(active.stop_reason)
            raise

    async with consuming(queue, slow):
        await queue.enqueue([job("a", attempt_deadline_seconds=0.1, backoff_limit=1)])
        found = await ended(queue, "a")
    assert stopped == ["deadline", "deadline"]
    assert (found.reason, found.error["type"], found.failures) == ("AttemptTimeout", "AttemptTimeout", 1)


async def test_the_lease_is_kept_until_a_late_handler_has_really_ended(queue):
    runs = []

    async def stubborn(active: ActiveJob):
        runs.append(active.attempt)
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            await asyncio.sleep(1.5)  # several leases long
            raise

    async with consuming(queue, stubborn, lease_seconds=0.4, concurrency=5):
        await queue.enqueue([job("a", attempt_deadline_seconds=0.1, backoff_limit=0)])
        found = await ended(queue, "a")
    assert runs == [1]
    assert (found.stalls, found.reason) == (0, "AttemptTimeout")


async def test_a_handler_that_blocks_the_loop_keeps_its_lease(queue):
    runs = []

    async def block(active: ActiveJob):
        runs.append(active.attempt)
        time.sleep(2)  # noqa: ASYNC251 - blocking the loop is what this test is about

    async with consuming(queue, block, lease_seconds=0.5):
        await queue.enqueue([job("a")])
        found = await ended(queue, "a")
    assert (runs, found.stalls) == ([1], 0)


async def test_a_cancel_reaches_a_running_job_long_before_the_next_renewal(queue):
    started = asyncio.Event()

    async def wait(_: ActiveJob):
        started.set()
        await asyncio.sleep(60)

    async with consuming(queue, wait, lease_seconds=60):
        await queue.enqueue([job("a")])
        await started.wait()
        assert await queue.cancel(["a"]) == ["stopping"]
        found = await ended(queue, "a", within=10)  # the next renewal is 20 s away
    assert found.state == "cancelled"


async def test_a_lost_lease_stops_the_handler_and_its_outcome_is_refused(queue):
    reasons = []

    async def wait(active: ActiveJob):
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            reasons.append(active.stop_reason)
            raise

    async with consuming(queue, wait, lease_seconds=1):
        await queue.enqueue([job("a")])
        await auntil(lambda: state(queue, "a", "active"), 5)
        await queue._redis.hset(queue.keys.key("job:a"), "epoch", 1)  # as if another worker held it
        await auntil(lambda: reasons, 10, "the handler to be told")
    assert reasons == ["lost"]
    assert (await record(queue, "a")).state == "active"


async def test_draining_lets_jobs_finish_within_the_grace(queue):
    started = asyncio.Event()

    async def brief(_: ActiveJob):
        started.set()
        await asyncio.sleep(0.3)
        return "done"

    async with consuming(queue, brief, grace=10, concurrency=1):
        await queue.enqueue([job("a"), job("b")])
        await started.wait()
    one, two = await queue.inspect(["a", "b"])
    assert (one.state, two.state, two.attempt) == ("completed", "waiting", 0)


async def test_what_outlives_the_grace_is_handed_back_uncounted(queue):
    started = asyncio.Event()

    async def long(_: ActiveJob):
        started.set()
        await asyncio.sleep(60)

    async with consuming(queue, long, grace=0.1):
        await queue.enqueue([job("a")])
        await started.wait()
    found = await record(queue, "a")
    assert (found.state, found.attempt, found.failures, found.stalls) == ("waiting", 0, 0, 0)


async def test_an_idle_consumer_sends_next_to_nothing(queue):
    async with consuming(queue, _nothing):
        await auntil(lambda: _calls(queue), 5)
        before = await _calls(queue)
        await asyncio.sleep(2)
        assert await _calls(queue) - before <= 4


async def _nothing(_: ActiveJob):
    return None


async def _calls(queue):
    return (await queue._redis.info("commandstats")).get("cmdstat_evalsha", {}).get("calls", 0)


async def test_a_sleeping_consumer_is_woken_by_an_enqueue(queue):
    ran = asyncio.Event()

    async def note(_: ActiveJob):
        ran.set()

    async with consuming(queue, note) as consumer:
        await auntil(lambda: consumer.last_claim, 5)
        await asyncio.sleep(0.1)  # it sleeps for 5 s now
        await queue.enqueue([job("a")])
        await asyncio.wait_for(ran.wait(), 2)


async def test_every_sleeping_worker_is_woken_when_there_is_enough_to_do(queue):
    async def slow(_: ActiveJob):
        await asyncio.sleep(0.5)

    async with (
        consuming(queue, slow, worker="one", concurrency=1) as one,
        consuming(queue, slow, worker="two", concurrency=1) as two,
        consuming(queue, slow, worker="three", concurrency=1, queues=["q"]) as three,
    ):
        await auntil(lambda: one.last_claim and two.last_claim and three.last_claim, 5)
        await queue.enqueue([job("a"), job("b"), job("c")])
        await auntil(lambda: one.running + two.running + three.running == 3, 3, "three workers at once")


async def test_a_delayed_job_wakes_a_worker_that_sleeps_longer(queue):
    ran = asyncio.Event()

    async def note(_: ActiveJob):
        ran.set()

    async with consuming(queue, note) as consumer:
        await auntil(lambda: consumer.last_claim, 5)
        await queue.enqueue([job("a", delay_seconds=0.3)])
        await asyncio.wait_for(ran.wait(), 3)


# -- faults -----------------------------------------------------------------------------------------------------------


async def test_a_restart_of_redis_in_mid_run_loses_nothing_and_repeats_nothing(own_redis, key_prefix):
    runs: list[str] = []

    async def note(active: ActiveJob):
        runs.append(active.id)
        await asyncio.sleep(0.5)

    async with Queue.from_url(own_redis.url, key_prefix) as queue:
        await queue.open()
        await queue.enqueue([job(f"j{n}") for n in range(40)])
        async with consuming(queue, note, concurrency=10, grace=5):
            await auntil(lambda: len(runs) >= 10, 10)
            await asyncio.to_thread(own_redis.restart)
            await auntil(lambda: all_completed(queue, 40), 30, "all jobs after the restart")
    assert sorted(runs) == sorted(f"j{n}" for n in range(40))


async def test_a_consumer_survives_a_redis_that_is_not_there_yet(own_redis, key_prefix):
    ran = asyncio.Event()

    async def note(_: ActiveJob):
        ran.set()

    await asyncio.to_thread(own_redis.stop)
    async with Queue.from_url(own_redis.url, key_prefix) as queue, consuming(queue, note) as consumer:
        await asyncio.sleep(0.5)
        assert consumer.last_claim == 0
        await asyncio.to_thread(own_redis.start)
        await queue.open()
        await queue.enqueue([job("a")])
        await asyncio.wait_for(ran.wait(), 10)


async def test_an_emptied_redis_stops_the_handlers(own_redis, key_prefix):
    reasons = []

    async def wait(active: ActiveJob):
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            reasons.append(active.stop_reason)
            raise

    async with Queue.from_url(own_redis.url, key_prefix) as queue:
        await queue.open()
        async with consuming(queue, wait, lease_seconds=1):
            await queue.enqueue([job("a")])
            await auntil(lambda: state(queue, "a", "active"), 5)
            await queue._redis.flushall()
            await auntil(lambda: reasons, 10, "the handler to be told")
    assert reasons == ["lost"]


WORKER = """
import asyncio, sys
from fluid_queue import Consumer, Queue
async def main():
    async def handler(job):
        print(job.id, job.attempt, flush=True)
        await asyncio.sleep(60)
    async with Queue.from_url(sys.argv[1], sys.argv[2]) as queue:
        await Consumer(queue, handler, worker=sys.argv[3], lease_seconds=1).run()
asyncio.run(main())
"""


def worker_process(url: str, prefix: str, name: str) -> subprocess.Popen[str]:
    return subprocess.Popen([sys.executable, "-c", WORKER, url, prefix, name], stdout=subprocess.PIPE, text=True)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSTOP], ids=["killed", "stopped"])
async def test_the_jobs_of_a_worker_that_dies_or_freezes_run_again_within_a_lease(redis_server, queue, number):
    first = worker_process(redis_server.url, queue.keys.name, "first")
    ran: list[str] = []
    try:
        await queue.enqueue([job("a"), job("b")])
        assert await asyncio.to_thread(first.stdout.readline)
        await auntil(lambda: _active(queue, 2), 10)

        async def note(active: ActiveJob):
            ran.append(active.id)
            assert active.attempt == 2

        async with consuming(queue, note, worker="second"):
            first.send_signal(number)
            await auntil(lambda: len(ran) == 2, 10, "both jobs on the second worker")
            for name in ("a", "b"):
                assert (await ended(queue, name)).state == "completed"
            if number == signal.SIGSTOP:
                first.send_signal(signal.SIGCONT)
                await asyncio.sleep(1)  # it wakes up, learns that it lost, and changes nothing
                assert [(await record(queue, name)).worker for name in ("a", "b")] == ["second", "second"]
    finally:
        first.kill()
        first.wait()
        first.stdout.close()


async def _active(queue, n):
    return (await queue.stats()).queues[0].active == n


async def test_at_maxmemory_running_jobs_still_end_and_new_ones_are_refused(own_redis, key_prefix):
    async with Queue.from_url(own_redis.url, key_prefix) as queue:
        await queue.open()
        await queue.enqueue([job(f"j{n}") for n in range(50)])
        got = (await queue.claim("w", ["*"], 50, 60)).jobs
        await queue._redis.config_set("maxmemory", "1mb")
        with pytest.raises(QueueFull):
            await queue.enqueue([job("late")])
        codes = await queue.finish([(found.id, found.epoch, Ending("completed", "Completed")) for found in got])
        assert codes == ["done"] * 50
        await queue._redis.config_set("maxmemory", "0")
        assert await all_completed(queue, 50)
