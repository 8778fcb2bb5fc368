"""What the operator is allowed: parts of manifests/base, applied to a test's cluster, and the API server's answers."""

from pathlib import Path
from typing import Any

import yaml

from fluid_dev.cluster import Cluster
from support.operators import Operator

BASE = Path(__file__).parents[2] / "manifests" / "base"
HOME = "fluid-system"
USER = f"system:serviceaccount:{HOME}:fluid-operator"
GROUPS = ("system:serviceaccounts", f"system:serviceaccounts:{HOME}")


class Grants:
    """Of the operator's own identity, in a cluster that has not seen it before. It has the namespaces team-a to -c."""

    def __init__(self, cluster: Cluster) -> None:
        self.cluster = cluster
        self.kubeconfig = cluster.client_kubeconfig(USER, GROUPS)
        for namespace in (HOME, "team-a", "team-b", "team-c"):
            cluster.kubectl("create", "namespace", namespace)

    def apply(self, part: str, namespace: str) -> None:
        """A folder of manifests/base."""
        self.cluster.kubectl("apply", f"--namespace={namespace}", f"--kustomize={BASE / part}")

    def may(self, verb: str, resource: str, namespace: str = "team-a", name: str = "") -> bool:
        """What the API server answers; `resource` may have a subresource behind a slash."""
        resource, _, subresource = resource.partition("/")
        who = [f"--as={USER}", *(f"--as-group={group}" for group in GROUPS)]
        resource = f"{resource}/{name}" if name else resource
        what = [verb, resource, f"--subresource={subresource}", f"--namespace={namespace}"]
        # Before the answer there may be a warning about a kind that the cluster does not have.
        answer = self.cluster.kubectl("auth", "can-i", *what, *who, check=False).split()
        assert answer
        assert {"yes", "no"} & set(answer)
        return "yes" in answer


def refusals(operator: Operator) -> list[dict[str, Any]]:
    """Lines of its log that tell of something forbidden."""
    return [line for line in operator.log if "forbidden" in str(line).lower()]


def rules(path: str) -> list[dict[str, Any]]:
    """Of the role in this file, below manifests/base/rbac."""
    role = next(yaml.safe_load_all((BASE / "rbac" / path).read_text()))
    return list(role["rules"])
