"""One environment at a time uses a key space: who comes second touches nothing, and says whose it is."""

from collections.abc import AsyncIterator

import pytest

from fluid_dev.redis import RedisServer
from fluid_operator.environments.link import EnvironmentLink
from fluid_operator.environments.ownership import OWN_SECONDS, Ownership
from fluid_operator.environments.registry import EnvironmentRegistry
from fluid_operator.kube.keys import ObjectKey
from fluid_queue import KeySpaceInUse, NewJob, Queue, QueueUnavailable, Settings
from support.links import available, enqueue, leader, opened, put, state
from support.waiting import auntil

FIRST, SECOND = "6a1d-first", "77b0-second"


@pytest.fixture
async def ours() -> AsyncIterator[EnvironmentRegistry]:
    async with leader() as registry:
        yield registry


@pytest.fixture
async def theirs() -> AsyncIterator[EnvironmentRegistry]:
    """The operator of another cluster."""
    async with leader() as registry:
        yield registry


async def keys(queue: Queue) -> set[bytes]:
    return {key async for key in queue._redis.scan_iter(f"{queue.keys.prefix}*")}


def refused(link: EnvironmentLink) -> bool:
    return link.available is False and bool(link.in_use_by)


# -- the command ------------------------------------------------------------------------------------------------------


async def test_a_key_space_is_taken_by_the_first_and_refused_to_the_second(queue: Queue):
    assert await queue.own(FIRST, "team-a/default", 30) == ""
    assert await queue.own(SECOND, "team-b/default", 30) == "team-a/default"
    assert await queue.own(FIRST, "team-a/default", 30) == ""


async def test_an_owner_that_says_nothing_more_loses_the_key_space(queue: Queue):
    assert await queue.own(FIRST, "team-a/default", 0.2) == ""

    async def taken() -> bool:
        return await queue.own(SECOND, "team-b/default", 30) == ""

    await auntil(taken, 10, "the second owns it")
    assert await queue.own(FIRST, "team-a/default", 30) == "team-b/default"


async def test_each_word_of_the_owner_lengthens_its_time(queue: Queue):
    await queue.own(FIRST, "team-a/default", 1)
    await queue.own(FIRST, "team-a/default", 60)
    assert await queue._redis.pttl(queue.keys.key("owner")) > 30_000


async def test_only_the_owner_gives_it_up(queue: Queue):
    await queue.own(FIRST, "team-a/default", 30)
    await queue.disown(SECOND)
    assert await queue.own(SECOND, "team-b/default", 30) == "team-a/default"
    await queue.disown(FIRST)
    await queue.disown(FIRST)
    assert await queue.own(SECOND, "team-b/default", 30) == ""


async def test_a_full_redis_still_tells_whose_it_is(own_redis: RedisServer, key_prefix: str):
    async with Queue.from_url(own_redis.url, key_prefix) as queue:
        await queue.open()
        own_redis.cli("CONFIG", "SET", "maxmemory-policy", "noeviction")
        own_redis.cli("CONFIG", "SET", "maxmemory", "1")
        assert await queue.own(FIRST, "team-a/default", 30) == ""
        assert await queue.own(SECOND, "team-b/default", 30) == "team-a/default"
        await queue.disown(FIRST)
        assert await queue.own(SECOND, "team-b/default", 30) == ""


async def test_an_owner_that_somebody_wrote_by_hand_is_shown_in_one_short_line(queue: Queue):
    await queue._redis.set(queue.keys.key("owner"), b"x evil\n\xff" + b"y" * 1000)
    shown = await queue.own(FIRST, "team-a/default", 30)
    assert shown.startswith("evil?")
    assert len(shown) <= 317
    await queue._redis.set(queue.keys.key("owner"), b"nameless")
    assert await queue.own(FIRST, "team-a/default", 30) == "somebody without a name"


# -- whoever asks -----------------------------------------------------------------------------------------------------


async def test_an_owner_asks_redis_only_when_its_time_runs_out(queue: Queue):
    now = 100.0
    ownership = Ownership(queue, FIRST, "team-a/default", lambda: now)
    await ownership.require()
    await queue.disown(FIRST)
    await queue.own(SECOND, "team-b/default", 60)
    await ownership.require()  # believed for as long as the first word holds
    now += OWN_SECONDS
    with pytest.raises(KeySpaceInUse) as refusal:
        await ownership.require()
    assert (refusal.value.owner, ownership.in_use_by) == ("team-b/default", "team-b/default")
    assert refusal.value.key_prefix in str(refusal.value)
    await queue.disown(SECOND)
    with pytest.raises(KeySpaceInUse):
        await ownership.require()  # a refusal is believed for a moment as well
    now += OWN_SECONDS
    await ownership.require()
    assert ownership.in_use_by == ""


# -- two environments -------------------------------------------------------------------------------------------------


