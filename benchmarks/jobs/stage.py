"""What the sides run on: one whole control plane with fake nodes, and on it, where a side needs them, our operator,
our worker and Redis. Each load gets a stage of its own, so that nobody inherits another's objects or caches.

The operator runs as it would in a cluster: under its service account's name, with the roles of `manifests/base` and its
default settings. Everything lies in one folder and ends with the context that started it.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from benchmarks.common.places import CHECKOUT
from benchmarks.jobs import manifests, requests, usage
from benchmarks.jobs.helpers import Helper
from benchmarks.jobs.measures import Moments
from benchmarks.jobs.operator import Operator
from benchmarks.jobs.processes.orders import Creation, Watching
from benchmarks.jobs.requests import Requests
from benchmarks.jobs.usage import Usage
from fluid_dev.binaries import Binaries, FakeNodeBinaries
from fluid_dev.cluster import Cluster
from fluid_dev.fake_nodes import FakeNodes
from fluid_dev.processes import Process
from fluid_dev.redis import RedisServer

NAMESPACE = "bench"
_BASE = CHECKOUT / "manifests" / "base"
_CRDS = CHECKOUT / "crds"

REDIS_DURABILITY = ("--appendfsync", "everysec")


@dataclass(frozen=True, slots=True)
class Programs:
    """What has to be built once for all stages."""

    cluster: Binaries
    nodes: FakeNodeBinaries


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What was asked of the API server, and what every component has cost, since they started."""

    requests: Requests
    usage: dict[str, Usage]


class Stage:
    """A context; `folder` must be empty and is removed by whoever made it."""

    def __init__(self, folder: Path, programs: Programs) -> None:
        self.cluster = Cluster(folder / "cluster", programs.cluster, die_with_parent=True, all_controllers=True)
        self.nodes = FakeNodes(self.cluster, programs.nodes, die_with_parent=True)
        self.redis = RedisServer(folder / "redis", appendonly=True, die_with_parent=True, args=REDIS_DURABILITY)
        self.operator = Operator(self.cluster, folder / "operator")
        self._worker = Process("worker", folder / "worker", die_with_parent=True)
        self._folder = folder
        self._ours: dict[str, Process] = {}

    def __enter__(self) -> Self:
        self.cluster.start()
        self.cluster.apply_crds(_CRDS)
        self.nodes.start()
        self.apply([manifests.namespace(NAMESPACE)])
        return self

    def __exit__(self, *_: object) -> None:
        self.stop_ours()
        self.nodes.stop()
        self.cluster.stop(wipe=True)

    # -- ours -----------------------------------------------------------------------------------------------------------

    def start_ours(self) -> None:
        """Redis, an environment, the operator and one worker; returns when the environment is ready."""
        self.redis.start()
        self.operator.grant(_BASE)
        self.add_environment(NAMESPACE)
        self._worker.argv = [sys.executable, "-m", "fluid_processors"]
        self._worker.start_with(self._worker_environment())
        self.operator.start()
        self._ours = {"operator": self.operator.process, "worker": self._worker, "redis": self.redis.process}
        ready = ("wait", "--for=condition=Ready", "--timeout=60s", f"fluidenvironment/{manifests.ENVIRONMENT}")
        self.cluster.kubectl(f"--namespace={NAMESPACE}", *ready)

    def add_environment(self, namespace: str) -> None:
        """An environment on the stage's Redis, in a namespace that exists."""
        self.cluster.kubectl("apply", f"--namespace={namespace}", f"--kustomize={_BASE / 'rbac' / 'environment'}")
        self.apply(manifests.environment(namespace, self.redis.url))

    def stop_ours(self) -> None:
        """Stop what `start_ours` started; what it has written stays in the cluster."""
        self._worker.stop()
        self.operator.process.stop(within=10)
        self.redis.stop(wipe=True)
        self._ours = {}
