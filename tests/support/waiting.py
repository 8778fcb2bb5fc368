"""Wait for facts, never for durations: `until` for plain code, `auntil` inside an event loop."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

from fluid_dev.errors import TimedOut
from fluid_dev.waiting import until

__all__ = ["auntil", "until"]

T = TypeVar("T")


async def auntil(fn: Callable[[], T | Awaitable[T]], within: float = 30.0, what: str = "", *, pause: float = 0.02) -> T:
    """As `until`, for a function that may be a coroutine function; the event loop runs on meanwhile."""
    deadline = time.monotonic() + within
    while True:
        answer = fn()
        value = await answer if isinstance(answer, Awaitable) else answer
        if value:
            return value
        if time.monotonic() >= deadline:
            raise TimedOut(what or getattr(fn, "__name__", "the condition"), within, repr(value))
        await asyncio.sleep(pause)