async def test_the_second_environment_touches_nothing_and_names_the_first(ours, theirs, redis_server, key_prefix):
    first = await opened(ours, "first", redis_server.url, key_prefix)
    await enqueue(first, "u1.1")
    second = await put(theirs, "second", redis_server.url, key_prefix, settings=Settings(suspend=True))
    await second.check()
    assert refused(second)
    assert second.in_use_by == "team-a/first"
    assert "team-a/first" in second.problem
    assert "spec.redis.keyPrefix" in second.problem
    before = await keys(first.queue)
    with pytest.raises(KeySpaceInUse):
        await second.enqueue(NewJob(id="u2.1", type="work"))
    for command in (second.cancel, second.withdraw, second.acknowledge, second.suspend, second.resume):
        with pytest.raises(KeySpaceInUse):
            await command("u1.1")
    assert await state(first, "u1.1") == "waiting"
    assert await state(first, "u2.1") == "unknown"
    assert await keys(first.queue) == before
    assert (await first.queue.settings())[1].suspend is False
    assert first.available


async def test_all_shards_of_one_operator_share_the_key_space(ours, theirs, redis_server, key_prefix):
    first = await opened(ours, "same", redis_server.url, key_prefix)
    second = await opened(theirs, "same", redis_server.url, key_prefix)
    assert first.available
    assert second.available


async def test_the_second_environment_goes_on_by_itself_when_the_first_is_gone(ours, theirs, redis_server, key_prefix):
    await opened(ours, "first", redis_server.url, key_prefix)
    second = await put(theirs, "second", redis_server.url, key_prefix)
    await auntil(lambda: refused(second), 10, "the second is refused")
    ours.leave(ObjectKey("team-a", "first"))
    await available(second)
    assert second.in_use_by == ""
    await enqueue(second, "u2.1")
    assert await state(second, "u2.1") == "waiting"


async def test_an_environment_that_is_created_again_has_its_key_space_at_once(ours, redis_server, key_prefix):
    first = await opened(ours, "again", redis_server.url, key_prefix, uid=FIRST)
    await enqueue(first, "u1.1")
    second = await put(ours, "again", redis_server.url, key_prefix, uid=SECOND)
    await second.check()
    assert second.in_use_by == ""
    assert await state(second, "u1.1") == "waiting"


async def test_an_owner_that_stood_still_for_too_long_writes_nothing_more(ours, theirs, redis_server, key_prefix):
    first = await opened(ours, "first", redis_server.url, key_prefix)
    await enqueue(first, "u1.1")
    # As if its time had run out, and the other had come at that moment.
    await first.queue._redis.set(first.queue.keys.key("owner"), "uid-second team-a/second", px=30_000)
    second = await put(theirs, "second", redis_server.url, key_prefix)
    await available(second)
    await enqueue(second, "u2.1")  # now the second leads, and the token of the first is refused
    with pytest.raises(KeySpaceInUse):
        await first.enqueue(NewJob(id="u1.2", type="work"))
    assert await state(second, "u1.2") == "unknown"


# -- what a link tells ------------------------------------------------------------------------------------------------


async def test_a_link_counts_what_would_be_left_behind(ours, redis_server, key_prefix):
    link = await opened(ours, "default", redis_server.url, key_prefix)
    assert await link.left_behind() == 0
    await enqueue(link, "u1.1", "u2.1")
    await link.queue.enqueue([NewJob(id="mail", type="work")])
    await link.suspend("u2.1")
    assert await link.left_behind() == 3
    await link.cancel("u1.1")
    await link.cancel("u2.1")
    await link.queue.cancel(["mail"])
    assert await link.left_behind() == 2, "the ends of two are not written down yet"
    await link.acknowledge("u1.1")
    await link.acknowledge("u2.1")
    assert await link.left_behind() == 0


async def test_a_link_knows_whether_another_address_leads_to_its_data(ours, redis_server, own_redis, key_prefix):
    link = await opened(ours, "default", redis_server.url, key_prefix)
    elsewhere = own_redis.url
    assert await link.same_data(redis_server.url + "?") is True
    assert await link.same_data(elsewhere) is False
    assert own_redis.cli("DBSIZE").strip() == "0", "looking creates nothing"
    async with Queue.from_url(elsewhere, key_prefix) as other:
        await other.open()
    assert await link.same_data(elsewhere) is False
    own_redis.stop()
    assert await link.same_data(elsewhere) is None


async def test_whoever_listens_is_told_when_a_link_is_held_and_let_go(ours, redis_server, key_prefix):
    link = await opened(ours, "default", redis_server.url, key_prefix)
    told: list[str] = []
    ours.on_change = told.append
    link.hold("the address changes")
    link.hold("the address changes")
    assert (link.held, told) == ("the address changes", ["team-a"])
    with pytest.raises(QueueUnavailable, match="the address changes"):
        await enqueue(link, "u1.1")  # whoever asked a moment before comes again
    link.hold("")
    assert (link.held, told) == ("", ["team-a", "team-a"])
