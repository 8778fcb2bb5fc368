"""Redis behind Sentinels: the master is looked up, and a fail-over is outlived by every kind of connection."""

import asyncio
import signal
from collections.abc import Iterator

import pytest

from fluid_queue import Consumer, Queue, QueueAccessDenied, QueueUnavailable
from support.queues import all_completed, consuming, enqueued, following, job, resynced
from support.topologies import Sentinels
from support.waiting import auntil


@pytest.fixture
def sentinels() -> Iterator[Sentinels]:
    watched = Sentinels()
    try:
        yield watched
    finally:
        watched.stop()


async def test_after_the_master_was_killed_the_work_goes_on_and_no_replicated_job_is_lost(sentinels, key_prefix):
    ran: list[str] = []
    hold = asyncio.Event()

    async def handler(active):
        ran.append(active.id)
        if active.id == "running":
            await hold.wait()

    async with Queue.from_url(sentinels.url, key_prefix) as queue, following(queue) as reader:
        await queue.enqueue([job("running"), *(job(f"later-{n}", delay_seconds=4) for n in range(50))])
        async with consuming(queue, handler, lease_seconds=15, concurrency=20, grace=10) as consumer:
            await auntil(lambda: ran == ["running"], 10)
            await queue._redis.wait(1, 5000)
            sentinels.master.kill(signal.SIGKILL)
            hints = await resynced(reader, 30)
            assert (hints.resync, hints.lost) == (True, True)
            await enqueued(queue, "after")
            await auntil(lambda: "after" in ran, 30, "a new job to run")
            hold.set()
            await auntil(lambda: all_completed(queue, 52), 30, "every job")
            assert await _renews(consumer)
        assert sorted(ran) == sorted(["running", "after", *(f"later-{n}" for n in range(50))])


async def test_a_sentinel_that_is_away_is_passed_over(sentinels, key_prefix):
    sentinels.one_is_gone()
    async with Queue.from_url(sentinels.url, key_prefix) as queue:
        await queue.open()


async def test_a_planned_fail_over_is_followed_although_the_old_master_lives(sentinels, key_prefix):
    """The demoted master answers READONLY, or closes its connections; both lead to the new one."""
    ran: list[str] = []

    async def handler(active):
        ran.append(active.id)

    async with Queue.from_url(sentinels.url, key_prefix) as queue:
        await queue.open()
        async with consuming(queue, handler):
            await enqueued(queue, "before")
            await auntil(lambda: ran == ["before"], 10)
            await asyncio.to_thread(sentinels.fail_over)
            await auntil(sentinels.failed_over, 20, "the two servers to change places")
            await enqueued(queue, "after")
            await auntil(lambda: ran == ["before", "after"], 20, "a job on the new master")


async def test_a_server_that_turned_into_a_replica_is_left_at_the_first_refused_write(own_redis, key_prefix):
    """Behind a plain address that leads to the new master: the old connection says READONLY and is not used again."""
    async with Queue.from_url(own_redis.url, key_prefix) as queue:
        await queue.open()
        own_redis.cli("REPLICAOF", "127.0.0.1", "1")
        with pytest.raises(QueueUnavailable, match="replica"):
            await queue.enqueue([job("a")])
        assert queue._redis.connection_pool._available_connections[0].is_connected is False
        own_redis.cli("REPLICAOF", "NO", "ONE")
        assert (await queue.enqueue([job("a")]))[0].code == "created"


async def test_a_master_that_nobody_knows_is_named(sentinels, key_prefix):
    async with Queue.from_url(sentinels.url.replace("/fluid/", "/another/"), key_prefix) as queue:
        with pytest.raises(QueueUnavailable, match="knows no master 'another'"):
            await queue.ping()


async def test_a_wrong_password_of_the_sentinels_is_told_as_such(sentinels, key_prefix):
    async with Queue.from_url(sentinels.url.replace("=watch", "=wrong"), key_prefix) as queue:
        with pytest.raises(QueueAccessDenied):
            await queue.ping()


async def _renews(consumer: Consumer) -> bool:
    """Whether the thread that keeps the leases has found the new master too."""
    before = consumer._renewal.renewed_at
    return await auntil(lambda: consumer._renewal.renewed_at > before, 20, "a renewal")
