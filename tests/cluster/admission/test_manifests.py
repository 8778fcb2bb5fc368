"""The manifests of the webhook: the API server takes them, and they grant what the operator needs and no more."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from fluid_dev.cluster import Cluster
from fluid_dev.ports import free_port
from support.clusters import running_cluster
from support.folders import fresh_folder
from support.operators import running_operators
from support.waiting import until
from support.webhooks import MANIFESTS, served_certificate, webhook_at

HOME = "fluid-system"
BASE = MANIFESTS.parent / "base"
USER = f"system:serviceaccount:{HOME}:fluid-operator"
GROUPS = ("system:serviceaccounts", f"system:serviceaccounts:{HOME}")
SECRET = "fluid-operator-webhook-certificate"

DEPLOYMENT = """\
apiVersion: apps/v1
kind: Deployment
metadata: {name: fluid-operator, namespace: fluid-system}
spec:
  selector: {matchLabels: {app.kubernetes.io/name: fluid-operator}}
  template:
    metadata: {labels: {app.kubernetes.io/name: fluid-operator}}
    spec:
      containers: [{name: operator, image: example.org/operator}]
"""


@pytest.fixture(scope="module")
def home() -> Iterator[Cluster]:
    """A cluster for this file, because names of the manifests are what they are."""
    with running_cluster() as cluster:
        cluster.kubectl("create", "namespace", HOME)
        yield cluster


def render(cluster: Cluster, component: str) -> list[dict[str, Any]]:
    """An overlay of a Deployment with one of the components."""
    overlay = fresh_folder("overlay")
    (overlay / "deployment.yaml").write_text(DEPLOYMENT)
    (overlay / component).symlink_to(MANIFESTS / component)
    (overlay / "common").symlink_to(MANIFESTS / "common")
    kustomization = {"resources": ["deployment.yaml"], "components": [component]}
    (overlay / "kustomization.yaml").write_text(yaml.safe_dump(kustomization))
    text = cluster.kubectl("kustomize", "--load-restrictor=LoadRestrictionsNone", str(overlay))
    return list(yaml.safe_load_all(text))


def the(kind: str, objects: list[dict[str, Any]]) -> dict[str, Any]:
    (found,) = [each for each in objects if each["kind"] == kind]
    return found


@pytest.mark.parametrize("component", ["self-managed", "cert-manager"])
def test_the_api_server_takes_every_built_in_kind_of_it(home: Cluster, component: str) -> None:
    known = [each for each in render(home, component) if "cert-manager.io" not in each["apiVersion"]]
    listed = json.dumps({"apiVersion": "v1", "kind": "List", "items": known})
    said = home.kubectl("apply", "--dry-run=server", "-f", "-", input=listed)
    assert said.count("(server dry run)") == len(known)
    assert "validatingwebhookconfiguration.admissionregistration.k8s.io/fluid-operator" in said


@pytest.mark.parametrize(
    ("component", "variables"),
    [
        ("self-managed", {"FLUID_WEBHOOK_PORT": "9443", "FLUID_WEBHOOK_SERVICE": f"fluid-operator-webhook.{HOME}"}),
        (
            "cert-manager",
            {"FLUID_WEBHOOK_PORT": "9443", "FLUID_WEBHOOK_CERT_DIR": "/var/run/fluid-operator/webhook"},
        ),
    ],
)
def test_it_tells_the_operator_what_its_service_expects(
    home: Cluster, component: str, variables: dict[str, str]
) -> None:
    objects = render(home, component)
    (container,) = the("Deployment", objects)["spec"]["template"]["spec"]["containers"]
    assert {each["name"]: each["value"] for each in container["env"]} == variables
    (port,) = the("Service", objects)["spec"]["ports"]
    assert [each["name"] for each in container["ports"]] == [port["targetPort"]]
    service = the("ValidatingWebhookConfiguration", objects)["webhooks"][0]["clientConfig"]["service"]
    assert (service["name"], service["namespace"]) == (the("Service", objects)["metadata"]["name"], HOME)


def test_cert_manager_is_told_where_the_authorities_go_and_for_which_name(home: Cluster) -> None:
    objects = render(home, "cert-manager")
    certificate, deployment = the("Certificate", objects), the("Deployment", objects)
    annotations = the("ValidatingWebhookConfiguration", objects)["metadata"]["annotations"]
    assert annotations == {"cert-manager.io/inject-ca-from": f"{HOME}/{certificate['metadata']['name']}"}
    assert f"{the('Service', objects)['metadata']['name']}.{HOME}.svc" in certificate["spec"]["dnsNames"]
    (volume,) = deployment["spec"]["template"]["spec"]["volumes"]
    assert volume["secret"]["secretName"] == certificate["spec"]["secretName"]
    assert not [each for each in objects if "Role" in each["kind"]]


def test_an_operator_with_the_shipped_roles_keeps_its_certificate_and_may_nothing_else(home: Cluster) -> None:
    home.kubectl("apply", f"--namespace={HOME}", f"--kustomize={BASE}")
    home.kubectl("apply", "-f", "-", input=yaml.safe_dump_all(render(home, "self-managed")))
    kubeconfig, port = home.client_kubeconfig(USER, GROUPS), free_port()
    service = {"FLUID_WEBHOOK_SERVICE": f"fluid-operator-webhook.{HOME}"}
    with running_operators(kubeconfig, HOME, **webhook_at(port), **service, FLUID_NAMESPACES="") as (operator,):
        until(lambda: operator.leads and bundle(home), 60, "the authorities are written")
        until(lambda: served_certificate(port), 10, "the certificate is served")
        assert operator.said("The webhook's certificate is not in order.") == []

    def may(verb: str, resource: str, name: str = "") -> bool:
        who = [f"--as={USER}", *(f"--as-group={group}" for group in GROUPS)]
        what = [verb, f"{resource}/{name}" if name else resource, f"--namespace={HOME}"]
        return home.kubectl("auth", "can-i", *what, *who, check=False).startswith("yes")

    configurations = "validatingwebhookconfigurations.admissionregistration.k8s.io"
    assert may("update", "secrets", SECRET)
    assert may("patch", configurations, "fluid-operator")
    assert not may("get", "secrets", "another")
    for verb in ("create", "list", "watch", "delete"):
        assert not may(verb, "secrets")
    assert not may("patch", configurations, "another")
    for verb in ("create", "list", "delete"):
        assert not may(verb, configurations)


def bundle(cluster: Cluster) -> str:
    return cluster.kubectl(
        "get", "validatingwebhookconfiguration", "fluid-operator", "-o", "jsonpath={.webhooks[0].clientConfig.caBundle}"
    )


def test_applying_it_again_keeps_the_certificate_and_the_trust_in_it(home: Cluster) -> None:
    manifests = yaml.safe_dump_all(render(home, "self-managed"))
    home.kubectl("apply", "-f", "-", input=manifests)
    patch = '[{"op": "add", "path": "/webhooks/0/clientConfig/caBundle", "value": "Zm9v"}]'
    filled = '{"data": {"tls.key": "Zm9v"}}'
    # Both as the operator writes them: not by kubectl apply.
    home.kubectl("patch", "secret", SECRET, f"--namespace={HOME}", "--type=merge", "-p", filled)
    home.kubectl("patch", "validatingwebhookconfiguration", "fluid-operator", "--type=json", "-p", patch)
    before = kept(home)
    for way in ((), ("--server-side", "--force-conflicts")):
        home.kubectl("apply", *way, "-f", "-", input=manifests)
        assert kept(home) == before


def kept(cluster: Cluster) -> tuple[str, str]:
    """What the operator, and not the manifests, has to say."""
    secret = cluster.kubectl("get", "secret", SECRET, f"--namespace={HOME}", "-o", "jsonpath={.data}")
    assert secret
    assert bundle(cluster)
    return secret, bundle(cluster)
