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
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from fluid_queue.active import ActiveJob
from fluid_queue.client import MAX_STALLED, Queue
from fluid_queue.errors import LayoutMismatch, QueueError
from fluid_queue.finisher import Finisher
from fluid_queue.keys import selector
from fluid_queue.outcomes import Ending, StopReason, failed, interrupted, succeeded, unreadable
from fluid_queue.records import Claim, ClaimedJob
from fluid_queue.renewal import Lease, Renewal
from fluid_queue.settings import Settings
from fluid_queue.waker import Waker

log = logging.getLogger(__name__)

_PAUSE = (0.1, 2.0)
"""First and longest pause between tries while Redis is away."""

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


@dataclass(frozen=True, slots=True)
class _Successor:
    """A claimed job that has to wait; `now` is the server's clock, in ms, at our moment `at`."""

    claimed: ClaimedJob
    now: int
    at: float


@dataclass(slots=True)
class _Attempt:
    """One attempt that runs here: its job, its task, and its alarm at the deadline."""

    job: ActiveJob
    started: float
    claimed_at: int
    task: asyncio.Task[Ending | None] | None = None
    alarm: asyncio.TimerHandle | None = None
    successor: _Successor | None = None
    """The same job, claimed here again after its lease was lost; it starts when this attempt has really ended."""

    @property
    def now(self) -> int:
        """The server's clock, in ms, as far as ours tells."""
        return self.claimed_at + _ms_since(self.started)


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
        settings_changed: Callable[[Settings], None] | None = None,
    ) -> None:
        """`settings_changed` is called on the loop with the environment's settings: before the first job starts, and
        after each change. No job starts under settings that it has not been told."""
        self.last_claim = 0.0
        """time.monotonic() of the last claim that Redis answered; 0 before the first. Liveness hangs on it."""
        self._queue = queue
        self._handler = handler
        self._worker = worker
        self._queues = tuple(queues)
        self._concurrency = concurrency
        self._lease_seconds = lease_seconds
        self._observer = observer or _Silent()
        self._settings_changed = settings_changed
        self._settings_version = -1
        self._learning: asyncio.Task[None] | None = None
        self._attempts: dict[str, _Attempt] = {}
        self._loop: asyncio.AbstractEventLoop
        self._changed = asyncio.Event()
        """An attempt has ended, or the drain has begun."""
        self._draining = asyncio.Event()
        self._grace_ends: asyncio.TimerHandle | None = None
        self._waker = Waker(queue.door, queue.keys.key(f"wake:{selector(queues)}"))
        self._renewal: Renewal
        self._finisher = Finisher(queue, self._outcome_sent, lambda: self.running > 0)
        self._suspects: set[str] = set()
        """Jobs here that are one stall from failing, until Redis has their outcome."""

    @property
    def running(self) -> int:
        """Attempts that have not ended."""
        return len(self._attempts)

    @property
    def draining(self) -> bool:
        return self._draining.is_set()

    def drain(self, grace_seconds: float) -> None:
        """Claim no more. Running jobs may finish for `grace_seconds`; then they are cancelled and handed back,
        uncounted."""
        self._draining.set()
        self._changed.set()
        self._waker.interrupt()
        if self._grace_ends:
            self._grace_ends.cancel()
        self._grace_ends = asyncio.get_running_loop().call_later(grace_seconds, self._end_grace)

    async def run(self) -> None:
        """Work until drained. Redis may come and go meanwhile. Raises what broke a part of it, and LayoutMismatch."""
        loop = self._loop = asyncio.get_running_loop()

        def answered(lost: Sequence[Lease], stopping: Sequence[Lease], version: int | None) -> None:
            loop.call_soon_threadsafe(self._renewal_answered, lost, stopping, version)

        self._renewal = Renewal(self._queue.door, self._queue.keys, self._worker, self._lease_seconds, answered)
        self._finisher.held = self._renewal.held
        self._renewal.start()
        finishing = asyncio.create_task(self._finisher.run(), name="fluid-finish")
        working = asyncio.create_task(self._work(), name="fluid-work")
        watching = asyncio.create_task(self._watch_renewal(), name="fluid-watch")
        parts: list[asyncio.Task[None]] = [working, finishing, watching]
        try:
            ended, _ = await asyncio.wait(parts, return_when=asyncio.FIRST_COMPLETED)
            for part in ended:
                part.result()
        finally:
            self._draining.set()  # nothing starts any more
            await self._cancel_all(parts)
            if self._grace_ends:
                self._grace_ends.cancel()
            await asyncio.to_thread(self._renewal.stop)
            await self._waker.aclose()

    async def _work(self) -> None:
        await self._claim_until_drained()
        await self._all_ended()

    async def _watch_renewal(self) -> None:
        """Leases that nobody renews run out, and their jobs run twice: better to end."""
        while self._renewal.is_alive():  # noqa: ASYNC110 - the end of a thread sets no event
            await asyncio.sleep(1.0)
        raise RuntimeError("the thread that renews leases has ended")

    async def _cancel_all(self, parts: Sequence[asyncio.Task[None]]) -> None:
        tasks = [*parts, *(each.task for each in self._attempts.values() if each.task)]
        if self._learning is not None:
            tasks.append(self._learning)
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks, timeout=_PAUSE[1])

    # -- claiming -----------------------------------------------------------------------------------------------------

    async def _claim_until_drained(self) -> None:
        pause, checked = _PAUSE[0], -1
        while not self._draining.is_set():
            if not self._fresh():
                await self._waker.pause(_PAUSE[0])
                continue
            free = self._concurrency - self.running
            if free <= 0:
                await self._wait_for_a_slot()
                continue
            try:
                if checked != (connects := self._queue.claim_connects):
                    await self._queue.open()  # data of another layout must not be touched
                    checked = connects
                claim = await self._claim(free)
            except LayoutMismatch:
                raise
            except QueueError as error:
                log.warning("no jobs can be claimed, trying again", extra={"error": str(error), "pause": pause})
                await self._waker.pause(pause)
                pause = min(pause * 2, _PAUSE[1])
                continue
            pause = _PAUSE[0]
            self.last_claim = time.monotonic()
            await self._learn_settings(claim.settings_version)
            for job in claim.jobs:
                self._take(job, claim.now)
            if claim.wait_seconds and self.running < self._concurrency:
                await self._waker.sleep(claim.wait_seconds)
        await self._hand_marker_on(always=True)

    async def _claim(self, free: int) -> Claim:
        """A job that is one stall from failing may be the one that kills workers: one of them at a time, so that at its
        next death no innocent neighbour fails with it."""
        self._suspects &= self._renewal.held.keys()
        suspects = 0 if self._suspects else 1
        return await self._queue.claim(
            self._worker, self._queues, free, self._lease_seconds, max_stalled=MAX_STALLED, suspects=suspects
        )

    async def _learn_settings(self, version: int) -> None:
        if self._settings_changed is None or version == self._settings_version:
            return
        while not self._draining.is_set():
            try:
                self._settings_version, settings = await self._queue.settings()
            except QueueError as error:
                log.warning("the settings cannot be read, no job starts", extra={"error": str(error)})
                await self._waker.pause(_PAUSE[0])
            else:
                self._settings_changed(settings)
                return

    async def _wait_for_a_slot(self) -> None:
        """Everything is in use. A marker that comes now is for somebody else."""
        await self._hand_marker_on(always=False)
        self._changed.clear()
        if self.running >= self._concurrency and not self._draining.is_set():
            await self._changed.wait()

    def _fresh(self) -> bool:
        """Whether what is held was renewed lately. After an outage that comes first: a claim takes back leases that
        ran out,
        our own among them, and the very jobs that run here would start again."""
        return not self._renewal.held or time.monotonic() - self._renewal.renewed_at < self._lease_seconds * 2 / 3

    async def _hand_marker_on(self, *, always: bool) -> None:
        if await self._waker.rest() or always:
            try:
                await self._queue.wake(self._queues)
            except QueueError:
                log.debug("Redis is away: nobody to wake")

    def _take(self, claimed: ClaimedJob, now: int) -> None:
        """Hold a claimed job, and start it unless an earlier attempt of it still runs here."""
        self._renewal.held[claimed.id] = claimed.epoch
        if claimed.stalls >= MAX_STALLED - 1:
            self._suspects.add(claimed.id)
        earlier = self._attempts.get(claimed.id)
        if earlier is not None:
            earlier.successor = _Successor(claimed, now, time.monotonic())
            self._interrupt(claimed.id, earlier.job.epoch, "lost")
        elif self._draining.is_set():
            self._finisher.add(claimed.id, claimed.epoch, Ending("released", "Released"))
        else:
            self._start(claimed, now)

    def _start(self, claimed: ClaimedJob, now: int) -> None:
        left = (claimed.deadline_at - now) / 1000 if claimed.deadline_at else None
        started = time.monotonic()
        job = ActiveJob(claimed, self._queue, None if left is None else started + left)
        attempt = self._attempts[job.id] = _Attempt(job, started, now)
        if left is not None:
            attempt.alarm = self._loop.call_later(max(0.0, left), self._interrupt, job.id, job.epoch, "deadline")
        self._observer.job_started(job)
        attempt.task = self._loop.create_task(self._run(attempt))
        # A callback and not the task's own last lines: a task that is cancelled before its first step has none.
        attempt.task.add_done_callback(lambda task: self._ended(attempt, task))

    # -- running ------------------------------------------------------------------------------------------------------

    async def _run(self, attempt: _Attempt) -> Ending | None:
        """One attempt, from its start to its ending. None: somebody else holds the job, there is nothing to say."""
        job = attempt.job
        if (problem := job.claimed.unreadable) is not None:
            log.error("a job cannot be read", extra={"job": job.id, "error": str(problem)})
            return unreadable(job.claimed, problem)
        try:
            return succeeded(await self._handler(job))
        except asyncio.CancelledError as error:
            return self._stopped(attempt, error)
        except (Exception, SystemExit, KeyboardInterrupt) as error:  # noqa: BLE001 - whatever a handler raises is an outcome
            if job.stop_reason is not None:
                return self._stopped(attempt, error)
            return failed(job.claimed, error, attempt.now, random.uniform(-1, 1))

    def _stopped(self, attempt: _Attempt, error: BaseException) -> Ending | None:
        """The handler ended with `error` after it was told to stop; or nobody told it, and it cancelled itself."""
        job, spread = attempt.job, random.uniform(-1, 1)
        if job.stop_reason is None:
            return failed(job.claimed, error, attempt.now, spread)
        seconds = time.monotonic() - attempt.started
        return interrupted(job.claimed, job.stop_reason, attempt.now, seconds, spread)

    def _interrupt(self, job_id: str, epoch: int, reason: StopReason) -> None:
        """Cancel this attempt's task, once: the first reason stands, but a lost lease overrides it."""
        attempt = self._attempts.get(job_id)
        if attempt is None or attempt.job.epoch != epoch or attempt.task is None:
            return
        if attempt.job.stop_reason is None:
            attempt.job.stop_reason = reason
            attempt.task.cancel()
        elif reason == "lost":
            attempt.job.stop_reason = reason

    def _renewal_answered(self, lost: Sequence[Lease], stopping: Sequence[Lease], version: int | None) -> None:
        if (
            version is not None
            and version != self._settings_version
            and (self._learning is None or self._learning.done())
        ):
            self._learning = self._loop.create_task(self._learn_settings(version))
        for job_id, epoch in lost:
            # Its ending may be on its way to Redis: then it is not lost but done.
            attempt = self._attempts.get(job_id)
            if attempt is not None and attempt.job.epoch == epoch:
                log.warning("a lease was lost; another worker may run the job", extra={"job": job_id})
                self._interrupt(job_id, epoch, "lost")
            elif attempt is not None and attempt.successor and attempt.successor.claimed.epoch == epoch:
                attempt.successor = None
                self._let_go(job_id, epoch)
        for job_id, epoch in stopping:
            self._interrupt(job_id, epoch, "cancel")

    def _end_grace(self) -> None:
        for job_id, attempt in list(self._attempts.items()):
            self._interrupt(job_id, attempt.job.epoch, "drain")

    # -- ending -------------------------------------------------------------------------------------------------------

    def _ended(self, attempt: _Attempt, task: asyncio.Task[Ending | None]) -> None:
        """The attempt has really ended; whatever was waiting for that goes on."""
        job = attempt.job
        if attempt.alarm:
            attempt.alarm.cancel()
        del self._attempts[job.id]
        try:
            ending = self._ending_of(attempt, task)
            if ending is not None:
                self._finisher.add(job.id, job.epoch, ending)
            else:
                self._let_go(job.id, job.epoch)
            seconds = time.monotonic() - attempt.started
            self._observer.job_finished(job, ending.outcome if ending else "lost", seconds)
        finally:
            if waited := attempt.successor:
                self._take(waited.claimed, waited.now + _ms_since(waited.at))
            self._changed.set()

    def _outcome_sent(self, job_id: str) -> None:
        if job_id in self._suspects:
            self._waker.nudge()  # the next one may start

    def _let_go(self, job_id: str, epoch: int) -> None:
        """Renew this lease no more."""
        if self._renewal.held.get(job_id) == epoch:
            del self._renewal.held[job_id]

    def _ending_of(self, attempt: _Attempt, task: asyncio.Task[Ending | None]) -> Ending | None:
        if task.cancelled():
            return self._stopped(attempt, asyncio.CancelledError("cancelled before it began"))
        if error := task.exception():
            log.error("an attempt could not be ended properly", exc_info=error, extra={"job": attempt.job.id})
            return failed(attempt.job.claimed, error, attempt.now, random.uniform(-1, 1))
        return task.result()

    async def _all_ended(self) -> None:
        """Wait for the running jobs, then for their endings to be sent, at most one lease long: later they would be
        refused anyway."""
        while self._attempts:
            self._changed.clear()
            await self._changed.wait()
        await self._finisher.flush(self._lease_seconds)


def _ms_since(moment: float) -> int:
    return round((time.monotonic() - moment) * 1000)
