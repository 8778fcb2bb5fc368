"""The children of an environment in a real API server: applied once, put right when somebody changes them, taken away
when they are no longer wanted, and never at the expense of somebody else's objects."""

import copy
import json

import pytest

from fluid_operator.environments.children import ChildKey, Children
from fluid_operator.environments.refusals import Trouble
from fluid_operator.environments.rendering import naming
from fluid_operator.kube.client import Kube, connect
from fluid_operator.kube.keys import ObjectKey, Resource
from support.environments import decoded, environment
from support.waiting import auntil

FULL = environment("full")["spec"]
MINIMAL = environment("minimal")["spec"]
EXTERNAL = {"external": {"urlSecretRef": {"name": "redis", "key": "url"}}}
CLAIMS = Resource("", "v1", "persistentvolumeclaims", "PersistentVolumeClaim")

REDIS = ChildKey("StatefulSet", "default-redis")
WORKERS = ChildKey("Deployment", "default-default")


def versions(outcome):
    return {key: live["metadata"]["resourceVersion"] for key, live in outcome.live.items()}


class Counting(Kube):
    """Counts the writes that really go out."""

    writes = 0

    async def request(self, verb, path, **options):
        if verb in ("patch", "create", "delete"):
            self.writes += 1
        return await super().request(verb, path, **options)


def without_pool(spec, name):
    changed = copy.deepcopy(spec)
    changed["workers"] = [pool for pool in spec["workers"] if pool["name"] != name]
    return changed


def changed(spec, *path, to):
    copied = copy.deepcopy(spec)
    *steps, last = path
    inner = copied
    for step in steps:
        inner = inner[step]
    inner[last] = to
    return copied


async def test_the_first_time_everything_is_made_and_then_nothing_changes(stage, monitors):
    plan = stage.environment(FULL, optional=["PodMonitor"])
    first = await stage.apply(plan)
    assert first.problems == ()
    assert set(first.applied) == set(first.live)
    assert {key.kind for key in first.live} == {
        *("Secret", "ConfigMap", "NetworkPolicy", "Service", "StatefulSet", "Deployment", "ServiceAccount"),
        *("PodDisruptionBudget", "PodMonitor"),
    }
    second = await stage.apply(plan)
    assert second.settled
    assert versions(second) == versions(first)


async def test_what_is_settled_is_only_read(stage):
    plan = stage.environment(MINIMAL)
    counting = Counting(stage.kube.connection)
    children = Children(counting)
    assert (await stage.apply(plan, children)).applied
    made = counting.writes
    assert (await stage.apply(plan, children)).settled
    assert counting.writes == made


async def test_after_a_restart_applying_again_changes_nothing(stage, monitors):
    plan = stage.environment(FULL, optional=["PodMonitor"])
    first = await stage.apply(plan)
    again = await stage.apply(plan, Children(stage.kube))
    assert again.settled
    assert versions(again) == versions(first)


EDITS = {
    "a value": ("deployment", "default-default", {"spec": {"minReadySeconds": 0, "revisionHistoryLimit": 1}}),
    "a label": ("service", "default-redis", {"metadata": {"labels": {naming.COMPONENT_LABEL: "x"}}}),
    "a lost label": ("service", "default-redis", {"metadata": {"labels": {naming.ENVIRONMENT_LABEL: None}}}),
    "configuration": ("configmap", "default-redis", {"data": {"redis.conf": "appendonly no"}}),
    "a lost key": ("configmap", "default-redis", {"data": {"ready.sh": None}}),
    "a secret": ("secret", "default-redis", {"data": {"users.acl": None}}),
    "an open door": ("networkpolicy", "default-redis", {"spec": {"policyTypes": ["Egress"]}}),
    "a lost owner": ("serviceaccount", "default-default", {"metadata": {"ownerReferences": None}}),
}


