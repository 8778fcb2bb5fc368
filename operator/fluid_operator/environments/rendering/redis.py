"""The managed Redis of an environment: one pod with a volume, its configuration, its users, and who may reach it."""

import base64
import hashlib
import re
from collections.abc import Mapping
from importlib import resources
from typing import Any, Final

from fluid_operator.api.errors import InvalidSpec
from fluid_operator.api.fluidenvironment import DeletionPolicy
from fluid_operator.api.meta import to_wire
from fluid_operator.api.redis_settings import Durability, ManagedRedis
from fluid_operator.environments import passwords
from fluid_operator.environments.passwords import Credentials
from fluid_operator.environments.rendering import naming
from fluid_operator.environments.rendering.blueprint import Blueprint
from fluid_operator.environments.rendering.templates import manifest

DEFAULT_IMAGE: Final = "docker.io/library/redis:7-alpine"
PORT: Final = 6379
ADDRESS_VERSION: Final = "version"
"""In the Secret of an external address: whoever reads it there again does not need a new one."""

_SCRIPTS: Final = resources.files("fluid_operator.environments.rendering") / "scripts"
_CONFIG_FOLDER: Final = "/etc/fluid-redis"
_CONFIG_FILE: Final = "redis.conf"
_USERS_FOLDER: Final = "/etc/fluid-redis-users"
_STATE_FOLDER: Final = "/run/fluid-redis"
_LEASES_WAIT_SECONDS: Final = 60
_SHUTDOWN_SECONDS: Final = 30
_MEBIBYTE: Final = 1024 * 1024
_UNITS: Final[Mapping[str, int]] = {
    "": 1,
    "k": 1000,
    "kb": 1024,
    "m": 1000**2,
    "mb": _MEBIBYTE,
    "g": 1000**3,
    "gb": 1024**3,
}
"""Redis' own: `m` counts in thousands, `mb` in 1,024s."""


def redis_manifests(blueprint: Blueprint, redis: ManagedRedis, credentials: Credentials) -> list[dict[str, Any]]:
    """Everything of the managed Redis, in the order in which it is best created."""
    name, labels = naming.redis_name(blueprint.name), naming.redis_labels(blueprint.name)
    metadata = blueprint.metadata(name, labels)
    selector = naming.redis_selector(blueprint.name)
    nodes = blueprint.metadata(naming.redis_nodes_name(blueprint.name), labels)
    config = _config(redis)
    host = service_host(blueprint.namespace, blueprint.name)
    secret = passwords.secret_data(credentials, blueprint.key_prefix, host)
    return [
        manifest("redis-secret", {"metadata": metadata, "data": secret}),
        manifest("redis-configmap", {"metadata": metadata, "data": config}),
        manifest("redis-networkpolicy", {"metadata": metadata, "selector": selector, "clients": _clients(blueprint)}),
        manifest("redis-nodes", {"metadata": nodes, "selector": selector}),
        manifest("redis-service", {"metadata": metadata, "selector": selector}),
        manifest("redis-statefulset", _stateful_set(blueprint, redis, config) | {"metadata": metadata}),
    ]


def address_manifest(blueprint: Blueprint, address: str) -> dict[str, Any]:
    """The Secret with the address of an external Redis: a copy, so that a new one reaches workers when it holds."""
    name = naming.redis_address_name(blueprint.name)
    texts = {passwords.WORKER_URL: address, ADDRESS_VERSION: blueprint.address_version}
    data = {key: base64.b64encode(text.encode()).decode() for key, text in texts.items() if text}
    metadata = blueprint.metadata(name, naming.workers_labels(blueprint.name))
    return manifest("redis-secret", {"metadata": metadata, "data": data})


def service_host(namespace: str, environment: str) -> str:
    """The name under which Redis is found inside the cluster, whatever the cluster's own domain is."""
    return f"{naming.redis_name(environment)}.{namespace}.svc"


