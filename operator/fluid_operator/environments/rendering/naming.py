"""Names and labels of what an environment consists of. Pure, and the same at every reconciliation.

A child is called `<environment>-<part>`. Parts that Kubernetes would refuse in a name (capital letters, dots, too long,
a digit in front) are rewritten and marked with a hash of the true names, so that two never become one.
"""

import hashlib
import re
from collections.abc import Callable
from typing import Final

from fluid_operator.api.meta import GROUP

ENVIRONMENT_LABEL: Final = f"{GROUP}/environment"
POOL_LABEL: Final = f"{GROUP}/pool"
REDIS_CLIENT_LABEL: Final = f"{GROUP}/redis-client"
"""On a pod of somebody else's: lets it reach the managed Redis of the environment that the label names."""

COMPONENT_LABEL: Final = "app.kubernetes.io/component"
MANAGER_LABEL: Final = "app.kubernetes.io/managed-by"
MANAGER: Final = "fluid-operator"

REDIS: Final = "redis"
WORKER: Final = "worker"

_REDIS_KINDS: Final = ("Secret", "ConfigMap", "NetworkPolicy", "Service", "StatefulSet")

_LONGEST: Final = 52
"""A StatefulSet's name comes back in labels with a hash of eleven characters behind it, and labels have 63."""
_VALID: Final = re.compile(r"[a-z]([a-z0-9-]*[a-z0-9])?")


def redis_name(environment: str) -> str:
    """Of everything that makes up the managed Redis, and of the Service that clients use."""
    return _child(environment, REDIS)


def redis_nodes_name(environment: str) -> str:
    """Of the headless Service that gives the pod its name."""
    return _child(environment, f"{REDIS}-nodes")


def redis_address_name(environment: str) -> str:
    """Of the Secret with the address of an external Redis, as the workers have it."""
    return _child(environment, f"{REDIS}-address")


def unlisted(environment: str) -> tuple[tuple[str, str], ...]:
    """Kind and name of everything that an environment may have and that no list finds."""
    redis = redis_name(environment)
    return ("Secret", redis), ("ConfigMap", redis), ("Secret", redis_address_name(environment))


def is_redis(environment: str) -> Callable[[tuple[str, str]], bool]:
    """Whether a child, as kind and name, is a part of the environment's managed Redis."""
    redis, nodes = redis_name(environment), redis_nodes_name(environment)
    parts = {*((kind, redis) for kind in _REDIS_KINDS), ("Service", nodes)}
    return lambda child: child in parts


def pool_name(environment: str, pool: str) -> str:
    """Of everything that makes up one pool of workers."""
    # Not at the end either: pool `y-redis` of environment `x` must not meet the Redis of environment `x-y`.
    reserved = re.search(rf"^{REDIS}-|(^|-){REDIS}(-nodes|-address)?$", pool) is not None
    return _child(environment, pool, marked=reserved)


def monitor_name(environment: str) -> str:
    """Of the PodMonitor of all pools."""
    return _child(environment, "workers")


def _child(environment: str, part: str, *, marked: bool = False) -> str:
    name = f"{environment}-{part}"
    if not marked and len(name) <= _LONGEST and _VALID.fullmatch(name):
        return name
    mark = hashlib.sha256(f"{environment}/{part}".encode()).hexdigest()[:8]
    readable = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")
    if not readable[0].isalpha():
        readable = f"fluid-{readable}"
    return f"{readable[: _LONGEST - len(mark) - 1].rstrip('-')}-{mark}"


def environment_selector(environment: str) -> dict[str, str]:
    """The labels by which everything of an environment is found."""
    return {ENVIRONMENT_LABEL: environment, MANAGER_LABEL: MANAGER}


def redis_selector(environment: str) -> dict[str, str]:
    """The labels of the Redis pod. A selector can never be changed, so it holds no more than what tells pods apart."""
    return {ENVIRONMENT_LABEL: environment, COMPONENT_LABEL: REDIS}


def workers_selector(environment: str) -> dict[str, str]:
    """The labels of the worker pods of all pools."""
    return {ENVIRONMENT_LABEL: environment, COMPONENT_LABEL: WORKER}


def pool_selector(environment: str, pool: str) -> dict[str, str]:
    """The labels of the worker pods of one pool."""
    return workers_selector(environment) | {POOL_LABEL: pool}


def redis_labels(environment: str) -> dict[str, str]:
    """All labels of what makes up the managed Redis."""
    return _common(environment, "fluid-redis") | redis_selector(environment)


def pool_labels(environment: str, pool: str) -> dict[str, str]:
    """All labels of what makes up one pool."""
    return _common(environment, "fluid-worker") | pool_selector(environment, pool)


def workers_labels(environment: str) -> dict[str, str]:
    """All labels of what belongs to all pools together."""
    return _common(environment, "fluid-worker") | workers_selector(environment)


def _common(environment: str, name: str) -> dict[str, str]:
    return {
        "app.kubernetes.io/name": name,
        "app.kubernetes.io/instance": environment,
        MANAGER_LABEL: MANAGER,
        "app.kubernetes.io/part-of": "fluid-jobs",
    }
