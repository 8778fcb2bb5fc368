"""The objects that the benchmark creates, as data. Both kinds of jobs do nothing, and say no more than they must."""

from __future__ import annotations

from typing import Any

from fluid_operator.kube.keys import FLUID_JOBS, Resource

Json = dict[str, Any]

JOBS = Resource("batch", "v1", "jobs", "Job")

TYPE = "noop"
"""The job type that the benchmark's worker runs."""

ENVIRONMENT = "default"
REDIS_SECRET = "redis"  # noqa: S105 - the name of a Secret
_MOST_FINISHED = 10_000


def native(namespace: str, name: str) -> Json:
    """A Job of one pod, without retries. No image is pulled: the nodes are not there."""
    container = {"name": "noop", "image": "registry.example/pause:3"}
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"namespace": namespace, "name": name},
        "spec": {
            "parallelism": 1,
            "completions": 1,
            "backoffLimit": 0,
            "template": {"spec": {"restartPolicy": "Never", "containers": [container]}},
        },
    }


def fluid(namespace: str, name: str, **spec: Any) -> Json:
    """A FluidJob without retries; `spec` adds fields."""
    return {
        "apiVersion": FLUID_JOBS.api_version,
        "kind": FLUID_JOBS.kind,
        "metadata": {"namespace": namespace, "name": name},
        "spec": {"type": TYPE, "backoffLimit": 0, **spec},
    }


def namespace(name: str) -> Json:
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}


def administrator(namespace: str, name: str) -> list[Json]:
    """A service account that may do everything."""
    account = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"namespace": namespace, "name": name}}
    binding = {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "ClusterRoleBinding",
        "metadata": {"name": name},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "cluster-admin"},
        "subjects": [{"kind": "ServiceAccount", "namespace": namespace, "name": name}],
    }
    return [account, binding]


def environment(namespace: str, redis_url: str) -> list[Json]:
    """A FluidEnvironment whose workers are run by hand, and the Secret that holds its Redis. Nothing that finishes is
    removed while it is still counted."""
    secret = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"namespace": namespace, "name": REDIS_SECRET},
        "stringData": {"url": redis_url},
    }
    spec = {
        "workers": [],
        "redis": {"external": {"urlSecretRef": {"name": REDIS_SECRET, "key": "url"}}},
        "retention": {"maxFinished": _MOST_FINISHED},
    }
    found = {
        "apiVersion": FLUID_JOBS.api_version,
        "kind": "FluidEnvironment",
        "metadata": {"namespace": namespace, "name": ENVIRONMENT},
        "spec": spec,
    }
    return [secret, found]
