"""Waiting for the end of a job: told by an event, never missed, and patient while Redis is away."""

import asyncio
import time
from collections.abc import AsyncIterator

import pytest

from fluid_queue import Ending, HintReader, Queue
from fluid_queue.endings import Endings
from fluid_queue.errors import JobNotFound, QueueUnavailable, ScriptError
from support.queues import consuming, job
from support.waiting import auntil


@pytest.fixture
async def endings(queue: Queue) -> AsyncIterator[Endings]:
    waiting = Endings(queue.inspect, lambda: HintReader(queue))
    yield waiting
    await waiting.aclose()


async def test_whoever_waits_gets_the_record_of_the_end(queue, endings):
    async with consuming(queue, lambda active: asyncio.sleep(0.1, {"n": active.payload["n"]})):
        await queue.enqueue([job("a", payload={"n": 1}), job("b", payload={"n": 2})])
        first, second = await asyncio.gather(endings.wait("a", 10), endings.wait("b", 10))
    assert (first.state, first.result) == ("completed", b'{"n":1}')
    assert (second.id, second.result) == ("b", b'{"n":2}')


async def test_a_job_that_has_ended_before_is_told_at_once(queue, endings):
    await queue.enqueue([job("a")])
    await queue.cancel(["a"])
    assert (await endings.wait("a", 5)).state == "cancelled"


async def test_many_may_wait_for_the_same_job(queue, endings):
    await queue.enqueue([job("a")])
    waits = [asyncio.create_task(endings.wait("a", 10)) for _ in range(20)]
    await auntil(lambda: len(endings._waiting.get("a", ())) == 20, 5)
    await queue.cancel(["a"])
    assert {record.state for record in await asyncio.gather(*waits)} == {"cancelled"}


async def test_no_end_is_missed_however_it_races_with_the_wait(queue, endings):
    async def one(number: int) -> str:
        await queue.enqueue([job(f"j{number}")])
        _, record = await asyncio.gather(queue.cancel([f"j{number}"]), endings.wait(f"j{number}", 10))
        return record.state

    for start in range(0, 200, 20):
        states = await asyncio.gather(*(one(number) for number in range(start, start + 20)))
        assert set(states) == {"cancelled"}


async def test_a_wait_ends_soon_after_its_job(queue, endings):
    await queue.enqueue([job("a"), job("b")])
    waits = [asyncio.create_task(endings.wait(name, 10)) for name in "ab"]
    await queue.cancel(["a"])
    await waits[0]
    started = time.monotonic()
    await queue.cancel(["b"])
    await waits[1]
    assert time.monotonic() - started < 1


async def test_a_wait_gives_up_in_time_and_harms_nobody_else(queue, endings):
    await queue.enqueue([job("a")])
    patient = asyncio.create_task(endings.wait("a", 10))
    with pytest.raises(TimeoutError):
        await endings.wait("a", 0.2)
    await queue.cancel(["a"])
    assert (await patient).state == "cancelled"


async def test_waiting_for_a_job_that_nobody_knows_is_an_error_at_once(endings):
    with pytest.raises(JobNotFound, match="'nowhere'"):
        await endings.wait("nowhere", 10)


async def test_a_job_of_which_only_the_outcome_is_left_has_ended_too(queue, endings):
    await queue.enqueue([job("a", keep_seconds=0)])
    (got,) = (await queue.claim("w", ["*"], 1, 15)).jobs
    await queue.finish([("a", got.epoch, Ending("completed", "Completed"))])
    record = await endings.wait("a", 5)
    assert (record.state, record.tombstone) == ("completed", True)


async def test_a_wait_outlasts_a_restart_of_redis(own_redis, key_prefix):
    async with Queue.from_url(own_redis.url, key_prefix) as queue:
        await queue.open()
        endings = Endings(queue.inspect, lambda: HintReader(queue))
        await queue.enqueue([job("a")])
        waiting = asyncio.create_task(endings.wait("a", 30))
        await auntil(lambda: "a" in endings._waiting, 5)
        await asyncio.to_thread(own_redis.restart)
        await queue.cancel(["a"])
        assert (await waiting).state == "cancelled"
        await endings.aclose()


async def test_an_end_is_not_missed_when_redis_goes_away_between_the_hint_and_the_record(queue):
    failing = False

    async def inspect(ids):
        nonlocal failing
        if failing:
            failing = False
            raise QueueUnavailable("away")
        return await queue.inspect(ids)

    endings = Endings(inspect, lambda: HintReader(queue))
    await queue.enqueue([job("a"), job("b")])
    other = asyncio.create_task(endings.wait("b", 20))
    await auntil(lambda: "b" in endings._waiting, 5)
    waiting = asyncio.create_task(endings.wait("a", 20))
    await auntil(lambda: "a" in endings._waiting, 5)
    failing = True
    await queue.cancel(["a"])
    assert (await waiting).state == "cancelled"
    assert not failing
    other.cancel()
    await endings.aclose()


async def test_a_job_lost_with_its_redis_ends_the_wait(own_redis, key_prefix):
    async with Queue.from_url(own_redis.url, key_prefix) as queue:
        await queue.open()
        endings = Endings(queue.inspect, lambda: HintReader(queue))
        await queue.enqueue([job("a")])
        waiting = asyncio.create_task(endings.wait("a", 30))
        await auntil(lambda: "a" in endings._waiting, 5)
        await queue._redis.flushall()
        with pytest.raises(JobNotFound):
            await waiting
        await endings.aclose()


async def test_the_reader_goes_when_nobody_has_waited_for_a_while_and_comes_back(queue, monkeypatch):
    monkeypatch.setattr("fluid_queue.endings._LINGER", 0.0)
    endings = Endings(queue.inspect, lambda: HintReader(queue))
    for name in ("a", "b"):
        await queue.enqueue([job(name)])
        waiting = asyncio.create_task(endings.wait(name, 10))
        await auntil(lambda: endings._following is not None, 5)
        await queue.cancel([name])
        await waiting
        await auntil(lambda: endings._following is None, 10, "the reader to go")
    await endings.aclose()


async def test_a_reader_that_breaks_is_told_to_whoever_waits(queue):
    class Broken:
        async def read(self):
            raise ScriptError("a stream of another kind")

        async def aclose(self):
            pass

    endings = Endings(queue.inspect, Broken)
    await queue.enqueue([job("a")])
    with pytest.raises(ScriptError, match="another kind"):
        await endings.wait("a", 10)
    await endings.aclose()


async def test_closing_ends_every_wait(queue, endings):
    await queue.enqueue([job("a")])
    waiting = asyncio.create_task(endings.wait("a", None))
    await auntil(lambda: "a" in endings._waiting, 5)
    await endings.aclose()
    with pytest.raises(asyncio.CancelledError):
        await waiting
