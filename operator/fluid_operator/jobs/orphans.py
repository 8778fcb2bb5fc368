"""Jobs in the queue whose object is gone, or whose run is over: found, remembered under the object's name, and stopped.

A re-created object waits until the job of its predecessor has stopped, because both would do the same work.
"""

from __future__ import annotations

from dataclasses import dataclass

from fluid_operator.environments.link import EnvironmentLink
from fluid_operator.environments.registry import EnvironmentRegistry
from fluid_operator.kube.keys import ObjectKey
from fluid_queue import QueueUnavailable


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

    async def stop(self, key: ObjectKey) -> bool:
        """Stop what is left under this name; whether all of it has stopped. What cannot be reached now is left to the
        resync that follows when it can: it must not hold up others."""
        orphans = self._by_key.get(key)
        if not orphans:
            return True
        for orphan in list(orphans.values()):
            if await self._stop(key.namespace, orphan):
                orphans.pop(orphan.job_id, None)
                self._keys.pop(orphan.uid, None)
        if orphans:
            return False
        self._by_key.pop(key, None)
        return True

    async def _stop(self, namespace: str, orphan: Orphan) -> bool:
        stopped = True
        for link in self._registry:
            if link.key.namespace == namespace and orphan.environment in ("", link.key.name) and link.available:
                stopped = await self._stop_in(link, orphan) and stopped
        return stopped

    async def _stop_in(self, link: EnvironmentLink, orphan: Orphan) -> bool:
        try:
            code = await link.cancel(orphan.job_id)
            if code == "stopping":
                return False
            if code != "gone":
                await link.acknowledge(orphan.job_id)
        except QueueUnavailable:
            # It has just gone away. A named environment is waited for, as whoever re-created the object needs it too.
            return orphan.environment == ""
        return True
