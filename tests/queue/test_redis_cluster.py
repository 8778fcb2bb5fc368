"""A Redis Cluster of three nodes: one key space lives on one of them, and is followed when it moves."""

import asyncio
import signal
from collections.abc import Iterator

import pytest

from fluid_queue import Queue, QueueUnavailable
from support.queues import all_completed, consuming, ended, enqueued, following, job, resynced
from support.topologies import RedisCluster, slot_of
from support.waiting import auntil


@pytest.fixture
def cluster() -> Iterator[RedisCluster]:
    nodes = RedisCluster()
    try:
        yield nodes
    finally:
        nodes.stop()


async def test_a_queue_works_on_the_node_that_owns_its_slot(cluster, key_prefix):
    """Whichever node the address begins with, and with more than one environment in the Cluster."""
    prefixes = [f"{key_prefix}-{n}" for n in range(6)]
    assert len({cluster.owner(prefix).port for prefix in prefixes}) > 1

    async def handler(_):
        await asyncio.sleep(0.5)

    for prefix in prefixes:
        async with Queue.from_url(cluster.url, prefix) as queue, following(queue) as reader:
            async with consuming(queue, handler, lease_seconds=1):
                await asyncio.sleep(0.05)  # so that the job has to wake the worker
                await queue.enqueue([job("a")])
                assert (await ended(queue, "a")).state == "completed"
            assert (await reader.read()).ids == {"a"}
        assert int(cluster.owner(prefix).cli("CLUSTER", "COUNTKEYSINSLOT", str(slot_of(prefix)))) > 0


async def test_the_death_of_nodes_that_hold_other_slots_does_no_harm(cluster, key_prefix):
    ran: list[str] = []

    async def handler(active):
        ran.append(active.id)

    async with Queue.from_url(cluster.url, key_prefix) as queue, consuming(queue, handler, lease_seconds=1):
        await queue.enqueue([job("before")])
        await auntil(lambda: ran, 10)
        first, _ = cluster.others(key_prefix)
        first.kill(signal.SIGKILL)
        async with Queue.from_url(cluster.url, key_prefix) as fresh:
            for n in range(20):
                await fresh.enqueue([job(f"j{n}")])
        await auntil(lambda: len(ran) == 21, 20, "all jobs")


async def test_the_owner_dies_and_comes_back_with_everything(cluster, key_prefix):
    async with Queue.from_url(cluster.url, key_prefix) as queue:
        await queue.enqueue([job(f"j{n}") for n in range(100)])
        owner = cluster.owner(key_prefix)
        owner.cli("CONFIG", "SET", "appendfsync", "always")
        await queue.enqueue([job("last")])
        owner.kill(signal.SIGKILL)
        with pytest.raises(QueueUnavailable):
            await queue.stats()

        async def handler(_): ...

        async with consuming(queue, handler):
            await asyncio.to_thread(owner.restart)
            await auntil(lambda: all_completed(queue, 101), 30, "every job")


async def test_a_replica_takes_over_from_an_owner_that_died(cluster, key_prefix):
    ran: list[str] = []

    async def handler(active):
        ran.append(active.id)

    owner = cluster.owner(key_prefix)
    replica = await asyncio.to_thread(cluster.add_replica, owner)
    async with Queue.from_url(cluster.url, key_prefix) as queue, following(queue) as reader, consuming(queue, handler):
        await enqueued(queue, "before")
        await auntil(lambda: ran == ["before"], 10)
        await queue._redis.wait(1, 5000)
        owner.kill(signal.SIGKILL)
        await enqueued(queue, "after")
        await auntil(lambda: ran == ["before", "after"], 20, "a job on the new owner")
        assert (await resynced(reader)).lost
    assert replica.cli("ROLE").startswith("master")


async def test_a_slot_that_moves_while_a_worker_works_is_followed(cluster, key_prefix):
    """In the middle of the move every command is refused before it begins: half of the keys are on each node."""
    runs: list[str] = []
    release = asyncio.Event()

    async def handler(active):
        runs.append(active.id)
        if active.id == "long":
            await release.wait()

    async with Queue.from_url(cluster.url, key_prefix) as queue, following(queue) as reader:
        await queue.enqueue([job("long"), *(job(f"later-{n}", delay_seconds=5) for n in range(30))])
        async with consuming(queue, handler, lease_seconds=3, grace=10):
            await auntil(lambda: runs == ["long"], 10)
            target = cluster.others(key_prefix)[0]
            source = cluster.begin_move(key_prefix, target)
            with pytest.raises(QueueUnavailable, match="moving this key space"):
                await queue.enqueue([job("too early")])
            assert await asyncio.to_thread(_keys, target, key_prefix) == 0
            await asyncio.to_thread(cluster.end_move, key_prefix, source, target)
            await queue.enqueue([job("after")])
            await auntil(lambda: "after" in runs, 20, "a job at the new place")
            release.set()
            await auntil(lambda: all_completed(queue, 32), 30, "every job")
        assert sorted(runs) == sorted({*runs})
        assert (await ended(queue, "long")).attempt == 1
        assert await asyncio.to_thread(_keys, source, key_prefix) == 0
        await resynced(reader)


async def test_a_move_that_is_over_costs_a_command_nothing(cluster, key_prefix):
    """The old owner answers MOVED, before it did anything: the command goes to the new one."""
    async with Queue.from_url(cluster.url, key_prefix) as queue:
        await queue.enqueue([job("a")])
        target = cluster.others(key_prefix)[1]
        source = cluster.begin_move(key_prefix, target)
        cluster.end_move(key_prefix, source, target)
        assert [answer.code for answer in await queue.enqueue([job("a"), job("b")])] == ["exists", "created"]
        assert cluster.owner(key_prefix) is target


async def test_nodes_that_the_address_does_not_name_are_learnt(cluster, key_prefix):
    """The only node that it names is gone when the slot's owner has to be looked up again."""
    seed = cluster.others(key_prefix)[0]
    async with Queue.from_url(f"redis+cluster://:pw@127.0.0.1:{seed.port}", key_prefix) as queue:
        await queue.open()
        seed.kill(signal.SIGKILL)
        await queue._redis.connection_pool.disconnect()
        await queue.open()


async def test_a_server_that_is_no_cluster_says_so(redis_server, key_prefix):
    async with Queue.from_url(redis_server.url.replace("redis:", "redis+cluster:"), key_prefix) as queue:
        with pytest.raises(QueueUnavailable, match="cluster support disabled"):
            await queue.ping()


def _keys(node, key_prefix: str) -> int:
    return int(node.cli("CLUSTER", "COUNTKEYSINSLOT", str(slot_of(key_prefix))))
