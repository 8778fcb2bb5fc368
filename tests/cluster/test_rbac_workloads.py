"""What the operator is allowed where it runs Redis and workers: it keeps them with exactly this role, which ends where
the namespace ends.
"""

import json
import subprocess
from collections.abc import Iterator

import pytest

from fluid_operator.environments.rendering.kinds import BY_KIND
from support.clusters import running_cluster
from support.grants import HOME, Grants, refusals, rules
from support.operators import running_operator
from support.waiting import until

CHILDREN = (
    "services",
    "serviceaccounts",
    "statefulsets.apps",
    "deployments.apps",
    "networkpolicies.networking.k8s.io",
    "poddisruptionbudgets.policy",
)
MANAGED = """
apiVersion: jobs.fluidcalendar.com/v1alpha1
kind: FluidEnvironment
metadata: {name: default}
spec:
  image: example.org/fluid-jobs:1
  redis: {managed: {storage: 1Gi}}
  workers:
    - {name: fixed, minReplicas: 1}
    - {name: scaled, minReplicas: 1, maxReplicas: 5}
"""
WITHOUT_A_POOL = '--patch=[{"op": "remove", "path": "/spec/workers/1"}]'


@pytest.fixture
def grants(own_cluster):
    return Grants(own_cluster)


def test_an_operator_keeps_redis_and_workers_with_its_roles_and_is_refused_nothing(own_cluster, grants):
    """As far as that goes without a node: what it makes does not start, but is there, and comes back."""
    grants.apply(".", HOME)
    grants.apply("rbac/workloads", "team-a")
    here = "--namespace=team-a"

    def uid(what):
        return own_cluster.kubectl(here, "get", what, "--ignore-not-found", "--output=jsonpath={.metadata.uid}")

    with running_operator(grants.kubeconfig, HOME, FLUID_NAMESPACES="") as operator:
        own_cluster.kubectl(here, "apply", "--filename=-", input=MANAGED)
        for child in ("statefulset/default-redis", "secret/default-redis", "deployment/default-scaled"):
            until(lambda child=child: uid(child), 30, f"{child} is there")
        for child in ("service/default-redis", "secret/default-redis"):
            before = uid(child)
            own_cluster.kubectl(here, "delete", child)
            until(lambda child=child, before=before: uid(child) not in ("", before), 30, f"{child} is made again")
        own_cluster.kubectl(here, "patch", "fluidenvironment", "default", "--type=json", WITHOUT_A_POOL)
        until(lambda: not uid("deployment/default-scaled"), 30, "the workers of a pool that is no more are gone")
        assert refusals(operator) == []


def test_an_environment_whose_namespace_lacks_the_role_for_workloads_says_so(own_cluster, grants):
    grants.apply(".", HOME)
    grants.apply("rbac/environment", "team-a")
    with running_operator(grants.kubeconfig, HOME, FLUID_NAMESPACES=""):
        own_cluster.kubectl("--namespace=team-a", "apply", "--filename=-", input=MANAGED)

        def message():
            found = own_cluster.kubectl("--namespace=team-a", "get", "fluidenvironment", "default", "--output=json")
            conditions = json.loads(found)["status"].get("conditions", [])
            return next((each["message"] for each in conditions if each["type"] == "Ready"), "")

        want = "Role fluid-operator-workloads in namespace team-a"
        until(lambda: want in message(), 30, "the missing role is named")


@pytest.fixture(scope="module")
def shared_grants() -> Iterator[Grants]:
    """Everything applied, for tests that only ask: rights for jobs alone in team-a, for workloads in team-c."""
    with running_cluster() as cluster:
        grants = Grants(cluster)
        grants.apply(".", HOME)
        grants.apply("rbac/environment", "team-a")
        grants.apply("rbac/workloads", "team-c")
        yield grants


@pytest.mark.parametrize("resource", CHILDREN)
def test_the_role_for_workloads_allows_to_keep_children_in_its_namespace_and_in_no_other(shared_grants, resource):
    for verb in ("get", "list", "watch", "create", "patch", "delete"):
        assert shared_grants.may(verb, resource, "team-c")
        assert not shared_grants.may(verb, resource, "team-a")
        assert not shared_grants.may(verb, resource, HOME)
    for verb in ("update", "deletecollection"):
        assert not shared_grants.may(verb, resource, "team-c")


