"""How the pools of workers are doing, from their Deployments as the API server has them. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from fluid_operator.api.fluidenvironment import FluidEnvironmentSpec
from fluid_operator.api.pools import WorkerPool
from fluid_operator.environments.children import ChildKey
from fluid_operator.environments.rendering import naming
from fluid_operator.environments.scaling import Bounds


@dataclass(frozen=True, slots=True)
class PoolState:
    """One pool. `replicas`: workers that there should be now; `least`: how many of them the spec calls the minimum.

    `refused`: why the cluster does not let the Deployment have its pods, such as a quota. `rolling`: some workers are
    not as the spec has them, or not ready yet; `hangs`: for longer than the Deployment's progressDeadlineSeconds.
    """

    name: str
    replicas: int = 0
    ready: int = 0
    updated: int = 0
    least: int = 1
    refused: str = ""
    rolling: bool = False
    hangs: bool = False

    @property
    def stuck(self) -> bool:
        """Whether the rollout does not come to its end. Workers beyond the minimum that a quota refuses are not part of
        it."""
        surplus = bool(self.refused) and min(self.ready, self.updated) >= self.least
        return self.hangs and not surplus

    @property
    def missing(self) -> int:
        """Workers that are not ready, of the minimum."""
        return max(0, min(self.least, self.replicas) - self.ready)


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
    least = Bounds.of(pool).least
    if deployment is None:
        # Not made yet: the minimum is what there should be.
        return PoolState(pool.name, replicas=least, least=least)
    status = deployment.get("status") or {}
    # Before its controller has looked, the status speaks of the Deployment as it was.
    current = status.get("observedGeneration") == deployment["metadata"].get("generation")
    # Without the field a Deployment has one pod.
    replicas = deployment["spec"].get("replicas", 1)
    updated = status.get("updatedReplicas", 0) if current else 0
    conditions = {(each.get("type"), each.get("status")): each for each in status.get("conditions") or ()}
    return PoolState(
        pool.name,
        replicas=replicas,
        ready=status.get("readyReplicas", 0),
        updated=updated,
        least=least,
        refused=str(conditions.get(("ReplicaFailure", "True"), {}).get("message", "")),
        # The rule of kstatus and `kubectl rollout status`.
        rolling=updated < replicas
        or status.get("replicas", 0) > updated
        or status.get("availableReplicas", 0) < updated,
        hangs=current and conditions.get(("Progressing", "False"), {}).get("reason") == "ProgressDeadlineExceeded",
    )
