"""Whose the key space of an environment is: ours, as long as we say so often enough, or another environment's.

Two environments on one Redis with one key prefix would run each other's jobs and forget each other's settings. So the
first owns the key space, for a while at a time, and the second touches nothing. Knows nothing of what is done there.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

from fluid_queue import KeySpaceInUse, Queue, QueueUnavailable

OWN_SECONDS = 30.0
"""How long the key space stays ours when we say nothing more: longer than any new leader takes, and not so long that
an environment which is created again under an old name has to wait much."""

_MARGIN = 5.0
"""So much earlier we ask again before anything is done: a command that was sent in time may arrive late."""

_REFUSED_SECONDS = 2.0
"""A refusal is believed for so long, however many ask."""


class Ownership:
    """Of one key space by the environment with the uid `owner`, whose `name` is for people."""

    def __init__(self, queue: Queue, owner: str, name: str, clock: Callable[[], float] = time.monotonic) -> None:
        self.in_use_by = ""
        """The name of the other environment that has it; "" when it is ours, or nobody knows."""
        self._queue = queue
        self._owner = owner
        self._name = name
        self._clock = clock
        self._said = float("-inf")
        self._refused = float("-inf")
        self._given_up = False
        self._asking = asyncio.Lock()

    async def require(self) -> None:
        """Be the owner from here on; costs nothing as long as that is certain. Raises KeySpaceInUse, or QueueError when
        Redis does not answer."""
        await self.renew(OWN_SECONDS - _MARGIN)

    async def renew(self, every: float) -> None:
        """Say that the key space is ours, unless that was said less than `every` seconds ago. Raises as `require`."""
        async with self._asking:
            if self._given_up:
                raise QueueUnavailable("the environment has been left")
            now = self._clock()
            if now - self._said < every:
                return
            if now - self._refused < _REFUSED_SECONDS:
                raise KeySpaceInUse(self._queue.keys.name, self.in_use_by)
            self.in_use_by = await self._queue.own(self._owner, self._name, OWN_SECONDS)
            if self.in_use_by:
                self._said, self._refused = float("-inf"), now
                raise KeySpaceInUse(self._queue.keys.name, self.in_use_by)
            self._said, self._refused = now, float("-inf")

    async def give_up(self) -> None:
        """Let another have the key space at once, and never ask for it again. Raises QueueError when Redis does not
        answer: then it is free after OWN_SECONDS."""
        async with self._asking:
            self._given_up = True
            await self._queue.disown(self._owner)
