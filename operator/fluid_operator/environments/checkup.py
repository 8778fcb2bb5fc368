"""Asks Redis now and then how it is, and remembers the answer: the report of a server is too long for every look."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Final

from fluid_operator.environments.health import Flaw, health_of
from fluid_operator.environments.link import EnvironmentLink
from fluid_operator.kube.keys import ObjectKey
from fluid_queue import QueueError, ServerState, Stats

_SECONDS: Final = 10.0
"""Between two questions to one server."""


class Checkups:
    """Of all environments, in one term."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._asked: dict[ObjectKey, float] = {}
        self._flaws: dict[ObjectKey, Sequence[Flaw]] = {}

    def forget(self, key: ObjectKey) -> None:
        """The environment is gone, or has another Redis."""
        self._asked.pop(key, None)
        self._flaws.pop(key, None)

    async def flaws(self, key: ObjectKey, link: EnvironmentLink, stats: Stats | None) -> Sequence[Flaw] | None:
        """What threatens the jobs, as of now or a moment ago; None when nobody knows."""
        state = await self._state(link) if self._due(key) else None
        if state is not None:
            self._asked[key] = self._clock()
        found = health_of(state, stats, self._flaws.get(key))
        if found is None:
            return self._flaws.get(key)
        self._flaws[key] = found
        return found

    def _due(self, key: ObjectKey) -> bool:
        asked = self._asked.get(key)
        return asked is None or self._clock() - asked >= _SECONDS

    async def _state(self, link: EnvironmentLink) -> ServerState | None:
        try:
            return await link.queue.server()
        except QueueError:
            return None
