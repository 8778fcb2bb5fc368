"""The roles for an operator in shards: with them each shard may lead, and no other."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from fluid_dev.cluster import Cluster
from support.folders import fresh_folder
from support.operators import Operator
from support.waiting import until

MANIFESTS = Path(__file__).parents[2] / "manifests"
HOME = "fluid-system"
USER = f"system:serviceaccount:{HOME}:fluid-operator"
GROUPS = ("system:serviceaccounts", f"system:serviceaccounts:{HOME}")


@pytest.fixture
def kubeconfig(own_cluster: Cluster) -> Path:
    """The operator's identity, with what an overlay of the base and the component grants."""
    overlay = fresh_folder("overlay")
    base, component = (os.path.relpath(MANIFESTS / part, overlay) for part in ("base", "components/shards"))
    (overlay / "kustomization.yaml").write_text(f"resources: [{base}]\ncomponents: [{component}]\n")
    own_cluster.kubectl("create", "namespace", HOME)
    own_cluster.kubectl("apply", f"--namespace={HOME}", f"--kustomize={overlay}")
    return own_cluster.client_kubeconfig(USER, GROUPS)


def is_forbidden(operator: Operator) -> bool:
    return any("cannot get resource" in line.get("error", "") for line in operator.log)


@contextmanager
def shards(kubeconfig: Path, *written: str) -> Iterator[list[Operator]]:
    """Operators of all namespaces, started together."""
    operators = [Operator(kubeconfig, HOME, FLUID_NAMESPACES="", FLUID_SHARD=shard) for shard in written]
    try:
        yield [operator.start() for operator in operators]
    finally:
        for operator in operators:
            operator.process.stop(within=5)


def test_the_roles_of_the_component_let_three_shards_lead_and_no_other(kubeconfig: Path):
    with shards(kubeconfig, "1/3", "2/3", "3/3", "1/2") as (*three, other):
        for operator in three:
            assert not is_forbidden(operator.leading())
        until(lambda: is_forbidden(other), 30, "the Lease is refused")
        assert not other.leads
