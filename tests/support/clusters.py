"""Clusters for tests: started, with our kinds if they are generated already, and gone afterwards whatever happened."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from fluid_dev import binaries
from fluid_dev.cluster import Cluster
from support.folders import fresh_folder
from support.require import everything_required, required_parts

CRDS = Path(__file__).parents[2] / "crds"


def find_binaries() -> binaries.Binaries:
    """Of the cache, PATH or FLUID_BIN_DIR; built only when every part is required."""
    with required_parts():
        return binaries.provide(may_build=everything_required())


@contextmanager
def running_cluster(*, apiserver_args: Sequence[str] = (), crds: bool = True) -> Iterator[Cluster]:
    """A started cluster of its own; dies with this process. For fixtures of any scope."""
    cluster = Cluster(fresh_folder("cluster"), find_binaries(), die_with_parent=True, apiserver_args=apiserver_args)
    try:
        cluster.start()
        if crds and any(CRDS.glob("*.yaml")):
            cluster.apply_crds(CRDS)
        yield cluster
    finally:
        cluster.stop(wipe=True)
