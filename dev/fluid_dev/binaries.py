"""Where the programs of a cluster are: a chain of providers, the cheapest first.

1. the folder that FLUID_BIN_DIR names, taken as it is;
2. PATH, if the program has the minor version that we pin (mixed versions are a source of strange failures);
3. our cache of built programs;
4. a build from the pinned Go modules, which fills the cache.
"""

import os
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from fluid_dev import building
from fluid_dev.errors import MissingTool
from fluid_dev.tools import FAKE_NODE_TOOLS, NODE_TOOLS, TOOLS, Tool


@dataclass(frozen=True)
class Binaries:
    etcd: Path
    kube_apiserver: Path
    kube_controller_manager: Path
    kubectl: Path


@dataclass(frozen=True)
class FakeNodeBinaries:
    """What a cluster needs besides, for pods to be scheduled and to end."""

    kube_scheduler: Path
    kwok: Path


@dataclass(frozen=True)
class NodeBinaries:
    """What a cluster needs besides, for pods to run on this machine."""

    kubelet: Path
    kube_proxy: Path
    kube_scheduler: Path
    containerd: Path
    containerd_shim_runc_v2: Path
    ctr: Path
    bridge: Path
    host_local: Path
    runc: Path
    coredns: Path


def provide(*, may_build: bool = True) -> Binaries:
    """All programs of a cluster; builds what is nowhere yet, or raises MissingTool if it may not."""
    return Binaries(**_paths(TOOLS, may_build))


def provide_fake_nodes(*, may_build: bool = True) -> FakeNodeBinaries:
    """As `provide`, for the programs that only a cluster with fake nodes runs."""
    return FakeNodeBinaries(**_paths(FAKE_NODE_TOOLS, may_build))


def provide_node(*, may_build: bool = True) -> NodeBinaries:
    """As `provide`, for the programs that only a cluster with a real node runs."""
    return NodeBinaries(**_paths(NODE_TOOLS, may_build))


def _paths(tools: Sequence[Tool], may_build: bool) -> dict[str, Path]:
    return {tool.name.replace("-", "_"): find(tool) or _build(tool, may_build) for tool in tools}


def find(tool: Tool) -> Path | None:
    return _in_named_folder(tool) or _on_path(tool) or building.cached(tool, building.cache_folder())


def _build(tool: Tool, may_build: bool) -> Path:
    if not may_build:
        raise MissingTool(tool.name, "run 'make binaries' to build it, or name a folder that has it in FLUID_BIN_DIR")
    return building.build(tool, building.cache_folder())


def _in_named_folder(tool: Tool) -> Path | None:
    folder = os.environ.get("FLUID_BIN_DIR")
    path = Path(folder).absolute() / tool.name if folder else None
    return path if path and os.access(path, os.X_OK) else None


def _on_path(tool: Tool) -> Path | None:
    found = shutil.which(tool.name) if tool.version_args else None
    if found is None:
        return None
    try:
        answer = subprocess.run(
            [found, *tool.version_args], capture_output=True, text=True, timeout=30, check=True
        ).stdout
    except (OSError, subprocess.SubprocessError):
        return None
    # The real file: what is found may be a link of a demo's own, which goes with the demo.
    return Path(found).resolve() if tool.is_like(answer) else None
