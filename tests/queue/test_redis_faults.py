"""What happens to a Redis in its life: it forgets scripts, loads its data, stops, fills up; nothing is lost over it."""

import asyncio
import contextlib
import signal
from collections.abc import Iterator

import pytest

from fluid_dev.redis import RedisServer
from fluid_queue import Queue, QueueFull, QueueUnavailable
from support.folders import fresh_folder
from support.proxies import Proxy
from support.queues import all_completed, consuming, ended, enqueued, following, job, record, resynced
from support.waiting import auntil


async def test_scripts_that_redis_forgets_in_mid_run_are_sent_again(own_redis, key_prefix):
    runs: list[str] = []

    async def handler(active):
        runs.append(active.id)
        await asyncio.sleep(0.3)

    async with (
        Queue.from_url(own_redis.url, key_prefix) as queue,
        consuming(queue, handler, lease_seconds=0.6, concurrency=50, grace=5),
    ):
        await queue.enqueue([job(f"j{n}") for n in range(500)])
        forgetting = asyncio.create_task(_forget(queue))
        await auntil(lambda: all_completed(queue, 500), 30, "all jobs")
        forgetting.cancel()
    assert sorted(runs) == sorted(f"j{n}" for n in range(500))


async def _forget(queue: Queue) -> None:
    while True:
        await queue._redis.script_flush()
        await asyncio.sleep(0.01)


async def test_a_redis_that_loads_its_data_is_waited_for(own_redis, key_prefix):
    ran: list[str] = []

    async def handler(active):
        ran.append(active.id)

    # The same data, loaded so slowly that it can be watched.
    slow = RedisServer(
        own_redis.state,
        die_with_parent=True,
        appendonly=True,
        settings=["key-load-delay 1000", "loading-process-events-interval-bytes 1024"],
    )
    async with Queue.from_url(own_redis.url, key_prefix) as queue:
        await queue.open()
        await queue.enqueue([job("later", delay_seconds=1), *(job(f"far-{n}", delay_seconds=600) for n in range(700))])
        async with consuming(queue, handler) as consumer:
            await auntil(lambda: consumer.last_claim, 10)
            await asyncio.to_thread(own_redis.stop)
            starting = asyncio.create_task(asyncio.to_thread(slow.start))
            await auntil(lambda: _is_loading(queue), 15, "Redis to load", pause=0.01)
            await starting
            await auntil(lambda: ran == ["later"], 20, "the job that fell due meanwhile")
        assert (await queue.stats()).queues[0].delayed == 700


async def _is_loading(queue: Queue) -> bool:
    try:
        await queue.stats()
    except QueueUnavailable as error:
        return "loading" in str(error)
    return False


async def test_half_open_connections_of_every_kind_are_replaced(own_redis, key_prefix):
    """A firewall forgets all connections without a word: the lease is kept, and then everything goes on."""
    runs: list[tuple[str, int]] = []

    async def handler(active):
        runs.append((active.id, active.attempt))
        if active.id == "long":
            await asyncio.sleep(20)

    proxy = Proxy(own_redis.port)
    async with (
        proxy.listening(),
        Queue.from_url(_through(proxy, own_redis), key_prefix) as queue,
        following(queue) as reader,
        consuming(queue, handler, lease_seconds=12, grace=20) as consumer,
    ):
        await queue.enqueue([job("long")])
        await auntil(lambda: runs, 10)
        before = consumer._renewal.renewed_at
        proxy.strand()
        hints = await resynced(reader)
        assert not hints.lost
        await enqueued(queue, "next", 15)
        await auntil(lambda: consumer._renewal.renewed_at > before, 15, "a renewal")
        assert (await ended(queue, "next")).state == "completed"
        assert (await ended(queue, "long", 25)).attempt == 1
        proxy.strand()  # now with nothing to do: it is the sleep that has to notice
        async with Queue.from_url(own_redis.url, key_prefix) as other:
            await other.enqueue([job("last")])
            await ended(other, "last")
    assert runs == [("long", 1), ("next", 1), ("last", 1)]


async def test_a_redis_that_stands_still_for_less_than_a_lease_costs_no_attempt(own_redis, key_prefix):
    runs: list[tuple[str, int]] = []

    async def handler(active):
        runs.append((active.id, active.attempt))
        await asyncio.sleep(9)

    async with Queue.from_url(own_redis.url, key_prefix) as queue:
        await queue.open()
        async with consuming(queue, handler, lease_seconds=15, grace=15):
            await queue.enqueue([job(f"j{n}") for n in range(10)])
            await auntil(lambda: len(runs) == 10, 10)
            own_redis.kill(signal.SIGSTOP)
            await asyncio.sleep(7)
            own_redis.kill(signal.SIGCONT)
            await auntil(lambda: all_completed(queue, 10), 20, "all jobs")
    assert {attempt for _, attempt in runs} == {1}


