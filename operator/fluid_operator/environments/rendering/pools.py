"""A pool of workers: a Deployment without rights, who may reach it, how many of it may be missing at once, and who sets
its number where KEDA does."""

import hashlib
from collections.abc import Mapping
from typing import Any, Final

from fluid_operator.api.errors import FieldProblem, InvalidSpec
from fluid_operator.api.meta import GROUP, KeyRef, to_wire
from fluid_operator.api.pods import EnvVar
from fluid_operator.api.pools import CONCURRENCY, WorkerPool
from fluid_operator.environments.passwords import CREDENTIALS_ANNOTATION, WORKER_URL
from fluid_operator.environments.rendering import autoscalers, naming
from fluid_operator.environments.rendering.blueprint import Blueprint
from fluid_operator.environments.rendering.templates import manifest
from fluid_operator.environments.scaling import Bounds

SECRETS_ANNOTATION: Final = f"{GROUP}/secrets"
ADDRESS_ANNOTATION: Final = f"{GROUP}/redis-address"
HEALTH_PORT: Final = 8080
_GRACE_SECONDS: Final = 60
_NOT_BY_HAND: Final = ("FLUID_ENCRYPTION_KEYS",)
"""The operator has to read what workers write, so it must have the same keys: spec.encryption gives them to both."""
_MARGIN_SECONDS: Final = 5
"""Between the moment when a worker hands back its jobs and the one when the kubelet kills it."""


def pool_manifests(blueprint: Blueprint, pool: WorkerPool) -> list[dict[str, Any]]:
    """Everything of one pool. Raises InvalidSpec for an environment variable that is the operator's."""
    labels = naming.pool_labels(blueprint.name, pool.name)
    metadata = blueprint.metadata(naming.pool_name(blueprint.name, pool.name), labels)
    shared = {"metadata": metadata, "selector": naming.pool_selector(blueprint.name, pool.name)}
    account = [] if pool.service_account_name else [manifest("pool-serviceaccount", {"metadata": metadata})]
    return [
        *account,
        manifest("pool-networkpolicy", shared | {"port": HEALTH_PORT}),
        manifest("pool-deployment", _deployment(blueprint, pool) | shared | {"labels": labels}),
        manifest("pool-poddisruptionbudget", shared),
        *autoscalers.manifests(blueprint, pool, metadata),
    ]


def monitor_manifest(blueprint: Blueprint) -> dict[str, Any]:
    """The PodMonitor of all pools."""
    labels = naming.workers_labels(blueprint.name)
    values = {
        "metadata": blueprint.metadata(naming.monitor_name(blueprint.name), labels),
        "selector": naming.workers_selector(blueprint.name),
        "pod_labels": [naming.ENVIRONMENT_LABEL, naming.POOL_LABEL],
    }
    return manifest("workers-podmonitor", values)


def fixed_replicas(blueprint: Blueprint, pool: WorkerPool) -> int | None:
    """How many workers the pool runs; None where an autoscaler decides and nobody told us its decision."""
    if pool.name in blueprint.replicas:
        return blueprint.replicas[pool.name]
    bounds = Bounds.of(pool)
    return bounds.least if bounds.most <= bounds.least else None


def first_replicas(blueprint: Blueprint) -> dict[str, int]:
    """How many workers a Deployment begins with whose number is left to an autoscaler, by its name."""
    return {
        naming.pool_name(blueprint.name, pool.name): Bounds.of(pool).least
        for pool in blueprint.spec.workers or ()
        if fixed_replicas(blueprint, pool) is None
    }


