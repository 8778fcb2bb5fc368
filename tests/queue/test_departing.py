"""An environment whose object is gone: its jobs end, nothing else of it starts, and it is left at last."""

from collections.abc import AsyncIterator

import pytest

from fluid_dev.redis import RedisServer
from fluid_operator.environments import departing
from fluid_operator.environments.registry import EnvironmentRegistry
from fluid_operator.kube.keys import ObjectKey
from fluid_queue import Codec, Ending, KeyRing, Queue, QueueUnavailable, Settings
from support.links import Leads, available, enqueue, leader, opened, put, state
from support.waiting import auntil

KEY = ObjectKey("team-a", "default")


@pytest.fixture
async def registry() -> AsyncIterator[EnvironmentRegistry]:
    async with leader() as made:
        yield made


async def gone(registry: EnvironmentRegistry) -> None:
    """Wait until the environment has been left."""
    await auntil(lambda: registry.get(KEY) is None, 30, "the environment has been left")


async def test_an_environment_is_followed_until_nothing_runs_there(registry, redis_server, key_prefix):
    link = await opened(registry, "default", redis_server.url, key_prefix)
    await enqueue(link, "u1.1", "u2.1")
    claim = await link.queue.claim("w", ["*"], 1, 15)
    hinted: list[str] = []
    registry.on_hints = lambda _, hints: hinted.extend(hints.ids)
    registry.leave(KEY)
    assert (registry.names("team-a"), registry.choose("team-a", "default")) == ([], None)
    assert registry.get(KEY) is link
    assert registry.clears_in(KEY) is None, "its jobs are still its own"
    await link.queue.finish([(claim.jobs[0].id, claim.jobs[0].epoch, Ending("completed", "Completed"))])
    await auntil(lambda: "u1.1" in hinted, 10, "the end is told")
    await gone(registry)
    assert registry.clears_in(KEY) == 0.0
    async with leader() as other:
        later = await opened(other, "default", redis_server.url, key_prefix, uid="another")
        assert await state(later, "u1.1") == "completed"
        assert await state(later, "u2.1") == "suspended", "nobody can claim what was left"


async def test_an_environment_whose_redis_is_gone_is_left_as_well(
    registry, own_redis: RedisServer, key_prefix, monkeypatch
):
    monkeypatch.setattr(departing, "_AWAY_SECONDS", 2.0)
    link = await opened(registry, "default", own_redis.url, key_prefix)
    await enqueue(link, "u1.1")
    await link.queue.claim("w", ["*"], 1, 15)
    own_redis.stop()
    registry.leave(KEY)
    await gone(registry)
    assert registry.clears_in(KEY) == 0.0


async def test_a_job_that_does_not_end_is_asked_to_stop(registry, redis_server, key_prefix, monkeypatch):
    monkeypatch.setattr(departing, "LONGEST_SECONDS", 2.0)
    link = await opened(registry, "default", redis_server.url, key_prefix)
    await enqueue(link, "u1.1")
    (job,) = (await link.queue.claim("w", ["*"], 1, 60)).jobs
    registry.leave(KEY)
    await gone(registry)
    async with leader() as other:
        later = await opened(other, "default", redis_server.url, key_prefix, uid="another")
        record = await later.inspect("u1.1")
        assert record is not None
        assert (record.state, record.stopping) == ("active", True)
        await later.queue.finish([("u1.1", job.epoch, Ending("stopped", "Suspended"))])
        assert await state(later, "u1.1") == "suspended"


async def test_a_new_environment_of_the_name_takes_over_while_the_old_one_is_left(registry, redis_server, key_prefix):
    old = await opened(registry, "default", redis_server.url, key_prefix)
    await enqueue(old, "u1.1")
    await old.queue.claim("w", ["*"], 1, 60)
    registry.leave(KEY)
    new = await opened(registry, "default", redis_server.url, key_prefix, uid="another")
    assert registry.names("team-a") == ["default"]
    assert list(registry) == [new]
    record = await new.inspect("u1.1")
    assert record is not None
    assert (record.state, record.stopping) == ("active", False), "what runs goes on: it is the same data"


async def test_what_the_old_environment_runs_is_stopped_when_the_new_one_has_other_data(
    registry, redis_server, key_prefix
):
    old = await opened(registry, "default", redis_server.url, key_prefix)
    await enqueue(old, "u1.1", "u2.1")
    await old.queue.claim("w", ["*"], 1, 60)
    registry.leave(KEY)
    new = await opened(registry, "default", redis_server.url, f"{key_prefix}.new", uid="another")
    assert list(registry) == [new]
    async with leader() as other:
        later = await opened(other, "other", redis_server.url, key_prefix)
        record = await later.inspect("u1.1")
        assert record is not None
        assert record.stopping
        assert await state(later, "u2.1") == "suspended"


async def suspended(queue: Queue) -> bool:
    return (await queue.settings())[1].suspend


async def test_what_was_left_stays_closed_until_it_has_been_compared_with_the_cluster(
    registry, redis_server, key_prefix
):
    link = await put(registry, "default", redis_server.url, key_prefix, settings=Settings())
    await available(link)
    await enqueue(link, "u1.1", "u2.1")
    await link.queue.claim("w", ["*"], 1, 60)
    registry.leave(KEY)
    await auntil(lambda: suspended(link.queue), 10, "the key space is closed for claims")
    record = await link.inspect("u1.1")
    assert record is not None
    assert (record.state, record.stopping) == ("active", False), "what runs goes on"
    with pytest.raises(QueueUnavailable):
        await enqueue(link, "u3.1")
    again = await put(registry, "default", redis_server.url, key_prefix, uid="another", settings=Settings())
    await available(again)
    await again._configure()
    assert await suspended(again.queue)
    again.compared()
    await auntil(lambda: not_suspended(again.queue), 10, "it is open again")


async def not_suspended(queue: Queue) -> bool:
    return not await suspended(queue)


async def test_an_environment_that_could_never_be_opened_is_left_at_once(registry):
    registry.expect(KEY)
    registry.leave(KEY)
    assert (registry.names("team-a"), registry.clears_in(KEY)) == ([], 0.0)
    registry.expect(KEY)
    assert registry.clears_in(KEY) is None


async def test_jobs_of_an_environment_that_was_gone_before_this_leader_came_wait_for_its_workers():
    now = 100.0
    registry = EnvironmentRegistry(Leads(), clock=lambda: now)
    assert registry.clears_in(KEY) == departing.LONGEST_SECONDS
    now += departing.LONGEST_SECONDS
    assert registry.clears_in(KEY) == 0.0


async def test_another_key_ring_opens_the_environment_anew_and_the_same_does_not(registry, redis_server, key_prefix):
    codecs = [Codec(KeyRing({name: name.encode() * 32})) for name in ("a", "a", "b")]
    links = [await put(registry, "default", redis_server.url, key_prefix, codec=codec) for codec in codecs]
    assert links[0] is links[1]
    assert links[2] is not links[1]
    await available(links[2])
    assert list(registry) == [links[2]]
