"""Run jobs: claim a batch, run each in a task, keep the leases, end them in batches.

The life of a worker's jobs:

1. While there are free slots, claim; with nothing to do, sleep in one BLPOP until somebody leaves a marker or
something falls due.
2. Each job runs in its own task. Its lease is kept by the renewal thread until the task has really ended, also past
a deadline.
3. A deadline, a stop request, a lost lease or the end of the grace period cancels the task; `stop_reason` tells it why.
4. Endings are gathered for a millisecond and sent together. While Redis is away they wait; nothing that was done is
forgotten.
5. `drain` stops claiming; what still runs when the grace ends is handed back and not counted.
"""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Protocol

from fluid_queue.client import Queue
from fluid_queue.errors import QueueError, QueueUnavailable
from fluid_queue.jobs import ClaimedJob
from fluid_queue.keys import selector
from fluid_queue.outcomes import Ending, StopReason, failed, interrupted, succeeded
from fluid_queue.renewal import Renewal
from fluid_queue.waker import Waker

log = logging.getLogger(__name__)

_LINGER = 0.001
"""Seconds for which endings are gathered: one call for many costs less than the wait."""

_PAUSE = (0.1, 2.0)
"""First and longest pause between tries while Redis is away."""

_PROGRESS_EVERY = 1.0
"""Seconds between two notes of progress of one job; the last one before the end always goes out."""


class ActiveJob:
    """A job while it runs; what a handler gets."""

    def __init__(self, claimed: ClaimedJob, queue: Queue, deadline_seconds: float | None) -> None:
        self.claimed = claimed
        self.deadline_seconds = deadline_seconds
        """On the clock of time.monotonic(); None: no deadline."""
        self.stop_reason: StopReason | None = None
        """Why the task is being cancelled; set before it is."""
        self._queue = queue
        self._next_progress = 0.0

    @property
    def id(self) -> str:
        """Stable over all attempts."""
        return self.claimed.id

    @property
    def epoch(self) -> int:
        """The fencing token of this attempt; larger than that of every earlier one."""
        return self.claimed.epoch

    @property
    def type(self) -> str:
        return self.claimed.type

    @property
    def queue(self) -> str:
        return self.claimed.queue

    @property
    def attempt(self) -> int:
        """1 for the first."""
        return self.claimed.attempt

    @property
    def payload(self) -> Mapping[str, Any]:
        return self.claimed.payload

    @property
    def tags(self) -> Mapping[str, str]:
        return self.claimed.tags

    @property
    def origin(self) -> Mapping[str, Any]:
        return self.claimed.origin

    async def progress(self, percent: int, message: str = "") -> None:
        """Note how far the attempt is, at most once a second; 100 always goes out. Silent when the lease is lost or
        Redis away."""
        now = time.monotonic()
        if now < self._next_progress and percent < 100:
            return
        self._next_progress = now + _PROGRESS_EVERY
        try:
            await self._queue.progress(self.id, self.epoch, percent, message)
        except QueueUnavailable as error:
            log.debug("progress was not noted", extra={"job": self.id, "error": str(error)})

    async def log(self, line: str) -> None:
        """Append a line to the job's log. Silent when the lease is lost or Redis away."""
        try:
            await self._queue.log(self.id, self.epoch, [line])
        except QueueUnavailable as error:
            log.debug("a log line was not kept", extra={"job": self.id, "error": str(error)})


Handler = Callable[[ActiveJob], Awaitable[Any]]
"""Returns a JSON value or None. Raises PermanentError, RetryLater, RateLimited, or anything else for a retry with
backoff."""


class Observer(Protocol):
    """Who wants to know what a consumer does; metrics, mostly."""

    def job_started(self, job: ActiveJob) -> None: ...

    def job_finished(self, job: ActiveJob, outcome: str, seconds: float) -> None:
        """`outcome` is one of finish.lua's, or `lost`."""


class _Silent:
    def job_started(self, job: ActiveJob) -> None: ...

    def job_finished(self, job: ActiveJob, outcome: str, seconds: float) -> None: ...


