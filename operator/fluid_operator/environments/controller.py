"""Reconciles FluidEnvironments: opens the link to each one's Redis, and writes into the status how that went.

Level, not edge: each call reads the object and its Secret anew, whatever woke it. An environment is looked at again
every few seconds, because neither a Redis that went away nor a changed Secret sends an event. What a link does with an
open key space is not known here.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final

from fluid_operator.api.conditions import Reason
from fluid_operator.api.errors import InvalidSpec
from fluid_operator.api.fluidenvironment import FLUID_ENVIRONMENT, FluidEnvironmentSpec, FluidEnvironmentStatus
from fluid_operator.api.meta import GROUP, REQUEST_ANNOTATION, VERSION, parse
from fluid_operator.api.not_yet import unsupported_fields
from fluid_operator.api.redis_settings import Redis
from fluid_operator.environments.address import UnusableAddress, address_in
from fluid_operator.environments.configuration import settings_of
from fluid_operator.environments.events import event_of
from fluid_operator.environments.link import EnvironmentLink
from fluid_operator.environments.registry import EnvironmentRegistry
from fluid_operator.environments.requests import Pauses, carry_out
from fluid_operator.environments.status import OWNED, Problem, Seen, fold
from fluid_operator.kube.client import Json, Kube
from fluid_operator.kube.errors import Forbidden, NotFound
from fluid_operator.kube.events import Happening
from fluid_operator.kube.keys import SECRETS, ObjectKey, Resource
from fluid_operator.kube.lease import Leadership
from fluid_operator.kube.workqueue import Again, WorkQueue
from fluid_operator.metrics import Metrics
from fluid_operator.patches import status_changes
from fluid_operator.waking import wake_all_for_ever

log = logging.getLogger(__name__)

FLUID_ENVIRONMENTS: Final = Resource(GROUP, VERSION, FLUID_ENVIRONMENT.plural, FLUID_ENVIRONMENT.kind)

_WORKERS = 8
_LOOK_AGAIN_SECONDS = 10.0
_LOOK_AGAIN_SOON_SECONDS = 2.0
"""While something is wrong: whoever repairs it waits for the answer."""
_STOP_SECONDS = 1.0
"""A reconciliation that is cancelled loses nothing."""


class EnvironmentsController:
    """One term's reconciliation of all FluidEnvironments. Create it inside the loop; `run` must be awaited."""

    def __init__(
        self,
        kube: Kube,
        registry: EnvironmentRegistry,
        leadership: Leadership,
        metrics: Metrics,
        *,
        namespaces: Sequence[str] = (),
        answers: bool = True,
        record: Callable[[Happening], None] = lambda happening: None,
        clock: Callable[[], float] = time.monotonic,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        """Serve these namespaces, or all of them when none is given. `clock` is monotonic, `now` for people.

        Without `answers` the links are opened and kept, and everything else (status, requests, the settings of the
        queues) is left to the operator whose environments these are.
        """
        self._kube = kube
        self._registry = registry
        self._leadership = leadership
        self._metrics = metrics
        self._namespaces = tuple(namespaces)
        self._answers = answers
        self._record = record
        self._clock = clock
        self._now = now
        self._counted: dict[ObjectKey, float] = {}
        self._unseen: set[ObjectKey] | None = None
        """What the first list named and nobody has looked at yet; None before that list."""
        self._queue = WorkQueue(observe=metrics.reconciled("environments"))

    def wake(self, key: ObjectKey) -> None:
        """Have the environment reconciled."""
        self._queue.add(key)

    async def run(self) -> None:
        """Reconcile until cancelled."""
        with self._metrics.readings.queue("environments", self._queue):
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._queue.run(_WORKERS, self.reconcile, grace=_STOP_SECONDS))
                waking = wake_all_for_ever(self._kube, FLUID_ENVIRONMENTS, self._namespaces, self.wake, self._listed)
                tasks.create_task(waking)

    async def reconcile(self, key: ObjectKey) -> Again | None:
        """Make the link and the status of one environment what they should be."""
        try:
            return await self._reconcile(key)
        finally:
            self._saw(key)

    def _listed(self, keys: set[ObjectKey]) -> None:
        for key in keys:
            self._registry.expect(key)
        if self._unseen is None:
            self._unseen = set(keys)
            self._saw(None)

    def _saw(self, key: ObjectKey | None) -> None:
        """One more was looked at, successfully or not: one broken environment must not hold up the jobs of all."""
        if self._unseen is None:
            return
        if key is not None:
            self._unseen.discard(key)
        if not self._unseen:
            self._registry.listed.set()

    async def _reconcile(self, key: ObjectKey) -> Again | None:
        try:
            raw = await self._kube.get(FLUID_ENVIRONMENTS, key)
        except NotFound:
            await self._forget(key)
            return None
        self._registry.expect(key)
        seen = await self._look(key, raw)
        self._metrics.redis_up(key, seen.problem is None)
        if self._answers:
            await self._write(key, raw, seen)
        return Again(_LOOK_AGAIN_SOON_SECONDS if seen.problem else _LOOK_AGAIN_SECONDS)

    async def _forget(self, key: ObjectKey) -> None:
        await self._registry.remove(key)
        self._counted.pop(key, None)
        self._metrics.environment_gone(key)

    async def _look(self, key: ObjectKey, raw: Json) -> Seen:
        """Find the environment's Redis, reach it, and tell what was seen."""
        generation = raw["metadata"]["generation"]
        unsupported = unsupported_fields(FLUID_ENVIRONMENT.kind, raw["spec"])
        pauses = _pauses(raw)
        try:
            spec = parse(FluidEnvironmentSpec, raw["spec"])
            settings = settings_of(spec, pauses.queues)
        except InvalidSpec as error:
            problem = Problem(Reason.INVALID_SPEC, str(error), stalled=True)
            return Seen(generation, problem=problem, unsupported=unsupported, pauses=pauses)
        prefix = spec.redis.key_prefix or f"{key.namespace}.{key.name}"
        try:
            address = await self._address(key, spec.redis)
        except UnusableAddress as error:
            # A link that is open stays so: a Secret that is being replaced must not stop the jobs.
            return Seen(generation, prefix, error.problem, unsupported, pauses=pauses)
        mine = settings if self._answers else None
        link = await self._registry.put(key, raw["metadata"]["uid"], spec, address, prefix, mine)
        await link.check()
        if not link.available:
            return Seen(generation, prefix, _away(link), unsupported, pauses=pauses)
        waiting = await self._waiting(key, link, raw.get("status") or {}) if self._answers else None
        return Seen(generation, prefix, None, unsupported, waiting, pauses)

    async def _address(self, key: ObjectKey, redis: Redis) -> str:
        """Read the address of Redis. Raises UnusableAddress, and KubeError when the API server is in trouble."""
        if redis.external is None:
            await self._registry.close(key)
            message = "The operator runs no Redis yet; name one with spec.redis.external.urlSecretRef."
            raise UnusableAddress(Problem(Reason.NOT_YET_SUPPORTED, message, stalled=True))
        ref = redis.external.url_secret_ref
        try:
            secret = await self._kube.get(SECRETS, ObjectKey(key.namespace, ref.name))
        except NotFound as error:
            message = f"Secret {ref.name} does not exist; create it with the URL of Redis under the key {ref.key}."
            raise UnusableAddress(Problem(Reason.SECRET_NOT_FOUND, message)) from error
        except Forbidden as error:
            message = (
                f"The operator may not read Secret {ref.name}; bind it to the Role fluid-operator-environment "
                f"in namespace {key.namespace}."
            )
            raise UnusableAddress(Problem(Reason.SECRET_ACCESS_DENIED, message)) from error
        return address_in(secret, ref)

    async def _waiting(self, key: ObjectKey, link: EnvironmentLink, status: Mapping[str, Any]) -> int | None:
        """Count the waiting jobs, or repeat the last count while that is fresh.

        The count changes all the time, and our own write of it wakes us: without a pause the two would chase each
        other.
        """
        known, counted = status.get("waiting"), self._counted.get(key)
        now = self._clock()
        if known is not None and counted is not None and now - counted < _LOOK_AGAIN_SECONDS:
            return int(known)
        stats = await link.stats()
        self._counted[key] = now
        return sum(queue.waiting for queue in stats.queues) if stats else None

    async def _write(self, key: ObjectKey, raw: Json, seen: Seen) -> None:
        """Write the status if it changed."""
        before = raw.get("status") or {}
        after = fold(parse(FluidEnvironmentStatus, before, at="status"), seen, self._now())
        changes = status_changes(before, after, OWNED)
        if not changes:
            return
        self._leadership.check()
        meta = raw["metadata"]
        await self._kube.patch_status(
            FLUID_ENVIRONMENTS, key, changes, uid=meta["uid"], resource_version=meta["resourceVersion"]
        )
        if happening := event_of(key, meta["uid"], before, after):
            self._record(happening)
        facts = {"namespace": key.namespace, "name": key.name, "uid": meta["uid"], "ready": seen.problem is None}
        reason = {"reason": seen.problem.reason.value} if seen.problem else {}
        log.info("Wrote the status of an environment.", extra={"fields": facts | reason})


def _pauses(raw: Json) -> Pauses:
    """The queues that are paused by request, once the annotation is obeyed."""
    status = raw.get("status") or {}
    annotation = (raw["metadata"].get("annotations") or {}).get(REQUEST_ANNOTATION, "")
    return carry_out(status.get("pausedQueues") or (), status.get("lastHandledRequest", ""), annotation)


def _away(link: EnvironmentLink) -> Problem:
    """Say that Redis was not reached. The problem's text never holds the address."""
    reason = Reason.REDIS_ACCESS_DENIED if link.denied else Reason.REDIS_UNAVAILABLE
    return Problem(reason, f"{link.problem}. The operator goes on trying.")
