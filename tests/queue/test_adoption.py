"""What a former owner of a key space has left there starts only after it was compared with what the new one knows."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from fluid_operator.environments import link as links
from fluid_operator.environments.link import EnvironmentLink
from fluid_operator.environments.registry import EnvironmentRegistry
from fluid_queue import InvalidJob, Queue, Settings
from support.links import Leads, available, enqueue, leader, put
from support.waiting import auntil

FIRST, SECOND = "6a1d-first", "77b0-second"


@pytest.fixture
async def registry() -> AsyncIterator[EnvironmentRegistry]:
    async with leader() as made:
        yield made


@pytest.fixture
async def second_shard() -> AsyncIterator[EnvironmentRegistry]:
    made = EnvironmentRegistry(Leads(), shard=1)
    try:
        yield made
    finally:
        await made.aclose()


async def claimed(queue: Queue) -> list[str]:
    return [job.id for job in (await queue.claim("w", ["*"], 10, 60)).jobs]


async def is_open(link: EnvironmentLink) -> bool:
    version, settings = await link.queue.settings()
    return version > 0 and not settings.suspend


async def is_closed(link: EnvironmentLink) -> bool:
    return (await link.queue.settings())[1].suspend


async def left_by_another(registry: EnvironmentRegistry, url: str, prefix: str) -> None:
    """A job waits in a key space whose owner has not been heard of for long, and could not close it."""
    async with leader() as gone:
        link = await put(gone, "default", url, prefix, uid=FIRST, settings=Settings())
        await available(link)
        await enqueue(link, "u1.1")
        await auntil(lambda: is_open(link), 10, "its settings are in force")
        await link.disown()


# -- the command ------------------------------------------------------------------------------------------------------


async def test_the_first_owner_of_a_key_space_has_nothing_to_compare_and_neither_has_one_that_comes_again(queue: Queue):
    assert await queue.adopt(FIRST, 0) == 0
    assert await queue.adopt(FIRST, 1) == 0
    assert await queue.adopt(FIRST, 0) == 0


async def test_another_owner_has_to_compare_until_it_says_that_it_has(queue: Queue):
    await queue.adopt(FIRST, 0)
    assert await queue.adopt(SECOND, 0) == 1
    assert await queue.adopt(SECOND, 0) == 1, "also a new leader, when the first one was lost before that"
    assert await queue.adopt(SECOND, 0, "mine") == 0
    assert await queue.adopt(SECOND, 0) == 0
    assert await queue.adopt(FIRST, 0) == 1


async def test_each_shard_has_to_compare_its_own_jobs(queue: Queue):
    for shard in (0, 1):
        await queue.adopt(FIRST, shard)
    assert await queue.adopt(SECOND, 0) == 2
    assert await queue.adopt(SECOND, 1, "mine") == 1
    assert await queue.adopt(SECOND, 0, "mine") == 0
    assert await queue.adopt(SECOND, 1) == 0


async def test_a_shard_that_does_not_exist_any_more_is_not_waited_for_twice(queue: Queue):
    for shard in (0, 1):
        await queue.adopt(FIRST, shard)
    assert await queue.adopt(SECOND, 0, "mine") == 1
    assert await queue.adopt(SECOND, 0, "all") == 0
    assert await queue.adopt(SECOND, 0) == 0


async def test_a_word_that_nobody_knows_is_refused(queue: Queue):
    with pytest.raises(InvalidJob, match="compared"):
        await queue.adopt(FIRST, 0, "some")  # type: ignore[arg-type]  # that is the point


# -- a link -----------------------------------------------------------------------------------------------------------


async def test_what_another_owner_left_is_closed_until_it_was_compared(registry, redis_server, key_prefix):
    await left_by_another(registry, redis_server.url, key_prefix)
    link = await put(registry, "default", redis_server.url, key_prefix, uid=SECOND, settings=Settings())
    await auntil(lambda: is_closed(link), 10, "nothing can be claimed")
    assert await claimed(link.queue) == []
    await link._configure()
    assert await is_closed(link), "however often it looks"
    link.compared()
    await auntil(lambda: is_open(link), 10, "the environment's own settings are in force")
    assert link.adopted
    assert await claimed(link.queue) == ["u1.1"]


async def test_a_leader_that_is_lost_before_the_comparison_leaves_it_to_the_next(registry, redis_server, key_prefix):
    await left_by_another(registry, redis_server.url, key_prefix)
    async with leader() as lost:
        before = await put(lost, "default", redis_server.url, key_prefix, uid=SECOND, settings=Settings())
        await auntil(lambda: is_closed(before), 10, "it is closed")
    link = await put(registry, "default", redis_server.url, key_prefix, uid=SECOND, settings=Settings())
    await available(link)
    await link._configure()
    assert await is_closed(link)
    link.compared()
    await auntil(lambda: is_open(link), 10, "it is open")


async def test_another_leader_of_the_same_environment_never_closes_it(registry, redis_server, key_prefix):
    async with leader() as before:
        link = await put(before, "default", redis_server.url, key_prefix, uid=FIRST, settings=Settings())
        await auntil(lambda: is_open(link), 10, "its settings are in force")
    version, _ = await link_settings(redis_server.url, key_prefix)
    link = await put(registry, "default", redis_server.url, key_prefix, uid=FIRST, settings=Settings())
    await auntil(lambda: link.adopted, 10, "it knows that the data is its own")
    await link._configure()
    assert await link_settings(redis_server.url, key_prefix) == (version, Settings()), "nothing was ever written"


async def link_settings(url: str, prefix: str) -> tuple[int, Settings]:
    async with Queue.from_url(url, prefix) as queue:
        return await queue.settings()


async def test_a_comparison_that_does_not_end_is_not_waited_for_for_ever(
    registry, redis_server, key_prefix, monkeypatch
):
    monkeypatch.setattr(links, "_COMPARE_SECONDS", 0.5)
    await left_by_another(registry, redis_server.url, key_prefix)
    link = await put(registry, "default", redis_server.url, key_prefix, uid=SECOND, settings=Settings())
    await auntil(lambda: is_closed(link), 10, "it is closed")
    await asyncio.sleep(0.6)
    link._due.set()
    await auntil(lambda: is_open(link), 10, "it is open all the same")


async def test_the_first_shard_opens_what_was_left_when_all_have_compared(
    registry, second_shard, redis_server, key_prefix
):
    await left_by_another(registry, redis_server.url, key_prefix)
    async with Queue.from_url(redis_server.url, key_prefix) as queue:
        await queue.adopt(FIRST, 1)
    first = await put(registry, "default", redis_server.url, key_prefix, uid=SECOND, settings=Settings())
    second = await put(second_shard, "default", redis_server.url, key_prefix, uid=SECOND)
    await auntil(lambda: is_closed(first), 10, "it is closed")
    await available(second)
    first.compared()
    await first._configure()
    assert await is_closed(first), "the other shard has jobs of its own there"
    second.compared()
    await auntil(lambda: second.adopted, 10, "the second has compared")
    await auntil(lambda: is_open(first), 15, "it is open")
