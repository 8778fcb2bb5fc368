"""Wait for the ends of jobs: one reader of the event stream for all who wait in this process, and no polling.

The stream only says which job has changed, so an end is always read from the record. The reader lives while somebody
waits, and a little longer, because whoever waits for one job often waits for the next.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Protocol

from fluid_queue.errors import JobNotFound, QueueUnavailable
from fluid_queue.hints import Hints
from fluid_queue.records import JobRecord

log = logging.getLogger(__name__)

_LINGER = 5.0
"""Seconds for which the reader stays when nobody waits any more."""

_PAUSE = 0.2
"""Seconds between tries while Redis is away."""

Inspect = Callable[[Sequence[str]], Awaitable[list[JobRecord | None]]]


class Reader(Protocol):
    """The part of HintReader that is used here."""

    async def read(self) -> Hints: ...

    async def aclose(self) -> None: ...


class Endings:
    """Waits for the jobs of one key space; `reader` makes a reader of its events, `inspect` reads its records."""

    def __init__(self, inspect: Inspect, reader: Callable[[], Reader]) -> None:
        self._inspect = inspect
        self._reader = reader
        self._waiting: dict[str, set[asyncio.Future[JobRecord]]] = {}
        self._following: asyncio.Task[None] | None = None

    async def wait(self, job_id: str, timeout: float | None) -> JobRecord:
        """The record of a job once it has ended. Redis may come and go meanwhile. Raises JobNotFound when nobody knows
        the job, QueueUnavailable when Redis is away at first, TimeoutError after `timeout` seconds (None: no end)."""
        async with asyncio.timeout(timeout):
            (record,) = await self._inspect([job_id])
            if record is None:
                raise JobNotFound(job_id)
            return record if record.ended else await self._end_of(job_id)

    async def aclose(self) -> None:
        """Stop reading; whoever still waits is cancelled."""
        for future in [future for futures in self._waiting.values() for future in futures]:
            future.cancel()
        following, self._following = self._following, None
        while following is not None and not following.done():
            # redis-py may swallow a cancellation that meets the end of a read, and then reads on: ask again.
            following.cancel()
            await asyncio.wait([following], timeout=0.05)

    async def _end_of(self, job_id: str) -> JobRecord:
        future: asyncio.Future[JobRecord] = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(job_id, set()).add(future)
        try:
            if self._following is None or self._following.done():
                self._following = asyncio.create_task(self._follow(), name="fluid-endings")
            else:
                # A new reader begins with a look at everybody; one that runs may have passed this job's end already.
                await self._look([job_id])
            return await future
        finally:
            self._waiting[job_id].discard(future)
            if not self._waiting[job_id]:
                del self._waiting[job_id]

    async def _follow(self) -> None:
        reader = self._reader()
        needed = time.monotonic()
        everybody = True
        try:
            while self._waiting or time.monotonic() - needed < _LINGER:
                if self._waiting:
                    needed = time.monotonic()
                everybody = await self._read(reader, everybody)
        except Exception as error:  # noqa: BLE001 - whatever it is, whoever waits must hear of it
            self._fail(error)
        finally:
            # Before the next await: whoever comes from here on needs a new reader.
            self._following = None
            await reader.aclose()

    async def _read(self, reader: Reader, everybody: bool) -> bool:
        """Look at the jobs that have changed, or at all; whether some may have been missed, because Redis was away."""
        try:
            hints = await reader.read()
            await self._look(self._waiting if everybody or hints.resync else hints.ids & self._waiting.keys())
        except QueueUnavailable as error:
            log.debug("Redis is away: waiting for the ends of jobs goes on", extra={"error": str(error)})
            await asyncio.sleep(_PAUSE)
            return True
        return False

    async def _look(self, ids: Iterable[str]) -> None:
        wanted = list(ids)
        if not wanted:
            return
        for job_id, record in zip(wanted, await self._inspect(wanted), strict=True):
            for future in self._waiting.get(job_id, ()):
                if future.done():
                    continue
                if record is None:
                    future.set_exception(JobNotFound(job_id))
                elif record.ended:
                    future.set_result(record)

    def _fail(self, error: Exception) -> None:
        for future in [future for futures in self._waiting.values() for future in futures if not future.done()]:
            future.set_exception(error)
