"""Jobs in the queue whose object is gone, or whose run is over: found, remembered under the object's name, and stopped.

A re-created object waits until the job of its predecessor has stopped, because both would do the same work.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from fluid_operator.environments.link import EnvironmentLink
from fluid_operator.environments.registry import EnvironmentRegistry
from fluid_operator.kube.keys import ObjectKey
from fluid_queue import QueueUnavailable

Stop = Literal["stopped", "stopping", "away"]
"""What became of an orphan: it runs no more, its worker was asked to stop, or its environment cannot be asked."""


@dataclass(frozen=True, slots=True)
class Orphan:
    """`environment` is the name of the one that the job is in; empty when the object did not tell it any more."""

    job_id: str
    uid: str
    environment: str


class Orphans:
    """By the key of the object that each belonged to."""

    def __init__(self, registry: EnvironmentRegistry) -> None:
        self._registry = registry
        self._by_key: dict[ObjectKey, dict[str, Orphan]] = {}
        self._keys: dict[str, ObjectKey] = {}

    def add(self, key: ObjectKey, orphan: Orphan) -> None:
        """This job is to be stopped."""
        self._by_key.setdefault(key, {})[orphan.job_id] = orphan
        self._keys[orphan.uid] = key

    def key_of(self, uid: str) -> ObjectKey | None:
        """The name that an object with orphaned jobs had."""
        return self._keys.get(uid)

    def keys(self, namespace: str) -> list[ObjectKey]:
        """The names in a namespace under which something is left."""
        return [key for key in self._by_key if key.namespace == namespace]

    async def stop(self, key: ObjectKey) -> bool:
        """Stop what is left under this name; whether nothing of it is known to run any more. What cannot be asked now
        holds up nobody, and is stopped when it can, before anything else happens under its name."""
        orphans = self._by_key.get(key, {})
        done = True
        for orphan in list(orphans.values()):
            state = await self._stop(key.namespace, orphan)
            if state == "stopped":
                self._drop(orphans, orphan)
            done = done and state != "stopping"
        if not orphans:
            self._by_key.pop(key, None)
        return done

    def _drop(self, orphans: dict[str, Orphan], orphan: Orphan) -> None:
        orphans.pop(orphan.job_id, None)
        if all(other.uid != orphan.uid for other in orphans.values()):
            self._keys.pop(orphan.uid, None)

    async def _stop(self, namespace: str, orphan: Orphan) -> Stop:
        if orphan.environment:
            link = self._registry.get(ObjectKey(namespace, orphan.environment))
            if link is None and orphan.environment not in self._registry.names(namespace):
                return "stopped"
            return await _stop_in(link, orphan) if link and link.available else "away"
        # It may be anywhere. Whoever cannot be asked now looks for such jobs when it can, in its resync.
        links = [link for link in self._registry if link.key.namespace == namespace and link.available]
        answers = [await _stop_in(link, orphan) for link in links]
        return "stopping" if "stopping" in answers else "away" if "away" in answers else "stopped"


async def _stop_in(link: EnvironmentLink, orphan: Orphan) -> Stop:
    try:
        code = await link.cancel(orphan.job_id)
        if code == "stopping":
            return "stopping"
        if code != "gone":
            await link.acknowledge(orphan.job_id)
    except QueueUnavailable:
        return "away"
    return "stopped"
