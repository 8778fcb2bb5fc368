"""All child processes of one worker: which there are, which one runs the next job, and what their deaths mean.

A child belongs to one processor, since limits and resources do. Each has one child warm from the start; more are
started when as many jobs of it run at a time, never more than the worker has slots, and let go when they have
been idle for long. The last child that became idle works first, so that the others can go.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from fluid_processors.context import Job
from fluid_processors.definitions import Processor
from fluid_processors.errors import MemoryLimitExceeded, ProcessorCrashed
from fluid_processors.outbound import LIVE, Outbound
from fluid_processors.processes.child import Child
from fluid_processors.processes.limits import ChildDied, Limits
from fluid_processors.reporting import Reporter

_log = logging.getLogger(__name__)

IDLE_SECONDS = 300.0
"""How long a child that is not needed stays, apart from the one that each processor keeps warm."""

_ALARM_SECONDS = 5.0
_TRIES = 3


@dataclass(slots=True)
class _Kind:
    """The children of one processor. `starting` counts those that cannot take a job yet."""

    processor: Processor[Any]
    limits: Limits
    idle: "deque[Child]" = field(default_factory=deque)
    waiters: "deque[asyncio.Future[Child]]" = field(default_factory=deque)
    starting: int = 0

    def waiter(self) -> "asyncio.Future[Child] | None":
        """The next one who still waits."""
        while self.waiters:
            waiter = self.waiters.popleft()
            if not waiter.done():
                return waiter
        return None


class Children:
    """The children of one worker; an async context manager that ends them all. `size`: how many at most."""

    def __init__(
        self,
        size: int,
        limits: Limits | None = None,
        *,
        idle_seconds: float = IDLE_SECONDS,
        on_crash: Callable[[], None] = lambda: None,
    ) -> None:
        """`limits` hold where a processor sets none of its own. `on_crash` is called when a child dies in a job
        without having been told to.
        """
        self._on_crash = on_crash
        self._size = size
        self._limits = limits or Limits()
        self._idle_seconds = idle_seconds
        self._kinds: dict[str, _Kind] = {}
        self._all: dict[Child, _Kind] = {}
        self._busy = 0
        self._tasks: set[asyncio.Task[None]] = set()
        self._sweeping: asyncio.TimerHandle | None = None
        self._closed = False

    async def __aenter__(self) -> "Children":
        return self

    async def __aexit__(self, *_: object) -> None:
        """Idle children close their resources, others are killed; waits until all have ended."""
        self._closed = True
        if self._sweeping:
            self._sweeping.cancel()
        for task in self._tasks:
            task.cancel()
        idle = {child for kind in self._kinds.values() for child in kind.idle}
        for child in self._all:
            if child in idle:
                child.retire()
            else:
                child.kill("close")
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await asyncio.gather(*(child.gone() for child in list(self._all)))

    def __len__(self) -> int:
        """Processes that have not ended yet."""
        return len(self._all)

    async def warm(self, processors: Iterable[Processor[Any]]) -> None:
        """Starts a child for each of these processors, as far as there is room; returns when each has started, or
        could not. Otherwise the first jobs would spend the time of their attempts on imports.
        """
        for processor in processors:
            if self._alive() < self._size:
                self._start(self._kind(processor))
        if self._tasks:
            await asyncio.wait(self._tasks)

    async def run(
        self,
        processor: Processor[Any],
        job: Job,
        logger: "logging.LoggerAdapter[logging.Logger]",
        outbound: Outbound = LIVE,
    ) -> Any:
        """Runs one attempt in a child: gives its result, or raises its error, ProcessorCrashed or CancelledError."""
        reporter = Reporter(job)
        try:
            return await self._attempt(self._kind(processor), job, reporter, outbound)
        except asyncio.CancelledError:
            reporter.close()
            raise
        except ProcessorCrashed as error:
            fields = {"error": type(error).__name__, "detail": str(error)}
            logger.warning("attempt failed", extra={"fields": fields})
            raise
        finally:
            await reporter.flush()

    async def _attempt(self, kind: _Kind, job: Job, reporter: Reporter, outbound: Outbound) -> Any:
        for _ in range(_TRIES):
            child = await self._take(kind)
            self._busy += 1
            try:
                return await child.run(job, reporter, outbound)
            except ChildDied as died:
                if died.started:
                    await self._crashed(died, child)
                # Otherwise it had died idle: nothing of the job has run.
            finally:
                self._busy -= 1
                self._give_back(kind, child)
        raise ProcessorCrashed(f"{_TRIES} child processes died before the job could begin")

    async def _crashed(self, died: ChildDied, child: Child) -> None:
        """Raises what the death of a child means for the attempt that it ran."""
        if died.killed is None:
            self._on_crash()
            fields = {"child": child.pid, "signal": died.signal, "exitCode": died.exit_code, "trace": died.trace}
            _log.error("a child process died", extra={"fields": fields})
        if died.killed == "memory":
            raise MemoryLimitExceeded(died.megabytes, child.limits.memory_megabytes or 0)
        if died.killed == "deadline":
            # The loop was too busy to see the deadline pass; whoever watches over it will cancel this task now.
            await asyncio.sleep(_ALARM_SECONDS)
        raise ProcessorCrashed(str(died), exit_code=max(died.exit_code, 0) or None, signal=died.signal)

    # -- which child ---------------------------------------------------------------------------------------------------

    def _kind(self, processor: Processor[Any]) -> _Kind:
        kind = self._kinds.get(processor.job_type)
        if kind is None:
            kind = self._kinds[processor.job_type] = _Kind(processor, self._limits.of(processor))
        return kind

    async def _take(self, kind: _Kind) -> Child:
        while kind.idle:
            child = kind.idle.pop()
            if child.usable:
                return child
        waiter: asyncio.Future[Child] = asyncio.get_running_loop().create_future()
        kind.waiters.append(waiter)
        while kind.starting < sum(not each.done() for each in kind.waiters):
            self._start(kind)
        try:
            return await waiter
        except asyncio.CancelledError:
            if waiter.done() and not waiter.cancelled() and not waiter.exception():
                self._give_back(kind, waiter.result())  # it came at the very moment of the stop
            raise

    def _give_back(self, kind: _Kind, child: Child) -> None:
        if not child.usable:
            return
        if child.worn or self._closed:
            child.retire()
            self._keep_warm(kind)
        else:
            self._offer(kind, child)

    def _offer(self, kind: _Kind, child: Child) -> None:
        waiter = kind.waiter()
        if waiter is not None:
            waiter.set_result(child)
            return
        child.idle_since = asyncio.get_running_loop().time()
        kind.idle.append(child)
        if self._sweeping is None:
            self._sweeping = asyncio.get_running_loop().call_later(self._idle_seconds, self._sweep)

    # -- their number --------------------------------------------------------------------------------------------------

    def _alive(self) -> int:
        """Children that work or may: those that are on their way out do not count."""
        return self._busy + sum(len(kind.idle) + kind.starting for kind in self._kinds.values())

    def _keep_warm(self, kind: _Kind) -> None:
        if not (kind.idle or kind.starting or self._closed) and self._alive() < self._size:
            self._start(kind)

    def _start(self, kind: _Kind) -> None:
        kind.starting += 1
        task = asyncio.get_running_loop().create_task(self._bring_up(kind))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _bring_up(self, kind: _Kind) -> None:
        self._make_room()
        try:
            child = Child(kind.processor, kind.limits, self._gone)
            self._all[child] = kind
            await child.ready()
        except (OSError, ProcessorCrashed) as error:
            fields = {"type": kind.processor.job_type, "error": str(error)}
            _log.error("a child process could not be started", extra={"fields": fields})
            waiter = kind.waiter()
            if waiter is not None:
                waiter.set_exception(ProcessorCrashed(str(error)))
        else:
            self._offer(kind, child)
        finally:
            kind.starting -= 1

    def _make_room(self) -> None:
        """Lets the child go that has been idle for longest, if the one that starts would be one too many."""
        idle = [(kind.idle[0].idle_since, kind) for kind in self._kinds.values() if kind.idle]
        if idle and self._alive() > self._size:
            min(idle, key=lambda each: each[0])[1].idle.popleft().retire()

    def _sweep(self) -> None:
        """Lets children go that nobody has needed for long; each processor keeps one."""
        loop = asyncio.get_running_loop()
        before = loop.time() - self._idle_seconds
        for kind in self._kinds.values():
            while len(kind.idle) > 1 and kind.idle[0].idle_since <= before:
                kind.idle.popleft().retire()
        left = any(len(kind.idle) > 1 for kind in self._kinds.values())
        self._sweeping = loop.call_later(self._idle_seconds, self._sweep) if left else None

    def _gone(self, child: Child) -> None:
        """A process has ended: forget it, and replace it if it was of use."""
        kind = self._all.pop(child)
        if child in kind.idle:
            kind.idle.remove(child)
        if child.jobs:  # one that never ran a job would only die again
            self._keep_warm(kind)
