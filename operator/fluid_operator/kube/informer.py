"""Keeps a cache of one kind true: a list, then a watch, and a fresh list whenever the watch may have lied.

When is a watch resumed, and when is the list fetched again? A watch that the server ended because its time
was up has told everything, and is resumed. Every other end means a fresh list: a broken connection, silence,
a garbled line, 410, and also a polite end before its time, which is a server shutting down. For behind a lost
connection etcd may have come back from a backup, and a server accepts a resourceVersion from its own future
and silently drops all events below it.

An outage is waited out with growing pauses, for as long as it takes. What is not an outage (a defect in a
callback) ends `run`, so that the owner hears of it. What is done about a change is not decided here:
callbacks only wake.
"""

import asyncio
import logging
import random
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from fluid_operator.kube.cache import Cache, Entry
from fluid_operator.kube.client import Kube
from fluid_operator.kube.errors import Gone, KubeError, Unreachable
from fluid_operator.kube.keys import ObjectKey, Resource

log = logging.getLogger(__name__)

T = TypeVar("T")

# A watch whose end is noticed later than this, in seconds, was not being read: the process was stopped or
# starved, and nobody knows what happened to the server meanwhile.
_LATE = 5.0


@dataclass(frozen=True, slots=True)
class InformerSettings:
    """How patient an informer is. Times in seconds."""

    page: int = 200
    """Objects per page of a list. Bounds the memory of a list to one page of raw objects, some 10 kB each; smaller
    pages cost the API server more than they save here."""
    watch_timeout: int = 60
    """Length of a watch; each is stretched by up to a half at random, so that they do not end in step. Short,
    because only a watch that ends on time proves to be alive: an idle kind gets no events and no bookmarks
    either."""
    silence: float = 100.0
    """A watch without a byte for so long is dead: longer than the longest watch, so its end did not come."""
    first_pause: float = 0.2
    """After the first failure; doubled with each further one."""
    longest_pause: float = 30.0
    """A recovered API server is listed again within this time at the latest."""


