"""Strike the scene by the schedule, and note what happened: from the blow until whoever was struck works again.

Also notes what nobody did: a machine that stands still, or a Redis that waits for its disk, makes leases run out just
as well.
"""

from __future__ import annotations

import asyncio
import random
import signal
import threading
import time
from collections.abc import Sequence

import redis

from fluid_dev.errors import ProcessDied, TimedOut
from fluid_queue import Queue, QueueUnavailable
from soak.faults import Fault, Struck, Target
from soak.scene import Scene
from soak.witness import now
from support.waiting import auntil

DRAIN_SECONDS = 20.0
"""Grace, and time for a Redis that is away meanwhile."""

LOAD_SECONDS = 60.0
"""For a Redis to load what it has kept."""


class Chaos:
    """Carries out faults, many at a time on different victims, one at a time on each."""

    def __init__(self, scene: Scene, queue: Queue, seed: int) -> None:
        self.struck: list[Struck] = []
        self.died: list[str] = []
        """What ended although nobody struck it, or did not end although it was asked to."""
        self._scene = scene
        self._queue = queue
        self._chance = random.Random(f"{seed} victims")
        self._busy: set[tuple[Target, int]] = set()

    async def run(self, faults: Sequence[Fault], started: float) -> None:
        """Strike at the times of the schedule, counted from `started` (monotonic); returns when all are over."""
        async with asyncio.TaskGroup() as strikes:
            for fault in faults:
                await asyncio.sleep(max(0.0, started + fault.at - time.monotonic()))
                self.died += self._scene.revive()
                number = await self._victim(fault.target)
                strikes.create_task(self._strike(fault, number))

    async def _victim(self, target: Target) -> int:
        """One at random that works at the moment; its place is taken until `_strike` gives it back."""
        while True:
            free = [number for number in range(self._scene.victims(target)) if (target, number) not in self._busy]
            if free:
                number = self._chance.choice(free)
                self._busy.add((target, number))
                return number
            await asyncio.sleep(0.05)

    async def _strike(self, fault: Fault, number: int) -> None:
        victim = self._scene.process(fault.target, number).name
        began = now()
        try:
            if fault.blow == "kill":
                self._scene.kill(fault.target, number)
            elif fault.blow == "drain":
                await self._drain(number)
            else:
                self._scene.signal(fault.target, number, signal.SIGSTOP)
                await asyncio.sleep(fault.seconds)
                self._scene.signal(fault.target, number, signal.SIGCONT)
            if fault.target == "redis":
                await redis_answers(self._queue)
            self.struck.append(Struck(fault.target, fault.blow, victim, began, now()))
        except ProcessDied as error:
            self.died.append(f"when it was to be struck, {error}")
            self._scene.revive()
        finally:
            self._busy.discard((fault.target, number))

    async def _drain(self, number: int) -> None:
        """End a worker as a rollout does, and put another in its place when it has gone."""
        process = self._scene.process("worker", number)
        process.signal(signal.SIGTERM)
        try:
            await auntil(lambda: not process.running, DRAIN_SECONDS, f"{process.name} ends after SIGTERM", pause=0.05)
        except TimedOut as error:
            self.died.append(f"{error}\n{process.tail(8)}")
        self._scene.kill("worker", number)


async def redis_answers(queue: Queue) -> None:
    """Wait until Redis has loaded its data, or goes on after a freeze. Raises TimedOut."""

    async def look() -> bool:
        try:
            await queue.ping()
        except QueueUnavailable:
            return False
        return True

    await auntil(look, LOAD_SECONDS, "Redis answers again", pause=0.05)


class Pulse(threading.Thread):
    """Feels the pulse of machine and Redis from a thread of its own: whatever stands still for longer than `limit`
    seconds is noted as a pause."""

    def __init__(self, url: str, limit: float) -> None:
        super().__init__(name="soak-pulse", daemon=True)
        self.pauses: list[Struck] = []
        self._limit = limit
        self._redis = redis.Redis.from_url(url, socket_timeout=30)
        self._end = threading.Event()

    def stop(self) -> None:
        self._end.set()
        self.join()
        self._redis.close()

    def run(self) -> None:
        while not self._end.is_set():
            began = now()
            self._end.wait(0.1)
            self._note("machine", began, 0.1)
            began = now()
            try:
                self._redis.ping()
            except redis.RedisError:
                continue  # killed: that is noted by whoever did it
            self._note("redis", began, 0)

    def _note(self, target: Target, began: int, expected: float) -> None:
        ended = now()
        if (ended - began) / 1e6 - expected > self._limit:
            self.pauses.append(Struck(target, "pause", target, began, ended))
