"""All environments of a leading replica, by key: those that are open, those that exist but cannot be opened, and those
whose object is gone while jobs of theirs still run.

Opening, closing and leaving is decided by whoever reads the FluidEnvironments.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Collection, Iterator

from fluid_operator.api.fluidenvironment import FluidEnvironmentSpec
from fluid_operator.environments import departing
from fluid_operator.environments.link import EnvironmentLink
from fluid_operator.kube.keys import ObjectKey
from fluid_operator.kube.lease import Leadership
from fluid_queue import Codec, Hints, Queue, Settings

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

    def __init__(self, leadership: Leadership, *, shard: int = 0, clock: Callable[[], float] = time.monotonic) -> None:
        """`shard`: see EnvironmentLink."""
        self.on_hints: Callable[[EnvironmentLink, Hints], None] = lambda link, hints: None
        self.on_change: Callable[[str], None] = lambda namespace: None
        self._leadership = leadership
        self._shard = shard
        self._clock = clock
        self._began = clock()
        self._links: dict[ObjectKey, EnvironmentLink | None] = {}
        self._leaving: dict[ObjectKey, EnvironmentLink] = {}
        """Of environments that are gone; none of them is among the others."""
        self._left: set[ObjectKey] = set()
        """Environments that are gone, and of which nothing runs any more."""
        self._tasks: dict[EnvironmentLink, asyncio.Task[None]] = {}
        self._departures: dict[ObjectKey, asyncio.Task[None]] = {}
        self.listed = asyncio.Event()
        """Set when every FluidEnvironment that exists has been looked at once: before that, a missing one means
        nothing."""

    def __iter__(self) -> Iterator[EnvironmentLink]:
        return iter([link for link in (*self._links.values(), *self._leaving.values()) if link is not None])

    def get(self, key: ObjectKey) -> EnvironmentLink | None:
        """The open link of this environment; also of one that is gone, as long as jobs of it may run."""
        return self._links.get(key) or self._leaving.get(key)

    def names(self, namespace: str) -> list[str]:
        """The environments of a namespace that exist, open or not, sorted."""
        return sorted(key.name for key in self._links if key.namespace == namespace)

    def choose(self, namespace: str, wanted: str | None) -> str | None:
        """The environment for a job, see the function of this name."""
        return choose(self.names(namespace), wanted)

    def clears_in(self, key: ObjectKey) -> float | None:
        """In how many seconds a job that is bound to this environment may go to another one: 0 when it is gone and
        nothing of it runs any more; None while it exists, or is being left. One that was gone before this leader came
        is given the time that leaving takes."""
        if key in self._links or key in self._leaving:
            return None
        if key in self._left:
            return 0.0
        return max(0.0, self._began + departing.LONGEST_SECONDS - self._clock())

    def expect(self, key: ObjectKey) -> None:
        """This environment exists, whether it can be opened or not."""
        self._left.discard(key)
        self._links.setdefault(key, None)

    async def put(
        self,
        key: ObjectKey,
        uid: str,
        spec: FluidEnvironmentSpec,
        url: str,
        key_prefix: str,
        settings: Settings | None = None,
        codec: Codec | None = None,
    ) -> EnvironmentLink:
        """The link of this environment: the open one with its spec renewed, or a new one when its Redis, prefix, uid or
        key ring is another. `settings`: see EnvironmentLink; `codec` encrypts what jobs carry."""
        codec = codec or Codec()
        link = self._links.get(key)
        if link and (link.uid, link.queue.url, link.queue.keys.name, link.queue.codec) == (uid, url, key_prefix, codec):
            if link.configure(spec, settings):
                self.on_change(key.namespace)
            return link
        await self._make_room(key, uid, url, key_prefix)
        link = EnvironmentLink(
            key,
            uid,
            spec,
            Queue.from_url(url, key_prefix, codec=codec),
            self._leadership,
            self._hinted,
            self._reached,
            settings=settings,
            shard=self._shard,
        )
        self._links[key] = link
        self._tasks[link] = asyncio.create_task(_keep(link), name=f"environment {key}")
        self.on_change(key.namespace)
        return link

    async def close(self, key: ObjectKey) -> None:
        """The environment exists, but has no Redis that could be opened."""
        link = self._links.get(key)
        if link is not None:
            self._links[key] = None
            await self._close(link)
            self.on_change(key.namespace)

    def leave(self, key: ObjectKey) -> None:
        """The environment is gone. No job chooses it any more, and nothing new starts in it, but its link is followed
        until nothing runs there; returns at once."""
        if key not in self._links:
            return
        link = self._links.pop(key)
        if link is None:
            self._has_left(key)
        else:
            self._leaving[key] = link
            link.leave()
            self._departures[key] = asyncio.create_task(self._depart(key, link), name=f"leave {key}")
        self.on_change(key.namespace)

    async def aclose(self) -> None:
        """Close every link, as it is. The next leader owns the same key spaces."""
        departures = list(self._departures.values())
        for departure in departures:
            departure.cancel()
        await asyncio.gather(*departures, return_exceptions=True)
        for link in self:
            await self._close(link)
        self._links.clear()
        self._leaving.clear()

    async def _depart(self, key: ObjectKey, link: EnvironmentLink) -> None:
        try:
            await departing.depart(link, gives_up=self._shard == 0)
        except Exception:  # a defect of ours or data that nobody foresaw; its jobs must not hang on to it
            log.exception("An environment could not be left.", extra={"fields": {"environment": str(key)}})
        await self._close(link)
        self._leaving.pop(key, None)
        self._departures.pop(key, None)
        self._has_left(key)
        log.info("An environment that was deleted has been left.", extra={"fields": {"environment": str(key)}})
        self.on_change(key.namespace)

    def _has_left(self, key: ObjectKey) -> None:
        if self._clock() - self._began >= departing.LONGEST_SECONDS:
            self._left.clear()  # by now it goes without saying
        else:
            self._left.add(key)

    async def _make_room(self, key: ObjectKey, uid: str, url: str, key_prefix: str) -> None:
        """Close the link that this environment, or one of its name, has had. The environment stays known: nobody must
        choose another one meanwhile."""
        departure = self._departures.pop(key, None)
        if departure:
            departure.cancel()
            await asyncio.gather(departure, return_exceptions=True)
        self._left.discard(key)
        for link in (self._links.get(key), self._leaving.pop(key, None)):
            if link is None:
                continue
            self._links[key] = None
            if link.uid != uid:
                if (link.queue.url, link.queue.keys.name) != (url, key_prefix):
                    await departing.hold_back(link)
                if self._shard == 0:
                    await departing.give_up(link)
            await self._close(link)
        self._links.setdefault(key, None)

    async def _close(self, link: EnvironmentLink) -> None:
        """End the link's tasks and connections."""
        task = self._tasks.pop(link, None)
        if task:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        try:
            await link.queue.aclose()
        except Exception:  # a dead connection that cannot even be closed must not keep the others open
            facts = {"environment": str(link.key)}
            log.warning("A link could not be closed.", exc_info=True, extra={"fields": facts})

    def _hinted(self, link: EnvironmentLink, hints: Hints) -> None:
        # A link that was replaced may still have one last word.
        if self.get(link.key) is link:
            self.on_hints(link, hints)

    def _reached(self, link: EnvironmentLink) -> None:
        if self.get(link.key) is link:
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
