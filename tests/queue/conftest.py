"""Fixtures of the queue level: a real Redis, a fresh key space for each test."""

from collections.abc import AsyncIterator

import pytest

from fluid_dev.redis import RedisServer
from fluid_queue import Queue


@pytest.fixture
async def queue(redis_server: RedisServer, key_prefix: str) -> AsyncIterator[Queue]:
    """An opened key space of its own on the shared Redis."""
    async with Queue.from_url(redis_server.url, key_prefix) as opened:
        await opened.open()
        yield opened