def test_the_role_for_workloads_allows_to_write_secrets_but_not_to_look_through_them(shared_grants):
    for verb in ("get", "create", "patch", "delete"):
        assert shared_grants.may(verb, "secrets", "team-c")
    for verb in ("create", "patch", "delete"):
        assert not shared_grants.may(verb, "secrets", "team-a")
        assert not shared_grants.may(verb, "secrets", HOME)


@pytest.mark.parametrize(
    ("verb", "resource"),
    [
        ("list", "secrets"),
        ("watch", "secrets"),
        ("update", "secrets"),
        ("deletecollection", "secrets"),
        ("list", "configmaps"),
        ("watch", "configmaps"),
        ("create", "pods"),
        ("patch", "pods"),
        ("delete", "pods"),
        ("create", "pods/exec"),
        ("get", "pods/exec"),
        ("create", "pods/attach"),
        ("create", "pods/portforward"),
        ("create", "pods/eviction"),
        ("patch", "pods/ephemeralcontainers"),
        ("get", "pods/log"),
        ("create", "serviceaccounts/token"),
        ("impersonate", "serviceaccounts"),
        ("get", "persistentvolumeclaims"),
        ("delete", "persistentvolumeclaims"),
        ("create", "jobs.batch"),
        ("create", "daemonsets.apps"),
        ("patch", "statefulsets.apps/scale"),
        ("get", "roles.rbac.authorization.k8s.io"),
        ("create", "roles.rbac.authorization.k8s.io"),
        ("create", "rolebindings.rbac.authorization.k8s.io"),
        ("bind", "roles.rbac.authorization.k8s.io"),
        ("escalate", "roles.rbac.authorization.k8s.io"),
    ],
)
def test_the_role_for_workloads_does_not_allow(shared_grants, verb, resource):
    assert not shared_grants.may(verb, resource, "team-c")


def test_the_number_of_workers_may_be_changed_by_itself(shared_grants):
    assert shared_grants.may("patch", "deployments.apps/scale", "team-c")
    assert not shared_grants.may("patch", "deployments.apps/scale", "team-a")


def refused(cluster, kubeconfig, *args):
    """What the API server says to the operator's own identity; "" if it does as it is told."""
    done = subprocess.run(
        [cluster.binaries.kubectl, f"--kubeconfig={kubeconfig}", *args],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    return done.stderr.lower() if done.returncode else ""


def test_real_requests_are_refused_as_the_answers_say(shared_grants):
    cluster, kubeconfig = shared_grants.cluster, shared_grants.kubeconfig
    cluster.kubectl("--namespace=team-c", "create", "secret", "generic", "known", "--from-literal=key=value")
    assert refused(cluster, kubeconfig, "--namespace=team-c", "get", "secret", "known") == ""
    assert "forbidden" in refused(cluster, kubeconfig, "--namespace=team-c", "get", "secrets")
    assert "forbidden" in refused(cluster, kubeconfig, "--namespace=team-b", "get", "secret", "known")
    assert "forbidden" in refused(cluster, kubeconfig, "--namespace=team-c", "run", "pod", "--image=example.org/any:1")
    assert "forbidden" in refused(cluster, kubeconfig, "--namespace=team-c", "create", "token", "default")
    deployment = ("create", "deployment", "any", "--image=example.org/any:1", "--replicas=0")
    assert refused(cluster, kubeconfig, "--namespace=team-c", *deployment) == ""
    assert "forbidden" in refused(cluster, kubeconfig, "--namespace=team-b", *deployment)


def test_the_children_that_the_operator_makes_are_those_that_its_role_names():
    granted = {
        (rule["apiGroups"][0], resource) for rule in rules("workloads/role.yaml") for resource in rule["resources"]
    }
    made = {(each.group, each.plural) for each in BY_KIND.values()}
    assert granted - made == {("", "pods"), ("apps", "deployments/scale")}
    assert made <= granted
