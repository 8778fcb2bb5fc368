"""What the sides run on: one whole control plane with fake nodes, and ours where a side needs it. Each load gets a
stage of its own, so that nobody inherits another's objects or caches.

Everything lies in one folder and ends with the context that started it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from benchmarks.common.places import CHECKOUT
from benchmarks.jobs import accounts, manifests, requests, usage
from benchmarks.jobs.helpers import Helper
from benchmarks.jobs.manifests import Json
from benchmarks.jobs.ours import Ours
from benchmarks.jobs.processes.orders import Creation, Watching
from benchmarks.jobs.requests import Requests
from benchmarks.jobs.sides import TUNED_CONTROLLERS, TUNED_PODS, Side
from benchmarks.jobs.usage import Usage
from fluid_dev import fake_nodes
from fluid_dev.binaries import Binaries, FakeNodeBinaries
from fluid_dev.cluster import Cluster
from fluid_dev.errors import ClusterError
from fluid_dev.fake_nodes import FakeNodes
from fluid_dev.processes import Process

NAMESPACE = "bench"
_CLIENT = "bench-client"
"""The service account of the benchmark's own processes."""

CONCURRENCY = 32
"""Creates that the client has under way at a time, for every side."""


@dataclass(frozen=True, slots=True)
class Programs:
    """What is built once for all stages."""

    cluster: Binaries
    nodes: FakeNodeBinaries


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What was asked of the API server, and what each component has cost, since they started."""

    requests: Requests
    usage: Mapping[str, Usage]


class Stage:
    """A context; `folder` must be empty and is removed by whoever made it."""

    def __init__(self, folder: Path, programs: Programs, *, tuned: bool = False) -> None:
        self.cluster = Cluster(
            folder / "cluster",
            programs.cluster,
            die_with_parent=True,
            all_controllers=True,
            controller_manager_args=TUNED_CONTROLLERS if tuned else (),
        )
        pods = TUNED_PODS if tuned else fake_nodes.PARALLELISM
        self.nodes = FakeNodes(self.cluster, programs.nodes, parallelism=pods, die_with_parent=True)
        self.ours = Ours(self.cluster, folder / "ours", NAMESPACE)
        self._folder = folder
        self._client = self.cluster.kubeconfig
        """As whom the processes of the benchmark speak."""

    def __enter__(self) -> Self:
        try:
            self.cluster.start()
            self.cluster.apply_crds(CHECKOUT / "crds")
            self.nodes.start()
            self.cluster.apply([manifests.namespace(NAMESPACE), *manifests.administrator(NAMESPACE, _CLIENT)])
            self._client = accounts.kubeconfig(self.cluster, NAMESPACE, _CLIENT, self._folder / "client.kubeconfig")
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.ours.stop()
        self.nodes.stop()
        self.cluster.stop(wipe=True)

    # -- the two ends of a load ---------------------------------------------------------------------------------------

    def creator(
        self,
        side: Side,
        prefix: str,
        count: int,
        *,
        namespace: str = NAMESPACE,
        per_second: float = 0.0,
        completions: int = 0,
        status: Json | None = None,
    ) -> Helper:
        """Whoever creates so many jobs; begins at once."""
        order = Creation(
            kubeconfig=str(self._client),
            side=side.key,
            namespace=namespace,
            prefix=prefix,
            count=count,
            concurrency=CONCURRENCY,
            per_second=per_second,
            completions=completions,
            status=status,
        )
        return self._helper(order)

    def watcher(self, side: Side, prefix: str, count: int) -> Helper:
        """Whoever notes when these jobs are Complete; returns when it watches."""
        order = Watching(kubeconfig=str(self._client), side=side.key, namespace=NAMESPACE, prefix=prefix, count=count)
        helper = self._helper(order)
        helper.ready()
        return helper

    def _helper(self, order: Creation | Watching) -> Helper:
        return Helper(order, self._folder / "helpers.log", self.check)

    # -- what is there ------------------------------------------------------------------------------------------------

    @property
    def components(self) -> dict[str, Process]:
        """What runs, by the name of its component."""
        theirs = {**self.cluster.processes, **self.nodes.processes}
        return {name.removeprefix("kube-"): process for name, process in theirs.items()} | self.ours.processes

    def check(self) -> None:
        """Raise ProcessDied, with the end of its log, unless every component runs."""
        for process in self.components.values():
            process.check()

    def snapshot(self) -> Snapshot:
        """How things stand now."""
        metrics = self.cluster.get("/metrics")
        if metrics is None:
            raise ClusterError("the API server does not tell its metrics")
        costs = {name: usage.of(process.pid) for name, process in self.components.items()}
        return Snapshot(requests.read(metrics.decode()), costs)

    def status(self, name: str) -> Json:
        """The status of a FluidJob."""
        text = self.cluster.kubectl(f"--namespace={NAMESPACE}", "get", "fluidjob", name, "--output=json")
        found: Json = json.loads(text)["status"]
        return found