def _stateful_set(blueprint: Blueprint, redis: ManagedRedis, config: Mapping[str, str]) -> dict[str, Any]:
    name = naming.redis_name(blueprint.name)
    policy = blueprint.spec.deletion_policy or DeletionPolicy.RETAIN
    return {
        "labels": naming.redis_labels(blueprint.name),
        "selector": naming.redis_selector(blueprint.name),
        "nodes": naming.redis_nodes_name(blueprint.name),
        "config_name": name,
        # Scripts reach a running pod by themselves; what Redis reads once has it started anew.
        "config_hash": _hash(config[_CONFIG_FILE]),
        "when_deleted": policy.value,
        "image": redis.image or DEFAULT_IMAGE,
        "resources": to_wire(redis.resources) if redis.resources else _resources(redis),
        "environment": [
            {"name": "FLUID_USERS", "value": _USERS_FOLDER},
            {"name": "FLUID_STATE", "value": _STATE_FOLDER},
            {"name": "FLUID_LEASES_KEY", "value": passwords.leases_key(blueprint.key_prefix)},
            {"name": "FLUID_LEASES_WAIT", "value": str(_LEASES_WAIT_SECONDS)},
        ],
        "grace_seconds": _LEASES_WAIT_SECONDS + _SHUTDOWN_SECONDS,
        "config_folder": _CONFIG_FOLDER,
        "config_file": f"{_CONFIG_FOLDER}/{_CONFIG_FILE}",
        "ready_script": f"{_CONFIG_FOLDER}/ready.sh",
        "alive_script": f"{_CONFIG_FOLDER}/alive.sh",
        "drain_script": f"{_CONFIG_FOLDER}/drain.sh",
        "users_folder": _USERS_FOLDER,
        "users_keys": [passwords.ACL_FILE, passwords.ACL_VERSION, passwords.PROBE_PASSWORD],
        "state_folder": _STATE_FOLDER,
        "storage": redis.storage if redis.storage is not None else "1Gi",
        "storage_class": redis.storage_class_name,
    }


def _config(redis: ManagedRedis) -> dict[str, str]:
    """The ConfigMap's data: Redis' configuration and the scripts of its pod."""
    fsync = "always" if redis.durability is Durability.ALWAYS else "everysec"
    lines = [
        f"port {PORT}",
        "bind * -::*",
        # Nobody gets in without a password anyway: the user `default` is off.
        "protected-mode no",
        f"aclfile {_USERS_FOLDER}/{passwords.ACL_FILE}",
        "dir /data",
        "databases 1",
        "appendonly yes",
        f"appendfsync {fsync}",
        "no-appendfsync-on-rewrite no",
        # The append-only file is the one truth; a second format beside it would only cost memory and disk.
        'save ""',
        f"maxmemory {_max_memory(redis)}",
        # Evicting anything would be losing a job.
        "maxmemory-policy noeviction",
        "tcp-keepalive 60",
    ]
    scripts = {path.name: path.read_text() for path in _SCRIPTS.iterdir() if path.name.endswith(".sh")}
    return {_CONFIG_FILE: "\n".join(lines) + "\n"} | dict(sorted(scripts.items()))


def _resources(redis: ManagedRedis) -> dict[str, Any]:
    """What fits maxMemory: twice of it at most, because a rewrite of the append-only file copies what changes."""
    data = _max_memory(redis)
    if not data:
        return {"requests": {"cpu": "100m"}}
    requests, limits = (-(-size // _MEBIBYTE) + 64 for size in (data * 5 // 4, data * 2))
    return {"requests": {"cpu": "100m", "memory": f"{requests}Mi"}, "limits": {"memory": f"{limits}Mi"}}


def _max_memory(redis: ManagedRedis) -> int:
    try:
        return memory_bytes(redis.max_memory or "200mb")
    except ValueError as error:
        raise InvalidSpec("spec.redis.managed.maxMemory", "is no amount such as 200mb") from error


def memory_bytes(text: str) -> int:
    """An amount in Redis' notation, such as `200mb`. Raises ValueError."""
    found = re.fullmatch(r"([0-9]{1,15})([a-z]*)", text.lower(), re.ASCII)
    if found is None or found[2] not in _UNITS:
        raise ValueError("no amount of memory")
    return int(found[1]) * _UNITS[found[2]]


def _clients(blueprint: Blueprint) -> list[dict[str, Any]]:
    """Who may connect: the environment's workers, whoever wears its label, and the operator."""
    clients: list[dict[str, Any]] = [
        {"podSelector": {"matchLabels": naming.workers_selector(blueprint.name)}},
        {"podSelector": {"matchLabels": {naming.REDIS_CLIENT_LABEL: blueprint.name}}},
    ]
    if blueprint.operator_namespace:
        home = {"kubernetes.io/metadata.name": blueprint.operator_namespace}
        clients.append(
            {
                "namespaceSelector": {"matchLabels": home},
                "podSelector": {"matchLabels": dict(blueprint.operator_labels)},
            }
        )
    return clients


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]
