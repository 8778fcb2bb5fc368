"""Fluid Jobs: the producer is `Queue.enqueue`, the worker one `Consumer` in a process with uvloop.

Nothing is switched off for the benchmark: leases of 15 s and their renewal, results, events, records kept for an hour,
fencing, retries with the built-in backoff.
"""

import asyncio
import os
import signal
import sys
from collections.abc import Iterable

import uvloop

from benchmarks.queue.sides.ledger import Ledger
from benchmarks.queue.sides.orders import Producer, serve
from fluid_queue import ActiveJob, Consumer, NewJob, Queue

_TYPE = "bench"


class FluidProducer(Producer):
    distributions = ("fluid-jobs", "redis", "hiredis", "uvloop")

    def __init__(self, queue: Queue) -> None:
        self._queue = queue

    async def one(self, job_id: str, delay_ms: int) -> None:
        await self._queue.enqueue([_job(job_id, delay_ms)])

    async def bulk(self, job_ids: Iterable[str]) -> None:
        await self._queue.enqueue([_job(job_id, 0) for job_id in job_ids])


def _job(job_id: str, delay_ms: int) -> NewJob:
    return NewJob(id=job_id, type=_TYPE, payload={"id": job_id}, delay_seconds=delay_ms / 1000)


async def produce() -> None:
    async with _queue() as queue:
        await queue.open()
        await serve(FluidProducer(queue))


async def work() -> None:
    ledger = Ledger.of_environment()
    hold = float(os.environ["BENCH_HOLD"])

    async def handle(job: ActiveJob) -> dict[str, str]:
        job_id = job.payload["id"]
        ledger.started(job_id)
        if hold:
            await asyncio.sleep(hold)
        return {"id": job_id}

    async with _queue() as queue:
        consumer = Consumer(
            queue,
            handle,
            worker=f"bench-{os.getpid()}",
            queues=[_TYPE],
            concurrency=int(os.environ["BENCH_CONCURRENCY"]),
        )
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, consumer.drain, 0)
        await consumer.run()


def _queue() -> Queue:
    return Queue.from_url(os.environ["BENCH_REDIS"], os.environ["BENCH_NAMESPACE"])


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(work() if sys.argv[1] == "work" else produce())
