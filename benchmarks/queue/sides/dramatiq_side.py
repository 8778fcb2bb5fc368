"""dramatiq: Redis broker, its default middleware, workers started by its own command.

At-least-once as it comes: a message is acknowledged after its actor has returned, and given to another worker when the
last heartbeat of its own is 60 s old (`heartbeat_timeout` of its RedisBroker). No result backend, which is its default
and spares it a round trip per job. It has no call for many jobs at once, so bulk is the same as one by one.
"""

import asyncio
import os
import time
from collections.abc import Iterable

import dramatiq
from dramatiq.brokers.redis import RedisBroker

from benchmarks.queue.sides.ledger import Ledger
from benchmarks.queue.sides.orders import Producer, serve

_ledger = Ledger.of_environment()
_hold = float(os.environ["BENCH_HOLD"])
broker = RedisBroker(url=os.environ["BENCH_REDIS"], namespace=os.environ["BENCH_NAMESPACE"])
dramatiq.set_broker(broker)


@dramatiq.actor(queue_name="bench")
def handle(job_id: str) -> None:
    _ledger.started(job_id)
    if _hold:
        time.sleep(_hold)


class DramatiqProducer(Producer):
    distributions = ("dramatiq", "redis", "hiredis")

    async def one(self, job_id: str, delay_ms: int) -> None:
        if delay_ms:
            handle.send_with_options(args=(job_id,), delay=delay_ms)
        else:
            handle.send(job_id)

    async def bulk(self, job_ids: Iterable[str]) -> None:
        for job_id in job_ids:
            handle.send(job_id)


if __name__ == "__main__":
    asyncio.run(serve(DramatiqProducer()))
