"""One look at one FluidEnvironment: its objects, its link to Redis and its status become what they should be.

Level, not edge: each look reads the object and its Secrets anew, whatever woke it. What takes several steps (a rotation
of passwords, a move to another Redis, a StatefulSet that is made anew) advances by one step a look, and where it stands
can be read from the cluster.
"""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from fluid_operator.api.conditions import Reason
from fluid_operator.api.errors import InvalidSpec
from fluid_operator.api.fluidenvironment import FluidEnvironmentSpec
from fluid_operator.api.meta import REQUEST_ANNOTATION, parse
from fluid_operator.environments import departing, discovery
from fluid_operator.environments.checkup import Checkups
from fluid_operator.environments.children import Owner
from fluid_operator.environments.configuration import settings_of
from fluid_operator.environments.errors import UnusableSource
from fluid_operator.environments.link import EnvironmentLink
from fluid_operator.environments.moving import Move, Moves, same_place
from fluid_operator.environments.pods import trouble_of
from fluid_operator.environments.pools import PoolState, pool_states
from fluid_operator.environments.refusals import ChildProblem, Trouble, problem_of_kind
from fluid_operator.environments.registry import EnvironmentRegistry
from fluid_operator.environments.rendering import naming
from fluid_operator.environments.rendering.redis import service_host
from fluid_operator.environments.requests import Pauses, carry_out, rotation
from fluid_operator.environments.sizing import Sizing, follows_work
from fluid_operator.environments.sources import InForce, Sources, address_in_force, read_sources
from fluid_operator.environments.status import Problem, Seen, Workers
from fluid_operator.environments.upkeep import LOOK_SECONDS, Kept, Plan, Upkeep, operator_address
from fluid_operator.kube.client import Json, Kube
from fluid_operator.kube.errors import ApiError, Forbidden
from fluid_operator.kube.keys import ObjectKey
from fluid_queue import Settings, Stats

REST_SECONDS: Final = 10.0
"""Between two looks at an environment of which only the address is ours to follow."""
SOON_SECONDS: Final = 2.0
"""While something is wrong, or on its way: whoever repairs it waits for the answer. Also how soon a pool grows."""

_PATIENCE_SECONDS: Final = 1.0
"""For the answer of a Redis. One that swallows packets must not hold up the looks at all others."""

_REASONS: Final[Mapping[Trouble, Reason]] = {
    Trouble.FORBIDDEN: Reason.ACCESS_DENIED,
    Trouble.INVALID: Reason.REFUSED,
    Trouble.NAME_TAKEN: Reason.NAME_TAKEN,
    Trouble.BEING_DELETED: Reason.APPLYING,
    Trouble.BEING_REPLACED: Reason.APPLYING,
    Trouble.CHANGED_MEANWHILE: Reason.APPLYING,
    Trouble.NOT_NOW: Reason.APPLYING,
}


@dataclass(frozen=True, slots=True)
class Target:
    """What one look is about: the object as it was read, its spec, and what the spec refers to."""

    key: ObjectKey
    raw: Json
    spec: FluidEnvironmentSpec
    settings: Settings
    sources: Sources

    @property
    def uid(self) -> str:
        return str(self.raw["metadata"]["uid"])

    @property
    def owner(self) -> Owner:
        return Owner(*self.key, self.uid)

    @property
    def prefix(self) -> str:
        return prefix_of(self.key, self.spec)

    @property
    def managed_address(self) -> str:
        """Where the environment's own Redis is, or would be; without users."""
        return f"redis://{service_host(*self.key)}"


@dataclass(frozen=True, slots=True)
class Looked:
    """What a look found, and in how many seconds the next one is due."""

    seen: Seen
    again: float
    rotated: bool = False


