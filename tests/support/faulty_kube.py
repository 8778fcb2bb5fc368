"""A client of the API server in whose way a test lays obstacles: an answer that is lost, a request that is held up, a
sudden death."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, NamedTuple, Self

from fluid_operator.kube.client import Json, Kube
from fluid_operator.kube.errors import Unreachable
from fluid_operator.kube.keys import Resource

Send = Callable[[], Awaitable[Json]]
Obstacle = Callable[[Send], Awaitable[Json]]
"""Gets the request as a function that sends it, and decides when it is sent and what its sender hears."""


class _Laid(NamedTuple):
    verb: str
    plural: str
    obstacle: Obstacle


class FaultyKube(Kube):
    """Each obstacle is met by one request. Copies, such as the guarded one, share their original's fate."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._laid: list[_Laid] = []
        self._dead = asyncio.Event()

    def guarded(self, guard: Callable[[], None]) -> Self:
        """As any client's, with the same obstacles before it: the guard is asked when the request is sent."""
        copy = super().guarded(guard)
        copy._laid, copy._dead = self._laid, self._dead
        return copy

    def lay(self, verb: str, resource: Resource, obstacle: Obstacle, *, times: int = 1) -> None:
        """Put this in the way of the next requests with the verb for the resource."""
        self._laid.extend([_Laid(verb, resource.plural, obstacle)] * times)

    def clear(self) -> None:
        """Take away whatever was not met."""
        self._laid.clear()

    @property
    def left(self) -> int:
        """How many obstacles were not met yet."""
        return len(self._laid)

    @property
    def clean(self) -> bool:
        """Whether all were."""
        return not self._laid

    def die(self) -> None:
        """As the process of the client would: it sends nothing any more, and hears no answer that is under way."""
        self._dead.set()

    async def request(self, verb, path, *, resource="", **more):
        async def send() -> Json:
            self._alive()
            answer = await super(FaultyKube, self).request(verb, path, resource=resource, **more)
            self._alive()
            return answer

        for laid in self._laid:
            if (laid.verb, laid.plural) == (verb, resource):
                self._laid.remove(laid)
                return await laid.obstacle(send)
        return await send()

    def _alive(self) -> None:
        """Raise Unreachable if not: whatever the remains do with it, nothing of that is ever sent."""
        if self._dead.is_set():
            raise Unreachable("test", "the client is dead")


async def answer_lost(send: Send) -> Json:
    """The request goes through, and nobody hears of it."""
    await send()
    raise Unreachable("test", "the answer was lost")


async def request_lost(send: Send) -> Json:
    """The request never arrives."""
    raise Unreachable("test", "the request was lost")


class Gate:
    """Holds one request up, before it is sent or, if `answered`, when its answer is there."""

    def __init__(self, *, answered: bool = False) -> None:
        self._answered = answered
        self._reached = asyncio.Event()
        self._opened = asyncio.Event()

    async def reached(self) -> None:
        """Wait until the request stands before the gate."""
        async with asyncio.timeout(30):
            await self._reached.wait()

    def open(self) -> None:
        self._opened.set()

    async def __call__(self, send: Send) -> Json:
        """The obstacle."""
        answer = await send() if self._answered else None
        self._reached.set()
        await self._opened.wait()
        return await send() if answer is None else answer