def _deployment(blueprint: Blueprint, pool: WorkerPool) -> dict[str, Any]:
    grace = _GRACE_SECONDS
    if pool.termination_grace_period_seconds is not None:
        grace = pool.termination_grace_period_seconds
    name = naming.pool_name(blueprint.name, pool.name)
    image = pool.image or blueprint.spec.image
    if image is None:
        raise InvalidSpec(f"spec.workers[{pool.name}].image", "is required, unless spec.image is set")
    return {
        "replicas": fixed_replicas(blueprint, pool),
        "annotations": _annotations(blueprint),
        "image": image,
        "environment": _environment(blueprint, pool, image, grace),
        "environment_from": [to_wire(source) for source in pool.env_from or ()],
        "resources": to_wire(pool.resources) if pool.resources else None,
        "account": pool.service_account_name or name,
        "grace_seconds": grace,
        "port": HEALTH_PORT,
        "node_selector": pool.node_selector,
        "tolerations": [to_wire(toleration) for toleration in pool.tolerations or ()],
        "affinity": pool.affinity,
    }


def _annotations(blueprint: Blueprint) -> dict[str, str]:
    """What has the pods replaced when it changes, although nothing else in them does."""
    annotations = {}
    if blueprint.credentials is not None:
        annotations[CREDENTIALS_ANNOTATION] = str(blueprint.credentials.generation)
    if blueprint.address is not None and blueprint.address_version:
        annotations[ADDRESS_ANNOTATION] = hashlib.sha256(blueprint.address_version.encode()).hexdigest()[:8]
    if blueprint.secrets_version:
        annotations[SECRETS_ANNOTATION] = blueprint.secrets_version
    return annotations


def _environment(blueprint: Blueprint, pool: WorkerPool, image: str, grace: int) -> list[dict[str, Any]]:
    """The variables of a worker: ours first, then the pool's own."""
    ours: dict[str, Any] = {
        "FLUID_REDIS_URL": _from_secret(_redis_url(blueprint)),
        "FLUID_KEY_PREFIX": blueprint.key_prefix,
        "FLUID_QUEUES": ",".join(pool.queues or ["*"]),
        "FLUID_CONCURRENCY": str(pool.concurrency or CONCURRENCY),
        "FLUID_IMAGE": image,
        "FLUID_WORKER_NAME": {"fieldRef": {"fieldPath": "metadata.name"}},
        "FLUID_GRACE_SECONDS": str(max(grace - _MARGIN_SECONDS, grace // 2)),
        "FLUID_HEALTH_HOST": "0.0.0.0",  # noqa: S104 - probes and scrapes come from outside of the pod
        "FLUID_HEALTH_PORT": str(HEALTH_PORT),
    }
    if blueprint.spec.database:
        ours["FLUID_DATABASE_URL"] = _from_secret(blueprint.spec.database.url_secret_ref)
    if blueprint.spec.encryption:
        ours["FLUID_ENCRYPTION_KEYS"] = _from_secret(blueprint.spec.encryption.key_secret_ref)
    _refuse_reserved(pool, ours)
    return [_variable(name, value) for name, value in ours.items()] + [to_wire(each) for each in pool.env or ()]


def _redis_url(blueprint: Blueprint) -> KeyRef:
    managed = blueprint.address is None
    name = naming.redis_name(blueprint.name) if managed else naming.redis_address_name(blueprint.name)
    return KeyRef(name=name, key=WORKER_URL)


def _from_secret(ref: KeyRef) -> dict[str, Any]:
    return {"secretKeyRef": to_wire(ref)}


def _variable(name: str, value: str | dict[str, Any]) -> dict[str, Any]:
    return {"name": name, "value": value} if isinstance(value, str) else {"name": name, "valueFrom": value}


def _refuse_reserved(pool: WorkerPool, ours: Mapping[str, Any]) -> None:
    # Of some variables a worker takes the value from a file, if there is one with this ending.
    names = {*ours, *_NOT_BY_HAND}
    problems = [_reserved(pool, each) for each in pool.env or () if each.name.removesuffix("_FILE") in names]
    if problems:
        first, *further = problems
        raise InvalidSpec(first.field, first.message, further)


def _reserved(pool: WorkerPool, variable: EnvVar) -> FieldProblem:
    field = f"spec.workers[{pool.name}].env[{variable.name}]"
    return FieldProblem(field, "is set by the operator from other fields of the environment; remove it here")
