"""What a processor sees of its job: the clock it is up against, where to report to, and the pools it may use.

The same object serves functions on the loop, in threads and in child processes. `log` and `progress` are plain
calls from anywhere: they never wait and never fail a job; they are handed to the loop and sent in the
background. Enqueueing waits for an answer, so there is one way for async functions and one for plain ones.
"""

import asyncio
import logging
import threading
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

import orjson
from pydantic import BaseModel

from fluid_processors.outbound import LIVE, Outbound
from fluid_processors.reporting import Reporter
from fluid_processors.resources import Resources
from fluid_processors.sensitive import Masker
from fluid_processors.stop import Stop
from fluid_queue import InvalidJob


class Job(Protocol):
    """What this package asks of a claimed job; `fluid_queue.ActiveJob` is one."""

    @property
    def id(self) -> str: ...
    @property
    def type(self) -> str: ...
    @property
    def queue(self) -> str: ...
    @property
    def epoch(self) -> int: ...
    @property
    def attempt(self) -> int: ...
    @property
    def payload(self) -> Mapping[str, Any]: ...
    @property
    def tags(self) -> Mapping[str, str]: ...
    @property
    def index(self) -> int | None: ...
    @property
    def deadline_seconds(self) -> float | None: ...
    @property
    def stop_reason(self) -> str | None: ...
    async def progress(self, percent: int, message: str = "") -> None: ...
    async def log(self, line: str) -> None: ...
    async def enqueue(
        self,
        type: str,  # noqa: A002 - the field's name in the API
        payload: Mapping[str, Any] | None = None,
        *,
        key: str,
        detached: bool = False,
        **options: Any,
    ) -> str: ...


@dataclass(frozen=True, slots=True)
class Context:
    """The first argument of every processor.

    `cancelled` is set when the job must stop (see Stop). `deadline` is when this attempt ends, on the clock
    of `time.monotonic()`; None without one. `attempt` counts from 1. `fencing_token` grows with every claim
    of the job: hand it to outside systems that can refuse an older writer. `idempotency_key` is the same
    for every attempt of one job. `index` is which one this is of a job that runs once for each index, from 0;
    None for any other.
    """

    job_id: str
    type: str
    queue: str
    attempt: int
    fencing_token: int
    deadline: float | None
    cancelled: Stop
    resources: Resources
    outbound: Outbound
    tags: Mapping[str, str]
    index: int | None
    logger: logging.Logger | logging.LoggerAdapter[Any]
    _reporter: Reporter
    _masker: Masker
    _enqueue: Callable[..., Awaitable[str]]
    _loop: asyncio.AbstractEventLoop
    _loop_thread: int
    _clock: Callable[[], float] = field(default=time.monotonic)

    @classmethod
    def of(
        cls,
        job: Job,
        *,
        logger: logging.Logger | logging.LoggerAdapter[Any],
        resources: Resources,
        masker: Masker,
        reporter: Reporter,
        outbound: Outbound = LIVE,
    ) -> "Context":
        """The context for one attempt of a claimed job; made on the loop."""
        return cls(
            job_id=job.id,
            type=job.type,
            queue=job.queue,
            attempt=job.attempt,
            fencing_token=job.epoch,
            deadline=job.deadline_seconds,
            cancelled=Stop(lambda: job.stop_reason),
            resources=resources,
            outbound=outbound,
            tags=job.tags,
            index=job.index,
            logger=logger,
            _reporter=reporter,
            _masker=masker,
            _enqueue=job.enqueue,
            _loop=asyncio.get_running_loop(),
            _loop_thread=threading.get_ident(),
        )

    @property
    def idempotency_key(self) -> str:
        """Stable over the attempts of one job, different for every other job and every other run."""
        return self.job_id

    def remaining(self) -> float | None:
        """Seconds until this attempt's deadline, never below 0; None without a deadline."""
        return None if self.deadline is None else max(0.0, self.deadline - self._clock())

    def log(self, line: str) -> None:
        """A line for the job's own log (and the worker's), with sensitive values masked."""
        line = self._masker.text(line)
        self.logger.info("job log", extra={"fields": {"line": line}})
        self._reporter.log(line)

    def progress(self, percent: int, message: str = "") -> None:
        """How far the job is, 0 to 100 (cut to that). Of many reports in a short time the last one is sent."""
        self._reporter.progress(min(100, max(0, percent)), self._masker.text(message))

    async def enqueue(
        self,
        job_type: str,
        payload: Mapping[str, Any] | BaseModel | None = None,
        *,
        key: str,
        detached: bool = False,
        **options: Any,
    ) -> str:
        """Enqueues a child of this job and gives its id, `<id of this job>/<key>`; for async functions.

        The same key again is the same child, also in a later attempt. The job has not ended before its children
        have, and fails with them, unless they are `detached`. `options` are fields of `fluid_queue.NewJob`, such
        as `queue`, `priority`, `delay_seconds` or `tags`. Raises InvalidJob, QueueUnavailable, QueueLimited, and
        StaleAttempt when this attempt has lost its lease.
        """
        data = payload.model_dump(mode="json", by_alias=True) if isinstance(payload, BaseModel) else payload
        try:
            orjson.dumps(data)  # checked here: on its way out of a child process it would be made to fit
        except TypeError as error:
            raise InvalidJob("payload", f"not JSON: {error}") from error
        return await self._enqueue(job_type, data, key=key, detached=detached, **options)

    def enqueue_and_wait(
        self,
        job_type: str,
        payload: Mapping[str, Any] | BaseModel | None = None,
        *,
        key: str,
        detached: bool = False,
        **options: Any,
    ) -> str:
        """As `enqueue`, for plain functions: waits for Redis, not for the child. RuntimeError on the loop, which
        it would block for ever.
        """
        if threading.get_ident() == self._loop_thread:
            raise RuntimeError("an async function enqueues by `await ctx.enqueue(...)`")
        asked = self.enqueue(job_type, payload, key=key, detached=detached, **options)
        return asyncio.run_coroutine_threadsafe(asked, self._loop).result()
