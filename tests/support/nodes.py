"""The machine's one node for tests, our image in it, and what a test says about pods."""

import contextlib
import json
import os
import signal
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from fluid_dev import binaries, image_build, stand_ins
from fluid_dev.image_build import Image
from fluid_dev.node import Node
from fluid_dev.processes import Identity, identify
from support.clusters import CRDS, find_binaries
from support.folders import fresh_folder
from support.require import everything_required, missing, required_parts
from support.waiting import until

CHECKOUT = Path(__file__).parents[2]


def find_node_binaries() -> binaries.NodeBinaries:
    """Of the cache, PATH or FLUID_BIN_DIR; built only when every part is required."""
    if os.geteuid() != 0:
        missing("a real node needs root")
    with required_parts():
        return binaries.provide_node(may_build=everything_required())


def project_image() -> Image:
    with required_parts():
        return image_build.project_image(CHECKOUT)


def redis_archive() -> Path:
    with required_parts():
        return stand_ins.redis(fresh_folder("redis-image") / "redis.tar")


def new_node(state: Path | None = None) -> Node:
    """Not started; in a folder of its own unless one is named."""
    return Node(state or fresh_folder("node"), find_binaries(), find_node_binaries(), die_with_parent=True)


@contextmanager
def running_node(archives: Sequence[Path] = ()) -> Iterator[Node]:
    """A started node with our kinds, gone afterwards whatever happened."""
    node = new_node()
    try:
        node.start(archives)
        node.cluster.apply_crds(CRDS)
        yield node
    finally:
        node.stop()


class Namespace:
    """One namespace of a node's cluster: applies, waits, asks."""

    def __init__(self, node: Node, name: str) -> None:
        self.node = node
        self.name = name

    def apply(self, *documents: Mapping[str, Any]) -> None:
        self.node.cluster.apply(documents)

    def kubectl(self, *args: str) -> str:
        return self.node.cluster.kubectl(f"--namespace={self.name}", *args)

    def get(self, kind: str, name: str) -> dict[str, Any]:
        document = json.loads(self.kubectl("get", kind, name, "--output=json"))
        assert isinstance(document, dict)
        return document

    def find(self, kind: str, name: str) -> dict[str, Any] | None:
        """As `get`; None if there is none."""
        found = self.kubectl("get", kind, name, "--ignore-not-found", "--output=json")
        return dict(json.loads(found)) if found else None

    def wait_ready(self, pod: str, within: float = 60) -> None:
        self.kubectl("wait", "--for=condition=Ready", f"--timeout={within:g}s", f"pod/{pod}")

    def ended(self, pod: str, within: float = 60) -> dict[str, Any]:
        """The state in which the pod's only container ended: exitCode, reason."""

        def terminated() -> dict[str, Any] | None:
            (container,) = self.get("pod", pod)["status"].get("containerStatuses") or [{}]
            found = container.get("state", {}).get("terminated")
            assert found is None or isinstance(found, dict)
            return found

        found = until(terminated, within, f"pod {pod} ends", pause=0.2)
        assert found
        return found


def kill_containers(pod: Mapping[str, Any]) -> None:
    """As kill -9 of everything that runs in a pod: the kubelet starts its containers again. Nobody is told before."""
    ids = [each["containerID"].partition("://")[2] for each in pod["status"]["containerStatuses"]]
    killed = [each.signal(signal.SIGKILL) for each in _processes(ids)]
    assert any(killed), f"nothing runs in pod {pod['metadata']['name']}"


def _processes(containers: Sequence[str]) -> Iterator[Identity]:
    """A container's cgroup ends in its id; the sandbox of the pod is another one."""
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):  # it ended
            group = (folder / "cgroup").read_text()
            identity = identify(int(folder.name))
            if identity and any(f"/{container}\n" in group for container in containers):
                yield identity
