"""The operator as it ships, as pods on the tests' node: the manifests of this checkout with the image of this checkout,
and an election that a test can wait for."""

import json
from datetime import UTC, datetime
from typing import Any

import yaml

from fluid_dev.errors import DevError
from fluid_dev.node import Node
from fluid_dev.node_demo import restricted_namespace
from support.nodes import CHECKOUT, Namespace, kill_containers
from support.waiting import until

SYSTEM = "fluid-system"
LEASE_SECONDS = 5
_ELECTION = {
    "FLUID_LEASE_DURATION_SECONDS": str(LEASE_SECONDS),
    "FLUID_LEASE_RENEW_DEADLINE_SECONDS": "4",
    "FLUID_LEASE_RETRY_SECONDS": "0.5",
}
_MANIFESTS = CHECKOUT / "manifests" / "base"
_WORKLOAD = "deployment/fluid-operator"
_REPLICAS = 2
_READY_SECONDS = 60


class OperatorPods:
    """One operator for the whole cluster, with the rights that the manifests give it and no other."""

    def __init__(self, node: Node, image: str) -> None:
        self._node = node
        self._image = image
        self._namespace = Namespace(node, SYSTEM)

    def install(self) -> None:
        """Make it what it is at first, whatever a test has done to it, and wait until it leads."""
        self._apply(self._image, _REPLICAS)

    def serve(self, namespace: str) -> None:
        """Give it the rights that a namespace's environment needs."""
        rights = _MANIFESTS / "rbac" / "workloads"
        self._node.cluster.kubectl("apply", "--server-side", f"--namespace={namespace}", f"--kustomize={rights}")

    def settle(self) -> None:
        """Wait until its pods are what its Deployment says, and one of them leads."""
        try:
            self._namespace.kubectl("rollout", "status", _WORKLOAD, f"--timeout={_READY_SECONDS}s")
            until(self._led, 30, "one of the operator's pods leads", pause=0.3)
        except DevError as error:
            error.add_note(self._namespace.kubectl("describe", "pods")[-4000:])
            error.add_note(self.log()[-4000:])
            raise

    def scale(self, replicas: int) -> None:
        """Let so many of it run, and wait until they do."""
        self._apply(self._image, replicas)

    def upgrade(self, image: str) -> None:
        """Another image, as a release brings it."""
        self._apply(image, _REPLICAS)

    def kill_leader(self) -> str:
        """As kill -9 of the process that leads; the name of its pod."""
        leader = self.leader()
        pod = self._namespace.get("pod", leader)
        kill_containers(pod)
        return leader

    def leader(self) -> str:
        """The pod that holds the Lease, whether it is alive or not."""
        return str(self._lease()["holderIdentity"]).partition("_")[0]

    def log(self, *, prefix: bool = True) -> str:
        """What its pods said last, each line behind the name of its pod."""
        labels = "--selector=app.kubernetes.io/name=fluid-operator"
        return self._namespace.kubectl(
            "logs", labels, "--tail=80", f"--prefix={str(prefix).lower()}", "--ignore-errors"
        )

    def _led(self) -> bool:
        """By a pod that is there, and has renewed its Lease in time."""
        lease = self._lease()
        if not lease.get("holderIdentity"):
            return False
        silence = datetime.now(UTC) - datetime.fromisoformat(lease["renewTime"])
        return silence.total_seconds() < LEASE_SECONDS and self.leader() in self._pods()

    def _pods(self) -> set[str]:
        found = json.loads(self._namespace.kubectl("get", "pods", "--output=json"))["items"]
        return {pod["metadata"]["name"] for pod in found if "deletionTimestamp" not in pod["metadata"]}

    def _lease(self) -> dict[str, Any]:
        listed = json.loads(self._namespace.kubectl("get", "leases", "--output=json"))["items"]
        return next((dict(each["spec"]) for each in listed if each["metadata"]["name"] == "fluid-operator"), {})

    def _apply(self, image: str, replicas: int) -> None:
        rendered = self._node.cluster.kubectl("kustomize", str(_MANIFESTS))
        documents = [document for document in yaml.safe_load_all(rendered) if document]
        for document in documents:
            if document["kind"] == "Deployment":
                document["spec"]["replicas"] = replicas
                _adapt(document["spec"]["template"]["spec"], image)
        self._node.cluster.apply([restricted_namespace(SYSTEM), *documents])
        self.settle()


def _adapt(pod: dict[str, Any], image: str) -> None:
    """The two things that a test needs otherwise."""
    (container,) = pod["containers"]
    container["image"] = image
    container.setdefault("env", []).extend({"name": name, "value": value} for name, value in _ELECTION.items())
