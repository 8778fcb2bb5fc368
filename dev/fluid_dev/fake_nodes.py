"""Nodes that are not there, for a cluster whose pods should run: a real scheduler, and kwok in the place of kubelets.

What the pods do stands in `dev/tools/kwok/stages.yaml`. Nothing is executed; images, logs and exec do not exist.
"""

import json
from pathlib import Path
from typing import Any

from fluid_dev import control_plane
from fluid_dev.binaries import FakeNodeBinaries
from fluid_dev.cluster import Cluster
from fluid_dev.processes import Process
from fluid_dev.tools import MODULES
from fluid_dev.waiting import until

PARALLELISM = 4
"""kwok's own default."""

_STAGES = MODULES / "kwok" / "stages.yaml"
_MARK = "kwok.x-k8s.io/node"
_SCHEDULER = ("scheduler", "system:kube-scheduler", ())
_KWOK = ("kwok", "kwok", ("system:masters",))
_READY_SECONDS = 30.0


class FakeNodes:
    """The two programs beside one running cluster, which must have been made with `all_controllers`."""

    def __init__(
        self,
        cluster: Cluster,
        binaries: FakeNodeBinaries,
        *,
        count: int = 5,
        parallelism: int = PARALLELISM,
        die_with_parent: bool = False,
        logs: Path | None = None,
    ) -> None:
        """`parallelism`: pods that kwok changes at a time, on all nodes together."""
        self._cluster = cluster
        self._binaries = binaries
        self._count = count
        self._parallelism = parallelism
        self._scheduler = Process("kube-scheduler", cluster.state, die_with_parent=die_with_parent, logs=logs)
        self._kwok = Process("kwok", cluster.state, die_with_parent=die_with_parent, logs=logs)

    @property
    def processes(self) -> dict[str, Process]:
        """The programs by name."""
        return {each.name: each for each in (self._scheduler, self._kwok)}

    def start(self) -> None:
        """Start what does not run, and wait until every node is ready for pods."""
        self._configure()
        for process in self.processes.values():
            process.ensure()
        self._cluster.apply(_node(number) for number in range(self._count))
        until(self._ready, _READY_SECONDS, f"{self._count} fake nodes are ready", pause=0.2)

    def stop(self) -> None:
        """Stop both; the nodes stay in the cluster and go unready."""
        for process in self.processes.values():
            process.stop()

    def _configure(self) -> None:
        state = self._cluster.state
        scheduler = self._cluster.write_kubeconfig(state / "scheduler.kubeconfig", *_SCHEDULER)
        kwok = self._cluster.write_kubeconfig(state / "kwok.kubeconfig", *_KWOK)
        options = state / "kwok.json"
        options.write_text(json.dumps(_options(self._parallelism)))
        self._scheduler.argv = [self._binaries.kube_scheduler, *control_plane.scheduler_args(scheduler)]
        self._kwok.argv = [
            self._binaries.kwok,
            f"--kubeconfig={kwok}",
            f"--config={_STAGES}",
            f"--config={options}",
            f"--manage-nodes-with-annotation-selector={_MARK}=fake",
            "--node-lease-duration-seconds=40",
            "--v=WARN",  # else it logs every write
        ]
        for process in self.processes.values():
            process.fingerprint = self._cluster.server

    def _ready(self) -> bool:
        for process in self.processes.values():
            process.check()
        nodes = json.loads(self._cluster.kubectl("get", "nodes", "--output=json"))["items"]
        return len(nodes) == self._count and all(map(_takes_pods, nodes))


def _options(parallelism: int) -> dict[str, Any]:
    """kwok takes what is left out for zero, and refuses that."""
    options = {"podPlayStageParallelism": parallelism, "nodePlayStageParallelism": 4, "nodeLeaseParallelism": 4}
    return {"apiVersion": "config.kwok.x-k8s.io/v1alpha1", "kind": "KwokConfiguration", "options": options}


def _node(number: int) -> dict[str, Any]:
    name = f"fake-{number}"
    room = {"cpu": "1000", "memory": "4Ti", "pods": "10000"}
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": name, "annotations": {_MARK: "fake"}, "labels": {"kubernetes.io/hostname": name}},
        "status": {"allocatable": room, "capacity": room},
    }


def _takes_pods(node: dict[str, Any]) -> bool:
    conditions = node["status"].get("conditions", [])
    ready = any(each["type"] == "Ready" and each["status"] == "True" for each in conditions)
    return ready and not node["spec"].get("taints")
