"""Carries out what `scaling` decides: asks Redis for the load, and the API server for other numbers of workers.

The number of workers of an autoscaled pool lives in its Deployment and nowhere else, so a restart loses nothing but the
memory of what would have been enough lately. Where KEDA scales, the recommendation is only told as a metric.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

from fluid_operator.api.fluidenvironment import FluidEnvironmentSpec
from fluid_operator.environments import discovery, events
from fluid_operator.environments.children import ChildKey, Owner
from fluid_operator.environments.link import EnvironmentLink
from fluid_operator.environments.pools import deployment_key
from fluid_operator.environments.refusals import ChildProblem
from fluid_operator.environments.scaling import Bounds, PoolScaler, RunSeconds, autoscaled, load_of, scaled
from fluid_operator.environments.upkeep import Upkeep
from fluid_operator.kube.events import Happening
from fluid_operator.kube.keys import ObjectKey
from fluid_operator.load_metrics import Loads
from fluid_queue import Durations, QueueError, Stats

log = logging.getLogger(__name__)

_DURATIONS_SECONDS: Final = 30.0
"""How long it takes to run a type of job changes slowly, and each queue costs a request."""
_DURATIONS_QUEUES: Final = 20
"""Those with the most waiting jobs."""

Live = Mapping[ChildKey, Mapping[str, Any]]


class Sizing:
    """Of all pools, in one term of leadership."""

    def __init__(
        self,
        upkeep: Upkeep,
        loads: Loads,
        *,
        record: Callable[[Happening], None] = lambda happening: None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._upkeep = upkeep
        self._loads = loads
        self._record = record
        self._clock = clock
        self._scalers: dict[tuple[ObjectKey, str], PoolScaler] = {}
        self._durations: dict[ObjectKey, tuple[float, RunSeconds]] = {}

    def forget(self, key: ObjectKey) -> None:
        """The environment is gone."""
        self._keep_only(key, ())
        self._durations.pop(key, None)
        self._loads.forget(key)

    def unknown(self, key: ObjectKey) -> None:
        """Redis does not answer: the numbers stay as they are, and nobody is told old ones."""
        self._loads.forget(key)

    async def fit(
        self, owner: Owner, spec: FluidEnvironmentSpec, stats: Stats, link: EnvironmentLink, live: Live
    ) -> list[ChildProblem]:
        """Give each autoscaled pool the number of workers that its load wants. Returns what was refused."""
        key = ObjectKey(owner.namespace, owner.name)
        pools = [pool for pool in spec.workers or () if autoscaled(pool)]
        self._keep_only(key, [pool.name for pool in pools])
        durations = await self._run_seconds(key, stats, link) if pools else {}
        asking = discovery.discovery_pools(spec, discovery.undiscovered(spec, link.known_images))
        wanted: dict[str, int] = {}
        problems: list[ChildProblem] = []
        for pool in pools:
            deployment = live.get(deployment_key(owner.name, pool.name))
            if deployment is None:
                continue
            bounds = Bounds.of(pool).at_least(1 if pool.name in asking else 0)
            load = load_of(stats, spec, pool, durations)
            replicas, ready = _present(deployment)
            scaler = self._scalers.setdefault((key, pool.name), PoolScaler())
            decision = scaler.decide(bounds, load, replicas, ready, self._clock())
            wanted[pool.name] = decision.replicas
            if scaled(pool) and decision.replicas != replicas:
                problem = await self._upkeep.scale(owner, pool.name, decision.replicas)
                if problem is not None:
                    problems.append(problem)
                else:
                    self._record(events.scaled(key, owner.uid, f"Pool {pool.name}: {decision.reason}"))
        self._loads.show(key, stats.queues, wanted)
        return problems

    async def _run_seconds(self, key: ObjectKey, stats: Stats, link: EnvironmentLink) -> RunSeconds:
        """How long jobs of the busiest queues run, as of a moment ago."""
        known = self._durations.get(key)
        if known is not None and self._clock() - known[0] < _DURATIONS_SECONDS:
            return known[1]
        busiest = sorted((queue for queue in stats.queues if queue.waiting), key=lambda queue: -queue.waiting)
        found: dict[str, Mapping[str, Durations]] = {}
        try:
            for queue in busiest[:_DURATIONS_QUEUES]:
                found[queue.queue] = await link.queue.durations(queue.queue)
        except QueueError:
            return known[1] if known else {}
        if found:
            self._durations[key] = (self._clock(), found)
        return found

    def _keep_only(self, key: ObjectKey, pools: Iterable[str]) -> None:
        kept = set(pools)
        for name in [name for name in self._scalers if name[0] == key and name[1] not in kept]:
            del self._scalers[name]


def follows_work(spec: FluidEnvironmentSpec) -> bool:
    """Whether any pool is scaled by its load, so that looking soon again is worth it."""
    return any(autoscaled(pool) for pool in spec.workers or ())


def _present(deployment: Mapping[str, Any]) -> tuple[int, int]:
    """Workers that there should be now, and those that are ready."""
    return deployment["spec"].get("replicas", 1), (deployment.get("status") or {}).get("readyReplicas", 0)
