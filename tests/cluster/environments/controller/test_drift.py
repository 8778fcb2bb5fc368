"""What somebody does to the children of an environment that an operator keeps is put right, whatever it was."""

import pytest

from support.sites import external, managed, pool_of, redis_of
from support.waiting import until

KINDS = {
    "statefulset": ("default-redis", {"spec": {"revisionHistoryLimit": 7}}, ("spec", "revisionHistoryLimit")),
    "service": ("default-redis", {"spec": {"selector": {"mine": "yes"}}}, ("spec", "selector")),
    "configmap": ("default-redis", {"data": {"redis.conf": "appendonly no"}}, ("data",)),
    "secret": ("default-redis", {"data": {"worker-url": "cmVkaXM6Ly9lbHNld2hlcmU="}}, ("data",)),
    "networkpolicy": ("default-redis", {"spec": {"policyTypes": ["Egress"]}}, ("spec", "policyTypes")),
    "deployment": ("default-default", {"spec": {"minReadySeconds": 3, "replicas": 5}}, ("spec", "replicas")),
    "serviceaccount": ("default-default", {"automountServiceAccountToken": True}, ("automountServiceAccountToken",)),
    "poddisruptionbudget": ("default-default", {"spec": {"maxUnavailable": 3}}, ("spec", "maxUnavailable")),
}
"""Of each kind: a child, an edit, and the field that must be as before."""


def field(item, path):
    for step in path:
        item = item.get(step) if item else None
    return item


@pytest.fixture
def kept(site, operator):
    """An environment with everything, settled."""
    site.apply(managed().pool("default", minReplicas=2))
    site.consists_of(*redis_of(), *pool_of())
    site.becomes({"WorkersReady": "Available"})
    site.rests(operator)
    return site


@pytest.mark.parametrize("kind", KINDS)
def test_an_edited_child_is_put_right(kept, kind):
    name, patch, path = KINDS[kind]
    before = kept.get(kind, name)
    kept.edit(kind, name, patch)

    def right():
        after = kept.get(kind, name)
        changed = after["metadata"]["resourceVersion"] != before["metadata"]["resourceVersion"]
        return changed and field(after, path) == field(before, path)

    until(right, 30, f"{kind} {name} is as before", pause=0.05)
    assert kept.get(kind, name)["metadata"]["uid"] == before["metadata"]["uid"]


@pytest.mark.parametrize("kind", KINDS)
def test_a_deleted_child_is_made_again(kept, kind):
    name, _, path = KINDS[kind]
    before = kept.get(kind, name)
    kept.kubectl("delete", kind, name, "--wait=false")

    def back():
        if not kept.exists(kind, name):
            return None
        after = kept.get(kind, name)
        return after if after["metadata"]["uid"] != before["metadata"]["uid"] else None

    after = until(back, 30, f"{kind} {name} is back", pause=0.05)
    if kind == "secret":
        # The passwords are gone with it; there must be others, and a user for each.
        assert set(after["data"]) == set(before["data"])
    else:
        assert field(after, path) == field(before, path)
    kept.becomes({"WorkersReady": "Available"})


def test_new_passwords_reach_the_workers(kept):
    """After a Secret that was deleted. Nobody can have the old ones back."""
    before = kept.get("deployment", "default-default")["spec"]["template"]["metadata"]["annotations"]
    kept.kubectl("delete", "secret", "default-redis")

    def rolled():
        after = kept.get("deployment", "default-default")["spec"]["template"]["metadata"]["annotations"]
        return after != before

    until(rolled, 30, "the workers are started anew with what is valid now")


@pytest.mark.parametrize("kind", KINDS)
def test_a_child_that_lost_its_labels_is_still_ours(kept, operator, kind):
    name, _, path = KINDS[kind]
    before = kept.get(kind, name)
    kept.edit(kind, name, {"metadata": {"labels": None}})
    until(
        lambda: kept.get(kind, name)["metadata"].get("labels") == before["metadata"]["labels"],
        30,
        f"{kind} {name} has its labels again",
    )
    kept.rests(operator)
    after = kept.get(kind, name)
    assert after["metadata"]["uid"] == before["metadata"]["uid"]
    assert field(after, path) == field(before, path)


def test_the_address_of_another_redis_is_put_right(site, operator):
    site.apply(external().pool("default"))
    site.becomes({"Ready": "Available"})
    before = site.rests(operator)
    data = site.get("secret", "default-redis-address")["data"]
    site.edit("secret", "default-redis-address", {"data": {"worker-url": "cmVkaXM6Ly9lbHNld2hlcmU="}})
    until(lambda: site.get("secret", "default-redis-address")["data"] == data, 30, "the address is as before")
    site.rests(operator)
    assert site.versions()["Deployment/default-default"] == before["Deployment/default-default"]


def test_what_others_add_stays(kept, operator):
    kept.kubectl("annotate", "deployment", "default-default", "team.example.com/owner=ada")
    kept.kubectl("label", "statefulset", "default-redis", "team.example.com/cost=42")
    kept.looks(operator)
    assert kept.get("deployment", "default-default")["metadata"]["annotations"]["team.example.com/owner"] == "ada"
    assert kept.get("statefulset", "default-redis")["metadata"]["labels"]["team.example.com/cost"] == "42"
