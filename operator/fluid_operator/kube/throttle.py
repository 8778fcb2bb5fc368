"""How much of the API server this process takes: so many writes a second, so many requests at a time, fewer if told so.

The server has a throat of its own (priority and fairness), and says 429 when it is full. Two limits keep us from
getting there. A token bucket bounds writes, which cost the server a round through etcd; reads are few, because
informers do not ask twice. A window bounds requests in flight, and it breathes as TCP's does: a 429 halves what is in
flight, each answer opens the window by a little until it is as wide as before. Whoever must wait does so in the order
of coming.

The caller decides what passes without being asked: a leader must not lose its Lease because of its own burst. Nothing
here knows HTTP or any kind.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

_TOO_MANY_REQUESTS = 429

_ROUND_SECONDS = 1.0
"""Refusals within this time are one piece of news: they answer requests that were sent before we slowed down."""


@dataclass(frozen=True, slots=True)
class ThrottleSettings:
    """Limits of one process against one API server; 0 means none."""

    writes_per_second: float = 1000.0
    """What the bucket gains each second."""
    burst: int = 2000
    """Writes that a full bucket lets through at once."""
    in_flight: int = 200
    """Requests that wait for their answer at the same time; watches are not counted."""


class TokenBucket:
    """`burst` tokens, refilled at `rate` a second. The time is an argument, in seconds of any one clock that never
    goes back."""

    __slots__ = ("_at", "_burst", "_rate", "_tokens")

    def __init__(self, rate: float, burst: float) -> None:
        self._rate = rate
        self._burst = max(1.0, burst)
        self._tokens = self._burst
        self._at = float("-inf")

    def take(self, now: float) -> bool:
        """Take one token if there is one."""
        self._refill(now)
        if self._tokens < 1:
            return False
        self._tokens -= 1
        return True

    def reserve(self, now: float) -> float:
        """Take one token in any case; returns the seconds after which it is really there."""
        self._refill(now)
        self._tokens -= 1
        return max(0.0, -self._tokens / self._rate)

    def full(self, now: float) -> bool:
        """Whether nothing was taken for so long that the bucket is as new."""
        self._refill(now)
        return self._tokens >= self._burst

    def _refill(self, now: float) -> None:
        self._tokens = min(self._burst, self._tokens + self._rate * max(0.0, now - self._at))
        self._at = max(self._at, now)


class Window:
    """Bounds what is in flight, first come, first served. Create it inside the loop that uses it."""

    __slots__ = ("_ceiling", "_slowed_at", "_waiting", "limit", "used")

    def __init__(self, ceiling: int) -> None:
        """At most `ceiling` at a time; 0: as many as you like until the first refusal."""
        self._ceiling = float(ceiling or "inf")
        self.limit = self._ceiling
        self.used = 0
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._slowed_at = float("-inf")

    def enter(self) -> bool:
        """Go in, if there is room and nobody was here before."""
        if self._waiting or self.used >= self.limit:
            return False
        self.used += 1
        return True

    async def wait(self) -> None:
        """Go in as soon as it is our turn."""
        turn = asyncio.get_running_loop().create_future()
        self._waiting.append(turn)
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self.leave()  # our turn came in the same moment: somebody else takes it
            raise

    def leave(self) -> None:
        """Make room for the next."""
        self.used -= 1
        self._admit()

    def answered(self, refused: bool, now: float) -> None:
        """Learn from an answer: narrow at a refusal, widen by one for each full window of answers."""
        if not refused:
            self.limit = min(self._ceiling, self.limit + 1 / self.limit)
        elif now - self._slowed_at >= _ROUND_SECONDS:
            self._slowed_at = now
            self.limit = max(1.0, min(self.limit, self.used) / 2)

    def _admit(self) -> None:
        while self._waiting and self.used < self.limit:
            turn = self._waiting.popleft()
            if not turn.done():
                self.used += 1
                turn.set_result(None)


class Throttle:
    """One for each process; all clients of one API server share it. Create it inside the loop."""

    def __init__(
        self,
        settings: ThrottleSettings | None = None,
        *,
        waited: Callable[[float], None] = lambda seconds: None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`waited` is told the seconds that a request was held back, if it was; `clock` is monotonic."""
        settings = settings or ThrottleSettings()
        self._window = Window(settings.in_flight)
        rate = settings.writes_per_second
        self._writes = TokenBucket(rate, settings.burst) if rate else None
        self._waited = waited
        self._clock = clock

    @property
    def in_flight(self) -> int:
        """Requests under way."""
        return self._window.used

    @property
    def limit(self) -> float:
        """Requests that may be under way now; infinite without a limit."""
        return self._window.limit

    async def enter(self, write: bool) -> None:
        """Wait until the request may be sent. Each `enter` that returns must be followed by one `leave`."""
        pause = self._writes.reserve(self._clock()) if write and self._writes else 0.0
        if not pause and self._window.enter():
            return
        started = self._clock()
        try:
            if pause:
                await asyncio.sleep(pause)
            if not self._window.enter():
                await self._window.wait()
        finally:
            self._waited(self._clock() - started)

    def leave(self, code: int) -> None:
        """The request has ended with this HTTP code, or 0 without an answer (which teaches nothing)."""
        if code:
            self._window.answered(code == _TOO_MANY_REQUESTS, self._clock())
        self._window.leave()
