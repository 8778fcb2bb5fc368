"""What tests of the queue share: short jobs, a consumer that is drained at the end, and looks at records."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from fluid_queue import Backoff, Consumer, Handler, HintReader, Hints, JobRecord, NewJob, Queue, QueueUnavailable
from support.waiting import auntil

QUICK = Backoff(type="Fixed", delay_seconds=0)


def job(name: str, **fields: Any) -> NewJob:
    """A job whose retries come at once, two at most."""
    return NewJob(
        **{"id": name.replace(" ", "-"), "type": "t", "queue": "q", "backoff": QUICK, "backoff_limit": 2} | fields
    )


@asynccontextmanager
async def consuming(queue: Queue, handler: Handler, *, grace: float = 0, **options: Any) -> AsyncIterator[Consumer]:
    """A consumer in this loop, drained with this grace at the end of the block."""
    consumer = Consumer(queue, handler, worker=options.pop("worker", "w"), **options)
    task = asyncio.create_task(consumer.run())
    try:
        yield consumer
    finally:
        consumer.drain(grace)
        await asyncio.wait_for(task, 30)


async def record(queue: Queue, name: str) -> JobRecord | None:
    """The record of one job."""
    (found,) = await queue.inspect([name])
    return found


async def ended(queue: Queue, name: str, within: float = 20) -> JobRecord:
    """Wait for the end of a job."""

    async def look() -> JobRecord | None:
        found = await record(queue, name)
        return found if found and found.ended else None

    found = await auntil(look, within, f"the end of {name}")
    assert found is not None
    return found


async def state(queue: Queue, name: str, want: str) -> bool:
    """Whether a job is in this state."""
    found = await record(queue, name)
    return found is not None and found.state == want


async def all_completed(queue: Queue, n: int) -> bool:
    """Whether so many jobs of the only queue have succeeded; False while Redis is away."""
    try:
        return (await queue.stats()).queues[0].completed == n
    except QueueUnavailable:
        return False


@asynccontextmanager
async def following(queue: Queue) -> AsyncIterator[HintReader]:
    """A reader of changes that has its position: what happens inside the block is told."""
    reader = HintReader(queue)
    try:
        await reader.read()
        yield reader
    finally:
        await reader.aclose()


async def resynced(reader: HintReader, within: float = 20) -> Hints:
    """The hints that ask to read everything again; until they come, Redis may be away."""

    async def look() -> Hints | None:
        try:
            hints = await reader.read()
        except QueueUnavailable:
            return None
        return hints if hints.resync else None

    found = await auntil(look, within, "a resync to be asked for")
    assert found is not None
    return found


async def enqueued(queue: Queue, name: str, within: float = 30) -> None:
    """As a producer that tries again while Redis is away: the id makes it harmless."""

    async def once() -> bool:
        try:
            await queue.enqueue([job(name)])
        except QueueUnavailable:
            return False
        return True

    await auntil(once, within, f"{name} to be taken", pause=0.2)