class Consumer:
    """Runs `handler` for the jobs of `queues`, at most `concurrency` at once, under leases of `lease_seconds`."""

    def __init__(
        self,
        queue: Queue,
        handler: Handler,
        *,
        worker: str,
        queues: Sequence[str] = ("*",),
        concurrency: int = 50,
        lease_seconds: float = 15.0,
        observer: Observer | None = None,
    ) -> None:
        self.last_claim = 0.0
        """time.monotonic() of the last claim that Redis answered; 0 before the first. Liveness hangs on it."""
        self._queue = queue
        self._handler = handler
        self._worker = worker
        self._queues = tuple(queues)
        self._concurrency = concurrency
        self._lease_seconds = lease_seconds
        self._observer = observer or _Silent()
        self._tasks: dict[str, tuple[ActiveJob, asyncio.Task[None]]] = {}
        self._endings: list[tuple[str, int, Ending]] = []
        self._ended = asyncio.Event()
        self._sent = asyncio.Event()
        self._slot = asyncio.Event()
        self._draining = asyncio.Event()
        self._grace_ends: asyncio.TimerHandle | None = None
        self._waker = Waker(queue.url, queue.keys.key(f"wake:{selector(queues)}"))
        self._renewal: Renewal

    @property
    def running(self) -> int:
        """Jobs whose task has not ended."""
        return len(self._tasks)

    @property
    def draining(self) -> bool:
        return self._draining.is_set()

    def drain(self, grace_seconds: float) -> None:
        """Claim no more. Running jobs may finish for `grace_seconds`; then they are cancelled and handed back,
        uncounted."""
        self._draining.set()
        self._slot.set()
        self._waker.interrupt()
        if self._grace_ends:
            self._grace_ends.cancel()
        self._grace_ends = asyncio.get_running_loop().call_later(grace_seconds, self._end_grace)

    async def run(self) -> None:
        """Work until drained. Redis may come and go meanwhile."""
        loop = asyncio.get_running_loop()

        def answered(lost: Sequence[str], stopping: Sequence[str]) -> None:
            loop.call_soon_threadsafe(self._renewal_answered, lost, stopping)

        self._renewal = Renewal(self._queue.url, self._queue.keys, self._worker, self._lease_seconds, answered)
        self._renewal.start()
        finisher = asyncio.create_task(self._send_endings(), name="fluid-finish")
        try:
            await self._claim_until_drained()
            await self._all_ended()
        finally:
            finisher.cancel()
            for _, task in self._tasks.values():
                task.cancel()
            if self._grace_ends:
                self._grace_ends.cancel()
            await asyncio.to_thread(self._renewal.stop)
            await self._waker.aclose()

    # -- claiming -----------------------------------------------------------------------------------------------------

    async def _claim_until_drained(self) -> None:
        pause = _PAUSE[0]
        while not self._draining.is_set():
            free = self._concurrency - self.running
            if free <= 0:
                self._slot.clear()
                await self._slot.wait()
                continue
            try:
                claim = await self._queue.claim(self._worker, self._queues, free, self._lease_seconds)
            except QueueUnavailable as error:
                log.warning("no jobs can be claimed, trying again", extra={"error": str(error), "pause": pause})
                await self._waker.pause(pause)
                pause = min(pause * 2, _PAUSE[1])
                continue
            pause = _PAUSE[0]
            self.last_claim = time.monotonic()
            for job in claim.jobs:
                self._start(job, claim.now)
            if claim.wait_seconds and self.running < self._concurrency:
                await self._waker.sleep(claim.wait_seconds)
        # A marker may have been taken by the sleep that the drain interrupted: hand it on.
        try:
            await self._queue.wake(self._queues)
        except QueueUnavailable:
            log.debug("Redis is away: nobody to wake")

    def _start(self, claimed: ClaimedJob, now: int) -> None:
        left = (claimed.deadline_at - now) / 1000 if claimed.deadline_at else None
        job = ActiveJob(claimed, self._queue, None if left is None else time.monotonic() + left)
        self._renewal.held[job.id] = job.epoch
        task = asyncio.create_task(self._run(job, now, left), name=f"fluid-job-{job.id}")
        self._tasks[job.id] = (job, task)

    # -- running ------------------------------------------------------------------------------------------------------

    async def _run(self, job: ActiveJob, claimed_at: int, left: float | None) -> None:
        """One attempt, from its start to its ending."""
        loop = asyncio.get_running_loop()
        started = time.monotonic()
        alarm = None if left is None else loop.call_later(left, self._interrupt, job.id, "deadline")
        self._observer.job_started(job)
        ending: Ending | None
        try:
            ending = succeeded(await self._handler(job))
        except asyncio.CancelledError as error:
            ending = self._interrupted(job, error, claimed_at, started)
        except Exception as error:  # noqa: BLE001 - whatever a handler raises is an outcome, not a fault of ours
            ending = failed(job.claimed, error, claimed_at + _ms_since(started), random.uniform(-1, 1))
        finally:
            if alarm:
                alarm.cancel()
        self._end(job, ending, time.monotonic() - started)

    def _interrupted(
        self, job: ActiveJob, error: asyncio.CancelledError, claimed_at: int, started: float
    ) -> Ending | None:
        spread = random.uniform(-1, 1)
        now = claimed_at + _ms_since(started)
        if job.stop_reason is None:
            # Nobody asked: the handler cancelled itself, or awaited something that was.
            return failed(job.claimed, error, now, spread)
        return interrupted(job.claimed, job.stop_reason, now, time.monotonic() - started, spread)

    def _interrupt(self, job_id: str, reason: StopReason) -> None:
        """Cancel a job's task, once: the first reason stands, but a lost lease overrides it."""
        job, task = self._tasks.get(job_id, (None, None))
        if job is None or task is None:
            return
        if job.stop_reason is None:
            job.stop_reason = reason
            task.cancel()
        elif reason == "lost":
            job.stop_reason = reason

    def _renewal_answered(self, lost: Sequence[str], stopping: Sequence[str]) -> None:
        for job_id in lost:
            # Its ending may be on its way to Redis: then it is not lost but done.
            if job_id in self._tasks:
                log.warning("a lease was lost; another worker may run the job", extra={"job": job_id})
                self._interrupt(job_id, "lost")
        for job_id in stopping:
            self._interrupt(job_id, "cancel")

    def _end_grace(self) -> None:
        for job_id in list(self._tasks):
            self._interrupt(job_id, "drain")

    # -- ending -------------------------------------------------------------------------------------------------------

    def _end(self, job: ActiveJob, ending: Ending | None, seconds: float) -> None:
        del self._tasks[job.id]
        if ending is None:
            self._renewal.held.pop(job.id, None)
        else:
            self._endings.append((job.id, job.epoch, ending))
            self._ended.set()
        self._observer.job_finished(job, ending.outcome if ending else "lost", seconds)
        self._slot.set()

    async def _send_endings(self) -> None:
        """For ever: send what has ended. The lease is kept until Redis has taken the ending."""
        pause = _PAUSE[0]
        while True:
            await self._ended.wait()
            await asyncio.sleep(_LINGER)
            batch = self._endings[:]
            self._ended.clear()
            try:
                codes = await self._queue.finish(batch)
            except QueueError as error:
                log.warning("outcomes could not be sent, trying again", extra={"error": str(error), "pause": pause})
                await asyncio.sleep(pause)
                pause = min(pause * 2, _PAUSE[1])
                self._ended.set()
                continue
            pause = _PAUSE[0]
            del self._endings[: len(batch)]
            self._sent.set()
            for (job_id, epoch, ending), code in zip(batch, codes, strict=True):
                if self._renewal.held.get(job_id) == epoch:
                    del self._renewal.held[job_id]
                if code in ("stale", "gone"):
                    log.warning(
                        "an outcome was refused: the job is no longer this worker's",
                        extra={"job": job_id, "outcome": ending.outcome, "code": code},
                    )

    async def _all_ended(self) -> None:
        """Wait for the running jobs, then for their endings to be sent, at most one lease long: later they would be
        refused anyway."""
        while self._tasks:
            await asyncio.wait([task for _, task in self._tasks.values()])
        try:
            async with asyncio.timeout(self._lease_seconds):
                while self._endings:
                    self._sent.clear()
                    await self._sent.wait()
        except TimeoutError:
            log.error("outcomes could not be sent before the leases ran out", extra={"jobs": len(self._endings)})


def _ms_since(moment: float) -> int:
    return round((time.monotonic() - moment) * 1000)
