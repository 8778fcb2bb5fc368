"""Sleep until there may be work: one BLPOP on the selector's wake-up list, on a connection of its own, that can be
interrupted."""

from __future__ import annotations

import asyncio
from typing import Any

from redis import asyncio as aioredis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

_LONGEST = 5.0
"""Seconds; claim.lua never asks for a longer sleep, and a dead connection is noticed soon after."""


class Waker:
    """One consumer's sleep."""

    def __init__(self, url: str, key: str) -> None:
        self._redis = aioredis.Redis.from_url(
            url, socket_timeout=_LONGEST + 2, socket_connect_timeout=_LONGEST, retry=Retry(NoBackoff(), 0)
        )
        self._key = key
        self._interrupted = asyncio.Event()

    async def sleep(self, seconds: float) -> None:
        """Until a marker comes, at most `seconds`. Returns early when Redis is away: the next claim will tell."""
        wait = max(0.001, min(seconds, _LONGEST))
        await self._until(asyncio.ensure_future(self._marker(wait)))

    async def pause(self, seconds: float) -> None:
        """Just that, unless interrupted."""
        await self._until(asyncio.ensure_future(asyncio.sleep(seconds)))

    def interrupt(self) -> None:
        """End this sleep and every later one at once."""
        self._interrupted.set()

    async def aclose(self) -> None:
        """Close the connection."""
        await self._redis.aclose()

    async def _marker(self, seconds: float) -> None:
        try:
            await self._redis.blpop([self._key], timeout=seconds)
        except (RedisError, OSError):
            # Not a busy loop: whoever sleeps claims next, and pauses when that fails too.
            await asyncio.sleep(0.05)

    async def _until(self, sleeping: asyncio.Future[None]) -> None:
        interrupted = asyncio.ensure_future(self._interrupted.wait())
        either: list[asyncio.Future[Any]] = [sleeping, interrupted]
        try:
            await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
        finally:
            interrupted.cancel()
            while not sleeping.done():
                # redis-py may swallow a cancellation that meets the end of a read, and then reads on: ask again.
                sleeping.cancel()
                await asyncio.wait([sleeping], timeout=0.05)
