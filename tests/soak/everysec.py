"""Play the second part: write to a Redis on `everysec`, kill it in mid-write, and look at what it still knows.

A kill alone loses nothing, since the kernel keeps what Redis has handed over. Redis holds writes back only while it
waits for the disk; so the disk is kept busy, and the kill comes when Redis says that it waits.
"""

from __future__ import annotations

import asyncio
import os
import random
import signal
import threading
import time
from collections.abc import Sequence
from dataclasses import replace
from itertools import count
from pathlib import Path

import redis

from fluid_operator.kube.client import connect
from fluid_queue import Ending, NewJob, Queue, QueueUnavailable
from soak import evidence
from soak.chaos import redis_answers
from soak.facts import Problem
from soak.losses import Era, Losses, Written, weigh
from soak.plan import ASYNC, plan
from soak.play import Show
from soak.producers import FluidProducer
from soak.scene import Scene
from soak.witness import now, read

KILLS = 6
ERA_SECONDS = (2.5, 4.0)
"""From one kill to the next; longer than the promise, so that older writes are there to be lost."""

AMBUSH_SECONDS = 4.0
"""How long to wait for a moment when Redis holds writes back."""

FLUID_JOBS = 200
SETTLE_SECONDS = 90.0

_BATCH = 5
_LEASE = 600.0
"""Seconds; the writer's own jobs must not run out of theirs."""

_DONE = Ending("completed", "Completed")


class BusyDisk(threading.Thread):
    """Writes and syncs a file all the time, as a neighbour on the same disk does."""

    def __init__(self, folder: Path) -> None:
        super().__init__(name="soak-disk", daemon=True)
        self._path = folder / "busy"
        self._end = threading.Event()

    def stop(self) -> None:
        self._end.set()
        self.join()
        self._path.unlink(missing_ok=True)

    def run(self) -> None:
        block = os.urandom(1 << 20) * 128
        while not self._end.is_set():
            with self._path.open("wb") as file:
                file.write(block)
                os.fsync(file.fileno())


class Writer:
    """Enqueues and finishes jobs of one era until Redis is killed, and notes what was acknowledged."""

    def __init__(self, queue: Queue, name: str) -> None:
        self.written: list[Written] = []
        self.over = False
        """Set at the kill: what is on its way then may still be answered, and nothing new is sent."""
        self._queue = queue
        self._name = name

    async def run(self) -> None:
        await asyncio.gather(self._enqueue(), self._finish())

    async def _enqueue(self) -> None:
        for number in count():
            ids = [f"{self._name}-{number}-{each}" for each in range(_BATCH)]
            try:
                await self._queue.enqueue([NewJob(id=each, type=ASYNC, queue=self._name) for each in ids])
            except QueueUnavailable:
                return
            self._note("enqueue", ids)
            if self.over:
                return
            await asyncio.sleep(0.002)

    async def _finish(self) -> None:
        while not self.over:
            try:
                claim = await self._queue.claim(self._name, [self._name], _BATCH, _LEASE)
                codes = await self._queue.finish([(job.id, job.epoch, _DONE) for job in claim.jobs])
            except QueueUnavailable:
                return
            self._note("finish", [job.id for job, code in zip(claim.jobs, codes, strict=True) if code == "done"])
            await asyncio.sleep(0.01)

    def _note(self, what: str, ids: Sequence[str]) -> None:
        at = now()
        self.written += [Written(each, what, at) for each in ids]


def kill_while_it_waits(scene: Scene) -> int:
    """SIGKILL at a moment when the disk is behind, or after AMBUSH_SECONDS; answers the time, as `now`."""
    deadline = time.monotonic() + AMBUSH_SECONDS
    waits = 0
    with redis.Redis.from_url(scene.redis.url) as client:
        while waits < 2 and time.monotonic() < deadline:
            waits = waits + 1 if client.info("persistence")["aof_pending_bio_fsync"] else 0
    killed = now()
    scene.signal("redis", 0, signal.SIGKILL)
    return killed


async def lose(scene: Scene, seed: int, show: Show) -> Losses:
    """All kills, with FluidJobs coming in meanwhile; then wait for these to end."""
    chance = random.Random(f"{seed} everysec")
    lengths = [chance.uniform(*ERA_SECONDS) for _ in range(KILLS)]
    planned = list(plan(seed, FLUID_JOBS, prefix="everysec", fluid=True))
    disk = BusyDisk(scene.redis.state)
    async with scene.queue() as queue, connect(scene.cluster.kubeconfig) as kube:
        await queue.open()
        producing = asyncio.create_task(FluidProducer(kube, scene.namespace).run(planned, sum(lengths)))
        disk.start()
        try:
            eras = [await _era(scene, queue, number, length, show) for number, length in enumerate(lengths)]
        finally:
            await asyncio.to_thread(disk.stop)
        await producing
        await evidence.settled_objects(kube, scene.namespace, SETTLE_SECONDS)
        found = weigh(eras, planned, await evidence.objects(kube, scene.namespace), read(scene.witness))
    died = [Problem("died", "", text) for text in scene.revive()]
    return replace(found, problems=[*found.problems, *died])


async def _era(scene: Scene, queue: Queue, number: int, seconds: float, show: Show) -> Era:
    """Write for so long, kill, and ask what is left."""
    show(number / KILLS, f"{number} kills")
    writer = Writer(queue, f"era-{number}")
    writing = asyncio.create_task(writer.run())
    await asyncio.sleep(seconds)
    killed = await asyncio.to_thread(kill_while_it_waits, scene)
    writer.over = True
    scene.kill("redis", 0)  # it is dead, this starts another
    await redis_answers(queue)
    await writing
    ids = list(dict.fromkeys(write.job for write in writer.written))
    found = await evidence.records(queue, ids)
    return Era(killed, writer.written, {job: record.state for job, record in found.items()})
