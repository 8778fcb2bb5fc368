"""What a real server says about itself, whichever kind it is, asked by a user with the least rights."""

import pytest

from fluid_dev.redis import RedisServer
from fluid_operator.environments import passwords
from fluid_queue import Queue, QueueUnavailable
from support.environments import THEN
from support.redis_pod import RedisPod
from support.topologies import RedisCluster, Sentinels


async def test_a_managed_redis_says_that_it_keeps_every_job(key_prefix):
    pod = RedisPod(key_prefix, passwords.create(THEN))
    try:
        pod.start()
        async with Queue.from_url(pod.operator_url, key_prefix) as queue:
            state = await queue.server()
    finally:
        pod.remove()
    assert (state.appendonly, state.policy, state.role) == (True, "noeviction", "master")
    assert state.max_memory == 200 * 1024**2
    assert state.version >= (6, 2)
    assert 0 < state.used_memory < state.max_memory


async def test_changed_settings_are_seen_at_the_next_look(own_redis: RedisServer, key_prefix):
    async with Queue.from_url(own_redis.url, key_prefix) as queue:
        for setting, value in (("appendonly", "no"), ("maxmemory", "64mb"), ("maxmemory-policy", "allkeys-lru")):
            own_redis.cli("CONFIG", "SET", setting, value)
        state = await queue.server()
        assert (state.appendonly, state.max_memory, state.policy) == (False, 64 * 1024**2, "allkeys-lru")
        before = state.used_memory
        own_redis.cli("SET", "big", "x" * 100_000)
        assert (await queue.server()).used_memory >= before + 100_000


async def test_a_server_that_is_away_says_nothing(own_redis: RedisServer, key_prefix):
    async with Queue.from_url(own_redis.url, key_prefix) as queue:
        own_redis.stop()
        with pytest.raises(QueueUnavailable):
            await queue.server()


async def test_sentinels_lead_to_the_master(key_prefix):
    sentinels = Sentinels()
    try:
        sentinels.master.cli("CONFIG", "SET", "maxmemory", "64mb")
        async with Queue.from_url(sentinels.url, key_prefix) as queue:
            state = await queue.server()
    finally:
        sentinels.stop()
    assert (state.role, state.max_memory, state.appendonly) == ("master", 64 * 1024**2, True)


async def test_of_a_cluster_the_node_speaks_that_holds_the_key_space(key_prefix):
    cluster = RedisCluster()
    try:
        cluster.owner(key_prefix).cli("CONFIG", "SET", "maxmemory", "64mb")
        async with Queue.from_url(cluster.url, key_prefix) as queue:
            state = await queue.server()
    finally:
        cluster.stop()
    assert (state.role, state.max_memory) == ("master", 64 * 1024**2)
