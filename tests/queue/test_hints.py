"""Following the changes of a key space: nothing is missed without being told so."""

import asyncio

from fluid_queue import Ending, HintReader, Hints, NewJob, Queue, QueueUnavailable
from support.waiting import auntil


def job(name: str) -> NewJob:
    return NewJob(id=name, type="t", queue="q")


async def test_a_reader_starts_with_a_resync_and_then_hears_of_each_change(queue):
    reader = HintReader(queue)
    try:
        await queue.enqueue([job("before")])
        assert await reader.read() == Hints(resync=True)
        await queue.enqueue([job("a"), job("b")])
        assert (await reader.read()).ids == {"a", "b"}
        (one, *_) = (await queue.claim("w", ["*"], 1, 15)).jobs
        assert (await reader.read()).ids == {one.id}
        await queue.finish([(one.id, one.epoch, Ending("completed", "Completed"))])
        assert (await reader.read()).ids == {one.id}
    finally:
        await reader.aclose()


async def test_a_published_type_is_a_hint_of_its_own(queue):
    reader = HintReader(queue)
    try:
        await reader.read()
        await queue.register("w", {}, {"email": {}}, "local")
        assert (await reader.read()).types
    finally:
        await reader.aclose()


async def test_a_reader_that_was_overtaken_by_the_trim_reads_everything_again(queue):
    reader = HintReader(queue)
    try:
        await reader.read()
        await queue.enqueue([job("a")])
        assert (await reader.read()).ids == {"a"}
        pipe = queue._redis.pipeline()
        for n in range(12_000):
            pipe.xadd(queue.keys.key("events"), {"ids": f"x{n}"}, maxlen=2_000, approximate=False)
        await pipe.execute()
        assert (await reader.read()).resync
        await queue.enqueue([job("b")])
        assert (await reader.read()).ids == {"b"}
    finally:
        await reader.aclose()


async def test_an_emptied_redis_is_noticed_although_no_connection_broke(own_redis, key_prefix):
    async with Queue.from_url(own_redis.url, key_prefix) as queue:
        reader = HintReader(queue)
        await reader.read()
        await queue._redis.flushall()
        hints = await auntil(lambda: _telling(reader), 10, "the loss to be noticed")
        assert hints.lost
        assert hints.resync
        await reader.aclose()


async def test_a_restarted_redis_means_a_resync_and_says_that_data_may_be_lost(own_redis, key_prefix):
    async with Queue.from_url(own_redis.url, key_prefix) as queue:
        reader = HintReader(queue)
        await reader.read()
        await asyncio.to_thread(own_redis.restart)
        hints = await auntil(lambda: _telling(reader), 10, "the restart to be noticed")
        assert hints.resync
        assert hints.lost
        await reader.aclose()


async def _telling(reader: HintReader) -> Hints | None:
    try:
        hints = await reader.read()
    except QueueUnavailable:
        return None
    return hints if hints.resync else None
