"""An environment from its creation to its end, kept by a real operator: what it consists of, what is told of it, and
that what is settled is left alone."""

import json
import signal

import pytest

from fluid_operator.environments.rendering import naming
from support.sites import IMAGE, external, managed, pool_of, redis_of
from support.waiting import until

READY = {"Ready": "Available", "RedisReady": "Available", "WorkersReady": "Available", "Stalled": "", "Reconciling": ""}


def test_an_environment_gets_its_redis_and_its_workers(site, operator):
    site.apply(managed().pool("default", minReplicas=2).pool("mail", queues=["email"]))
    children = site.consists_of(*redis_of(), *pool_of("default"), *pool_of("mail"))
    owner = site.get("fluidenvironment")
    for child in children.values():
        (reference,) = child["metadata"]["ownerReferences"]
        assert (reference["uid"], reference["controller"]) == (owner["metadata"]["uid"], True)
        assert "finalizers" not in child["metadata"]
    assert children["Deployment/default-default"]["spec"]["replicas"] == 2
    site.becomes({"WorkersReady": "Available", "RedisReady": "RedisUnavailable", "Ready": "RedisUnavailable"})
    status = site.get("fluidenvironment")["status"]
    assert status["childObjects"] == len(children)
    assert {pool["name"]: pool["readyReplicas"] for pool in status["pools"]} == {"default": 2, "mail": 1}


def test_with_another_redis_only_workers_are_made_and_the_environment_becomes_ready(site, operator):
    site.apply(external().pool("default", minReplicas=2))
    site.consists_of(*pool_of(), "Secret/default-redis-address")
    site.becomes(READY)
    status = site.get("fluidenvironment")["status"]
    assert (status["workers"], status["readyWorkers"]) == ("2/2", 2)
    variables = site.get("deployment", "default-default")["spec"]["template"]["spec"]["containers"][0]["env"]
    address = next(each for each in variables if each["name"] == "FLUID_REDIS_URL")
    assert address["valueFrom"]["secretKeyRef"]["name"] == "default-redis-address"


def test_people_see_at_a_glance_how_an_environment_is(site, operator):
    site.apply(external().pool("default", minReplicas=2))
    site.becomes(READY)
    header, row = site.kubectl("get", "fe", "default").splitlines()
    assert header.split() == ["NAME", "REDIS", "WORKERS", "WAITING", "READY", "AGE"]
    assert row.split()[:5] == ["default", "True", "2/2", "0", "True"]


def test_two_environments_of_a_namespace_do_not_meet(site, operator):
    site.apply(managed("blue").pool("default"), external("green").pool("default"))
    site.consists_of(*redis_of("blue"), *pool_of("default", "blue"), name="blue")
    site.consists_of("Secret/green-redis-address", *pool_of("default", "green"), name="green")
    site.becomes({"Ready": "Available"}, name="green")
    before = site.rests(operator, "green")
    site.kubectl("delete", "fluidenvironment", "blue")
    site.consists_of(name="blue")
    site.looks(operator)
    assert site.versions("green") == before


def test_a_settled_environment_is_left_alone(site, operator):
    site.apply(external().pool("default", minReplicas=2).pool("burst", minReplicas=1, maxReplicas=4))
    site.becomes(READY)
    before = site.rests(operator)
    site.looks(operator, 6)
    assert site.versions() == before


def test_a_managed_redis_that_is_settled_is_left_alone(site, operator):
    site.apply(managed().pool("default"))
    site.consists_of(*redis_of(), *pool_of())
    site.becomes({"WorkersReady": "Available"})
    before = site.rests(operator)
    site.looks(operator, 6)
    assert site.versions() == before


