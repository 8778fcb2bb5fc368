"""The consumer when something odd happens: every attempt still ends, and what it ends with is true."""

import asyncio
import time

import pytest

from fluid_queue import ActiveJob, Backoff, Consumer, NewJob, PermanentError, Postponed, Queue, RateLimited, RetryLater
from support.queues import all_completed, consuming, ended, job, record, state
from support.waiting import auntil


class Unprintable(Exception):
    def __str__(self):
        raise RuntimeError("no text")


def raises(make):
    async def handler(_: ActiveJob):
        raise make()

    return handler


@pytest.mark.parametrize(
    ("make", "want"),
    [
        (lambda: RetryLater("wait", after="0"), "BackoffLimitExceeded"),
        (lambda: RetryLater("wait", after="soon"), "BackoffLimitExceeded"),
        (lambda: RateLimited(after=float("inf")), "BackoffLimitExceeded"),
        (lambda: Postponed(after=float("nan")), "BackoffLimitExceeded"),
        (lambda: PermanentError("no", reason=None), "None"),
        (lambda: PermanentError("no", reason="two words"), "PermanentError"),
        (lambda: PermanentError("no", type="\ud800"), "PermanentError"),
        (Unprintable, "BackoffLimitExceeded"),
        (lambda: SystemExit(3), "BackoffLimitExceeded"),
        (KeyboardInterrupt, "BackoffLimitExceeded"),
        (asyncio.CancelledError, "BackoffLimitExceeded"),
    ],
    ids=[
        "text",
        "word",
        "infinite",
        "nan",
        "no-reason",
        "two-words",
        "surrogate",
        "unprintable",
        "exit",
        "interrupt",
        "cancel",
    ],
)
async def test_whatever_a_handler_raises_ends_the_attempt_and_no_other(queue, make, want):
    async with consuming(queue, raises(make)):
        await queue.enqueue([job("odd", backoff_limit=0)])
        found = await ended(queue, "odd")
    assert (found.state, found.reason) == ("failed", want)


async def test_a_drain_is_not_counted_although_the_handler_fails_over_it(queue):
    started = asyncio.Event()

    async def clumsy(_: ActiveJob):
        started.set()
        try:
            await asyncio.sleep(60)
        finally:
            raise ValueError("while tidying up")

    async with consuming(queue, clumsy, grace=0.05):
        await queue.enqueue([job("a")])
        await started.wait()
    found = await record(queue, "a")
    assert (found.state, found.failures, found.attempt) == ("waiting", 0, 0)


async def test_an_outage_longer_than_a_lease_leaves_no_job_behind(own_redis, key_prefix):
    """The worker that holds the jobs is also the first to claim when Redis is back."""

    async def steady(_: ActiveJob):
        await asyncio.sleep(3)

    async with Queue.from_url(own_redis.url, key_prefix) as queue:
        await queue.open()
        await queue.enqueue([job(f"j{n}") for n in range(5)])
        async with consuming(queue, steady, lease_seconds=1, concurrency=10, grace=5) as consumer:
            await auntil(lambda: consumer.running == 5, 10)
            await asyncio.to_thread(own_redis.stop)
            await asyncio.sleep(1.5)
            await asyncio.to_thread(own_redis.start)
            await auntil(lambda: all_completed(queue, 5), 30, "all jobs after the outage")
            await auntil(lambda: consumer.running == 0, 5, "nothing runs any more")
        assert [await state(queue, f"j{n}", "completed") for n in range(5)] == [True] * 5


async def test_a_job_that_comes_back_to_its_worker_starts_when_its_first_attempt_has_ended(queue):
    log: list[str] = []

    async def slow_to_stop(active: ActiveJob):
        if active.id != "a":
            return
        log.append(f"start {active.attempt}")
        try:
            await asyncio.sleep(60 if active.attempt == 1 else 0)
        except asyncio.CancelledError:
            await asyncio.sleep(0.5)
            log.append(f"end {active.attempt} {active.stop_reason}")
            raise

    async with consuming(queue, slow_to_stop, lease_seconds=1):
        await queue.enqueue([job("a")])
        await auntil(lambda: log, 5)
        # As after an outage that only the renewals noticed: the lease is over before the next renewal.
        await queue._redis.zadd(queue.keys.key("leases"), {"a": 1})
        await queue.enqueue([job("wakes the worker")])
        found = await ended(queue, "a")
    assert found.state == "completed"
    assert log[:3] == ["start 1", "end 1 lost", "start 2"]


async def test_a_loop_that_is_blocked_while_a_claim_is_answered_loses_no_job(queue):
    runs: list[tuple[str, int]] = []

    async def block(active: ActiveJob):
        runs.append((active.id, active.attempt))
        if active.id == "blocker":
            await asyncio.sleep(0.05)  # the claim for the next job is on its way
            time.sleep(7)  # noqa: ASYNC251 - longer than any command may take; blocking the loop is what this is about

    async with consuming(queue, block, concurrency=3, grace=10):
        await queue.enqueue([job("blocker")])
        await auntil(lambda: runs, 5)
        await queue.enqueue([job(f"next-{n}") for n in range(5)])
        await auntil(lambda: all_completed(queue, 6), 30, "all jobs")
    assert {attempt for _, attempt in runs} == {1}


