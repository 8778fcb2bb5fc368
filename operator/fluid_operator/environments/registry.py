"""All environments of a leading replica, by key: those that are open, and those that exist but cannot be opened.

Opening and closing is decided by whoever reads the FluidEnvironments.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Collection, Iterator

from fluid_operator.api.fluidenvironment import FluidEnvironmentSpec
from fluid_operator.environments.link import EnvironmentLink
from fluid_operator.kube.keys import ObjectKey
from fluid_operator.kube.lease import Leadership
from fluid_queue import Hints, Queue, Settings

log = logging.getLogger(__name__)

_RESTART_SECONDS = 5.0
"""Pause before a link that crashed is started again."""

DEFAULT = "default"
"""The environment of a job that names none."""


def choose(names: Collection[str], wanted: str | None) -> str | None:
    """Of a namespace's environments the one for a job: the named one, else "default", else the only one; None when
    there is none or the choice is open. What exists decides, not what can be reached: a job must not land elsewhere
    because a Secret is missing."""
    if wanted:
        return wanted if wanted in names else None
    if DEFAULT in names:
        return DEFAULT
    return next(iter(names)) if len(names) == 1 else None


class EnvironmentRegistry:
    """Links by key. `on_hints` hears of changed jobs; `on_change` of a namespace whose environments came, went or
    changed."""

    def __init__(self, leadership: Leadership, *, shard: int = 0) -> None:
        """`shard`: see EnvironmentLink."""
        self.on_hints: Callable[[EnvironmentLink, Hints], None] = lambda link, hints: None
        self.on_change: Callable[[str], None] = lambda namespace: None
        self._leadership = leadership
        self._shard = shard
        self._links: dict[ObjectKey, EnvironmentLink | None] = {}
        self._tasks: dict[ObjectKey, asyncio.Task[None]] = {}
        self.listed = asyncio.Event()
        """Set when every FluidEnvironment that exists has been looked at once: before that, a missing one means
        nothing."""

    def __iter__(self) -> Iterator[EnvironmentLink]:
        return iter([link for link in self._links.values() if link is not None])

    def get(self, key: ObjectKey) -> EnvironmentLink | None:
        """The open link of this environment."""
        return self._links.get(key)

    def names(self, namespace: str) -> list[str]:
        """The environments of a namespace that exist, open or not, sorted."""
        return sorted(key.name for key in self._links if key.namespace == namespace)

    def choose(self, namespace: str, wanted: str | None) -> str | None:
        """The environment for a job, see the function of this name."""
        return choose(self.names(namespace), wanted)

    def expect(self, key: ObjectKey) -> None:
        """This environment exists, whether it can be opened or not."""
        self._links.setdefault(key, None)

    async def put(
        self,
        key: ObjectKey,
        uid: str,
        spec: FluidEnvironmentSpec,
        url: str,
        key_prefix: str,
        settings: Settings | None = None,
    ) -> EnvironmentLink:
        """The link of this environment: the open one with its spec renewed, or a new one when its Redis, prefix or
        uid is another. `settings`: see EnvironmentLink."""
        link = self._links.get(key)
        if link and (link.uid, link.queue.url, link.queue.keys.name) == (uid, url, key_prefix):
            if link.configure(spec, settings):
                self.on_change(key.namespace)
            return link
        await self._close(key)
        queue = Queue.from_url(url, key_prefix)
        link = EnvironmentLink(
            key,
            uid,
            spec,
            queue,
            self._leadership,
            self._hinted,
            self._reached,
            settings=settings,
            shard=self._shard,
        )
        self._links[key] = link
        task = asyncio.create_task(_keep(link), name=f"environment {key}")
        self._tasks[key] = task
        self.on_change(key.namespace)
        return link

    async def close(self, key: ObjectKey) -> None:
        """The environment exists, but has no Redis that could be opened."""
        if self._links.get(key) is not None:
            await self._close(key)
            self._links[key] = None
            self.on_change(key.namespace)

    async def remove(self, key: ObjectKey) -> None:
        """The environment is gone."""
        if key in self._links:
            await self._close(key)
            del self._links[key]
            self.on_change(key.namespace)

    async def aclose(self) -> None:
        """Close every link."""
        for key in list(self._links):
            await self._close(key)

    async def _close(self, key: ObjectKey) -> None:
        """Close the link, if there is one. The environment stays known: nobody must choose another one meanwhile."""
        link, self._links[key] = self._links.get(key), None
        task = self._tasks.pop(key, None)
        if task:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        if link:
            try:
                await link.queue.aclose()
            except Exception:  # a dead connection that cannot even be closed must not keep the others open
                log.warning("A link could not be closed.", exc_info=True, extra={"fields": {"environment": str(key)}})

    def _hinted(self, link: EnvironmentLink, hints: Hints) -> None:
        # A link that was replaced may still have one last word.
        if self._links.get(link.key) is link:
            self.on_hints(link, hints)

    def _reached(self, link: EnvironmentLink) -> None:
        if self._links.get(link.key) is link:
            self.on_change(link.key.namespace)


async def _keep(link: EnvironmentLink) -> None:
    """Follow one environment until cancelled, whatever its Redis holds: one namespace's data must not end the
    operator."""
    while True:
        try:
            await link.run()
        except Exception:  # a defect of ours or data that nobody foresaw; the log has it
            task = asyncio.current_task()
            if task is not None and task.cancelling():
                return
            log.exception(
                "An environment's link broke, will start it again.", extra={"fields": {"environment": str(link.key)}}
            )
            link.broken()
        await asyncio.sleep(_RESTART_SECONDS)
