"""How the benchmark orders jobs from a side: one JSON line in on standard input, one JSON line out.

`{"do": "bulk", "first": 0, "count": 5000}` is answered when the jobs are enqueued, with the seconds that took;
`{"do": "single", "id": "probe-1", "delay_ms": 200}` with the moment (monotonic, ns) at which the call began. Time is
taken beside the call, in the producer's own process. Standard library only, as for the ledger.
"""

import asyncio
import json
import sys
import time
from abc import ABC, abstractmethod
from collections.abc import Iterable
from importlib.metadata import version


class Producer(ABC):
    """What a side has to offer. A job's id is its payload; handlers put it into the ledger."""

    distributions: tuple[str, ...]
    """Whose versions to tell."""

    @abstractmethod
    async def one(self, job_id: str, delay_ms: int) -> None:
        """Enqueue one job, as a program would that has just one."""

    @abstractmethod
    async def bulk(self, job_ids: Iterable[str]) -> None:
        """Enqueue many, in the fastest way that the side offers."""


async def serve(producer: Producer) -> None:
    """Obey until standard input ends."""
    while line := await asyncio.to_thread(sys.stdin.readline):
        answer = await _obey(producer, json.loads(line))
        sys.stdout.write(json.dumps(answer) + "\n")
        sys.stdout.flush()


async def _obey(producer: Producer, order: dict[str, str | int]) -> dict[str, str | int | float]:
    if order["do"] == "versions":
        return {name: version(name) for name in producer.distributions}
    began = time.monotonic_ns()
    if order["do"] == "single":
        await producer.one(str(order["id"]), int(order["delay_ms"]))
        return {"at": began}
    ids = [f"job-{number}" for number in range(int(order["first"]), int(order["first"]) + int(order["count"]))]
    if order["do"] == "one_by_one":
        for job_id in ids:
            await producer.one(job_id, 0)
    else:
        await producer.bulk(ids)
    return {"seconds": (time.monotonic_ns() - began) / 1e9}