@pytest.mark.parametrize("edit", EDITS)
async def test_an_edit_is_put_right(stage, edit):
    plan = stage.environment(MINIMAL)
    kind, name, patch = EDITS[edit]
    await stage.apply(plan)
    before = stage.get(kind, name)
    stage.kubectl("patch", kind, name, "--type=merge", f"--patch={json.dumps(patch)}")
    outcome = await stage.apply(plan)
    assert [key.name for key in outcome.applied] == [name]
    after = stage.get(kind, name)
    for part in ("spec", "data"):
        assert after.get(part) == before.get(part)
    for part in ("labels", "ownerReferences"):
        assert after["metadata"][part] == before["metadata"][part]
    assert (await stage.apply(plan)).settled


@pytest.mark.parametrize("key", [WORKERS, REDIS, ChildKey("Secret", "default-redis")])
async def test_a_deleted_child_comes_back(stage, key):
    plan = stage.environment(MINIMAL)
    await stage.apply(plan)
    stage.kubectl("delete", key.kind.lower(), key.name)
    assert (await stage.apply(plan)).applied == (key,)
    assert (await stage.apply(plan)).settled


async def test_what_others_add_stays(stage):
    plan = stage.environment(MINIMAL)
    await stage.apply(plan)
    stage.kubectl("annotate", "deployment", "default-default", "team.example.com/owner=ada")
    assert (await stage.apply(plan)).settled
    assert stage.get("deployment", "default-default")["metadata"]["annotations"]["team.example.com/owner"] == "ada"


async def test_a_pool_that_is_no_longer_wanted_goes_with_everything_of_it(stage):
    plan = stage.environment(FULL)
    await stage.apply(plan)
    outcome = await stage.apply(stage.environment(without_pool(FULL, "default")))
    assert {(key.kind, key.name) for key in outcome.deleted} == {
        (kind, "default-default") for kind in ("Deployment", "NetworkPolicy", "PodDisruptionBudget", "ServiceAccount")
    }
    assert stage.names("deployment") == {"default-mail"}


async def test_a_redis_of_our_own_goes_when_another_is_named_and_its_volume_stays(stage):
    await stage.apply(stage.environment(MINIMAL))
    volume = claim(stage, "data-default-redis-0")
    await stage.kube.create(CLAIMS, volume)
    outcome = await stage.apply(stage.environment({**MINIMAL, "redis": EXTERNAL}))
    assert {key.kind for key in outcome.deleted} == {
        *("Secret", "ConfigMap", "NetworkPolicy", "Service", "StatefulSet")
    }
    assert stage.names("persistentvolumeclaim") == {"data-default-redis-0"}


async def test_nothing_of_another_environment_is_touched(stage):
    other = stage.environment(MINIMAL, name="other")
    first = await stage.apply(other)
    await stage.apply(stage.environment(FULL))
    await stage.apply(stage.environment(without_pool(FULL, "mail")))
    after = await stage.apply(other)
    assert after.settled
    assert versions(after) == versions(first)


def claim(stage, name):
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {"name": name, "namespace": stage.namespace},
        "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}},
    }


async def test_a_redis_that_cannot_be_changed_in_place_is_made_anew_and_keeps_pod_and_volume(stage):
    small = changed(MINIMAL, "redis", "managed", to={"storage": "1Gi"})
    large = changed(MINIMAL, "redis", "managed", to={"storage": "2Gi"})
    first = await stage.apply(stage.environment(small))
    uid = first.live[REDIS]["metadata"]["uid"]
    owner = {"apiVersion": "apps/v1", "kind": "StatefulSet", "name": "default-redis", "uid": uid}
    volume = claim(stage, "data-default-redis-0")
    volume["metadata"]["ownerReferences"] = [owner]
    volume_uid = (await stage.kube.create(CLAIMS, volume))["metadata"]["uid"]

    plan = stage.environment(large)
    outcome = await stage.apply(plan)
    (problem,) = outcome.problems
    assert (problem.trouble, problem.passing) == (Trouble.BEING_REPLACED, True)
    assert "pods and volumes stay" in problem.message

    async def settled():
        return (await stage.apply(plan)).settled

    await auntil(settled, 60, "the StatefulSet is made anew")
    made = stage.get("statefulset", "default-redis")
    assert made["metadata"]["uid"] != uid
    assert made["spec"]["volumeClaimTemplates"][0]["spec"]["resources"]["requests"] == {"storage": "2Gi"}
    kept = await stage.kube.get(CLAIMS, ObjectKey(stage.namespace, "data-default-redis-0"))
    assert kept["metadata"]["uid"] == volume_uid
    assert "ownerReferences" not in kept["metadata"]
    assert "deletionTimestamp" not in kept["metadata"]


