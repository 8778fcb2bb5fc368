"""Run a processor in a test, without Redis and without a worker, through the very code that a worker uses.

```python
outcome = await run_processor(send_email, {"to": "a@example.org", ...}, resources={smtp: a_pool})
assert outcome.result["accepted"] == 1
```
Validation, masking, threads, child processes and the context are the real ones; only the queue is replaced, by
lists of what was reported.
"""

import asyncio
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from fluid_processors.definitions import Isolation, Processor
from fluid_processors.execution import Threads
from fluid_processors.handler import JobHandler
from fluid_processors.outbound import LIVE, Outbound
from fluid_processors.processes.pool import Children
from fluid_processors.registry import Registry
from fluid_processors.resources import Resource, ResourcePool
from fluid_queue import NewJob


@dataclass(frozen=True, slots=True)
class EnqueuedChild:
    """A child that a processor has enqueued; `options` are fields of NewJob, and `concurrency_key`."""

    type: str
    payload: Mapping[str, Any]
    key: str
    detached: bool = False
    options: Mapping[str, Any] = field(default_factory=dict)


@dataclass(slots=True)
class LocalJob:
    """A claimed job that lives in memory. Setting `stop_reason` and cancelling the task is what a consumer
    does to stop one.
    """

    type: str
    payload: Mapping[str, Any]
    id: str = "job-1"
    queue: str = "test"
    epoch: int = 1
    attempt: int = 1
    tags: Mapping[str, str] = field(default_factory=dict)
    index: int | None = None
    deadline_seconds: float | None = None
    stop_reason: str | None = None
    lines: list[str] = field(default_factory=list)
    reports: list[tuple[int, str]] = field(default_factory=list)
    enqueued: list[EnqueuedChild] = field(default_factory=list)

    async def progress(self, percent: int, message: str = "") -> None:
        """Keeps the report."""
        self.reports.append((percent, message))

    async def log(self, line: str) -> None:
        """Keeps the line."""
        self.lines.append(line)

    async def enqueue(
        self,
        type: str,  # noqa: A002 - the field's name in the API
        payload: Mapping[str, Any] | None = None,
        *,
        key: str,
        detached: bool = False,
        concurrency_key: str = "",
        **options: Any,
    ) -> str:
        """Keeps the child, once for each key. Raises InvalidJob as a queue would."""
        child = NewJob(id=f"{self.id}/{key}", type=type, payload=payload or {}, key=concurrency_key, **options)
        if concurrency_key:
            options["concurrency_key"] = concurrency_key
        if key not in (each.key for each in self.enqueued):
            self.enqueued.append(EnqueuedChild(type, child.payload, key, detached, options))
        return child.id


@dataclass(frozen=True, slots=True)
class RunResult:
    """What one attempt came to. Exactly one of these holds: `error` is None, or `result` is None.

    `lines` and `reports` (percent, message) are what the processor logged and reported, masked as the queue
    would get them; `enqueued` are its children, in order. `stopped` tells why the attempt was
    stopped ("deadline"), if it was.
    """

    result: Any
    error: Exception | None
    lines: list[str]
    reports: list[tuple[int, str]]
    stopped: str | None
    enqueued: list[EnqueuedChild]


async def run_processor(
    processor: Processor[Any],
    payload: Mapping[str, Any],
    *,
    attempt: int = 1,
    job_id: str = "job-1",
    resources: Mapping[Resource[Any], Any] | None = None,
    outbound: Outbound = LIVE,
    attempt_deadline: float | None = None,
) -> RunResult:
    """Runs one attempt and returns its outcome; what the processor raises is in `error`, not raised.

    `resources` replaces declared resources by objects of the test; the others are opened and closed as in a
    worker. `attempt_deadline` is in seconds; after it the attempt is stopped and `stopped` is "deadline". A
    processor with `isolation="process"` runs in a child process, which no object can be handed to: ValueError
    for `resources`.
    """
    if resources and processor.isolation is Isolation.PROCESS:
        raise ValueError("resources: a child process opens its own; a test cannot hand objects to it")
    job = LocalJob(processor.job_type, payload, job_id, processor.queue, attempt=attempt)
    if attempt_deadline is not None:
        job.deadline_seconds = time.monotonic() + attempt_deadline
    threads = Threads(1, stop_grace_seconds=60, on_leak=lambda _: None)
    try:
        async with ResourcePool(resources) as pool, Children(1) as children:
            handler = JobHandler(
                Registry([processor]), threads=threads, resources=pool, outbound=outbound, children=children
            )
            result, error = await _outcome(handler, job, attempt_deadline)
    finally:
        threads.close()
    return RunResult(result, error, job.lines, job.reports, job.stop_reason, job.enqueued)


async def _outcome(handler: JobHandler, job: LocalJob, seconds: float | None) -> tuple[Any, Exception | None]:
    task = asyncio.ensure_future(handler(job))
    done, _ = await asyncio.wait({task}, timeout=seconds)
    if not done:
        job.stop_reason = "deadline"
        task.cancel()
    try:
        return await task, None
    except asyncio.CancelledError:
        if job.stop_reason is None:  # the test itself was cancelled
            raise
        return None, None
    except Exception as error:  # noqa: BLE001 - the outcome is data here
        return None, error
