"""How the pools of workers are doing, from their Deployments as the API server has them. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from fluid_operator.api.fluidenvironment import FluidEnvironmentSpec
from fluid_operator.api.pools import WorkerPool
from fluid_operator.environments.children import ChildKey
from fluid_operator.environments.rendering import naming


@dataclass(frozen=True, slots=True)
class PoolState:
    """One pool. `replicas`: workers that there should be now; `least`: how many of them the spec calls the minimum.

    `refused`: why the cluster does not let the Deployment have its pods, such as a quota.
    """

    name: str
    replicas: int = 0
    ready: int = 0
    updated: int = 0
    least: int = 1
    refused: str = ""

    @property
    def missing(self) -> int:
        """Workers that are not ready, of the minimum."""
        return max(0, min(self.least, self.replicas) - self.ready)


def least_of(pool: WorkerPool) -> int:
    """The smallest number of workers that the spec wants."""
    return 1 if pool.min_replicas is None else pool.min_replicas


def pool_states(
    environment: str, spec: FluidEnvironmentSpec, live: Mapping[ChildKey, Mapping[str, Any]]
) -> list[PoolState]:
    """The pools of the spec, in its order; one whose Deployment does not exist yet has no workers."""
    return [_state(pool, live.get(deployment_key(environment, pool.name))) for pool in spec.workers or ()]


def deployment_key(environment: str, pool: str) -> ChildKey:
    """The Deployment of a pool."""
    return ChildKey("Deployment", naming.pool_name(environment, pool))


def told(states: Sequence[PoolState]) -> str:
    """For the column of `kubectl get`: ready workers, and how many there should be."""
    return f"{sum(state.ready for state in states)}/{sum(state.replicas for state in states)}"


def _state(pool: WorkerPool, deployment: Mapping[str, Any] | None) -> PoolState:
    least = least_of(pool)
    if deployment is None:
        # Not made yet: the minimum is what there should be.
        return PoolState(pool.name, replicas=least, least=least)
    status = deployment.get("status") or {}
    # Before its controller has looked, the status speaks of the Deployment as it was.
    current = status.get("observedGeneration") == deployment["metadata"].get("generation")
    return PoolState(
        pool.name,
        # Without the field a Deployment has one pod.
        replicas=deployment["spec"].get("replicas", 1),
        ready=status.get("readyReplicas", 0),
        updated=status.get("updatedReplicas", 0) if current else 0,
        least=least,
        refused=_refused(status.get("conditions") or ()),
    )


def _refused(conditions: Sequence[Mapping[str, Any]]) -> str:
    return next(
        (
            str(each.get("message", ""))
            for each in conditions
            if (each.get("type"), each.get("status")) == ("ReplicaFailure", "True")
        ),
        "",
    )
