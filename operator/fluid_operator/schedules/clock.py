"""The wall clock, as a value that a test can replace: what time it is, and how to wait for another."""

from __future__ import annotations

import asyncio
import contextlib
from datetime import UTC, datetime
from typing import Final, Protocol

_LONGEST_SLEEP: Final = 1.0
"""Seconds. A wait is cut into pieces, so that a wall clock which was set is noticed: timers follow a clock that never
is."""


class Clock(Protocol):
    """Wall-clock time."""

    def now(self) -> datetime:
        """The time, with its zone."""

    async def wait(self, until: datetime | None, woken: asyncio.Event) -> None:
        """Return when this time has come, when woken, or after a while; None: no time is waited for."""


class SystemClock:
    """The machine's."""

    def now(self) -> datetime:
        """UTC."""
        return datetime.now(UTC)

    async def wait(self, until: datetime | None, woken: asyncio.Event) -> None:
        """As the protocol says, a second at most."""
        if until is None:
            await woken.wait()
            return
        seconds = min(_LONGEST_SLEEP, (until - self.now()).total_seconds())
        if seconds > 0:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(seconds):
                    await woken.wait()