async def test_a_redis_is_not_given_up_for_one_that_would_be_refused(stage):
    first = await stage.apply(stage.environment(MINIMAL))
    worse = stage.environment(changed(MINIMAL, "redis", "managed", to={"storage": "0"}))
    outcome = await stage.apply(worse)
    (problem,) = outcome.problems
    assert problem.trouble is Trouble.INVALID
    assert "spec.redis.managed.storage" in problem.message
    assert stage.get("statefulset", "default-redis")["metadata"]["uid"] == first.live[REDIS]["metadata"]["uid"]


async def test_a_policy_of_deletion_is_changed_in_place(stage):
    first = await stage.apply(stage.environment(MINIMAL))
    outcome = await stage.apply(stage.environment({**MINIMAL, "deletionPolicy": "Delete"}))
    assert (outcome.applied, outcome.problems) == ((REDIS,), ())
    live = stage.get("statefulset", "default-redis")
    assert live["metadata"]["uid"] == first.live[REDIS]["metadata"]["uid"]
    assert live["spec"]["persistentVolumeClaimRetentionPolicy"]["whenDeleted"] == "Delete"


def scaled(**fields):
    return {**MINIMAL, "workers": [{"name": "default", **fields}]}


def replicas(stage):
    return stage.get("deployment", "default-default")["spec"]["replicas"]


async def test_the_number_of_workers_is_its_autoscalers(stage):
    plan = stage.environment(scaled(minReplicas=1, maxReplicas=9))
    await stage.apply(plan)
    stage.kubectl("scale", "deployment", "default-default", "--replicas=7")
    assert (await stage.apply(plan)).settled
    assert replicas(stage) == 7


async def test_a_fixed_number_of_workers_is_put_right(stage):
    plan = stage.environment(scaled(minReplicas=3))
    await stage.apply(plan)
    stage.kubectl("scale", "deployment", "default-default", "--replicas=7")
    assert (await stage.apply(plan)).applied == (WORKERS,)
    assert replicas(stage) == 3


async def test_handing_the_number_to_an_autoscaler_stops_no_worker(stage):
    await stage.apply(stage.environment(scaled(minReplicas=6)))
    plan = stage.environment(scaled(minReplicas=1, maxReplicas=9))
    assert (await stage.apply(plan)).problems == ()
    assert replicas(stage) == 6
    assert (await stage.apply(plan)).settled
    stage.kubectl("scale", "deployment", "default-default", "--replicas=2")
    assert (await stage.apply(plan)).settled
    assert replicas(stage) == 2
    await stage.apply(stage.environment(scaled(minReplicas=4)))
    assert replicas(stage) == 4


async def test_an_object_of_somebody_else_is_left_alone(stage):
    stage.kubectl("create", "configmap", "default-redis", "--from-literal=mine=yes")
    outcome = await stage.apply(stage.environment(MINIMAL))
    (problem,) = outcome.problems
    assert (problem.kind, problem.trouble) == ("ConfigMap", Trouble.NAME_TAKEN)
    assert "delete the object" in problem.message
    assert stage.get("configmap", "default-redis")["data"] == {"mine": "yes"}
    assert REDIS in outcome.applied


async def test_what_is_not_ours_is_not_taken_away(stage):
    """Under a name of ours, or with our labels: without our owner reference it is somebody's."""
    for kind in (["secret", "generic"], ["configmap"]):
        stage.kubectl("create", *kind, "default-redis", "--from-literal=mine=yes")
    stage.kubectl("create", "service", "clusterip", "mine", "--tcp=80")
    labels = [f"{name}={value}" for name, value in naming.environment_selector("default").items()]
    stage.kubectl("label", "service", "mine", *labels)
    outcome = await stage.apply(stage.environment({**MINIMAL, "redis": EXTERNAL}))
    assert (outcome.deleted, outcome.problems) == ((), ())
    assert stage.names("service") == {"mine"}
    assert {"default-redis"} <= stage.names("secret") & stage.names("configmap")