class Informer(Generic[T]):
    """A cache of the objects of one kind that follows the API server while `run` is awaited."""

    def __init__(
        self,
        kube: Kube,
        resource: Resource,
        *,
        project: Callable[[dict[str, Any]], T],
        on_change: Callable[[ObjectKey, T | None, T | None], None],
        on_relist: Callable[[Mapping[ObjectKey, T]], None] | None = None,
        namespaces: Sequence[str] = (),
        selectors: Mapping[str, str] | None = None,
        owns: Callable[[ObjectKey], bool] | None = None,
        settings: InformerSettings | None = None,
        rng: random.Random | None = None,
    ) -> None:
        """Prepare to follow these namespaces, or all of them when none is given.

        `project` decides what is kept of an object. It must accept whatever the server can store, and its
        values must compare by content. `on_change` gets the old and the new value of each change, None for
        absent; `on_relist` gets the full set after each list, once every namespace has been listed. Both run
        inside the loop: keep them short. `selectors` may hold labelSelector and fieldSelector.

        Objects that `owns` says no to are neither kept nor told, by default none. The API server sends them all the
        same: no selector of its own can tell them apart.
        """
        self._kube = kube
        self._resource = resource
        self._cache = Cache(project, on_change, owns=owns)
        self._on_relist = on_relist
        self._scopes = tuple(dict.fromkeys(namespaces)) or ("",)
        self._selectors = dict(selectors or {})
        self._settings = settings or InformerSettings()
        self._rng = rng or random.Random()
        self._synced = asyncio.Event()
        self._connected: set[str] = set()
        self.lists = 0
        """Completed lists so far; grows with every lost connection."""
        self.events = 0
        """Events received so far, bookmarks included."""

    def __len__(self) -> int:
        return len(self._cache)

    def get(self, key: ObjectKey) -> T | None:
        """Return what is kept of the object, None if there is none."""
        return self._cache.get(key)

    def by_uid(self, uid: str) -> tuple[ObjectKey, T] | None:
        """Return key and value of the object with this uid, None if it is gone or was re-created."""
        return self._cache.by_uid(uid)

    def items(self) -> Iterator[tuple[ObjectKey, T]]:
        """Yield every object. Do not await between two steps."""
        return self._cache.items()

    def observe(self, raw: dict[str, Any]) -> bool:
        """Put the answer to a write of ours into the cache until the watch has caught up; True if news.

        Call it as soon as the answer is there. An answer older than what the cache knows is ignored.
        """
        namespace = raw["metadata"].get("namespace", "")
        scope = "" if "" in self._scopes else namespace
        return scope in self._scopes and self._cache.observe(scope, raw)

    @property
    def connected(self) -> bool:
        """Whether every scope has been listed and has lost nothing since, as far as anybody can know."""
        return len(self._connected) == len(self._scopes)

    def knows(self, namespace: str) -> bool:
        """Whether everything in this namespace has been listed once."""
        return self._cache.position("" if "" in self._scopes else namespace) is not None

    async def synced(self) -> None:
        """Wait until every scope has been listed once. Await it beside `run`, in one task group."""
        await self._synced.wait()

    async def run(self) -> None:
        """Follow the API server until cancelled. Raises only what a callback raised, in an ExceptionGroup."""
        async with asyncio.TaskGroup() as tasks:
            for scope in self._scopes:
                name = f"informer {self._resource.plural} {scope or '*'}"
                tasks.create_task(self._follow(scope), name=name)

    async def _follow(self, scope: str) -> None:
        """List and watch one scope for ever, pausing after failures."""
        failures = 0
        while True:
            listed: float | None = None
            try:
                await self._list(scope)
                listed = time.monotonic()
                self._connected.add(scope)
                while True:
                    await self._watch(scope)
            except KubeError as error:
                healthy = listed is not None and time.monotonic() - listed > self._settings.longest_pause
                failures = 1 if healthy else failures + 1
                pause = self._pause(failures)
                facts = {"resource": self._resource.plural, "namespace": scope or "*", "error": str(error)}
                log.warning("Lost the API server, will list again.", extra={**facts, "pause": pause})
            finally:
                self._connected.discard(scope)
            await asyncio.sleep(pause)

    def _pause(self, failures: int) -> float:
        """Return a random pause below a limit that doubles with each failure."""
        limit = min(self._settings.first_pause * 2.0 ** min(failures - 1, 60), self._settings.longest_pause)
        return limit * self._rng.uniform(0.5, 1)

    async def _list(self, scope: str) -> None:
        """Replace what is known of a scope by a fresh list."""
        try:
            listed, version = await self._fetch(scope, self._settings.page)
        except Gone:
            # The list took so long that its continue token expired. It would again, so take all in one
            # answer.
            listed, version = await self._fetch(scope, 0)
        before = self._cache.position(scope)
        if before is not None and version < before:
            facts = {"resource": self._resource.plural, "listed": version, "known": before}
            log.warning("The API server went back in time; its list replaces the cache.", extra=facts)
        self._cache.replace(scope, listed, version)
        self.lists += 1
        if all(self._cache.position(each) is not None for each in self._scopes):
            if self._on_relist is not None:
                self._on_relist(dict(self._cache.items()))
            self._synced.set()

    async def _fetch(self, scope: str, limit: int) -> tuple[dict[ObjectKey, Entry[T]], int]:
        """Read all pages of a consistent list, projecting each page before the next one is asked for."""
        listed: dict[ObjectKey, Entry[T]] = {}
        token = ""
        while True:
            page = await self._kube.list_page(
                self._resource, scope, limit=limit, continue_token=token, selectors=self._selectors
            )
            listed.update(self._cache.prepare(page.items))
            token = page.continue_token
            if not token:
                return listed, int(page.resource_version)

    async def _watch(self, scope: str) -> None:
        """Apply one watch to the cache. Returns only if the next one may resume where it ended."""
        timeout = int(self._settings.watch_timeout * self._rng.uniform(1, 1.5))
        began = time.monotonic()
        async with self._kube.watch(
            self._resource,
            scope,
            resource_version=str(self._cache.position(scope)),
            timeout=timeout,
            silence=self._settings.silence,
            selectors=self._selectors,
        ) as batches:
            async for events in batches:
                self.events += len(events)
                for event in events:
                    self._cache.apply(scope, event.type, event.object)
        lasted = time.monotonic() - began
        if not timeout <= lasted <= timeout + _LATE:
            path = self._resource.path(scope)
            raise Unreachable(path, f"the watch of {timeout} s ended after {lasted:.1f} s")
