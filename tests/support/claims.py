"""A worker played by hand, one step at a time: for tests that look between a claim and its end."""

from collections.abc import Sequence
from typing import Any

import orjson

from fluid_queue import ActiveJob, Backoff, ClaimedJob, Ending, Queue
from support.queues import job, record

DONE = Ending("completed", "Completed")
STOPPED = Ending("stopped", "Cancelled")
RELEASED = Ending("released", "Released")


def failing(error: str, *, final: str = "", after: float = 0) -> Ending:
    """An attempt that ended with an error of this type; `final`: the reason of a failure that is not retried."""
    detail = orjson.dumps({"type": error, "message": "on purpose", "attempt": 1})
    return Ending("failed", final, error=detail) if final else Ending("retry", "Failed", after, error=detail)


def claimed(**fields: Any) -> ClaimedJob:
    """A first attempt as a value, with two retries to come, after 10 and 30 seconds."""
    values: dict[str, Any] = {
        "id": "a",
        "epoch": 1,
        "attempt": 1,
        "failures": 0,
        "started_at": 0,
        "deadline_at": 0,
        "queue": "q",
        "type": "t",
        "origin": {},
        "payload": {},
        "tags": {},
        "backoff_limit": 2,
        "backoff": Backoff(jitter_percent=0),
    }
    return ClaimedJob(**values | fields)


async def claim(
    queue: Queue, n: int = 10, *, queues: Sequence[str] = ("*",), worker: str = "w", lease: float = 15
) -> Sequence[ClaimedJob]:
    """The jobs of one claim."""
    return (await queue.claim(worker, queues, n, lease)).jobs


async def names(queue: Queue, n: int = 10, **options: Any) -> list[str]:
    """The ids of one claim, in its order."""
    return [got.id for got in await claim(queue, n, **options)]


async def end(queue: Queue, jobs: Sequence[ClaimedJob], ending: Ending = DONE) -> list[str]:
    """All of these attempts end so; what Redis says to each."""
    return await queue.finish([(got.id, got.epoch, ending) for got in jobs])


async def work_off(queue: Queue, n: int = 10) -> list[str]:
    """Claim and complete until nothing can be claimed; the ids in the order of their starts."""
    started: list[str] = []
    while got := await claim(queue, n):
        started += [each.id for each in got]
        await end(queue, got)
    return started


async def states(queue: Queue, *ids: str) -> list[str]:
    """The states of these jobs; empty for one that nobody knows."""
    return [found.state if found else "" for found in await queue.inspect(ids)]


async def lease_runs_out(queue: Queue, name: str) -> None:
    """As if the worker of this job had died a lease ago, as long as nobody claims; the key of docs/decisions/0001."""
    await queue._redis.zadd(queue.keys.key("leases"), {name: 1})
    found = await record(queue, name)
    assert found is not None
    assert found.state == "active"


async def running(queue: Queue, name: str = "p", **fields: Any) -> ActiveJob:
    """A parent that has just started, played by hand."""
    await queue.enqueue([job(name, queue="parents", **fields)])
    (claimed,) = await claim(queue, queues=["parents"])
    return ActiveJob(claimed, queue, None)


async def child(parent: ActiveJob, key: str, **options: Any) -> str:
    """Enqueues a child into queue `q`, and gives its id."""
    return await parent.enqueue("t", key=key, queue="q", **options)


async def finish(queue: Queue, parent: ActiveJob, ending: Ending = DONE) -> None:
    """A parent that is played by hand says how its attempt ended."""
    assert await queue.finish([(parent.id, parent.epoch, ending)]) == ["done"]