async def test_two_environments_whose_names_meet_do_not_fight(stage):
    spec = {**MINIMAL, "redis": EXTERNAL}
    first = stage.environment({**spec, "workers": [{"name": "b-c"}]}, name="a")
    second = stage.environment({**spec, "workers": [{"name": "c"}]}, name="a-b")
    await stage.apply(first)
    outcome = await stage.apply(second)
    assert {problem.trouble for problem in outcome.problems} == {Trouble.NAME_TAKEN}
    assert all("FluidEnvironment a;" in problem.message for problem in outcome.problems)
    assert outcome.applied == ()
    assert (await stage.apply(first)).settled


async def test_what_an_environment_left_behind_is_adopted(stage):
    await stage.apply(stage.environment(MINIMAL))
    passwords = decoded(stage.get("secret", "default-redis"))
    stage.kubectl("delete", "fluidenvironment", "default", "--cascade=orphan")

    async def orphaned():
        return "ownerReferences" not in stage.get("statefulset", "default-redis")["metadata"]

    await auntil(orphaned, 60, "the children are orphans")
    plan = stage.environment(MINIMAL)

    async def settled():
        outcome = await stage.apply(plan)
        assert all(problem.passing for problem in outcome.problems)
        return outcome.settled

    await auntil(settled, 60, "the children are adopted")
    assert stage.get("statefulset", "default-redis")["metadata"]["ownerReferences"][0]["uid"] == plan.uid
    assert decoded(stage.get("secret", "default-redis")) == passwords


def hold(stage, finalizers):
    """Keep the StatefulSet from going away, or let it go."""
    patch = json.dumps({"metadata": {"finalizers": finalizers}})
    stage.kubectl("patch", "statefulset", "default-redis", "--type=merge", f"--patch={patch}")


async def test_children_of_an_earlier_environment_are_waited_for(stage):
    earlier = stage.environment(MINIMAL)
    await stage.apply(earlier)
    hold(stage, ["team.example.com/not-yet"])
    stage.kubectl("delete", "fluidenvironment", "default")
    plan = stage.environment(MINIMAL)
    assert plan.uid != earlier.uid

    async def look():
        outcome = await stage.apply(plan)
        assert all(problem.trouble is Trouble.BEING_DELETED for problem in outcome.problems)
        return outcome

    async def only_one_is_left():
        return len((await look()).problems) == 1

    async def settled():
        return (await look()).settled

    await auntil(only_one_is_left, 90, "the others are gone")
    (problem,) = (await look()).problems
    assert "default-redis belongs to an earlier environment" in problem.message
    hold(stage, [])

    await auntil(settled, 90, "the children are those of the new environment")
    for key in (REDIS, WORKERS):
        (owner,) = stage.get(key.kind.lower(), key.name)["metadata"]["ownerReferences"]
        assert owner["uid"] == plan.uid


BAD_POOLS = {
    "affinity": ({"affinity": {"nodeAffinty": {}}}, "spec.workers[default].affinity"),
    "valueFrom": ({"env": [{"name": "A", "valueFrom": {"secretKeyReff": {}}}]}, "spec.workers[default].env"),
    "two values": (
        {"env": [{"name": "A", "value": "x", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}}]},
        "spec.workers[default].env",
    ),
    "resources": (
        {"resources": {"requests": {"cpu": "2"}, "limits": {"cpu": "1"}}},
        "spec.workers[default].resources",
    ),
    "toleration": ({"tolerations": [{"operator": "Equal", "tolerationSeconds": 5}]}, "spec.workers[default]"),
    "node label": ({"nodeSelector": {"not a label": "x"}}, "spec.workers[default]"),
}


@pytest.mark.parametrize("bad", BAD_POOLS)
async def test_a_field_that_is_refused_is_named_as_the_user_wrote_it(stage, bad):
    fields, want = BAD_POOLS[bad]
    outcome = await stage.apply(stage.environment(scaled(**fields)))
    (problem,) = outcome.problems
    assert (problem.kind, problem.name, problem.trouble) == ("Deployment", "default-default", Trouble.INVALID)
    assert want in problem.message
    assert REDIS in outcome.applied


