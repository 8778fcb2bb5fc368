"""The operator as it ships: in a namespace that takes no pod with any right, and with the rights of its manifests."""

import json

from support.operator_pods import SYSTEM

ACCOUNT = f"--as=system:serviceaccount:{SYSTEM}:fluid-operator"


async def test_it_keeps_an_environment_with_what_its_manifests_grant(stage, operator):
    for name in (SYSTEM, stage.namespace.name):
        labels = stage.namespace.get("namespace", name)["metadata"]["labels"]
        assert labels["pod-security.kubernetes.io/enforce"] == "restricted"
    stage.apply()
    await stage.ready()
    await stage.create("a")
    await stage.reaches("a", "Succeeded")
    lines = [json.loads(line) for line in operator.log(prefix=False).splitlines() if line.startswith("{")]
    assert [line for line in lines if "orbidden" in json.dumps(line)] == []


async def test_it_has_no_right_to_look_through_secrets_nor_outside_of_the_namespaces_it_serves(stage):
    def may(*what: str) -> bool:
        answer = stage.namespace.node.cluster.kubectl("auth", "can-i", *what, ACCOUNT, check=False)
        return answer.strip().endswith("yes")

    here = f"--namespace={stage.namespace.name}"
    assert may("get", "secrets", here)
    assert not may("list", "secrets", here)
    assert not may("create", "pods", here)
    assert not may("create", "pods/exec", here)
    assert not may("get", "secrets", "--namespace=kube-system")
    assert not may("create", "deployments", "--namespace=default")
