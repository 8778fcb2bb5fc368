"""What the workers of an environment can run, for a replica that may not lead: read when asked, kept for seconds.

A leader's links to Redis follow every change; a standby has none. So this catalogue reads by itself: the
FluidEnvironment and its Secret from the API server, the types from Redis, over a connection that is closed again at
once. It never raises because something is away: `doubt` says then why nothing is known.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from fluid_operator.api.errors import InvalidSpec
from fluid_operator.api.fluidenvironment import FLUID_ENVIRONMENT, FluidEnvironmentSpec
from fluid_operator.api.meta import GROUP, VERSION, parse
from fluid_operator.environments.children import Owner
from fluid_operator.environments.errors import UnusableSource
from fluid_operator.environments.registry import DEFAULT, choose
from fluid_operator.environments.sources import address_in_force, read_address
from fluid_operator.environments.types import KnownType, images_of, read_types
from fluid_operator.kube.client import Kube
from fluid_operator.kube.errors import KubeError, NotFound
from fluid_operator.kube.keys import ObjectKey, Resource
from fluid_queue import Queue, QueueError

log = logging.getLogger(__name__)

_ENVIRONMENTS: Final = Resource(GROUP, VERSION, FLUID_ENVIRONMENT.plural, FLUID_ENVIRONMENT.kind)

_MOST_ENVIRONMENTS = 100
"""Of one namespace; whoever has more names the one that is meant."""


@dataclass(frozen=True, slots=True)
class CatalogueSettings:
    """Times in seconds."""

    lifetime: float = 10.0
    """How long what was read is used again. Nobody is refused by it: see Reviewer."""
    doubt_lifetime: float = 2.0
    """How long not to try again after a failure, so that a dead Redis does not cost each job its time limit."""
    timeout: float = 1.0
    """For one reading, the API server and Redis together."""
    connections: int = 8
    """Readings side by side, and so connections to Redis."""
    entries: int = 1000
    """Environments that are remembered; the one that was asked for longest ago goes first."""


@dataclass(frozen=True, slots=True)
class Knowledge:
    """What is known about one environment. With a `doubt`, a sentence for people, `types` say nothing."""

    environment: str
    types: Mapping[str, KnownType] = field(default_factory=dict)
    doubt: str = ""


class _Unknown(Exception):
    """Reading came to an end early; `doubt` says why."""

    def __init__(self, environment: str, doubt: str) -> None:
        super().__init__(doubt)
        self.environment = environment
        self.doubt = doubt


@dataclass(slots=True)
class _Entry:
    reading: asyncio.Task[Knowledge]
    begun: float


class Catalogue:
    """Environments by namespace and by the name that a job gives, which may be none."""

    def __init__(
        self,
        kube: Kube,
        *,
        settings: CatalogueSettings | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._kube = kube
        self._settings = settings or CatalogueSettings()
        self._clock = clock
        self._slots = asyncio.Semaphore(self._settings.connections)
        self._entries: OrderedDict[tuple[str, str], _Entry] = OrderedDict()

    async def look(self, namespace: str, wanted: str | None, *, max_age: float | None = None) -> Knowledge:
        """What is known about the environment of a job; read anew if that is older than `max_age` seconds (None: as
        the settings say). All who ask at the same time share one reading."""
        key = (namespace, wanted or "")
        entry = self._entries.get(key)
        if entry is None or self._clock() - entry.begun > self._age_limit(entry, max_age):
            reading = asyncio.create_task(self._read(namespace, wanted), name=f"catalogue {namespace}")
            entry = self._entries[key] = _Entry(reading, self._clock())
            self._forget_some()
        self._entries.move_to_end(key)
        # Whoever gives up does not take the reading away from the others.
        return await asyncio.shield(entry.reading)

    async def aclose(self) -> None:
        """Stop reading."""
        readings = [entry.reading for entry in self._entries.values()]
        self._entries.clear()
        for reading in readings:
            reading.cancel()
        await asyncio.gather(*readings, return_exceptions=True)

    def _age_limit(self, entry: _Entry, max_age: float | None) -> float:
        reading = entry.reading
        failed = reading.done() and (reading.cancelled() or reading.exception() or reading.result().doubt)
        return min(
            self._settings.doubt_lifetime if failed else self._settings.lifetime,
            self._settings.lifetime if max_age is None else max_age,
        )

    def _forget_some(self) -> None:
        """Drop what is over the limit, but nothing that somebody waits for: it is done in a moment."""
        surplus = len(self._entries) - self._settings.entries
        for key in [key for key, entry in self._entries.items() if entry.reading.done()][: max(0, surplus)]:
            del self._entries[key]

    # -- reading ------------------------------------------------------------------------------------------------------

    async def _read(self, namespace: str, wanted: str | None) -> Knowledge:
        try:
            async with asyncio.timeout(self._settings.timeout), self._slots:
                owner, spec = await self._environment(namespace, wanted)
                name = owner.name
                try:
                    return Knowledge(name, await self._types(owner, spec))
                except QueueError as error:
                    raise _Unknown(name, f"environment {name}: {error}") from error
        except _Unknown as error:
            return Knowledge(error.environment, doubt=error.doubt)
        except KubeError as error:
            log.warning("An environment could not be read for admission.", extra=_facts(namespace, wanted, error))
            return Knowledge(wanted or "", doubt="the API server did not tell about the environment")
        except TimeoutError:
            return Knowledge(wanted or "", doubt="the environment was not read in time")

    async def _environment(self, namespace: str, wanted: str | None) -> tuple[Owner, FluidEnvironmentSpec]:
        """The environment that a job of this namespace would run in."""
        name = wanted or DEFAULT
        try:
            raw = await self._kube.get(_ENVIRONMENTS, ObjectKey(namespace, name))
        except NotFound as error:
            if wanted:
                raise _Unknown(wanted, f"there is no FluidEnvironment {wanted} in this namespace") from error
            page = await self._kube.list_page(_ENVIRONMENTS, namespace, limit=_MOST_ENVIRONMENTS)
            found = {item["metadata"]["name"]: item for item in page.items}
            chosen = None if page.continue_token else choose(found, None)
            if chosen is None:
                raise _Unknown("", "which FluidEnvironment of this namespace is meant is not clear") from error
            name, raw = chosen, found[chosen]
        try:
            return Owner(namespace, name, raw["metadata"]["uid"]), parse(FluidEnvironmentSpec, raw["spec"])
        except InvalidSpec as error:
            raise _Unknown(name, f"FluidEnvironment {name} is not valid") from error

    async def _types(self, owner: Owner, spec: FluidEnvironmentSpec) -> dict[str, KnownType]:
        address = await self._address(owner, spec)
        prefix = spec.redis.key_prefix or f"{owner.namespace}.{owner.name}"
        told: dict[str, Any] = {}
        async with Queue.from_url(address, prefix, timeout=self._settings.timeout) as queue:
            for image in images_of(spec):
                told |= await queue.types(image)
        return read_types(told)

    async def _address(self, owner: Owner, spec: FluidEnvironmentSpec) -> str:
        try:
            # What the workers have is right also while a change of the spec is not in force yet.
            held = await address_in_force(self._kube, owner) if spec.redis.managed or spec.workers else None
            found = held.url if held else await read_address(self._kube, owner.namespace, spec)
        except UnusableSource as error:
            raise _Unknown(owner.name, f"environment {owner.name}: {error.problem.message}") from error
        if found is None:
            raise _Unknown(owner.name, f"environment {owner.name}: its Redis is not there yet")
        return found


def _facts(namespace: str, wanted: str | None, error: Exception) -> dict[str, Any]:
    return {"fields": {"namespace": namespace, "environment": wanted or DEFAULT, "error": str(error)}}