async def test_a_redis_that_cannot_write_to_its_disk_does_not_end_the_worker(own_redis, key_prefix):
    """MISCONF is what Redis answers while its snapshots fail."""
    ran = asyncio.Event()

    async def note(_: ActiveJob):
        ran.set()

    async with Queue.from_url(own_redis.url, key_prefix) as queue:
        await queue.open()
        await queue.enqueue([job("a")])
        await queue._redis.config_set("save", "3600 1")
        await asyncio.to_thread(_break_snapshots, own_redis)
        await queue._redis.bgsave()
        await auntil(lambda: _snapshot_failed(queue), 10, "a snapshot to fail")
        async with consuming(queue, note) as consumer:
            await asyncio.sleep(0.5)
            assert not ran.is_set()
            await queue._redis.config_set("stop-writes-on-bgsave-error", "no")
            await asyncio.wait_for(ran.wait(), 10)
            assert consumer.last_claim


def _break_snapshots(server) -> None:
    """A folder where the snapshot's file should be: not even root can write it."""
    folder = server.cli("CONFIG", "GET", "dir").split()[-1]
    name = server.cli("CONFIG", "GET", "dbfilename").split()[-1]
    from pathlib import Path

    target = Path(folder) / name
    target.unlink(missing_ok=True)
    target.mkdir()
    (target / "full").touch()


async def _snapshot_failed(queue):
    return (await queue._redis.info("persistence"))["rdb_last_bgsave_status"] == "err"


async def test_at_maxmemory_a_healthy_job_keeps_its_lease(own_redis, key_prefix):
    runs = []

    async def long(active: ActiveJob):
        runs.append(active.attempt)
        await asyncio.sleep(4)

    async with Queue.from_url(own_redis.url, key_prefix) as queue, consuming(queue, long, lease_seconds=1, grace=5):
        await queue.enqueue([job("a")])
        await auntil(lambda: runs, 5)
        await queue._redis.config_set("maxmemory", "1")
        found = await ended(queue, "a")
    assert (runs, found.state, found.stalls) == ([1], "completed", 0)


def test_a_wait_from_a_header_may_be_text():
    assert RetryLater(after="30").after == 30.0
    assert NewJob(id="a", type="t", backoff=Backoff(delay_seconds=315_360_000)).backoff.delay_seconds == 315_360_000


class Sloppy(Postponed):
    """A subclass that forgets its parent's checks."""

    def __init__(self):
        self.after = "soon"


async def test_an_error_that_hides_its_wait_from_us_still_ends_the_attempt(queue):
    async with consuming(queue, raises(Sloppy), grace=1):
        await queue.enqueue([job("odd", backoff_limit=0)])
        found = await ended(queue, "odd")
    assert (found.state, found.error["type"]) == ("failed", "ValueError")


async def test_after_an_outage_a_full_worker_keeps_what_it_holds_before_it_claims(own_redis, key_prefix):
    """All slots are in use while Redis is away, and one is freed just when it comes back."""
    runs: list[str] = []
    release = asyncio.Event()

    async def held(active: ActiveJob):
        runs.append(active.id)
        if active.id == "first":
            await release.wait()
        elif active.id == "second":
            await asyncio.sleep(4)

    async with Queue.from_url(own_redis.url, key_prefix) as queue:
        await queue.open()
        await queue.enqueue([job("first"), job("second"), job("third")])
        async with consuming(queue, held, lease_seconds=1, concurrency=2, grace=5):
            await auntil(lambda: len(runs) == 2, 10)
            await asyncio.to_thread(own_redis.stop)
            await asyncio.sleep(1.5)
            release.set()
            await asyncio.sleep(0.05)
            await asyncio.to_thread(own_redis.start)
            await auntil(lambda: all_completed(queue, 3), 30, "all jobs after the outage")
    assert sorted(runs) == ["first", "second", "third"]


async def test_the_end_of_the_renewal_thread_ends_the_consumer(queue):
    """A worker whose leases nobody renews must not go on as if nothing had happened."""
    started = asyncio.Event()

    async def long(_: ActiveJob):
        started.set()
        await asyncio.sleep(60)

    consumer = Consumer(queue, long, worker="w", concurrency=1)
    task = asyncio.create_task(consumer.run())
    await queue.enqueue([job("a")])
    await started.wait()
    consumer._renewal._ending.set()
    await queue._redis.rpush(queue.keys.key("control:w"), "1")
    with pytest.raises(RuntimeError, match="renews leases"):
        await asyncio.wait_for(task, 20)
