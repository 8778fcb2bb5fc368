"""Tell Redis how attempts ended: gathered for a millisecond, sent together, kept while Redis is away.

The lease of a job is kept until Redis has taken its ending. An ending that Redis cannot take at all must not hold up
the others: they are sent one by
one then, and that one is dropped with an error in the log; its lease runs out, and the job stalls.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence

from fluid_queue.client import Queue
from fluid_queue.errors import QueueError, QueueUnavailable
from fluid_queue.outcomes import Ending

log = logging.getLogger(__name__)

_LINGER = 0.001
"""Seconds for which endings are gathered: one call for many costs less than the wait."""

_PAUSE = (0.1, 2.0)
"""First and longest pause between tries while Redis is away."""

Line = tuple[str, int, Ending]
"""Job, epoch, and how it ended."""


class Finisher:
    """One consumer's endings on their way. `held` are its leases (id -> epoch), from which what is sent is taken
    out; `sent` is told of each."""

    def __init__(
        self,
        queue: Queue,
        sent: Callable[[str], None] = lambda _: None,
        others_run: Callable[[], bool] = lambda: True,
    ) -> None:
        self.held: dict[str, int] = {}
        self._tell = sent
        self._others_run = others_run
        self._queue = queue
        self._lines: list[Line] = []
        self._waiting = asyncio.Event()
        self._empty = asyncio.Event()
        self._empty.set()

    def add(self, job_id: str, epoch: int, ending: Ending) -> None:
        """One attempt has ended so."""
        self._lines.append((job_id, epoch, ending))
        self._empty.clear()
        self._waiting.set()

    async def flush(self, seconds: float) -> None:
        """Wait until everything is sent, at most so long."""
        try:
            await asyncio.wait_for(self._empty.wait(), seconds)
        except TimeoutError:
            log.error("outcomes could not be sent before the leases ran out", extra={"jobs": len(self._lines)})

    async def run(self) -> None:
        """Send what there is, until cancelled."""
        pause = _PAUSE[0]
        while True:
            await self._waiting.wait()
            # With nothing else running there is nothing to wait for.
            await asyncio.sleep(_LINGER if self._others_run() else 0)
            batch = self._lines[:]
            self._waiting.clear()
            try:
                codes = await self._send(batch)
            except QueueUnavailable as error:
                log.warning("outcomes could not be sent, trying again", extra={"error": str(error), "pause": pause})
                await asyncio.sleep(pause)
                pause = min(pause * 2, _PAUSE[1])
                self._waiting.set()
                continue
            pause = _PAUSE[0]
            del self._lines[: len(batch)]
            for line, code in zip(batch, codes, strict=True):
                self._sent(line, code)
            if not self._lines:
                self._empty.set()

    async def _send(self, batch: Sequence[Line]) -> list[str]:
        try:
            return await self._queue.finish(batch)
        except QueueUnavailable:
            raise
        except QueueError as error:
            if len(batch) == 1:
                log.error("an outcome was dropped", extra={"job": batch[0][0], "error": str(error)})
                return ["dropped"]
        return [code for line in batch for code in await self._send([line])]

    def _sent(self, line: Line, code: str) -> None:
        job_id, epoch, ending = line
        if self.held.get(job_id) == epoch:
            del self.held[job_id]
        self._tell(job_id)
        if code in ("stale", "gone"):
            facts = {"job": job_id, "outcome": ending.outcome, "code": code}
            log.warning("an outcome was refused: the job is no longer this worker's", extra=facts)
