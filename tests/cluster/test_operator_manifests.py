"""The manifests of the operator itself: the API server takes them, its pods fit the strictest profile, and what the
components make of them is one operator for each Lease that the roles allow.
"""

import json
import os
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest
import yaml

from fluid_dev.cluster import Cluster
from fluid_dev.node_demo import restricted_namespace
from fluid_operator.settings import OperatorSettings, from_environment
from support.clusters import running_cluster
from support.folders import fresh_folder

MANIFESTS = Path(__file__).parents[2] / "manifests"
HOME = "fluid-system"
Json = dict[str, Any]


@pytest.fixture(scope="module")
def home() -> Iterator[Cluster]:
    with running_cluster() as cluster:
        cluster.apply([restricted_namespace(HOME)])
        yield cluster


def overlay(cluster: Cluster, *components: str) -> list[Json]:
    """What a kustomization of the base with these components consists of."""
    folder = fresh_folder("overlay")
    base, *chosen = (os.path.relpath(MANIFESTS / part, folder) for part in ("base", *components))
    (folder / "kustomization.yaml").write_text(yaml.safe_dump({"resources": [base], "components": chosen}))
    return list(yaml.safe_load_all(cluster.kubectl("kustomize", str(folder))))


def of_kind(kind: str, objects: list[Json]) -> list[Json]:
    return [each for each in objects if each["kind"] == kind]


def settings_of(deployment: Json) -> OperatorSettings:
    (container,) = deployment["spec"]["template"]["spec"]["containers"]
    return from_environment({each["name"]: each["value"] for each in container.get("env", [])})


def pod_labels(deployment: Json) -> set[tuple[str, str]]:
    return set(deployment["spec"]["template"]["metadata"]["labels"].items())


@pytest.mark.parametrize(
    "component", [(), ("components/shards",), ("components/namespaced",), ("webhook/self-managed",)]
)
def test_the_api_server_takes_every_object_of_it(home: Cluster, component: tuple[str, ...]) -> None:
    objects = overlay(home, *component)
    listed = json.dumps({"apiVersion": "v1", "kind": "List", "items": objects})
    said = home.kubectl("apply", "--dry-run=server", "--validate=strict", "--filename=-", input=listed)
    assert said.count("(server dry run)") == len(objects)


def test_its_pods_are_let_into_a_namespace_for_restricted_ones_only(home: Cluster) -> None:
    home.apply(of_kind("ServiceAccount", overlay(home)))
    (deployment,) = of_kind("Deployment", overlay(home))
    template = deployment["spec"]["template"]
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "one", "namespace": HOME}, "spec": template["spec"]}
    assert "(server dry run)" in home.kubectl("apply", "--dry-run=server", "--filename=-", input=json.dumps(pod))
    del template["spec"]["containers"][0]["securityContext"]["capabilities"]
    refused = home.kubectl("apply", "--dry-run=server", "--filename=-", input=json.dumps(pod), check=False)
    assert "violates PodSecurity" in refused


def test_services_policies_and_budgets_are_about_its_pods_and_ports(home: Cluster) -> None:
    objects = overlay(home)
    (deployment,) = of_kind("Deployment", objects)
    (container,) = deployment["spec"]["template"]["spec"]["containers"]
    ports = {each["name"]: each["containerPort"] for each in container["ports"]}
    (service,), (policy,) = of_kind("Service", objects), of_kind("NetworkPolicy", objects)
    (budget,) = of_kind("PodDisruptionBudget", objects)
    for selector in (
        service["spec"]["selector"],
        policy["spec"]["podSelector"]["matchLabels"],
        budget["spec"]["selector"]["matchLabels"],
    ):
        assert set(selector.items()) <= pod_labels(deployment)
    (served,) = service["spec"]["ports"]
    assert ports[served["targetPort"]] == served["port"] == settings_of(deployment).http_port
    assert [each["port"] for each in policy["spec"]["ingress"][0]["ports"]] == [served["targetPort"]]
    meta = service["metadata"]
    assert settings_of(deployment).metrics_service == f"{meta['name']}.{meta['namespace']}"


def test_the_kubelet_waits_for_longer_than_the_operator_takes_to_stop(home: Cluster) -> None:
    (deployment,) = of_kind("Deployment", overlay(home))
    grace = deployment["spec"]["template"]["spec"]["terminationGracePeriodSeconds"]
    assert grace >= 2 * settings_of(deployment).shutdown_seconds


def test_shards_are_as_many_deployments_as_leases_that_may_be_taken_and_no_pod_belongs_to_two(home: Cluster) -> None:
    objects = overlay(home, "components/shards")
    deployments = of_kind("Deployment", objects)
    (role,) = [each for each in of_kind("Role", objects) if each["metadata"]["name"] == "fluid-operator-lease"]
    leases = {name for rule in role["rules"] for name in rule.get("resourceNames", ())}
    assert {settings_of(each).own_lease_name for each in deployments} == leases
    assert len(deployments) == len(leases) == 3
    selecting = [*deployments, *of_kind("PodDisruptionBudget", objects)]
    for each in selecting:
        selector = set(each["spec"]["selector"]["matchLabels"].items())
        assert sum(selector <= pod_labels(deployment) for deployment in deployments) == 1


def test_an_operator_of_chosen_namespaces_comes_without_any_right_over_all(home: Cluster) -> None:
    objects = overlay(home, "components/namespaced")
    assert not [each for each in objects if each["kind"].startswith("Cluster")]
    assert of_kind("Deployment", objects)


def test_the_environment_of_the_examples_has_the_image_of_this_version_and_is_taken_strictly(home: Cluster) -> None:
    (environment,) = yaml.safe_load_all((MANIFESTS / "examples" / "managed" / "environment.yaml").read_text())
    (deployment,) = of_kind("Deployment", overlay(home))
    (container,) = deployment["spec"]["template"]["spec"]["containers"]
    assert environment["spec"]["image"] == container["image"]
    assert container["image"].endswith(f":{version('fluid-jobs')}")
    how = ("--dry-run=server", "--validate=strict", "--filename=-")
    assert "(server dry run)" in home.kubectl("apply", *how, input=json.dumps(environment))
