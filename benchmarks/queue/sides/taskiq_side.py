"""taskiq: the stream broker of taskiq-redis, workers started by its own command, on uvloop.

The stream broker is the one that acknowledges (taskiq-redis, README, "Brokers"); the list broker would lose the jobs of
a killed worker. Acknowledged when the result is saved, the default; no result backend, which spares it a round trip
per job. Delays take a scheduler process beside the broker: not measured. It has no call for many jobs at once: bulk is
a hundred `kiq` at a time.
"""

import asyncio
import os
import sys
from collections.abc import Iterable
from itertools import islice

import uvloop
from taskiq_redis import RedisStreamBroker

from benchmarks.queue.sides.ledger import Ledger
from benchmarks.queue.sides.orders import Producer, serve

_AT_A_TIME = 100
_ledger = Ledger.of_environment()
_hold = float(os.environ["BENCH_HOLD"])
broker = RedisStreamBroker(url=os.environ["BENCH_REDIS"], queue_name=os.environ["BENCH_NAMESPACE"])


@broker.task(task_name="bench")
async def handle(job_id: str) -> None:
    _ledger.started(job_id)
    if _hold:
        await asyncio.sleep(_hold)


class TaskiqProducer(Producer):
    distributions = ("taskiq", "taskiq-redis", "redis", "hiredis", "uvloop")

    async def one(self, job_id: str, delay_ms: int) -> None:
        if delay_ms:
            raise NotImplementedError("the stream broker knows no delays")
        await handle.kiq(job_id)

    async def bulk(self, job_ids: Iterable[str]) -> None:
        remaining = iter(job_ids)
        while some := list(islice(remaining, _AT_A_TIME)):
            await asyncio.gather(*(handle.kiq(job_id) for job_id in some))


async def produce() -> None:
    await broker.startup()  # declares the consumer group: what is enqueued before that, no worker would see
    await serve(TaskiqProducer())
    await broker.shutdown()


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(produce())
    sys.exit()
