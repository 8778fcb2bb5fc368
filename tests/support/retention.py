"""Retention over one namespace, taken step by step, on a real API server."""

import time
from collections.abc import Callable
from typing import Any

from cluster.builders import FluidJobBuilder
from fluid_operator.environments.registry import EnvironmentRegistry
from fluid_operator.jobs.ledger import NAME, Ledger
from fluid_operator.jobs.retention import Retention, RetentionObserver
from fluid_operator.jobs.view import project
from fluid_operator.kube.client import Json, Kube
from fluid_operator.kube.errors import NotFound
from fluid_operator.kube.keys import CONFIG_MAPS, FLUID_JOBS, ObjectKey


class Leading:
    """The leader, always."""

    identity = "test"

    def check(self) -> None:
        pass


class Heard(RetentionObserver):
    """What retention tells, in order."""

    def __init__(self) -> None:
        self.told: list[str] = []

    def deleted(self, why: str) -> None:
        self.told.append(why)

    def postponed(self, obstacle: str) -> None:
        self.told.append(obstacle)


class Clerk:
    """Retention over one namespace, round by round, a year from now."""

    def __init__(self, kube: Kube, namespace: str, *, by: Kube | None = None, **more: Any) -> None:
        """`by`: the client that deletes, where it is another."""
        self.kube = kube
        self.namespace = namespace
        self.now = time.time() + 365 * 86400
        self.heard = Heard()
        by = by or kube
        self.ledger = Ledger(by, clock=lambda: self.now)
        self.retention = Retention(
            by, self.ledger, EnvironmentRegistry(Leading()), observer=self.heard, clock=lambda: self.now, **more
        )

    async def finished(self, *jobs: FluidJobBuilder | Json, phase: str = "Succeeded") -> None:
        """Create jobs that have ended, and let retention know them."""
        for job in jobs:
            made = job if isinstance(job, dict) else job.manifest()
            made["metadata"]["namespace"] = self.namespace
            await self.kube.create(FLUID_JOBS, made)
            key = ObjectKey(self.namespace, made["metadata"]["name"])
            status = {
                "phase": phase,
                "observedGeneration": 1,
                "run": 1,
                "specHash": "v1:a",
                "jobId": "x",
                "completionTime": "2026-11-24T07:00:00.000000Z",
            }
            raw = await self.kube.get(FLUID_JOBS, key)
            status["jobId"] = f"{raw['metadata']['uid']}.1"
            await self.kube.patch(FLUID_JOBS, key, {"status": status}, subresource="status")
            await self.seen(key.name)

    async def seen(self, name: str) -> None:
        """What the watch would tell."""
        key = ObjectKey(self.namespace, name)
        self.retention.changed(key, None, project(await self.kube.get(FLUID_JOBS, key)))

    async def round(self, *, later: float = 0.0) -> list[str]:
        """One round, so many seconds after the last one; what it told."""
        self.now += later
        self.heard.told.clear()
        await self.retention.round()
        return sorted(self.heard.told)

    async def names(self) -> set[str]:
        page = await self.kube.list_page(FLUID_JOBS, self.namespace)
        return {item["metadata"]["name"] for item in page.items}

    async def recorded(self) -> set[str]:
        try:
            found = await self.kube.get(CONFIG_MAPS, ObjectKey(self.namespace, NAME))
        except NotFound:
            return set()
        return set(found.get("data") or {})


class Interrupted(Kube):
    """Something happens just before a FluidJob is deleted."""

    def before_delete(self, happens: Callable[[str], Any]) -> "Interrupted":
        self._happens = happens
        return self

    async def request(self, verb, path, **more):
        if verb == "delete":
            await self._happens(path)
        return await super().request(verb, path, **more)
