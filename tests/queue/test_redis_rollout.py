"""Two versions on one Redis, as during a rollout: what only one of them knows does not trouble the other, and data of
another layout is left alone."""

import asyncio
import hashlib

import orjson
import pytest

from fluid_queue import Consumer, LayoutMismatch, Queue, scripts
from support.queues import consuming, ended, following, job, record
from support.waiting import auntil


async def test_what_a_newer_version_has_added_is_passed_over(queue):
    """Fields of records, of what workers read of them, of settings, of hints, and whole keys."""
    keys, redis = queue.keys, queue._redis
    await queue.open()
    await queue.enqueue([job("a", payload={"n": 1}), job("held", delay_seconds=600)])
    spec = orjson.loads(await redis.hget(keys.key("job:a"), "spec"))
    origin = orjson.loads(await redis.hget(keys.key("job:a"), "origin"))
    await redis.hset(
        keys.key("job:a"),
        mapping={
            "colour": "blue",
            "spec": orjson.dumps(spec | {"colour": "blue"}),
            "origin": orjson.dumps(origin | {"kind": "Colour", "colour": "blue"}),
        },
    )
    await redis.hset(
        keys.key("settings"), mapping={"colour": "blue", "queue:q": b'{"colour": "blue", "concurrency": 5}'}
    )
    await redis.hset(keys.key("meta"), "colour", "blue")
    await redis.set(keys.key("colours"), "blue")
    seen: list[object] = []

    async def handler(active):
        seen.append(active.payload)

    async with following(queue) as reader, consuming(queue, handler):
        await redis.xadd(keys.key("events"), {"ids": "held", "colour": "blue"})
        found = await ended(queue, "a")
        assert "held" in (await reader.read()).ids
    _, known = await queue.settings()
    assert known.queues["q"].concurrency == 5
    assert (found.state, found.origin["colour"], seen) == ("completed", "blue", [{"n": 1}])
    assert await redis.hget(keys.key("job:a"), "colour") == b"blue"


async def test_two_versions_of_a_script_live_side_by_side(queue):
    """Each client brings the text of its own scripts; Redis keeps them apart by their hashes."""
    newer = scripts.script("progress")
    older = newer.text + "\n-- of an older version"
    await queue.enqueue([job("a")])
    (held,) = (await queue.claim("w", ["*"], 1, 15)).jobs
    for percent in range(1, 11):
        value = orjson.dumps({"percent": percent, "message": ""})
        assert await queue._redis.eval(older, 1, queue.keys.prefix, "a", held.epoch, value) == b"done"
        assert await queue.progress("a", held.epoch, percent * 10) == "done"
    hashes = [newer.sha, hashlib.sha1(older.encode(), usedforsecurity=False).hexdigest()]
    assert await queue._redis.script_exists(*hashes) == [True, True]
    assert (await record(queue, "a")).progress["percent"] == 100


async def test_a_worker_does_not_touch_data_of_another_layout(queue):
    """It ends, saying what to do; no job is claimed before."""
    await queue.enqueue([job("a")])
    await queue._redis.hset(queue.keys.key("meta"), "layout", "999")

    async def handler(_):
        raise AssertionError("must not run")

    consumer = Consumer(queue, handler, worker="w")
    with pytest.raises(LayoutMismatch, match="use the version that wrote it, or another key prefix"):
        await asyncio.wait_for(consumer.run(), 10)
    assert (await record(queue, "a")).attempt == 0


async def test_a_worker_looks_again_after_redis_was_away(own_redis, key_prefix):
    """It may be another Redis then, or a restored one."""
    ran: list[str] = []

    async def handler(active):
        ran.append(active.id)

    async with Queue.from_url(own_redis.url, key_prefix) as queue:
        await queue.open()
        consumer = Consumer(queue, handler, worker="w")
        working = asyncio.create_task(consumer.run())
        await auntil(lambda: consumer.last_claim, 10)
        await queue.enqueue([job("a")])
        await auntil(lambda: ran == ["a"], 10)
        own_redis.cli("HSET", queue.keys.key("meta"), "layout", "999")
        await asyncio.to_thread(own_redis.restart)
        with pytest.raises(LayoutMismatch):
            await asyncio.wait_for(working, 20)
