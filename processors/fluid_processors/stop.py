"""The one signal that tells a processor to give up: cancelled, out of time, lease lost, or the worker drains."""

import asyncio
import threading
from collections.abc import Callable, Generator


class Stopped(Exception):
    """Raised by `Stop.raise_if_set` to leave a plain function at a safe place."""


class Stop:
    """Set once, never cleared. Usable from a thread (`is_set`, `wait`) and from the loop (`await`).

    `reason` asks the job why it is being stopped (deadline, cancel, lost, drain); None while it
    may run.
    """

    __slots__ = ("_event", "_reason", "_waiters")

    def __init__(self, reason: Callable[[], str | None]) -> None:
        self._reason = reason
        self._event = threading.Event()
        self._waiters: list[asyncio.Future[None]] = []

    @property
    def reason(self) -> str | None:
        """Why, or None while nothing asked for a stop."""
        return self._reason()

    def is_set(self) -> bool:
        """Whether the processor should stop."""
        return self._event.is_set() or self._reason() is not None

    def wait(self, timeout: float | None = None) -> bool:
        """Blocks a thread for at most `timeout` seconds, or until the stop; a sleep that a stop cuts short."""
        return self._event.wait(timeout)

    def raise_if_set(self) -> None:
        """Raises Stopped after a stop: one line at each safe place of a long loop is enough."""
        if self.is_set():
            raise Stopped(self._reason() or "stopped")

    def set(self) -> None:
        """Called on the loop by the worker, when the job's task has been cancelled."""
        self._event.set()
        for waiter in self._waiters:
            if not waiter.done():
                waiter.set_result(None)
        self._waiters.clear()

    def __await__(self) -> Generator[None, None, None]:
        if self.is_set():
            return
        waiter = asyncio.get_running_loop().create_future()
        self._waiters.append(waiter)
        yield from waiter.__await__()
