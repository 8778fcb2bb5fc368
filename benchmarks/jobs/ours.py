"""Our three programs as anybody would run them: the operator with a token of its service account, as in a pod, the
roles of `manifests/base` and its default settings; one worker with its own package of processors; Redis that appends to
a file.
"""

from __future__ import annotations

import itertools
import json
import os
import sys
import urllib.request
from pathlib import Path

from benchmarks.common.places import CHECKOUT
from benchmarks.jobs import accounts, manifests
from fluid_dev.cluster import Cluster
from fluid_dev.processes import Process
from fluid_dev.redis import RedisServer
from fluid_dev.waiting import until

HOME = "fluid-system"
_BASE = CHECKOUT / "manifests" / "base"
_ACCOUNT = "fluid-operator"
_SERVING_SECONDS = 30.0
_PREFIX = "FLUID_"

REDIS_DURABILITY = ("--appendfsync", "everysec")


class Ours:
    """What of ours runs beside one cluster."""

    def __init__(self, cluster: Cluster, folder: Path, namespace: str) -> None:
        self._cluster = cluster
        self._namespace = namespace
        self._site = folder / "site"
        self.redis = RedisServer(folder / "redis", appendonly=True, die_with_parent=True, args=REDIS_DURABILITY)
        self._folder = folder
        self.processes: dict[str, Process] = {}
        """What should run, by the name of its component."""
        self._starts = itertools.count()

    def start(self) -> None:
        """Start everything; returns when the environment of the namespace is ready."""
        self.redis.start()
        self.processes["redis"] = self.redis.process
        self._cluster.kubectl("create", "namespace", HOME)
        self._cluster.kubectl("apply", f"--namespace={HOME}", f"--kustomize={_BASE}")
        self.add_environment(self._namespace)
        self.start_operator()
        self.add_worker("worker", self._namespace)
        ready = ("wait", "--for=condition=Ready", "--timeout=60s", f"fluidenvironment/{manifests.ENVIRONMENT}")
        self._cluster.kubectl(f"--namespace={self._namespace}", *ready)

    def _start(self, name: str, module: str, env: dict[str, str]) -> None:
        argv = [sys.executable, "-m", module]
        process = Process(name, self._folder / f"{name}-{next(self._starts)}", argv, env=env, die_with_parent=True)
        process.start()
        self.processes[name] = process

    @property
    def operator(self) -> Process:
        """The operator that should run."""
        return self.processes["operator"]

    def start_operator(self) -> None:
        """For the first time, or once more; returns at once."""
        self._start("operator", "fluid_operator", self._operator_environment())

    def stop_operator(self) -> None:
        """As a rollout does, but nobody takes over."""
        self.processes.pop("operator").stop(within=10)

    def add_environment(self, namespace: str) -> None:
        """An environment on this Redis, in a namespace that exists, with what the operator may do there."""
        self._cluster.kubectl("apply", f"--namespace={namespace}", f"--kustomize={_BASE / 'rbac' / 'environment'}")
        self._cluster.apply(manifests.environment(namespace, self.redis.url))

    def add_worker(self, name: str, namespace: str) -> None:
        """A worker of this namespace's environment; `name` is that of the component."""
        self._start(name, "fluid_processors", self._worker_environment(namespace))

    def stop(self) -> None:
        """What it has written stays in the cluster."""
        for name, process in reversed(self.processes.items()):
            if name != "redis":
                process.stop(within=10)
        self.redis.stop(wipe=True)
        self.processes = {}

    # -- the operator -------------------------------------------------------------------------------------------------

    def operator_metrics(self) -> str:
        """Its metrics as text; waits until it serves them."""
        port = until(self._port, _SERVING_SECONDS, "the operator serves its metrics", pause=0.02)
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as answer:
            text: str = answer.read().decode()
        return text

    def _port(self) -> int | None:
        self.operator.check()
        lines = (line for line in self.operator.log.read_text().splitlines() if '"Serving."' in line)
        return next((int(json.loads(line)["port"]) for line in lines), None)

    def _operator_environment(self) -> dict[str, str]:
        return {
            **_unset(),
            "KUBECONFIG": str(accounts.kubeconfig(self._cluster, HOME, _ACCOUNT, self._folder / "operator.kubeconfig")),
            "FLUID_LEASE_NAMESPACE": HOME,
            "FLUID_HTTP_HOST": "127.0.0.1",
            "FLUID_HTTP_PORT": "0",
        }

    def _worker_environment(self, namespace: str) -> dict[str, str]:
        return {
            **_unset(),
            "PYTHONPATH": os.pathsep.join([str(self._install_processor()), str(CHECKOUT)]),
            "FLUID_REDIS_URL": self.redis.url,
            "FLUID_KEY_PREFIX": f"{namespace}.{manifests.ENVIRONMENT}",
            "FLUID_HEALTH_HOST": "127.0.0.1",
            "FLUID_HEALTH_PORT": "0",
        }

    def _install_processor(self) -> Path:
        """A folder for PYTHONPATH in which the benchmark's processor has its entry point, as an installed package."""
        metadata = self._site / "fluid_bench-1.0.dist-info"
        metadata.mkdir(parents=True, exist_ok=True)
        (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: fluid-bench\nVersion: 1.0\n")
        points = "[fluid.processors]\nnoop = benchmarks.jobs.processes.noop\n"
        (metadata / "entry_points.txt").write_text(points)
        return self._site


def _unset() -> dict[str, str]:
    """Whatever the caller's shell says about our programs, they get the defaults: an empty variable counts as unset."""
    return {name: "" for name in os.environ if name.startswith(_PREFIX)}
