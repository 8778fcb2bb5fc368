"""Many objects at once: written by one client, some side by side, and followed until they are as they should be."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable, Callable, Iterable, Iterator
from typing import TypeVar

from benchmarks.common.progress import bar
from benchmarks.schedules.manifests import Json
from fluid_operator.kube.client import Kube
from fluid_operator.kube.errors import Gone, Unreachable
from fluid_operator.kube.keys import Resource

T = TypeVar("T")

CONCURRENCY = 32
"""Requests that the client has under way at a time, for both sides."""

_WATCH_SECONDS = 3600
_LOOK_SECONDS = 0.5


async def for_each(things: Iterable[T], do: Callable[[T], Awaitable[object]], told: Callable[[int], None]) -> None:
    """Do the same with each, `CONCURRENCY` at a time; `told` hears how many are done. The first error ends it."""
    rest, done = iter(things), 0

    async def some(rest: Iterator[T]) -> None:
        nonlocal done
        for thing in rest:
            await do(thing)
            done += 1
            told(done)

    tasks = [asyncio.create_task(some(rest)) for _ in range(CONCURRENCY)]
    try:
        await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()


async def follow(
    kube: Kube, resource: Resource, namespace: str, look: Callable[[Json], None], done: Callable[[], bool]
) -> None:
    """Show every object, and each change of one, to `look`, until `done`.

    The API server drops watchers that are too slow; then everything is listed anew.
    """
    while not done():
        try:
            page = await kube.list_page(resource, namespace, limit=0)
            for found in page.items:
                look(found)
            if not done():
                await _watch(kube, resource, namespace, page.resource_version, look, done)
        except (Gone, Unreachable) as error:
            print(f"the watch was lost, listing anew: {error}", file=sys.stderr)


async def _watch(
    kube: Kube,
    resource: Resource,
    namespace: str,
    version: str,
    look: Callable[[Json], None],
    done: Callable[[], bool],
) -> None:
    watch = kube.watch(
        resource, namespace, resource_version=version, timeout=_WATCH_SECONDS, silence=float(_WATCH_SECONDS)
    )
    async with watch as batches:
        async for events in batches:
            for event in events:
                if event.type in ("ADDED", "MODIFIED"):
                    look(event.object)
            if done():
                return


async def attend(
    work: Awaitable[None], what: str, total: int, count: Callable[[], int], check: Callable[[], None], within: float
) -> bool:
    """Wait for this work and show how far it is; whether it came to its end within so many seconds.

    `check` raises when the work has become pointless; then it is given up.
    """
    task = asyncio.ensure_future(work)
    until = asyncio.get_running_loop().time() + within
    try:
        with bar(what, total) as told:
            while not task.done() and asyncio.get_running_loop().time() < until:
                await asyncio.wait({task}, timeout=_LOOK_SECONDS)
                told(count())
                check()
        if task.done():
            await task
        return task.done()
    finally:
        task.cancel()
