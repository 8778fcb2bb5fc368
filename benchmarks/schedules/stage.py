"""What the sides run on: a whole control plane without nodes, and ours where it is ours that is measured. Each side
gets a stage of its own.

Everything lies in one folder and ends with the context that started it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from benchmarks.common.errors import BenchmarkError
from benchmarks.common.places import CHECKOUT
from benchmarks.jobs import accounts, manifests, requests, usage
from benchmarks.jobs.ours import Ours
from benchmarks.jobs.requests import Requests
from benchmarks.jobs.usage import Usage
from benchmarks.schedules.measures import Reading
from benchmarks.schedules.sides import FLUID, Side
from fluid_dev.binaries import Binaries
from fluid_dev.cluster import Cluster
from fluid_dev.processes import Process

NAMESPACE = "bench"
_CLIENT = "bench-client"


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What was asked of the API server, and what each component has cost, since they started."""

    requests: Requests
    usage: Mapping[str, Usage]


class Stage:
    """A context; `folder` must be empty and is removed by whoever made it."""

    def __init__(self, folder: Path, binaries: Binaries, side: Side) -> None:
        self.cluster = Cluster(folder / "cluster", binaries, die_with_parent=True, all_controllers=True)
        self.ours = Ours(self.cluster, folder / "ours", NAMESPACE)
        self.client = folder / "client.kubeconfig"
        """As whom the benchmark itself speaks: a service account that may do everything."""
        self._side = side

    def __enter__(self) -> Self:
        try:
            self.cluster.start()
            self.cluster.apply_crds(CHECKOUT / "crds")
            self.cluster.apply([manifests.namespace(NAMESPACE), *manifests.administrator(NAMESPACE, _CLIENT)])
            accounts.kubeconfig(self.cluster, NAMESPACE, _CLIENT, self.client)
            if self._side is FLUID:
                self.ours.start()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.ours.stop()
        self.cluster.stop(wipe=True)

    @property
    def components(self) -> dict[str, Process]:
        """What runs, by the name of its component."""
        theirs = {name.removeprefix("kube-"): process for name, process in self.cluster.processes.items()}
        return theirs | self.ours.processes

    def check(self) -> None:
        """Raise ProcessDied, with the end of its log, unless every component runs."""
        for process in self.components.values():
            process.check()

    def snapshot(self) -> Snapshot:
        """How things stand now."""
        metrics = self.cluster.get("/metrics")
        if metrics is None:
            raise BenchmarkError("the API server does not tell its metrics")
        costs = {name: usage.of(process.pid) for name, process in self.components.items()}
        return Snapshot(requests.read(metrics.decode()), costs)

    def operator(self) -> Reading:
        """The operator's own numbers."""
        return Reading(self.ours.operator_metrics())
