"""Wakes an environment as soon as one of its children changes, so that drift is put right at once.

A hint and no more: nothing that is read here is kept, and whoever is woken looks at everything anew. What a hint misses
is found by the look that each environment gets every few seconds anyway, so trouble here costs seconds and never
correctness.

A watch without a resourceVersion begins with everything that exists, as if it had just been added. So one request opens
it and, after a gap, wakes all whom the gap may have cost an event; there is no list, no position to lose and no cache.
Secrets and ConfigMaps are not watched: that would take the right to read those of everybody in the namespace.
"""

import asyncio
import logging
import random
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final

from fluid_operator.environments.rendering.kinds import LISTED
from fluid_operator.environments.rendering.naming import ENVIRONMENT_LABEL, MANAGER, MANAGER_LABEL
from fluid_operator.kube.client import Kube
from fluid_operator.kube.errors import Forbidden, KubeError, NotFound
from fluid_operator.kube.keys import ObjectKey, Resource
from fluid_operator.kube.streams import Event

log = logging.getLogger(__name__)

_CHILDREN: Final = {"labelSelector": f"{MANAGER_LABEL}={MANAGER},{ENVIRONMENT_LABEL}"}


@dataclass(frozen=True, slots=True)
class WatchSettings:
    """How patient the watches are. Times in seconds."""

    timeout: int = 600
    """Length of a watch; each is stretched by up to a half at random, so that they do not end in step. Long, because a
    new one wakes everybody; a peer that vanished is noticed by the probes of the connection."""
    silence: float = 960.0
    """A watch without a byte for so long is dead: longer than the longest watch."""
    gather: float = 0.1
    """After events were handed on, more are let pile up for so long: a rollout sends a dozen for each pod."""
    first_pause: float = 0.2
    """After the first failure; doubled with each further one."""
    longest_pause: float = 30.0
    """Between two tries while the API server is in trouble. A watch that lived longer than this was healthy."""
    refused_pause: float = 60.0
    """Where the right is missing: somebody has to grant it, and the looks go on meanwhile."""


class ChildWatches:
    """Watches the children of environments in some namespaces. One instance a term; create it inside the loop."""

    def __init__(
        self,
        kube: Kube,
        wake: Callable[[ObjectKey], None],
        *,
        settings: WatchSettings | None = None,
        rng: random.Random | None = None,
    ) -> None:
        """`wake` gets the key of the environment whose child changed; it runs inside the loop, so keep it short."""
        self._kube = kube
        self._wake = wake
        self._settings = settings or WatchSettings()
        self._rng = rng or random.Random()
        self._followed: dict[str, list[asyncio.Task[None]]] = {}
        self._open: dict[str, set[str]] = {}
        """Kinds whose watch is open, by namespace."""
        self._group: asyncio.TaskGroup | None = None

    @property
    def namespaces(self) -> frozenset[str]:
        """Those that are followed."""
        return frozenset(self._followed)

    def complete(self, namespace: str) -> bool:
        """Whether every watch of this namespace is open, so that no change of a child can go unnoticed. What happened
        before one was opened is told when it is."""
        return len(self._open.get(namespace, ())) == len(LISTED)

    def follow(self, namespace: str) -> None:
        """Watch the children in this namespace, from now on or from the start of `run` on. Again is no harm."""
        if namespace not in self._followed:
            self._followed[namespace] = self._start(namespace)

    def unfollow(self, namespace: str) -> None:
        """Watch this namespace no more. Again is no harm."""
        for task in self._followed.pop(namespace, ()):
            task.cancel()
        self._open.pop(namespace, None)

    async def run(self) -> None:
        """Watch until cancelled. Raises only what `wake` raised, in an ExceptionGroup."""
        async with asyncio.TaskGroup() as group:
            self._group = group
            try:
                for namespace in self._followed:
                    self._followed[namespace] = self._start(namespace)
                await asyncio.Event().wait()
            finally:
                self._group = None

    def _start(self, namespace: str) -> list[asyncio.Task[None]]:
        """Begin with every kind, if the time has come."""
        if self._group is None:
            return []
        return [
            self._group.create_task(self._follow(each, namespace), name=f"watch {each.plural} {namespace}")
            for each in LISTED
        ]

    async def _follow(self, resource: Resource, namespace: str) -> None:
        """Watch one kind for ever, pausing after failures."""
        failures = 0
        told = False
        while True:
            began = time.monotonic()
            error: KubeError | None = None
            try:
                await self._watch(resource, namespace)
            except KubeError as caught:
                error = caught
            refused = isinstance(error, Forbidden | NotFound)
            if error is not None and not (refused and told):
                facts = {"resource": resource.plural, "namespace": namespace, "error": str(error)}
                log.warning("Parts of environments cannot be watched, will try again.", extra={"fields": facts})
            told = refused
            healthy = time.monotonic() - began > self._settings.longest_pause
            failures = 1 if healthy else failures + 1
            await asyncio.sleep(self._pause(failures, refused=refused))

    def _pause(self, failures: int, *, refused: bool) -> float:
        """Return a random pause below a limit that doubles with each failure."""
        limit = min(self._settings.first_pause * 2.0 ** min(failures - 1, 60), self._settings.longest_pause)
        if refused:
            limit = self._settings.refused_pause
        return limit * self._rng.uniform(0.5, 1)

    async def _watch(self, resource: Resource, namespace: str) -> None:
        """Hand on what one watch tells, until it ends."""
        async with self._kube.watch(
            resource,
            namespace,
            resource_version="",
            timeout=int(self._settings.timeout * self._rng.uniform(1, 1.5)),
            silence=self._settings.silence,
            selectors=_CHILDREN,
        ) as batches:
            opened = self._open.setdefault(namespace, set())
            opened.add(resource.plural)
            try:
                async for events in batches:
                    for key in _environments(namespace, events):
                        self._wake(key)
                    await asyncio.sleep(self._settings.gather)
            finally:
                opened.discard(resource.plural)


def _environments(namespace: str, events: Iterable[Event]) -> set[ObjectKey]:
    """The environments whose children these events are about. A child that lost its labels is told of as deleted, with
    the labels that it had."""
    return {
        ObjectKey(namespace, event.object["metadata"]["labels"][ENVIRONMENT_LABEL])
        for event in events
        if event.type != "BOOKMARK"
    }