async def test_a_thousand_running_jobs_succeed_although_redis_has_become_full(own_redis, key_prefix):
    started = 0
    release = asyncio.Event()

    async def handler(active):
        nonlocal started
        started += 1
        await release.wait()
        return {"kept": "x" * 1000}

    async with Queue.from_url(own_redis.url, key_prefix) as queue:
        await queue.open()
        async with consuming(queue, handler, concurrency=1000, lease_seconds=3, grace=10):
            await queue.enqueue([job(f"j{n}") for n in range(1000)])
            await auntil(lambda: started == 1000, 20, "all to run")
            own_redis.cli("CONFIG", "SET", "maxmemory", "1mb")
            with pytest.raises(QueueFull):
                await queue.enqueue([job("one more")])
            await asyncio.sleep(4)  # longer than a lease: renewals work on a full Redis too
            release.set()
            await auntil(lambda: all_completed(queue, 1000), 30, "all to succeed")
        found = await queue.inspect([f"j{n}" for n in range(1000)])
    assert {(each.state, each.attempt) for each in found if each} == {("completed", 1)}


@pytest.fixture
def pair() -> Iterator[tuple[RedisServer, RedisServer]]:
    """A master, and a replica that will be cut off from it."""
    master, replica = (
        RedisServer(fresh_folder("redis"), die_with_parent=True, password="pw", settings=["masterauth pw"])
        for _ in range(2)
    )
    with contextlib.ExitStack() as stack:
        for each in (master, replica):
            stack.callback(each.stop, wipe=True)
            each.start()
        yield master, replica


async def test_a_fail_over_to_a_lagging_replica_is_noticed_and_no_epoch_comes_twice(pair, key_prefix):
    """The replica knows nothing of the claim and of a job: the old holder is refused, the resync is asked for."""
    master, replica = pair
    proxy = Proxy(master.port)
    async with (
        proxy.listening(),
        Queue.from_url(_through(proxy, master), key_prefix) as queue,
        following(queue) as reader,
    ):
        await queue.enqueue([job("a")])
        await auntil(lambda: _synced(replica, master), 20, "the replica to follow")
        replica.cli("REPLICAOF", "127.0.0.1", "1")
        (old,) = (await queue.claim("w1", ["*"], 1, 15)).jobs
        await queue.enqueue([job("lost")])
        leader = await queue.lead(0, "old")
        await reader.read()
        master.kill(signal.SIGKILL)
        replica.cli("REPLICAOF", "NO", "ONE")
        proxy.target = replica.port
        hints = await resynced(reader)
        assert (hints.resync, hints.lost) == (True, True)
        (new,) = (await queue.claim("w2", ["*"], 9, 15)).jobs
        assert (old.id, new.id) == ("a", "a")
        assert new.epoch > old.epoch
        assert await queue.progress("a", old.epoch, 50) == "stale"
        assert await record(queue, "lost") is None
        assert int((await queue.lead(0, "new")).split(":")[1]) > int(leader.split(":")[1])


@pytest.mark.parametrize("written_since", [False, True])
async def test_data_that_has_gone_back_under_the_same_server_and_incarnation_is_noticed(
    pair, key_prefix, written_since
):
    """A master is demoted to a replica of a server that lagged behind, takes over its data, and is promoted again: only
    the stream tells, and not by its end once something was written since."""
    master, lagging = pair
    async with Queue.from_url(master.url, key_prefix) as queue, following(queue) as reader:
        await queue.enqueue([job("a")])
        await reader.read()
        before = await queue.open()
        await auntil(lambda: _synced(lagging, master), 20, "the replica to follow")
        lagging.cli("REPLICAOF", "NO", "ONE")
        await queue.enqueue([job("lost")])
        assert (await reader.read()).ids == {"lost"}
        await auntil(lambda: _synced(master, lagging), 20, "the old master to follow the lagging one")
        master.cli("REPLICAOF", "NO", "ONE")
        if written_since:
            await queue.enqueue([job("new")])
        after = await queue.open()
        assert (after.incarnation, after.run_id) == (before.incarnation, before.run_id)
        master.cli("CLIENT", "KILL", "TYPE", "normal")
        hints = await resynced(reader)
        assert (hints.resync, hints.lost) == (True, True)


def _synced(replica: RedisServer, master: RedisServer) -> bool:
    """Make one server a replica of the other if it is not; whether it has all data."""
    if f"master_port:{master.port}" not in replica.cli("INFO", "replication"):
        replica.cli("REPLICAOF", "127.0.0.1", str(master.port))
    facts = dict(line.strip().split(":", 1) for line in replica.cli("INFO", "replication").splitlines() if ":" in line)
    if facts.get("master_link_status") != "up":
        return False
    return master.cli("WAIT", "1", "1000") == "1"


def _through(proxy: Proxy, server: RedisServer) -> str:
    return f"redis://:{server.password}@127.0.0.1:{proxy.port}/0"
