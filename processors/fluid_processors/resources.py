"""Things that many jobs share and that are costly to open: connection pools, clients.

A resource is a named async context manager. It is opened by the first job that needs it, so that a worker
without an SMTP server can run everything but mail; opened once per worker; and closed, last opened first,
when the worker has drained.
"""

import asyncio
from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from dataclasses import dataclass
from typing import Any, Generic, TypeVar, cast

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Resource(Generic[T]):
    """A name and how to open the thing. Two resources of one name are two resources: the object is the key."""

    name: str
    open: Callable[[], AbstractAsyncContextManager[T]]


def resource(name: str) -> Callable[[Callable[[], AbstractAsyncContextManager[T]]], Resource[T]]:
    """Makes a resource of an async context manager function.

    ```python
    @resource("database")
    @asynccontextmanager
    async def database() -> AsyncIterator[Pool]: ...
    ```
    A processor names it (`@processor(..., resources=[database])`) and takes it from
    `ctx.resources[database]`.
    """
    return lambda function: Resource(name, function)


class Resources:
    """The opened resources that one processor may use."""

    __slots__ = ("_opened",)

    def __init__(self, opened: Mapping[Resource[Any], Any] | None = None) -> None:
        self._opened = opened or {}

    def __getitem__(self, wanted: Resource[T]) -> T:
        """The opened resource. KeyError, saying what to do, when the processor did not declare it."""
        try:
            return cast("T", self._opened[wanted])
        except KeyError:
            hint = f"the resource {wanted.name!r} is not open; name it in @processor(..., resources=[...])"
            raise KeyError(hint) from None


class ResourcePool:
    """All resources of one worker; an async context manager that closes what was opened."""

    def __init__(self, opened: Mapping[Resource[Any], Any] | None = None) -> None:
        """`opened` holds resources that somebody else opened and will close."""
        self._stack = AsyncExitStack()
        self._opened: dict[Resource[Any], Any] = dict(opened or {})
        self._opening = asyncio.Lock()

    async def __aenter__(self) -> "ResourcePool":
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._stack.aclose()
        self._opened.clear()

    async def open(self, wanted: tuple[Resource[Any], ...]) -> Resources:
        """Opens what is not open yet. What opening raises ends this attempt; the next one tries again."""
        if any(each not in self._opened for each in wanted):
            async with self._opening:
                for each in wanted:
                    if each not in self._opened:
                        self._opened[each] = await self._stack.enter_async_context(each.open())
        return Resources({each: self._opened[each] for each in wanted}) if wanted else _NONE


_NONE = Resources()
