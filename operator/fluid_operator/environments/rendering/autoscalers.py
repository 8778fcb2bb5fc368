"""The ScaledObject of a pool whose number KEDA sets.

The operator recommends, KEDA obeys: the trigger reads the metric with the operator's own recommendation, so both
providers scale by the same rules. Only the leader has a value; KEDA asks every replica of the operator, passes over
those that have none, and leaves a pool as it is while nobody has one.
"""

from typing import Any, Final

from fluid_operator.api.pools import WorkerPool
from fluid_operator.environments.rendering import naming
from fluid_operator.environments.rendering.blueprint import Blueprint
from fluid_operator.environments.rendering.kinds import SCALED_OBJECTS
from fluid_operator.environments.rendering.templates import manifest
from fluid_operator.environments.scaling import WANTED_WORKERS, Bounds, by_keda

_FIELD: Final = "autoscaling.provider"


def manifests(blueprint: Blueprint, pool: WorkerPool, metadata: dict[str, Any]) -> list[dict[str, Any]]:
    """The ScaledObject; nothing where KEDA is not asked for, cannot do it (see `problem_of`), or must not."""
    if not _asked(blueprint, pool) or _missing(blueprint):
        return []
    bounds = Bounds.of(pool)
    values = {
        "metadata": metadata,
        "deployment": naming.pool_name(blueprint.name, pool.name),
        "least": bounds.least,
        "most": bounds.most,
        "url": blueprint.metrics_url,
        "selector": _selector(blueprint, pool),
    }
    return [manifest("pool-scaledobject", values)]


def problem_of(blueprint: Blueprint) -> str:
    """Why pools that ask for KEDA are not scaled and what to do, "" when all is well."""
    asked = [pool.name for pool in blueprint.spec.workers or () if _asked(blueprint, pool)]
    missing = _missing(blueprint)
    if not asked or not missing:
        return ""
    fields = ", ".join(f"spec.workers[{name}].{_FIELD}" for name in asked)
    return f"{missing}, or set {fields} to BuiltIn. The number of workers stays as it is."


def _asked(blueprint: Blueprint, pool: WorkerPool) -> bool:
    return by_keda(pool) and pool.name not in blueprint.replicas


def _missing(blueprint: Blueprint) -> str:
    if SCALED_OBJECTS.kind not in blueprint.optional:
        return "The cluster does not know the kind ScaledObject; install KEDA 2.18 or later"
    if not blueprint.metrics_url:
        return "KEDA does not know where the operator's metrics are; set the operator's FLUID_METRICS_SERVICE"
    return ""


def _selector(blueprint: Blueprint, pool: WorkerPool) -> str:
    """The series of this pool. The names are those of objects and labels: none has a quote in it."""
    labels = {"namespace": blueprint.namespace, "environment": blueprint.name, "pool": pool.name}
    return WANTED_WORKERS + "{" + ",".join(f'{name}="{value}"' for name, value in labels.items()) + "}"
