"""The client that creates the jobs of a load, in a process of its own; the same for every side.

    python -m benchmarks.jobs.processes.creator '<a Creation as JSON>'

A moment is taken before each create. What a bare client writes besides, it writes by the operator's own code, onto the
version that the create has answered.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from benchmarks.jobs import manifests
from benchmarks.jobs.manifests import JOBS
from benchmarks.jobs.processes.orders import PATIENT, Creation, obey, say
from fluid_operator.jobs.view import project
from fluid_operator.jobs.writer import StatusWriter
from fluid_operator.kube.client import Kube, connect
from fluid_operator.kube.keys import FLUID_JOBS, ObjectKey


class Creator:
    """Carries out one order."""

    def __init__(self, order: Creation) -> None:
        self._order = order
        self._began: dict[str, int] = {}
        self.created = 0

    async def run(self) -> dict[str, int]:
        """When each create began, by name."""
        async with connect(Path(self._order.kubeconfig), settings=PATIENT) as kube:
            say(ready=True)
            numbers, start = iter(range(self._order.count)), time.monotonic()
            hands = range(min(self._order.concurrency, self._order.count))
            await asyncio.gather(*(self._create_some(kube, numbers, start) for _ in hands))
        return self._began

    async def _create_some(self, kube: Kube, numbers: Iterator[int], start: float) -> None:
        """Take one number after the other, each when its time has come."""
        for number in numbers:
            if self._order.per_second:
                await asyncio.sleep(max(0.0, start + number / self._order.per_second - time.monotonic()))
            name = f"{self._order.prefix}-{number}"
            self._began[name] = time.monotonic_ns()
            await self._create(kube, name)
            self.created += 1

    async def _create(self, kube: Kube, name: str) -> None:
        namespace = self._order.namespace
        if self._order.side == "native":
            await kube.create(JOBS, manifests.native(namespace, name))
            return
        spec = {"completions": self._order.completions, "parallelism": 1000} if self._order.completions else {}
        made = await kube.create(FLUID_JOBS, manifests.fluid(namespace, name, **spec))
        if self._order.status is not None:
            writer = StatusWriter(kube, observe=lambda answer: None)
            await writer.write(ObjectKey(namespace, name), project(made), self._order.status)


if __name__ == "__main__":
    creator = Creator(Creation(**json.loads(sys.argv[1])))
    obey(creator.run(), lambda: creator.created)