async def test_a_missing_right_is_told_and_stops_nothing_else(stage, cluster):
    plan = stage.environment(MINIMAL)
    stage.kubectl("create", "role", "some", "--verb=*", "--resource=secrets,configmaps,services,serviceaccounts")
    stage.kubectl("create", "rolebinding", "some", "--role=some", "--user=helper")
    async with connect(cluster.client_kubeconfig("helper")) as kube:
        outcome = await stage.apply(plan, Children(kube))
    assert {key.kind for key in outcome.applied} == {"Secret", "ConfigMap", "Service", "ServiceAccount"}
    assert {problem.trouble for problem in outcome.problems} == {Trouble.FORBIDDEN}
    assert {problem.kind for problem in outcome.problems} == {
        *("NetworkPolicy", "StatefulSet", "Deployment", "PodDisruptionBudget")
    }
    assert all("fluid-operator-workloads" in problem.message for problem in outcome.problems)


RIGHTS = {
    "": {"secrets": "get create patch delete", "configmaps": "get create patch delete"}
    | dict.fromkeys(("services", "serviceaccounts"), "get list create patch delete"),
    "apps": dict.fromkeys(("statefulsets", "deployments"), "get list create patch delete")
    | {"deployments/scale": "patch"},
    "networking.k8s.io": {"networkpolicies": "get list create patch delete"},
    "policy": {"poddisruptionbudgets": "get list create patch delete"},
    "monitoring.coreos.com": {"podmonitors": "get list create patch delete"},
    "keda.sh": {"scaledobjects": "get list create patch delete"},
}
"""What an operator needs for the children in a namespace, by group and resource."""


async def test_these_rights_are_enough_for_a_whole_life(stage, cluster, monitors):
    rules = [
        {"apiGroups": [group], "resources": [resource], "verbs": verbs.split()}
        for group, resources in RIGHTS.items()
        for resource, verbs in resources.items()
    ]
    role = {"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role", "metadata": {"name": "all"}, "rules": rules}
    stage.kubectl("apply", "--filename=-", input=json.dumps(role))
    stage.kubectl("create", "rolebinding", "all", "--role=all", "--user=just-enough")
    async with connect(cluster.client_kubeconfig("just-enough")) as kube:
        children = Children(kube)
        full = stage.environment(FULL, optional=["PodMonitor"])
        assert (await stage.apply(full, children)).problems == ()
        stage.kubectl("delete", "service", "default-redis")
        assert (await stage.apply(full, children)).problems == ()
        smaller = stage.environment(changed(without_pool(FULL, "mail"), "redis", "managed", "storage", to="9Gi"))
        (problem,) = (await stage.apply(smaller, children)).problems
        assert problem.trouble is Trouble.BEING_REPLACED
        redis = {"keyPrefix": FULL["redis"]["keyPrefix"], **EXTERNAL}
        outside = stage.environment({**FULL, "redis": redis, "workers": []}, optional=["PodMonitor"])

        async def settled():
            outcome = await stage.apply(outside, children)
            assert outcome.problems == ()
            return outcome.settled

        await auntil(settled, 60, "everything is gone")
    assert stage.names("secret,configmap,service,statefulset,deployment,networkpolicy,podmonitor") <= {
        "kube-root-ca.crt"
    }


async def test_a_quota_is_told_as_such(stage):
    stage.kubectl("create", "quota", "none", "--hard=count/deployments.apps=0")

    async def refused():
        outcome = await stage.apply(stage.environment(MINIMAL))
        return [problem.message for problem in outcome.problems]

    (message,) = await auntil(refused, 30, "the quota is in force") or [""]
    assert "raise it" in message


async def test_a_namespace_that_goes_takes_everything_and_is_told(stage):
    plan = stage.environment(MINIMAL)
    stage.kubectl("delete", "namespace", stage.namespace, "--wait=false")
    outcome = await stage.apply(plan)
    assert outcome.applied == ()
    assert any("is being deleted" in problem.message for problem in outcome.problems)
