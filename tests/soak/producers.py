"""Hand the jobs in at an even pace, directly and as FluidJobs, and ask of them later what the plan says.

Whoever produces tries again until it has an answer: after that the job is the queue's to lose, and never before.
"""

from __future__ import annotations

import asyncio
import heapq
import random
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

from cluster.builders import fluid_job
from fluid_operator.api.fields import format_time
from fluid_operator.kube.client import Kube
from fluid_operator.kube.errors import AlreadyExists, KubeError
from fluid_operator.kube.keys import FLUID_JOBS, ObjectKey
from fluid_queue import Backoff, Deduplication, Indexes, NewJob, Queue, QueueUnavailable
from soak.facts import Told, Window
from soak.plan import QUEUES, Command, PlannedJob
from soak.witness import now

_BATCH = 100
_AGAIN = 0.2
"""Seconds between two tries."""

QUICK = Backoff(type="Fixed", delay_seconds=0)

T = TypeVar("T")


class FollowUps:
    """What is to be asked of jobs later, by whatever key the producer knows them."""

    def __init__(self) -> None:
        self._due: list[tuple[float, Command, str]] = []

    def add(self, job: PlannedJob, key: str) -> None:
        """Note the steps of a job that was handed in just now; most have none."""
        for step in job.then:
            heapq.heappush(self._due, (time.monotonic() + step.after, step.command, key))

    def take(self) -> list[tuple[Command, list[str]]]:
        """Those that are due, in order; neighbours with the same command go together."""
        due: list[tuple[Command, list[str]]] = []
        while self._due and self._due[0][0] <= time.monotonic():
            _, command, key = heapq.heappop(self._due)
            if not due or due[-1][0] != command:
                due.append((command, []))
            due[-1][1].append(key)
        return due

    def __bool__(self) -> bool:
        return bool(self._due)


class DirectProducer:
    """Any Python program with jobs for the queue. `ids` of the jobs that the queue has acknowledged."""

    def __init__(self, queue: Queue) -> None:
        self.ids: dict[str, str] = {}
        self.told: list[Told] = []
        self._queue = queue
        self._follow_ups = FollowUps()
        self._commands: dict[Command, Callable[[Sequence[str]], Awaitable[list[str]]]] = {
            "cancel": queue.cancel,
            "suspend": queue.suspend,
            "resume": queue.resume,
            "promote": queue.promote,
        }

    async def run(self, jobs: Sequence[PlannedJob], seconds: float) -> None:
        """All jobs, spread over so many seconds, and all that is asked of them later."""
        async for batch in paced(jobs, seconds):
            await insist(self._queue.enqueue, [new_job(job) for job in batch])
            for job in batch:
                self.ids[job.name] = job.name
                self._follow_ups.add(job, job.name)
            await self._follow_up()
        while self._follow_ups:
            await self._follow_up()
            await asyncio.sleep(0.05)

    async def _follow_up(self) -> None:
        for command, ids in self._follow_ups.take():
            sent = now()
            answers = await insist(self._commands[command], ids)
            answered = now()
            self.told += [Told(job, command, answer, sent, answered) for job, answer in zip(ids, answers, strict=True)]


class FluidProducer:
    """Somebody who applies FluidJobs. `ids` of the objects that the API server has stored."""

    def __init__(self, kube: Kube, namespace: str) -> None:
        self.ids: dict[str, str] = {}
        self._kube = kube
        self._namespace = namespace
        self._follow_ups = FollowUps()

    async def run(self, jobs: Sequence[PlannedJob], seconds: float) -> None:
        """All objects, spread over so many seconds, and all cancels."""
        async for batch in paced(jobs, seconds):
            await asyncio.gather(*map(self._create, batch))
            await self._cancel()
        while self._follow_ups:
            await self._cancel()
            await asyncio.sleep(0.05)

    async def _create(self, job: PlannedJob) -> None:
        manifest = fluid_manifest(job, self._namespace)
        key = ObjectKey(self._namespace, job.name)

        async def create() -> dict[str, Any]:
            try:
                return await self._kube.create(FLUID_JOBS, manifest)
            except AlreadyExists:  # the answer to an earlier try was lost
                return await self._kube.get(FLUID_JOBS, key)

        made = await insist(create)
        self.ids[job.name] = f"{made['metadata']['uid']}.1"
        self._follow_ups.add(job, job.name)

    async def _cancel(self) -> None:
        for _, names in self._follow_ups.take():
            for name in names:
                key = ObjectKey(self._namespace, name)
                await insist(self._kube.patch, FLUID_JOBS, key, {"spec": {"cancelled": True}})


class Pauses:
    """Somebody who pauses a queue now and then, for a moment."""

    def __init__(self, queue: Queue, seed: int) -> None:
        self.windows: list[Window] = []
        """The queues, and when the pause was certain: from its acknowledgement until its end was asked for."""
        self._queue = queue
        self._chance = random.Random(f"{seed} pauses")

    async def run(self, seconds: float) -> None:
        """For about so long."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            await asyncio.sleep(self._chance.uniform(4, 9))
            name = self._chance.choice(QUEUES)
            await insist(self._queue.pause, name)
            since = now()
            await asyncio.sleep(self._chance.uniform(0.5, 2))
            self.windows.append(Window(name, since, now()))
            await insist(self._queue.unpause, name)


async def paced(jobs: Sequence[PlannedJob], seconds: float) -> AsyncIterator[Sequence[PlannedJob]]:
    """The jobs in batches, each as soon as it is due; who is late catches up."""
    started, done = time.monotonic(), 0
    while done < len(jobs):
        share = min(1.0, (time.monotonic() - started) / seconds)
        due = max(1, round(len(jobs) * share))
        batch = jobs[done : min(due, done + _BATCH)]
        if batch:
            yield batch
            done += len(batch)
        else:
            await asyncio.sleep(0.02)
    yield ()


async def insist(command: Callable[..., Awaitable[T]], *arguments: Any) -> T:
    """Send a command until it is answered."""
    while True:
        try:
            return await command(*arguments)
        except QueueUnavailable:
            await asyncio.sleep(_AGAIN)
        except KubeError as error:
            if not error.retryable:
                raise
            await asyncio.sleep(_AGAIN)


def new_job(job: PlannedJob) -> NewJob:
    """As the queue takes it."""
    return NewJob(
        id=job.name,
        type=job.type,
        queue=job.queue,
        payload=job.payload,
        priority=job.priority,
        delay_seconds=job.delay,
        backoff_limit=job.backoff_limit,
        backoff=QUICK,
        attempt_deadline_seconds=job.attempt_deadline,
        key=job.key,
        deduplication=Deduplication(job.twin_of) if job.twin_of else None,
        indexes=Indexes(job.indexes) if job.indexes else None,
    )


def fluid_manifest(job: PlannedJob, namespace: str) -> dict[str, Any]:
    """As the API server takes it."""
    start = format_time(datetime.now(UTC) + timedelta(seconds=job.delay)) if job.delay else None
    built = fluid_job(job.name).type(job.type).metadata(namespace=namespace).retries(job.backoff_limit)
    return built.spec(
        queue=job.queue,
        payload=dict(job.payload),
        priority=job.priority,
        startAfter=start,
        attemptDeadlineSeconds=job.attempt_deadline,
    ).manifest()
