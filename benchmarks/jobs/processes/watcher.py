"""Whoever waits for the jobs of a load, in a process of its own: notes when it first sees each of them Complete.

    python -m benchmarks.jobs.processes.watcher '<a Watching as JSON>'

It is ready when its watch is open. A job that ends in another way fails the load. When the API server closes the watch
(it drops watchers that are too slow), everything is listed anew, and what is Complete by then counts from then.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterable
from pathlib import Path

from benchmarks.jobs.manifests import JOBS, Json
from benchmarks.jobs.processes.orders import PATIENT, JobFailed, Watching, obey, say
from fluid_operator.kube.client import Kube, connect
from fluid_operator.kube.errors import Gone, Unreachable
from fluid_operator.kube.keys import FLUID_JOBS

_WATCH_SECONDS = 3600


class Watcher:
    """Carries out one order."""

    def __init__(self, order: Watching) -> None:
        self._order = order
        self._resource = JOBS if order.side == "native" else FLUID_JOBS
        self._seen: dict[str, int] = {}
        self._indexes = 0

    @property
    def progress(self) -> int:
        """Jobs that are Complete; of a single job, its indexes."""
        return self._indexes if self._order.count == 1 else len(self._seen)

    async def run(self) -> dict[str, int]:
        """When each job was first seen Complete, by name."""
        async with connect(Path(self._order.kubeconfig), settings=PATIENT) as kube:
            while not self._done:
                try:
                    await self._watch(kube, await self._list(kube))
                except (Gone, Unreachable) as error:
                    print(f"the watch was lost, listing anew: {error}", file=sys.stderr)
        return self._seen

    @property
    def _done(self) -> bool:
        return len(self._seen) >= self._order.count

    async def _list(self, kube: Kube) -> str:
        """Look at everything there is; returns the version from which to watch on."""
        page = await kube.list_page(self._resource, self._order.namespace, limit=0)
        self._look(page.items)
        return page.resource_version

    async def _watch(self, kube: Kube, version: str) -> None:
        """Follow changes until all are Complete, or the watch ends."""
        watch = kube.watch(
            self._resource,
            self._order.namespace,
            resource_version=version,
            timeout=_WATCH_SECONDS,
            silence=_WATCH_SECONDS,
        )
        async with watch as batches:
            say(ready=True)
            while not self._done and (events := await anext(batches, None)) is not None:
                self._look(event.object for event in events if event.type in ("ADDED", "MODIFIED"))

    def _look(self, objects: Iterable[Json]) -> None:
        for found in objects:
            name = found["metadata"]["name"]
            if not name.startswith(f"{self._order.prefix}-") or name in self._seen:
                continue
            status = found.get("status", {})
            self._indexes = status.get("succeeded", 0)
            conditions = {each["type"]: each for each in status.get("conditions", ()) if each["status"] == "True"}
            if "Failed" in conditions:
                raise JobFailed(f"{name} failed: {conditions['Failed'].get('message')}")
            if "Complete" in conditions:
                self._seen[name] = time.monotonic_ns()


if __name__ == "__main__":
    watcher = Watcher(Watching(**json.loads(sys.argv[1])))
    obey(watcher.run(), lambda: watcher.progress)
