"""The log of a job: all lines, then what is added. Woken by the hints of the queue."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing

from fluid_queue import HintReader, Queue
from fluid_queue.hints import BLOCK_SECONDS


def added(before: Sequence[str], after: Sequence[str]) -> Sequence[str]:
    """The lines of `after` that come behind those of `before`. The queue keeps the last thousand lines only, so what
    was read may have lost its beginning meanwhile; a log without anything in common is another one and is all new."""
    for lost in range(len(before) + 1):
        kept = before[lost:]
        if list(after[: len(kept)]) == list(kept):
            return after[len(kept) :]
    return after


async def follow(queue: Queue, job_id: str) -> AsyncGenerator[str]:
    """The lines of the log, and each further one, until the job has ended and its last line was told.

    Lines alone wake nobody: besides the hints about the job, the log is read when a read of hints ends empty-handed,
    which is every other second. Raises QueueError."""
    reader = HintReader(queue)
    try:
        async with aclosing(_read(queue, reader, job_id)) as lines:
            async for line in lines:
                yield line
    finally:
        await reader.aclose()


async def _read(queue: Queue, reader: HintReader, job_id: str) -> AsyncGenerator[str]:
    seen: Sequence[str] = ()
    await reader.read()  # takes the position before the first look, so that nothing falls between
    while True:
        record = (await queue.inspect([job_id]))[0]
        lines = await queue.log_lines(job_id)
        for line in added(seen, lines):
            yield line
        seen = lines
        if record is None or record.ended:
            return
        await _next(reader, job_id)


async def _next(reader: HintReader, job_id: str) -> None:
    """Wait for a hint about this job; without one, for as long as a read of an idle queue takes: the hints of a busy
    one never end."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + BLOCK_SECONDS
    while True:
        hints = await reader.read()
        if hints.resync or job_id in hints.ids or not hints.ids or loop.time() >= deadline:
            return
