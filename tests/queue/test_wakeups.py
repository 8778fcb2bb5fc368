"""Nobody sleeps while there is something to do, and nobody asks all the time while there is not."""

import asyncio
import time
from contextlib import AsyncExitStack

from fluid_queue import ActiveJob, Ending, Fairness, Indexes, Queue, QueueSettings, RateLimit, Settings
from support.claims import claim, end, lease_runs_out
from support.queues import consuming, job, record
from support.waiting import auntil


async def test_whoever_is_full_tells_another_one_when_the_rate_allows_more(queue):
    """Each of three workers has one slot: the one that has just learnt when to look again is busy by then."""
    starts: list[float] = []

    async def handler(_: ActiveJob):
        starts.append(time.monotonic())
        await asyncio.sleep(3)

    await queue.configure(Settings(queues={"q": QueueSettings(rate_limit=RateLimit(1, per_seconds=0.3))}))
    async with AsyncExitStack() as stack:
        for name in ("one", "two", "three"):
            await stack.enter_async_context(consuming(queue, handler, worker=name, concurrency=1, grace=5))
        await queue.enqueue([job(f"j{n}") for n in range(3)])
        await auntil(lambda: len(starts) == 3, 3, "three starts, before the first tick")


async def test_a_worker_does_not_ask_all_the_time_while_leases_are_left_alone(queue):
    """After a silence the lease of somebody else has run out, and is not taken back for a moment."""
    await queue.enqueue([job("a")])
    (held,) = await claim(queue, worker="silent", lease=1)
    await lease_runs_out(queue, held.id)
    await queue._redis.hset(queue.keys.key("meta"), "heard", 1)
    answer = await queue.claim("w", ["*"], 1, 15)
    assert answer.jobs == []
    assert answer.wait_seconds > 0.5


async def test_an_idle_worker_hears_its_settings_once(queue):
    heard: list[Settings] = []
    await queue.configure(Settings(suspend=True))
    async with consuming(
        queue, lambda _: asyncio.sleep(0), lease_seconds=0.3, settings_changed=heard.append
    ) as consumer:
        await auntil(lambda: consumer.last_claim, 10, "the first claim")
        first = consumer.last_claim
        await auntil(lambda: consumer._renewal.renewed_at > first + 1, 10, "some renewals")
    assert heard == [Settings(suspend=True)]


async def test_turns_that_are_switched_off_and_on_again_begin_anew(queue: Queue):
    fair = Settings(queues={"q": QueueSettings(fairness=Fairness("user"))})
    await queue.configure(fair)
    await queue.enqueue([job(f"first-{n}", tags={"user": "a"}) for n in range(10)])
    await end(queue, await claim(queue, 10))
    await queue.configure(Settings())
    await queue.enqueue([job(f"old-{n}", tags={"user": "a"}) for n in range(50)])
    await queue.configure(fair)
    await queue.enqueue([job(f"new-{n:02}", tags={"user": "b"}) for n in range(50)])
    assert sum(got.id.startswith("old") for got in await claim(queue, 20)) >= 9


async def test_items_of_a_job_that_takes_another_ones_place_are_its_own(queue):
    def fan(version: str) -> dict[str, object]:
        return {"hash": version, "replace": True, "indexes": Indexes(2, items=[{"v": version}] * 2)}

    await queue.enqueue([job("fan", **fan("1"))])
    await queue.enqueue([job("fan", **fan("2"))])
    assert [got.payload for got in await claim(queue)] == [{"v": "2"}, {"v": "2"}]
    await queue.enqueue([job("fan", **fan("3"))])
    assert await queue._redis.exists(queue.keys.key("new-items:fan")) == 0


async def test_at_maxmemory_results_are_dropped_and_outcomes_are_not(own_redis, key_prefix):
    async with Queue.from_url(own_redis.url, key_prefix) as queue:
        await queue.open()
        await queue.enqueue([job("a")])
        held = await claim(queue)
        own_redis.cli("CONFIG", "SET", "maxmemory", "1")
        await end(queue, held, Ending("completed", "Completed", result=b'{"large": "x"}'))
        found = await record(queue, "a")
    assert found is not None
    assert (found.state, found.result) == ("completed", None)
