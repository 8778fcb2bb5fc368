"""Redis users with the least rights: everything that the queue does works, everything else is refused."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from redis import asyncio as aioredis

from fluid_dev.redis import RedisServer
from fluid_queue import Queue, QueueAccessDenied, acl
from support.queues import consuming, ended, following, job
from support.waiting import auntil

PASSWORDS = {"worker": "worker's word", "operator": "operator's word"}


@pytest.fixture
def guarded(own_redis: RedisServer, key_prefix: str) -> RedisServer:
    """A Redis with the two users of this key space."""
    for role, password in PASSWORDS.items():
        own_redis.cli("ACL", "SETUSER", role, "reset", "on", f">{password}", *acl.rules(role, key_prefix))
    return own_redis


def url(server: RedisServer, user: str, password: str | None = None) -> str:
    word = (password or PASSWORDS[user]).replace("'", "%27").replace(" ", "%20")
    return f"redis://{user}:{word}@127.0.0.1:{server.port}/0"


@pytest.fixture
async def worker(guarded: RedisServer, key_prefix: str) -> AsyncIterator[Queue]:
    async with Queue.from_url(url(guarded, "worker"), key_prefix) as queue:
        yield queue


@pytest.fixture
async def operator(guarded: RedisServer, key_prefix: str) -> AsyncIterator[Queue]:
    async with Queue.from_url(url(guarded, "operator"), key_prefix) as queue:
        yield queue


async def test_a_worker_and_an_operator_have_all_the_rights_that_they_need(guarded, worker, operator):
    started, release = asyncio.Event(), asyncio.Event()

    async def handler(active):
        await active.progress(50, "half")
        await active.log("a line")
        if active.id == "stopped":
            started.set()
            await asyncio.sleep(60)
        await release.wait()

    await operator.open()
    leader = await operator.lead(0, "me")
    await worker.register("w", {}, {"t": {}}, "image")
    async with following(operator) as reader, consuming(worker, handler):
        await operator.enqueue(
            [job("a", acknowledged=True), job("stopped"), job("later", delay_seconds=600)], leader=leader
        )
        await started.wait()
        await operator.cancel(["stopped", "later"], leader=leader)
        assert (await ended(operator, "stopped")).state == "cancelled"
        release.set()
        assert (await ended(operator, "a")).state == "completed"
        assert (await operator.stats()).workers == 1
        assert (await reader.read()).ids
    assert await operator.log_lines("a") == ["a line"]
    assert [page async for page in operator.unacknowledged()] == [["a"]]
    await operator.acknowledge(["a"], leader=leader)
    assert "t" in await operator.types("image")
    await operator.sweep()
    assert await operator.incarnation()
    await operator.ping()
    assert guarded.cli("ACL", "LOG") == ""


@pytest.mark.parametrize("user", ["worker", "operator"])
@pytest.mark.parametrize(
    "command",
    [
        "KEYS *",
        "SCAN 0",
        "FLUSHALL",
        "FLUSHDB",
        "CONFIG GET maxmemory",
        "ACL WHOAMI",
        "CLIENT LIST",
        "SCRIPT FLUSH",
        "SHUTDOWN",
        "MONITOR",
        "RENAME {own}:meta other:meta",
        "HGET {other}:meta incarnation",
        "HSET somewhere a b",
        "EVAL return(redis.call('HGET','{other}:meta','x')) 0",
        "EVAL return(redis.call('FLUSHALL')) 0",
        "XREAD STREAMS {other}:events 0",
    ],
)
async def test_anything_else_is_refused(guarded, key_prefix, user, command):
    own = f"{{fluid:{key_prefix}}}"
    words = command.replace("{own}", own).replace("{other}", own.replace("test", "Other")).split()
    async with aioredis.Redis.from_url(url(guarded, user)) as client:
        with pytest.raises(aioredis.RedisError) as refused:
            await client.execute_command(*words)
    assert (
        "permission" in str(refused.value) or "can't run" in str(refused.value) or "can't access" in str(refused.value)
    )


async def test_a_wrong_password_is_told_apart_from_a_redis_that_is_away(guarded, key_prefix):
    async with Queue.from_url(url(guarded, "worker", "wrong"), key_prefix) as queue:
        with pytest.raises(QueueAccessDenied, match="refuses the user or password") as refused:
            await queue.ping()
        assert "wrong" not in str(refused.value).replace("WRONGPASS", "").replace("wrong password", "")


async def test_another_key_space_is_out_of_reach_for_scripts_too(guarded):
    async with Queue.from_url(url(guarded, "worker"), "team-b.default") as queue:
        with pytest.raises(QueueAccessDenied):
            await queue.enqueue([job("a")])
        with pytest.raises(QueueAccessDenied):
            await queue.types("image")


async def test_a_right_that_is_missing_inside_a_script_is_told_as_such(guarded, worker):
    guarded.cli("ACL", "SETUSER", "worker", "-hset")
    with pytest.raises(QueueAccessDenied):
        await worker.enqueue([job("a")])


async def test_a_password_is_rotated_under_a_running_worker_without_losing_a_job(guarded, worker, key_prefix):
    """Both are good for a while; then the old one goes, and what is connected stays connected."""
    ran: list[str] = []

    async def handler(active):
        ran.append(active.id)
        await asyncio.sleep(0.2)

    async with consuming(worker, handler, grace=5):
        await worker.enqueue([job("before")])
        await auntil(lambda: ran, 10)
        guarded.cli("ACL", "SETUSER", "worker", ">new word")
        async with (
            Queue.from_url(url(guarded, "worker", "new word"), key_prefix) as renewed,
            consuming(renewed, handler, worker="w2", grace=5),
        ):
            guarded.cli("ACL", "SETUSER", "worker", f"<{PASSWORDS['worker']}")
            await renewed.enqueue([job(f"j{n}") for n in range(20)])
            for n in range(20):
                assert (await ended(renewed, f"j{n}")).attempt == 1
    assert len(ran) == 21


async def test_a_worker_whose_user_comes_back_goes_on(guarded, worker, operator):
    """Somebody deletes the user and mends it: the worker waits, as for a Redis that is away."""
    ran = asyncio.Event()

    async def handler(_):
        ran.set()

    lines = guarded.cli("ACL", "LIST").splitlines()
    rules = next(line.split()[2:] for line in lines if line.startswith("user worker "))
    async with consuming(worker, handler):
        guarded.cli("ACL", "DELUSER", "worker")
        await operator.enqueue([job("a")])
        with pytest.raises(QueueAccessDenied):
            await worker.stats()
        assert not ran.is_set()
        guarded.cli("ACL", "SETUSER", "worker", "reset", *rules)
        await asyncio.wait_for(ran.wait(), 20)
