"""The demo on a real node: a control plane, one node that runs pods, and in it the image of this checkout.

Beside the demo of processes, in a folder of its own; `make down` ends both.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from fluid_dev import binaries, image_build, node, node_host, stand_ins
from fluid_dev.errors import DemoError
from fluid_dev.image_build import Image
from fluid_dev.node import Node
from fluid_dev.progress import step
from fluid_dev.waiting import until

NAMESPACE = "fluid-demo"
_SMOKE = ("worker", "--list")
_SMOKE_SECONDS = 60.0


class NodeDemo:
    def __init__(self, checkout: Path, state: Path) -> None:
        self.state = state.absolute()
        self._checkout = checkout
        self._crds = checkout / "crds"

    def up(self) -> None:
        """Start what does not run, load the images, and show that a pod of ours runs; DevError if not."""
        node_host.require_root()
        one = Node(self.state, binaries.provide(), binaries.provide_node())
        image = image_build.project_image(self._checkout)
        redis = stand_ins.redis(self.state / "images" / "redis.tar")
        with step("starting the control plane and its node"):
            one.start([image.archive, redis])
        with step("applying the kinds and trying a pod"):
            one.cluster.apply_crds(self._crds)
            one.cluster.apply([restricted_namespace(NAMESPACE)])
            answer = self._try_image(one, image)
        self._link_kubectl(one)
        print(answer.strip())
        print(one.cluster.kubectl("get", "nodes,pods", "--all-namespaces"))
        print(f"Go on:  export KUBECONFIG={one.cluster.kubeconfig} PATH={self.state / 'bin'}:$PATH")
        print(f"        the image is {image.tag}; make down")

    def down(self) -> None:
        """Stop everything of this folder, also after a killed `up`, and remove the folder."""
        owner = node_host.taken()
        if self.state.exists() or (owner and owner.state == self.state):
            node_host.require_root()
            with step("stopping the node"):
                node.stop(self.state)

    def _try_image(self, one: Node, image: Image) -> str:
        """What the worker of the image says of itself, from inside a pod."""
        namespace = f"--namespace={NAMESPACE}"
        one.cluster.kubectl("delete", "pod", "smoke", namespace, "--ignore-not-found", "--grace-period=0", "--force")
        one.cluster.apply([restricted_pod("smoke", NAMESPACE, image.tag, _SMOKE)])

        def phase() -> str:
            pod = json.loads(one.cluster.kubectl("get", "pod", "smoke", namespace, "--output=json"))
            found = pod["status"].get("phase", "")
            return found if found in ("Succeeded", "Failed") else ""

        ended = until(phase, _SMOKE_SECONDS, "a pod of the image ends (see 'kubectl describe pod smoke')", pause=0.2)
        answer = one.cluster.kubectl("logs", "smoke", namespace)
        if ended != "Succeeded":
            raise DemoError(f"a pod of {image.tag} failed; it said:\n{answer}")
        return answer

    def _link_kubectl(self, one: Node) -> None:
        link = self.state / "bin" / "kubectl"
        link.parent.mkdir(parents=True, exist_ok=True)
        link.unlink(missing_ok=True)
        link.symlink_to(one.cluster.binaries.kubectl)


def restricted_namespace(name: str) -> dict[str, Any]:
    """A namespace that takes only pods of the strictest of Kubernetes' own profiles."""
    labels = {"pod-security.kubernetes.io/enforce": "restricted"}
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}}


def restricted_pod(name: str, namespace: str, image: str, args: Sequence[str]) -> dict[str, Any]:
    """One container that runs once, with no right that it does not need and nothing that it could write to."""
    container = {
        "name": "main",
        "image": image,
        "args": list(args),
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        },
    }
    spec = {
        "restartPolicy": "Never",
        "automountServiceAccountToken": False,
        "securityContext": {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}},
        "containers": [container],
    }
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "namespace": namespace}, "spec": spec}