class EnvironmentReconciler:
    """Of all environments, in one term. `kube` must refuse writes of those who do not lead."""

    def __init__(
        self,
        kube: Kube,
        registry: EnvironmentRegistry,
        upkeep: Upkeep,
        sizing: Sizing,
        *,
        answers: bool = True,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Without `answers` only the links are kept: everything else is done by the operator whose environments these
        are."""
        self._kube = kube
        self._registry = registry
        self._upkeep = upkeep
        self._sizing = sizing
        self._moves = Moves(clock)
        self._checkups = Checkups(clock)
        self._answers = answers
        self._clock = clock
        self._counted: dict[ObjectKey, float] = {}
        self._checking: dict[EnvironmentLink, asyncio.Task[None]] = {}
        self._offered: dict[ObjectKey, InForce] = {}
        """Addresses that workers are to have, until the Secret with them has been read back."""

    async def aclose(self) -> None:
        """The term is over."""
        checking = list(self._checking.values())
        for task in checking:
            task.cancel()
        await asyncio.gather(*checking, return_exceptions=True)

    def forget(self, key: ObjectKey) -> None:
        """The environment is gone: what its workers still finish is written, then nothing is left of it here."""
        self._upkeep.forget(key)
        self._sizing.forget(key)
        self._moves.forget(key)
        self._checkups.forget(key)
        self._counted.pop(key, None)
        self._offered.pop(key, None)
        self._registry.leave(key)

    async def look(self, key: ObjectKey, raw: Json) -> Looked:
        """Bring one environment a step on. Raises KubeError when the API server is in trouble."""
        base = Seen(raw["metadata"]["generation"], pauses=pauses_of(raw))
        link = self._link(key, raw)
        try:
            spec = parse(FluidEnvironmentSpec, raw["spec"])
            settings = settings_of(spec, base.pauses.queues)
        except InvalidSpec as error:
            return _stuck(base, _invalid(error), link)
        base = replace(base, key_prefix=prefix_of(key, spec))
        try:
            target = Target(key, raw, spec, settings, await read_sources(self._kube, key.namespace, spec))
        except UnusableSource as error:
            # A link that is open stays so: a Secret that is being replaced must not stop the jobs.
            if link is not None and self._answers:
                link.configure(spec, settings)
            return _stuck(base, error.problem, link)
        return await (self._reconcile if self._answers else self._follow)(target, base, link)

    def _link(self, key: ObjectKey, raw: Json) -> EnvironmentLink | None:
        """The open link of this very object; that of one before it under its name is none of its business."""
        link = self._registry.get(key)
        return link if link is not None and link.uid == raw["metadata"]["uid"] else None

    async def _follow(self, target: Target, base: Seen, link: EnvironmentLink | None) -> Looked:
        """Keep the link of an environment that another operator looks after, by the rules that it goes by as well."""
        noted = await self._noted(target)
        wanted = target.sources.url or (noted.url if noted else None)
        if wanted is None:
            return _stuck(base, Problem(Reason.REDIS_UNAVAILABLE, "Redis has no users yet."), None)
        if noted is not None and noted.url == wanted:
            move = Move(wanted)  # the other one has accepted it, and its workers are on their way there
        else:
            move = await self._settle(target, wanted, noted, link)
        if link is not None and move.problem is None and not same_place(link.queue.url, wanted):
            await departing.hold_back(link)
        link = await self._open(target, move.url, None)
        link.hold(move.hold)
        if not link.available:
            return _stuck(base, _away(link), None)
        return Looked(base, SOON_SECONDS if move.problem else REST_SECONDS)

    async def _reconcile(self, target: Target, base: Seen, link: EnvironmentLink | None) -> Looked:
        at_home = link is not None and same_place(link.queue.url, target.managed_address)
        noted = None if at_home else await self._noted(target)
        kept, broken = await self._keep(target, noted, link)
        move = await self._move(target, noted, link, kept)
        if move is None:
            return self._without_redis(target, base, kept, broken)
        link = await self._open(target, move.url, target.settings)
        link.hold(move.hold)
        stats = await link.stats() if link.available else None
        refused: list[ChildProblem] = []
        if stats is None or kept is None:
            self._sizing.unknown(target.key)
        else:
            refused = await self._sizing.fit(target.owner, target.spec, stats, link, kept.outcome.live)
        told = (move.problem, broken, _of_children(kept), *map(_of_child, refused), _unscaled(kept))
        others = [problem for problem in told if problem]
        seen = replace(
            base,
            problem=None if link.available else await self._trouble(target, link),
            others=others,
            workers=None if broken else await self._workers(target, link, kept),
            under_way=await self._under_way(target, kept),
            children=None if broken else len(kept.outcome.live) if kept else 0,
            flaws=await self._checkups.flaws(target.key, link, stats) if link.available else None,
            waiting=self._waiting(target, stats),
        )
        return Looked(seen, self._next(target, seen, kept), rotated=bool(kept and kept.rotated))

    def _without_redis(self, target: Target, base: Seen, kept: Kept | None, broken: Problem | None) -> Looked:
        """The managed Redis cannot even be asked for: its Secret could not be written."""
        problem = broken or _of_children(kept) or Problem(Reason.APPLYING, "Redis is being set up.")
        if kept is not None:
            workers = Workers(tuple(pool_states(target.key.name, target.spec, kept.outcome.live)))
            base = replace(base, workers=workers, children=len(kept.outcome.live))
        return _stuck(base, problem, None)

    async def _noted(self, target: Target) -> InForce | None:
        """The address that the workers of the cluster have, where the operator keeps any."""
        return await address_in_force(self._kube, target.owner) if _has_children(target) else None

    # -- children -----------------------------------------------------------------------------------------------------

    async def _keep(
        self, target: Target, noted: InForce | None, link: EnvironmentLink | None
    ) -> tuple[Kept | None, Problem | None]:
        """Bring the children in line; nothing where there are none to be.

        What stands in the way of that is told and stops nothing else: a typo in one pool must not keep `suspend` from
        reaching the others.
        """
        if not _has_children(target):
            return None, None
        try:
            return await self._upkeep.keep(self._plan(target, noted, link)), None
        except InvalidSpec as error:
            return None, _invalid(error)
        except Forbidden as error:
            return None, _of_child(problem_of_kind(error, "Secret", target.key.namespace, verb="read"))
        except ApiError as error:
            message = f"The API server could not tell what there is, and is asked again: {error.message}"
            return None, Problem(Reason.APPLYING, message)

    def _plan(self, target: Target, noted: InForce | None, link: EnvironmentLink | None) -> Plan:
        spec = target.spec
        in_force = _holds(noted, link) or target.sources.url
        at_home = in_force is None or same_place(in_force, target.managed_address)
        address = None if at_home or not spec.workers else in_force
        return Plan(
            target.key,
            target.uid,
            spec,
            address=address,
            address_version=self._version(target.key, address, noted) if address else "",
            keeps_redis=spec.redis.managed is None and at_home,
            texts=target.sources.texts,
            rotation=rotation(_request(target.raw)),
            link_url=link.queue.url if link else None,
        )

    def _version(self, key: ObjectKey, address: str, noted: InForce | None) -> str:
        """Under which version workers know this address: random, as anybody may read it, and kept in the Secret beside
        it, so that pods begin anew for another address and for no other reason."""
        if noted is None or noted.url != address or not noted.version:
            noted = self._offered.get(key)
        if noted is None or noted.url != address:
            noted = InForce(address, secrets.token_hex(16))
        self._offered[key] = noted
        return noted.version

    async def _move(
        self, target: Target, noted: InForce | None, link: EnvironmentLink | None, kept: Kept | None
    ) -> Move | None:
        """Decide which address holds; None while there is none at all."""
        wanted = target.sources.url
        if wanted is None and kept is not None:
            wanted = operator_address(target.key.name, kept.outcome.live)
        if wanted is None:
            in_force = _holds(noted, link)
            return Move(in_force) if in_force else None

        return await self._settle(target, wanted, noted, link)

    async def _settle(self, target: Target, wanted: str, noted: InForce | None, link: EnvironmentLink | None) -> Move:
        async def same_data(url: str) -> bool | None:
            return await link.same_data(url) if link else None

        before = noted.url if noted else None
        return await self._moves.settle(target.key, wanted, link, before, target.spec.redis.on_change, same_data)

    async def _workers(self, target: Target, link: EnvironmentLink, kept: Kept | None) -> Workers:
        states = pool_states(target.key.name, target.spec, kept.outcome.live if kept else {})
        images = discovery.undiscovered(target.spec, link.known_images)
        return Workers(
            tuple(states),
            await self._short_of(target, states),
            discovery.sentence(target.spec, images),
        )

    async def _short_of(self, target: Target, states: list[PoolState]) -> Problem | None:
        short = [state for state in states if state.missing or state.stuck]
        if not short:
            return None
        told = "; ".join(
            f"pool {state.name} has {state.ready} of {state.least} workers ready"
            if state.missing
            else f"the rollout of pool {state.name} does not come to its end"
            for state in short
        )
        refused = next((state.refused for state in short if state.refused), "")
        why = refused or await self._pod_trouble(target, naming.WORKER)
        return Problem(Reason.WORKERS_NOT_READY, f"{told}{f' ({why})' if why else ''}.")

    async def _under_way(self, target: Target, kept: Kept | None) -> Problem | None:
        """What is changing while everything works."""
        if kept is None:
            return None
        if kept.rotating:
            return Problem(Reason.ROTATING_PASSWORDS, kept.rotating)
        states = pool_states(target.key.name, target.spec, kept.outcome.live)
        rolling = [state for state in states if state.rolling]
        if not rolling:
            return None
        told = "; ".join(f"pool {each.name}, {each.updated} of {each.replicas} done" for each in rolling)
        refused = next((state.refused for state in rolling if state.refused), "")
        why = refused or await self._pod_trouble(target, naming.WORKER)
        message = f"Workers are being replaced or started: {told}{f' ({why})' if why else ''}."
        return Problem(Reason.ROLLING_OUT, message)

    async def _pod_trouble(self, target: Target, component: str) -> str:
        try:
            pods = await self._upkeep.pods(target.key)
        except Forbidden:
            return ""
        return trouble_of(pod for pod in pods if pod["metadata"]["labels"].get(naming.COMPONENT_LABEL) == component)

    # -- Redis --------------------------------------------------------------------------------------------------------

    async def _open(self, target: Target, url: str, settings: Settings | None) -> EnvironmentLink:
        link = await self._registry.put(
            target.key, target.uid, target.spec, url, target.prefix, settings, codec=target.sources.codec
        )
        # One that is known to be away is tried by its own task, and nobody waits for it here.
        if link.available is not False:
            await self._patiently(link)
        return link

    async def _patiently(self, link: EnvironmentLink) -> None:
        """Wait a moment for the link to be checked; what takes longer goes on by itself, since a cancelled command
        costs the connection."""
        task = self._checking.get(link)
        if task is None:
            task = self._checking[link] = asyncio.create_task(link.check())
            task.add_done_callback(lambda done: self._checking.pop(link, None))
        await asyncio.wait([task], timeout=_PATIENCE_SECONDS)
        if task.done():
            task.result()

    async def _trouble(self, target: Target, link: EnvironmentLink) -> Problem:
        problem = _away(link)
        if not same_place(link.queue.url, target.managed_address) or problem.reason is not Reason.REDIS_UNAVAILABLE:
            return problem
        why = await self._pod_trouble(target, naming.REDIS)
        return problem._replace(message=f"{problem.message} Redis is not ready: {why}.") if why else problem

    def _waiting(self, target: Target, stats: Stats | None) -> int | None:
        """The number of waiting jobs, or the last one told while that is fresh.

        The count changes all the time, and our own write of it wakes us: without a pause the two would chase each
        other.
        """
        if stats is None:
            return None
        known, counted = (target.raw.get("status") or {}).get("waiting"), self._counted.get(target.key)
        now = self._clock()
        if known is not None and counted is not None and now - counted < REST_SECONDS:
            return int(known)
        self._counted[target.key] = now
        return sum(queue.waiting for queue in stats.queues)

    def _next(self, target: Target, seen: Seen, kept: Kept | None) -> float:
        unsettled = kept is not None and not kept.settled
        if seen.obstacle or seen.under_way or unsettled or follows_work(target.spec):
            return SOON_SECONDS
        return LOOK_SECONDS if kept is not None else REST_SECONDS


def prefix_of(key: ObjectKey, spec: FluidEnvironmentSpec) -> str:
    """The environment's part of the key space."""
    return spec.redis.key_prefix or f"{key.namespace}.{key.name}"


def pauses_of(raw: Json) -> Pauses:
    """The queues that are paused by request, once the annotation is obeyed."""
    status = raw.get("status") or {}
    request = _request(raw)
    pauses = carry_out(status.get("pausedQueues") or (), status.get("lastHandledRequest", ""), request)
    if rotation(request) and not (raw["spec"].get("redis") or {}).get("managed"):
        return replace(pauses, problem="only the passwords of a managed Redis can be rotated by the operator")
    return pauses


def _request(raw: Mapping[str, Any]) -> str:
    return str((raw["metadata"].get("annotations") or {}).get(REQUEST_ANNOTATION, ""))


def _has_children(target: Target) -> bool:
    """Whether the operator keeps anything for this environment, or has done so until now."""
    told = (target.raw.get("status") or {}).get("childObjects")
    return bool(target.spec.redis.managed or target.spec.workers or told)


def _holds(noted: InForce | None, link: EnvironmentLink | None) -> str | None:
    """The address that is in use; None when there is none yet. One that was never of use is not given to workers
    instead of one that was."""
    if link is not None and (link.available or noted is None):
        return link.queue.url
    return noted.url if noted else None


def _unscaled(kept: Kept | None) -> Problem | None:
    if kept is None or not kept.unscaled:
        return None
    return Problem(Reason.AUTOSCALER_MISSING, kept.unscaled, stalled=True)


def _stuck(base: Seen, problem: Problem, link: EnvironmentLink | None) -> Looked:
    """Nothing could be done; a Redis that is open answers all the same."""
    if link is not None and link.available:
        return Looked(replace(base, others=[problem]), SOON_SECONDS)
    return Looked(replace(base, problem=problem), SOON_SECONDS)


def _invalid(error: InvalidSpec) -> Problem:
    return Problem(Reason.INVALID_SPEC, str(error), stalled=True)


def _of_children(kept: Kept | None) -> Problem | None:
    """What keeps the children from being as they should be, the worst of it."""
    found = kept.problem if kept else None
    return _of_child(found) if found else None


def _of_child(found: ChildProblem) -> Problem:
    return Problem(
        _REASONS[found.trouble], found.message, stalled=found.trouble in (Trouble.INVALID, Trouble.NAME_TAKEN)
    )


def _away(link: EnvironmentLink) -> Problem:
    """Say that Redis was not reached. The problem's text never holds the address."""
    if link.in_use_by == str(link.key):
        message = "An earlier environment of this name still owns the key prefix; it is free within 30 s."
        return Problem(Reason.KEY_PREFIX_IN_USE, message)
    if link.in_use_by:
        return Problem(Reason.KEY_PREFIX_IN_USE, f"{link.problem}.")
    reason = Reason.REDIS_ACCESS_DENIED if link.denied else Reason.REDIS_UNAVAILABLE
    return Problem(reason, f"{link.problem}. The operator goes on trying.")
