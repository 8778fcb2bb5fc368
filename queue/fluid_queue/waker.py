"""Sleep until there may be work: BLPOP on the selector's wake-up list, on a connection of its own, that can be
interrupted.

One BLPOP stays open over many sleeps, and the time is kept here: Redis looks at the timeouts of its waiters only
every 100 ms, which is too coarse
for a job that is due in 200. The price is that a marker may come while nobody sleeps; it is kept for the next sleep,
or given back.
"""

from __future__ import annotations

import asyncio
from typing import Any

from redis.exceptions import RedisError

from fluid_queue.connections import Door

_LONGEST = 5.0
"""Seconds of one BLPOP; a connection that died without a word is noticed soon after."""


class Waker:
    """One consumer's sleep."""

    def __init__(self, door: Door, key: str) -> None:
        self._redis = door.client(timeout=_LONGEST + 2, connect_timeout=_LONGEST)
        self._key = key
        self._interrupted = asyncio.Event()
        self._nudged = asyncio.Event()
        self._listening: asyncio.Task[bool] | None = None

    async def sleep(self, seconds: float) -> None:
        """Until a marker comes, at most `seconds`. Returns early when Redis is away: the next claim will tell."""
        if self._listening is None:
            self._listening = asyncio.create_task(self._marker(), name="fluid-wake")
        await self._wait({self._listening}, seconds)
        if self._listening.done():
            self._listening = None

    async def pause(self, seconds: float) -> None:
        """Just that, unless interrupted."""
        await self._wait(set(), seconds)

    async def rest(self) -> bool:
        """Stop listening, because nothing could be claimed anyway; whether a marker was taken that another worker
        should have."""
        listening, self._listening = self._listening, None
        if listening is None:
            return False
        while not listening.done():
            # redis-py may swallow a cancellation that meets the end of a read, and then reads on: ask again.
            listening.cancel()
            await asyncio.wait([listening], timeout=0.05)
        return not listening.cancelled() and listening.result()

    def nudge(self) -> None:
        """End this sleep, or the next one, at once."""
        self._nudged.set()

    def interrupt(self) -> None:
        """End this sleep and every later one at once."""
        self._interrupted.set()

    async def aclose(self) -> None:
        """Close the connection."""
        await self.rest()
        await self._redis.aclose()

    async def _marker(self) -> bool:
        try:
            return await self._redis.blpop([self._key], timeout=_LONGEST) is not None
        except (RedisError, OSError):
            # Not a busy loop: whoever sleeps claims next, and pauses when that fails too.
            await asyncio.sleep(0.05)
            return False

    async def _wait(self, events: set[asyncio.Task[bool]], seconds: float) -> None:
        interrupted = asyncio.ensure_future(self._interrupted.wait())
        nudged = asyncio.ensure_future(self._nudged.wait())
        either: set[asyncio.Future[Any]] = {*events, interrupted, nudged}
        try:
            await asyncio.wait(either, timeout=max(0.0, seconds), return_when=asyncio.FIRST_COMPLETED)
        finally:
            interrupted.cancel()
            nudged.cancel()
            self._nudged.clear()
