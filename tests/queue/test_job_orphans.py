"""Jobs whose FluidJob is gone: stopped on a real Redis, then forgotten; remembered while nobody can be asked."""

from collections.abc import AsyncIterator

import pytest

from fluid_dev.redis import RedisServer
from fluid_operator.environments.link import EnvironmentLink
from fluid_operator.environments.registry import EnvironmentRegistry
from fluid_operator.jobs.orphans import Orphan, Orphans
from fluid_operator.kube.keys import ObjectKey
from fluid_queue import Ending
from support.links import enqueue, leader, put, state
from support.waiting import auntil

KEY = ObjectKey("team-a", "mail")
NOWHERE = "redis://127.0.0.1:1/0"


@pytest.fixture
async def registry() -> AsyncIterator[EnvironmentRegistry]:
    """Environments of one leader, closed at the end."""
    async with leader() as made:
        yield made


async def opened(registry: EnvironmentRegistry, name: str, url: str, prefix: str) -> EnvironmentLink:
    """An environment that was tried, with a key prefix of its own."""
    link = await put(registry, name, url, f"{prefix}.{name}")
    await auntil(lambda: link.available is not None, 10, "the environment was tried")
    return link


async def test_a_waiting_job_is_stopped_and_forgotten(registry, redis_server, key_prefix):
    link = await opened(registry, "default", redis_server.url, key_prefix)
    await enqueue(link, "u1.1")
    orphans = Orphans(registry)
    orphans.add(KEY, Orphan("u1.1", "u1", "default"))
    assert orphans.keys("team-a") == [KEY]
    assert await orphans.stop(KEY)
    assert await state(link, "u1.1") == "cancelled"
    assert (orphans.key_of("u1"), orphans.keys("team-a")) == (None, [])


async def test_a_running_job_holds_up_its_name_until_its_worker_has_stopped_it(registry, redis_server, key_prefix):
    """A hint about it still finds the name, although the number after it was never used."""
    link = await opened(registry, "default", redis_server.url, key_prefix)
    await enqueue(link, "u1.1")
    (job,) = (await link.queue.claim("w", ["*"], 1, 15)).jobs
    orphans = Orphans(registry)
    for number in ("u1.1", "u1.2"):
        orphans.add(KEY, Orphan(number, "u1", "default"))
    assert not await orphans.stop(KEY)
    assert orphans.key_of("u1") == KEY
    await link.queue.finish([("u1.1", job.epoch, Ending("stopped", "Cancelled"))])
    assert await orphans.stop(KEY)
    assert orphans.key_of("u1") is None


async def test_a_job_without_a_known_environment_is_looked_for_in_all_that_can_be_asked(
    registry, redis_server, key_prefix
):
    first = await opened(registry, "a", redis_server.url, key_prefix)
    second = await opened(registry, "b", redis_server.url, key_prefix)
    await opened(registry, "dead", NOWHERE, key_prefix)
    await enqueue(second, "u1.1")
    orphans = Orphans(registry)
    orphans.add(KEY, Orphan("u1.1", "u1", ""))
    assert await orphans.stop(KEY)
    assert (await state(first, "u1.1"), await state(second, "u1.1")) == ("unknown", "cancelled")
    assert orphans.keys("team-a") == []


async def test_a_job_in_a_redis_that_is_away_holds_up_nobody_and_is_stopped_when_that_is_back(
    registry, own_redis: RedisServer, key_prefix
):
    link = await opened(registry, "default", own_redis.url, key_prefix)
    await enqueue(link, "u1.1")
    own_redis.stop()
    await auntil(lambda: not link.available, 20, "the environment is known to be away")
    orphans = Orphans(registry)
    orphans.add(KEY, Orphan("u1.1", "u1", "default"))
    assert await orphans.stop(KEY)
    assert orphans.keys("team-a") == [KEY]
    own_redis.start()
    await auntil(lambda: link.available, 20, "the environment is back")
    assert await orphans.stop(KEY)
    assert await state(link, "u1.1") == "cancelled"
    assert orphans.keys("team-a") == []


async def test_a_job_whose_environment_is_gone_is_forgotten(registry):
    orphans = Orphans(registry)
    orphans.add(KEY, Orphan("u1.1", "u1", "default"))
    assert await orphans.stop(KEY)
    assert orphans.keys("team-a") == []
