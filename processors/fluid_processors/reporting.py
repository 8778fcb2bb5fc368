"""Progress and log lines on their way from a processor to the queue, in the background and in order.

A report is a courtesy: it may be late or lost, but it never delays a processor, never fails a job, and
never piles up.
"""

import asyncio
import logging
from collections import deque
from typing import Protocol

_log = logging.getLogger(__name__)

MAX_PENDING_LINES = 200  # the oldest go first when a processor logs faster than the queue takes lines
FLUSH_SECONDS = 2.0  # how long the end of a job waits for its last reports


class Sink(Protocol):
    """Where reports go; `fluid_queue.ActiveJob` is one."""

    async def progress(self, percent: int, message: str = "") -> None: ...
    async def log(self, line: str) -> None: ...


class Reporter:
    """Takes reports from the loop and from threads, and sends them from the loop. Made on the loop."""

    __slots__ = ("_lines", "_loop", "_progress", "_sink", "_task")

    def __init__(self, sink: Sink) -> None:
        self._sink = sink
        self._loop = asyncio.get_running_loop()
        self._lines: deque[str] = deque(maxlen=MAX_PENDING_LINES)
        # At most the newest report. A deque, because the loop takes out what a thread puts in: append and
        # popleft are one step each, where read and clear would be two and lose a report that comes between.
        self._progress: deque[tuple[int, str]] = deque(maxlen=1)
        self._task: asyncio.Task[None] | None = None

    def log(self, line: str) -> None:
        """One line, to be sent soon."""
        self._lines.append(line)
        self._loop.call_soon_threadsafe(self._start)

    def progress(self, percent: int, message: str) -> None:
        """Replaces a report that was not sent yet."""
        self._progress.append((percent, message))
        self._loop.call_soon_threadsafe(self._start)

    async def flush(self) -> None:
        """Sends what is pending, before the job's end makes the queue refuse it; gives up after 2 seconds."""
        if self._progress or self._lines:
            self._start()
        if self._task is not None:
            await asyncio.wait({self._task}, timeout=FLUSH_SECONDS)
            self.close()

    def close(self) -> None:
        """Drops what is pending: nobody wants to hear of a job that was stopped."""
        self._lines.clear()
        self._progress.clear()
        if self._task is not None:
            self._task.cancel()

    def _start(self) -> None:
        if self._task is None or self._task.done():
            self._task = self._loop.create_task(self._send())

    async def _send(self) -> None:
        try:
            while self._lines or self._progress:
                if self._lines:
                    await self._sink.log(self._lines.popleft())
                else:
                    await self._sink.progress(*self._progress.popleft())
        except Exception as error:  # noqa: BLE001 - whatever ails the queue, a report must not fail the job
            _log.debug("report not sent", extra={"fields": {"error": type(error).__name__}})
