"""Waiting for a fact with a deadline: the only place of this package that sleeps."""

import time
from collections.abc import Callable
from typing import TypeVar

from fluid_dev.errors import TimedOut

T = TypeVar("T")


def until(fn: Callable[[], T], within: float = 30.0, what: str = "", *, pause: float = 0.05) -> T:
    """Call `fn` until its answer is true and return that answer; raise TimedOut after `within` seconds.

    An exception of `fn` ends the waiting at once, so `fn` decides itself which failures mean "not yet".
    """
    deadline = time.monotonic() + within
    while True:
        answer = fn()
        if answer:
            return answer
        if time.monotonic() >= deadline:
            raise TimedOut(what or getattr(fn, "__name__", "the condition"), within, repr(answer))
        time.sleep(pause)
