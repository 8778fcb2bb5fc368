"""What the cluster refuses of an environment is told in words that say what to do, holds up nothing else, and heals."""

from pathlib import Path

import pytest
import yaml

from support.operators import Operator
from support.sites import external, managed, pool_of, redis_of
from support.waiting import until

RBAC = Path(__file__).parents[4] / "manifests" / "base" / "rbac"
ACCOUNT = "system:serviceaccount:fluid-system:fluid-operator"
GROUPS = ("system:serviceaccounts", "system:serviceaccounts:fluid-system")
GOOD = {"Ready": "Available", "WorkersReady": "Available"}


def test_a_quota_is_named_and_a_larger_one_heals(site, operator):
    site.kubectl("create", "quota", "tight", "--hard=count/deployments.apps=1")
    until(lambda: site.get("quota", "tight").get("status", {}).get("hard"), 30, "the quota is in force")
    site.apply(external().pool("default").pool("mail"))
    told = site.says("A quota of namespace")
    assert "apply Deployment default-mail; raise it: " in told["message"]
    site.consists_of(
        *pool_of("default"), *pool_of("mail") - {"Deployment/default-mail"}, "Secret/default-redis-address"
    )
    site.kubectl("delete", "quota", "tight")
    site.becomes(GOOD)


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"affinity": {"nodeAffinty": {}}}, "spec.workers[default].affinity"),
        ({"resources": {"requests": {"cpu": "2"}, "limits": {"cpu": "1"}}}, "spec.workers[default].resources"),
        ({"env": [{"name": "A", "valueFrom": {"secretKeyReff": {}}}]}, "spec.workers[default].env"),
    ],
)
def test_a_field_that_the_api_server_refuses_is_named_as_the_user_wrote_it(site, operator, fields, named):
    site.apply(external().pool("default", **fields).pool("mail"))
    told = site.says(named)
    assert told["status"] == "False"
    assert site.told("Stalled")["message"] == told["message"]
    until(lambda: site.exists("deployment", "default-mail"), 30, "the other pool is made all the same")
    site.apply(external().pool("default").pool("mail"))
    site.becomes({**GOOD, "Stalled": ""})


def test_a_name_that_is_taken_is_told_and_left_alone(site, operator):
    site.kubectl("create", "configmap", "default-redis", "--from-literal=mine=yes")
    site.apply(managed().pool("default"))
    site.becomes({"Ready": "NameTaken", "Stalled": "NameTaken"})
    assert "ConfigMap default-redis exists and is not the operator's" in site.told()["message"]
    assert site.get("configmap", "default-redis")["data"] == {"mine": "yes"}
    site.kubectl("delete", "configmap", "default-redis")
    site.consists_of(*redis_of(), *pool_of())
    site.becomes({"WorkersReady": "Available", "Stalled": ""})


def test_two_environments_whose_names_meet_do_not_fight(site, operator):
    site.apply(external("a").pool("b-c"))
    site.becomes(GOOD, name="a")
    site.apply(external("a-b").pool("c"))
    site.becomes({"Ready": "NameTaken"}, name="a-b")
    assert "belongs to FluidEnvironment a;" in site.told(name="a-b")["message"]
    before = site.rests(operator, "a")
    site.looks(operator)
    assert site.versions("a") == before


def roles(site, part):
    """The roles of manifests/base, in the namespace of the test."""
    documents = yaml.safe_load_all((RBAC / part / "role.yaml").read_text())
    namespaced = [{**each, "metadata": {**each["metadata"], "namespace": site.namespace}} for each in documents]
    site.cluster.apply(namespaced)


@pytest.fixture
def bound(site):
    """An operator with the rights of manifests/base for a namespace without workloads."""
    for part in ("namespaced", "environment", "lease"):
        roles(site, part)
    operator = Operator(site.cluster.client_kubeconfig(ACCOUNT, GROUPS), site.namespace).start()
    yield operator.leading()
    operator.process.stop(within=10)


def test_a_missing_right_is_told_with_the_role_that_gives_it(site, bound):
    site.apply(external().pool("default"))
    site.becomes({"Ready": "AccessDenied"})
    assert "the Role fluid-operator-workloads" in site.told()["message"]
    assert site.reason_of("RedisReady") == "Available"
    roles(site, "workloads")
    site.becomes(GOOD, within=90)


def test_the_rights_of_the_release_are_enough_for_a_whole_life(site, bound):
    roles(site, "workloads")
    site.apply(managed("blue").pool("default"), external("green").pool("default").pool("mail", maxReplicas=3))
    site.consists_of(*redis_of("blue"), *pool_of("default", "blue"), name="blue")
    site.becomes(GOOD, name="green")
    for kind, name in (("deployment", "green-mail"), ("secret", "green-redis-address"), ("secret", "blue-redis")):
        uid = site.get(kind, name)["metadata"]["uid"]
        site.kubectl("delete", kind, name, "--wait=false")
        until(
            lambda kind=kind, name=name, uid=uid: (
                site.exists(kind, name) and site.get(kind, name)["metadata"]["uid"] != uid
            ),
            40,
            f"{kind} {name} is back",
        )
    site.apply(managed("blue"), external("green").pool("default"))
    site.consists_of(*redis_of("blue"), name="blue")
    site.consists_of("Secret/green-redis-address", *pool_of("default", "green"), name="green")
    site.becomes(GOOD, name="green")
    assert not [line for line in bound.log if "cannot be watched" in line["message"]]


def test_without_workers_and_redis_of_its_own_an_environment_needs_no_further_right(site, bound):
    site.apply(external())
    site.becomes({"Ready": "Available", "Stalled": "", "Reconciling": ""})
    site.looks(bound)
    assert not [line for line in bound.log if line["level"] in ("warning", "error")]


def test_a_namespace_that_goes_is_not_held_up(site, operator):
    site.apply(managed().pool("default"))
    site.consists_of(*redis_of(), *pool_of())
    site.cluster.kubectl("delete", "namespace", site.namespace, "--timeout=60s")
    assert operator.process.running