def test_a_pool_that_is_taken_out_goes_with_everything_of_it(site, operator):
    site.apply(external().pool("default").pool("mail"))
    site.consists_of(*pool_of("default"), *pool_of("mail"), "Secret/default-redis-address")
    site.apply(external().pool("default"))
    site.consists_of(*pool_of("default"), "Secret/default-redis-address")
    site.becomes(READY)
    assert [pool["name"] for pool in site.get("fluidenvironment")["status"]["pools"]] == ["default"]
    site.apply(external())
    site.consists_of()
    site.becomes({"Ready": "Available", "WorkersReady": "", "TypesDiscovered": ""})
    assert "workers" not in site.get("fluidenvironment")["status"]


def test_a_spec_that_cannot_be_kept_touches_nothing(site, operator):
    """The field is one that only the operator can judge."""
    site.apply(external().pool("default"))
    site.becomes(READY)
    before = site.rests(operator)
    reserved = {"name": "FLUID_REDIS_URL", "value": "redis://elsewhere"}
    site.apply(external().pool("default", env=[reserved], minReplicas=3))
    site.becomes({"Ready": "InvalidSpec", "Stalled": "InvalidSpec"})
    assert "spec.workers[default].env" in site.told()["message"]
    site.looks(operator)
    after = site.versions()
    assert {key for key in after if after[key] != before.get(key)} == {"itself"}
    site.apply(external().pool("default", minReplicas=3))
    site.becomes(READY)
    assert site.get("deployment", "default-default")["spec"]["replicas"] == 3


def test_a_suspended_environment_keeps_what_it_has(site, operator):
    site.apply(external().pool("default"))
    site.becomes(READY)
    before = site.rests(operator)
    site.apply(external().pool("default").spec(suspend=True))
    site.becomes({**READY})
    site.rests(operator)
    after = site.versions()
    assert {key for key in after if after[key] != before.get(key)} == {"itself"}


def test_another_image_rolls_the_workers(site, operator):
    site.apply(external().pool("default", minReplicas=2))
    site.becomes(READY)
    site.apply(external().pool("default", minReplicas=2).spec(image="registry.example.com/jobs:2.0.0"))

    def rolled():
        (pool,) = site.get("fluidenvironment")["status"]["pools"]
        images = {
            pod["spec"]["containers"][0]["image"]
            for pod in json.loads(site.kubectl("get", "pods", "--output=json"))["items"]
        }
        return pool["updatedReplicas"] == 2 and images == {"registry.example.com/jobs:2.0.0"}

    until(rolled, 60, "the workers are rolled", pause=0.2)
    site.becomes(READY)


def test_everything_goes_with_the_environment(site, operator):
    site.apply(managed().pool("default"))
    site.consists_of(*redis_of(), *pool_of())
    site.becomes({"WorkersReady": "Available"})
    site.kubectl("delete", "fluidenvironment", "default", "--wait=false")
    site.consists_of()
    until(lambda: not site.exists("fluidenvironment", "default"), 30, "the environment is gone")
    until(lambda: site.forgotten(operator), 30, "the environment is forgotten")


def test_without_an_operator_an_environment_goes_all_the_same(site, operator):
    site.apply(managed().pool("default"))
    site.consists_of(*redis_of(), *pool_of())
    operator.process.stop(within=10)
    site.kubectl("delete", "fluidenvironment", "default", "--timeout=30s")
    site.consists_of()


def test_what_an_environment_left_behind_is_adopted_by_the_next_of_its_name(site, operator):
    site.apply(managed().pool("default"))
    before = site.consists_of(*redis_of(), *pool_of())
    passwords = site.passwords()
    site.kubectl("delete", "fluidenvironment", "default", "--cascade=orphan")
    site.apply(managed().pool("default"))
    uid = site.get("fluidenvironment")["metadata"]["uid"]

    def adopted():
        after = site.children()
        owners = [child["metadata"].get("ownerReferences") for child in after.values()]
        return set(after) == set(before) and all(owner and owner[0]["uid"] == uid for owner in owners)

    until(adopted, 60, "all children are adopted", pause=0.2)
    after = site.children()
    for key in ("StatefulSet/default-redis", "Deployment/default-default"):
        assert after[key]["metadata"]["uid"] == before[key]["metadata"]["uid"]
    assert site.passwords() == passwords


