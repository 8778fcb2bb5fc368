"""The roles for an operator in shards: each shard may lead with them, and nobody may more than that."""

import os
from pathlib import Path

import pytest

from fluid_dev.cluster import Cluster
from support.folders import fresh_folder
from support.operators import Operator, running_operator, running_operators
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


def test_each_of_three_shards_leads_with_the_roles_of_the_component(kubeconfig: Path):
    for number in (1, 2, 3):
        with running_operator(kubeconfig, HOME, FLUID_NAMESPACES="", FLUID_SHARD=f"{number}/3") as operator:
            assert not is_forbidden(operator)


def test_a_shard_of_another_number_does_not_lead_with_them(kubeconfig: Path):
    with running_operators(kubeconfig, HOME, FLUID_NAMESPACES="", FLUID_SHARD="1/2") as (operator,):
        until(lambda: is_forbidden(operator), 30, "the Lease is refused")
        assert not operator.leads
