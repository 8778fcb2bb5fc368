"""Follow objects as they change: a list, then watches, and a fresh list whenever one has broken.

A short outage is waited out, because somebody who follows a job for an hour will meet one; a long one, and whatever is
no outage (a right that is missing), is raised.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import aclosing
from typing import TYPE_CHECKING, Any, NamedTuple

from fluid_operator.kube.errors import Gone, KubeError
from fluid_operator.kube.keys import ObjectKey, Resource

if TYPE_CHECKING:
    from fluid_operator.kube.client import Kube

_WATCH_SECONDS = 60
_SILENCE_SECONDS = 90.0
_PAUSES = (0.2, 0.5, 1.0, 2.0, 4.0, 8.0, 8.0, 8.0)
"""Before each further try after an outage, in seconds: half a minute in all."""

Json = Mapping[str, Any]


class Change(NamedTuple):
    """An object as it is now, or as it was last when it is `deleted`."""

    object: Json
    deleted: bool = False


class Follower:
    """The objects of one kind under selectors. `on_lost` hears of an outage that is being waited out."""

    def __init__(
        self,
        kube: Kube,
        resource: Resource,
        namespace: str,
        selectors: Mapping[str, str],
        on_lost: Callable[[KubeError], None] = lambda error: None,
    ) -> None:
        self._kube = kube
        self._resource = resource
        self._namespace = namespace
        self._selectors = dict(selectors)
        self._on_lost = on_lost
        self._known: dict[ObjectKey, Json] = {}
        self._version = ""

    async def start(self) -> list[Json]:
        """Every object as it is now."""
        await self._list()
        return list(self._known.values())

    async def changes(self) -> AsyncGenerator[Change]:
        """What changes after `start`, for ever. Close the generator at the end (`aclosing`)."""
        failures = 0
        while True:
            try:
                if failures:
                    for change in await self._list():
                        yield change
                async with aclosing(self._watch()) as changes:
                    async for change in changes:
                        failures = 0
                        yield change
                failures = 0
            except KubeError as error:
                if isinstance(error, Gone) and not failures:
                    failures = 1
                    continue
                if not error.retryable or failures >= len(_PAUSES):
                    raise
                self._on_lost(error)
                await asyncio.sleep(_PAUSES[failures])
                failures += 1

    async def _list(self) -> list[Change]:
        """Read everything anew; what is different from what was known."""
        found: dict[ObjectKey, Json] = {}
        token = ""
        while True:
            page = await self._kube.list_page(
                self._resource, self._namespace, continue_token=token, selectors=self._selectors
            )
            found |= {_key(item): self._named(item) for item in page.items}
            token = page.continue_token
            if not token:
                break
        before, self._known, self._version = self._known, found, page.resource_version
        gone = [Change(raw, deleted=True) for key, raw in before.items() if key not in found]
        return gone + [Change(raw) for key, raw in found.items() if _version(before.get(key)) != _version(raw)]

    async def _watch(self) -> AsyncGenerator[Change]:
        async with self._kube.watch(
            self._resource,
            self._namespace,
            resource_version=self._version,
            timeout=_WATCH_SECONDS,
            silence=_SILENCE_SECONDS,
            selectors=self._selectors,
        ) as batches:
            async for events in batches:
                for event in events:
                    self._version = event.object["metadata"]["resourceVersion"]
                    if event.type == "BOOKMARK":
                        continue
                    if event.type == "DELETED":
                        self._known.pop(_key(event.object), None)
                    else:
                        self._known[_key(event.object)] = event.object
                    yield Change(event.object, event.type == "DELETED")

    def _named(self, item: Json) -> Json:
        """Items of a list do not say what they are; the events of a watch do."""
        return {"apiVersion": self._resource.api_version, "kind": self._resource.kind, **item}


def _key(raw: Json) -> ObjectKey:
    return ObjectKey(raw["metadata"].get("namespace", ""), raw["metadata"]["name"])


def _version(raw: Json | None) -> str:
    return str(raw["metadata"]["resourceVersion"]) if raw else ""