@pytest.mark.parametrize("cascade", ["background", "foreground"])
def test_an_environment_that_is_being_deleted_gets_nothing_back(site, operator, cascade):
    """Somebody's finalizer holds it. In the foreground the garbage collector takes some of its children already."""
    held = managed().pool("default").metadata(finalizers=["team.example.com/not-yet"])
    site.apply(held)
    site.consists_of(*redis_of(), *pool_of())
    site.becomes({"WorkersReady": "Available"})
    site.kubectl("delete", "fluidenvironment", "default", f"--cascade={cascade}", "--wait=false")
    # A look that is under way may still write; what it makes goes with the environment.
    until(lambda: site.forgotten(operator), 30, "the operator has seen it")
    site.kubectl("delete", "deployment,secret", "--all")
    left = set(site.children())
    assert not left & {"Deployment/default-default", "Secret/default-redis"}
    site.looks(operator, 3)
    assert set(site.children()) <= left
    site.edit("fluidenvironment", "default", {"metadata": {"finalizers": None}})
    site.consists_of()
    assert not site.exists("fluidenvironment", "default")


def test_a_restart_of_the_operator_rolls_nothing(site, operator):
    site.apply(managed("blue").pool("default"), external("green").pool("default", minReplicas=1, maxReplicas=3))
    site.becomes({"WorkersReady": "Available"}, name="blue")
    site.becomes({"Ready": "Available"}, name="green")
    before = {name: site.rests(operator, name) for name in ("blue", "green")}
    passwords = site.passwords("blue")
    operator.process.stop(within=10)
    second = site.operator().leading()
    site.looks(second, 6)
    assert {name: site.versions(name) for name in ("blue", "green")} == before
    assert site.passwords("blue") == passwords


def test_the_replica_that_takes_over_keeps_what_the_other_kept(site):
    first = site.operator().leading()
    site.apply(external().pool("default"))
    site.becomes(READY)
    before = site.rests(first)
    second = site.operator()
    assert second.port
    first.process.signal(signal.SIGKILL)
    second.leading()
    site.looks(second)
    assert site.versions() == before
    site.kubectl("delete", "deployment", "default-default")
    until(lambda: site.exists("deployment", "default-default"), 30, "the workers are back")


def test_while_one_replica_leads_the_other_writes_nothing(site):
    first = site.operator().leading()
    second = site.operator()
    assert second.port
    site.apply(external().pool("default"))
    site.becomes(READY)
    site.rests(first)
    assert not second.leads
    assert first.said("Applied a part of an environment.")
    assert not second.said("Applied a part of an environment.")


def test_what_happens_is_told_in_events(site, operator):
    site.apply(external().pool("default", nodeSelector={"nowhere": "yes"}))
    site.becomes({"Ready": "WorkersNotReady"})
    site.apply(external().pool("default"))
    site.becomes(READY)

    def told():
        items = json.loads(site.kubectl("get", "events.events.k8s.io", "--output=json"))["items"]
        mine = [each for each in items if each["regarding"]["kind"] == "FluidEnvironment"]
        return {"WorkersNotReady", "Available"} <= {each["reason"] for each in mine} and mine

    events = until(told, 30, "the events are there")
    by_reason = {each["reason"]: each for each in events}
    assert by_reason["WorkersNotReady"]["type"] == "Warning"
    assert by_reason["Available"]["type"] == "Normal"
    assert by_reason["Available"]["reportingController"]


def test_the_labels_of_a_child_tell_whose_it_is(site, operator):
    site.apply(external().pool("mail"))
    labels = site.consists_of(*pool_of("mail"), "Secret/default-redis-address")["Deployment/default-mail"]["metadata"][
        "labels"
    ]
    assert labels[naming.POOL_LABEL] == "mail"
    assert labels["app.kubernetes.io/part-of"] == "fluid-jobs"
    image = site.get("deployment", "default-mail")["spec"]["template"]["spec"]["containers"][0]["image"]
    assert image == IMAGE
