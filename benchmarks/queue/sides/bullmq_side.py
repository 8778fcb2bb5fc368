"""BullMQ's Python port: `Queue` and `Worker` with their defaults, on uvloop, which makes it faster.

At-least-once as it comes: locks of 30 s, a look for stalled jobs every 30 s. Finished jobs and results are kept, its
default too.
"""

import asyncio
import os
import signal
import sys
from collections.abc import Iterable
from itertools import islice
from typing import Any

import uvloop
from bullmq import Job, Queue, Worker

from benchmarks.queue.sides.ledger import Ledger
from benchmarks.queue.sides.orders import Producer, serve

_AT_A_TIME = 500


def _options() -> dict[str, Any]:
    return {"connection": os.environ["BENCH_REDIS"]}


class BullmqProducer(Producer):
    distributions = ("bullmq", "redis", "hiredis", "uvloop")

    def __init__(self, queue: Queue) -> None:
        self._queue = queue

    async def one(self, job_id: str, delay_ms: int) -> None:
        await self._queue.add("bench", {"id": job_id}, {"delay": delay_ms} if delay_ms else {})

    async def bulk(self, job_ids: Iterable[str]) -> None:
        remaining = iter(job_ids)
        while some := list(islice(remaining, _AT_A_TIME)):
            await self._queue.addBulk([{"name": "bench", "data": {"id": job_id}, "opts": {}} for job_id in some])


async def produce() -> None:
    queue = Queue(os.environ["BENCH_NAMESPACE"], _options())
    await serve(BullmqProducer(queue))
    await queue.close()


async def work() -> None:
    ledger = Ledger.of_environment()
    hold = float(os.environ["BENCH_HOLD"])

    async def handle(job: Job, _token: str) -> dict[str, str]:
        job_id = job.data["id"]
        ledger.started(job_id)
        if hold:
            await asyncio.sleep(hold)
        return {"id": job_id}

    ended = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, ended.set)
    options = {**_options(), "concurrency": int(os.environ["BENCH_CONCURRENCY"])}
    worker = Worker(os.environ["BENCH_NAMESPACE"], handle, options)
    await ended.wait()
    await worker.close(True)


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(work() if sys.argv[1] == "work" else produce())
