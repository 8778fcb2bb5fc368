"""What the API server refuses by our rules, each with the sentence that the user gets, and what it must not refuse."""

import json
from typing import Any

import pytest

from cluster.builders import Builder, fluid_environment, fluid_job, fluid_schedule
from fluid_dev.cluster import Cluster
from fluid_dev.errors import ClusterError

SECRET = {"secretKeyRef": {"name": "s", "key": "k"}}
CONFIG_MAP = {"configMapKeyRef": {"name": "c", "key": "k"}}
EXTERNAL = {"external": {"urlSecretRef": {"name": "redis", "key": "url"}}}

ONE_SOURCE = "name exactly one source: secretKeyRef or configMapKeyRef"
ONE_OF_THREE = "set at most one of completions, items and itemsFrom"
ONE_REDIS = "set exactly one of managed and external"
ONE_SCHEDULE = "set exactly one of schedule and schedules"
REDIRECT_TO = "redirectTo is required with mode Redirect"

REFUSED = {
    "a job name of 64 characters": (fluid_job("n" * 64), "metadata.name: must be no longer than 63 characters"),
    "a schedule name of 53 characters": (
        fluid_schedule("n" * 53),
        "metadata.name: must be no longer than 52 characters",
    ),
    "an environment name of 64 characters": (
        fluid_environment("n" * 64),
        "metadata.name: must be no longer than 63 characters",
    ),
    "completions and items": (fluid_job("x").spec(completions=2, items=[{}]), ONE_OF_THREE),
    "items and itemsFrom": (fluid_job("x").spec(items=[{}], itemsFrom=[SECRET]), ONE_OF_THREE),
    "completions and itemsFrom": (fluid_job("x").spec(completions=2, itemsFrom=[SECRET]), ONE_OF_THREE),
    "ttl and ttlSecondsAfterFinished": (
        fluid_job("x").spec(ttl={"failedSeconds": 1}, ttlSecondsAfterFinished=1),
        "set only one of ttl and ttlSecondsAfterFinished",
    ),
    "payloadFrom with two sources": (fluid_job("x").spec(payloadFrom=SECRET | CONFIG_MAP), ONE_SOURCE),
    "payloadFrom without a source": (fluid_job("x").spec(payloadFrom={}), ONE_SOURCE),
    "itemsFrom with two sources": (fluid_job("x").spec(itemsFrom=[SECRET | CONFIG_MAP]), ONE_SOURCE),
    "itemsFrom without a source": (fluid_job("x").spec(itemsFrom=[SECRET, {}]), ONE_SOURCE),
    "a long tag": (fluid_job("x").spec(tags={"k" * 64: "v"}), "no key may be longer than 63 characters"),
    "a template with completions and items": (
        fluid_schedule("x").job(fluid_job("y").spec(completions=2, items=[{}])),
        ONE_OF_THREE,
    ),
    "no schedule": (fluid_schedule("x").spec(schedule=None), ONE_SCHEDULE),
    "schedule and schedules": (fluid_schedule("x").spec(schedules=["@daily"]), ONE_SCHEDULE),
    "no redis": (fluid_environment("x").spec(redis={}), ONE_REDIS),
    "two kinds of redis": (fluid_environment("x").spec(redis=EXTERNAL | {"managed": {}}), ONE_REDIS),
    "redirect to nobody": (fluid_environment("x").spec(outbound={"mode": "Redirect"}), REDIRECT_TO),
    "redirect to an empty address": (
        fluid_environment("x").spec(outbound={"mode": "Redirect", "redirectTo": ""}),
        REDIRECT_TO,
    ),
    "a pool without an image": (fluid_environment("x").pool("p"), "image is required"),
    "more minReplicas than maxReplicas": (
        fluid_environment("x").pool("p", image="i", minReplicas=3, maxReplicas=2),
        "minReplicas must not be larger than maxReplicas",
    ),
    "two pools of one name": (
        fluid_environment("x").pool("p", image="i").pool("p", image="i"),
        "spec.workers[1]: Duplicate value",
    ),
    "a factor with a fraction": (fluid_job("x").spec(backoff={"factor": 1.5}), "must be of type integer"),
    "an unknown policy": (fluid_job("x").spec(runPolicy="Sometimes"), 'supported values: "Auto", "Always"'),
    "a priority out of range": (fluid_job("x").spec(priority=1001), "should be less than or equal to 1000"),
    "a time without a zone": (fluid_job("x").spec(startAfter="2026-12-01T07:00:00"), "must be of type date-time"),
    "a cron expression of four fields": (fluid_schedule("x").spec(schedule="* * * *"), "should match"),
}

ACCEPTED = {
    "a job name of 63 characters": fluid_job("n" * 63),
    "a schedule name of 52 characters": fluid_schedule("n" * 52),
    "an empty list of items": fluid_job("x").spec(items=[]),
    "16 sources of items": fluid_job("x").spec(itemsFrom=[SECRET, CONFIG_MAP] * 8),
    "hashed fields": fluid_schedule("x").spec(schedule="H(0-29) H/3 * * MON-FRI"),
    "managed redis": fluid_environment("x").spec(
        redis={"managed": {"storage": "1Gi", "resources": {"limits": {"cpu": 1}}}}
    ),
    "redirect to somebody": fluid_environment("x").spec(outbound={"mode": "Redirect", "redirectTo": "a@example.com"}),
    "pools with their own images": fluid_environment("x").pool("p", image="i").pool("q", image="i"),
}


@pytest.mark.parametrize(("builder", "sentence"), REFUSED.values(), ids=REFUSED)
def test_a_bad_object_is_refused_with_a_sentence(
    cluster: Cluster, namespace: str, builder: Builder, sentence: str
) -> None:
    with pytest.raises(ClusterError) as refusal:
        create(cluster, namespace, builder)
    assert sentence in str(refusal.value)


@pytest.mark.parametrize("builder", ACCEPTED.values(), ids=ACCEPTED)
def test_a_good_object_at_the_limit_is_accepted(cluster: Cluster, namespace: str, builder: Builder) -> None:
    create(cluster, namespace, builder)


@pytest.mark.field("spec.cancelled", "bad value")
def test_a_cancelled_job_cannot_be_taken_back(cluster: Cluster, namespace: str) -> None:
    create(cluster, namespace, fluid_job("x").spec(cancelled=True, runId="one"))
    for change in ({"cancelled": False}, {"cancelled": None}, {"cancelled": False, "runId": "one"}):
        with pytest.raises(ClusterError, match=r"taken back only together with a new spec\.runId"):
            patch(cluster, namespace, "fluidjob", change)


@pytest.mark.field("spec.cancelled", "after")
def test_a_cancelled_job_is_taken_back_with_a_new_run_id(cluster: Cluster, namespace: str) -> None:
    create(cluster, namespace, fluid_job("x").spec(cancelled=True))
    patch(cluster, namespace, "fluidjob", {"cancelled": False, "runId": "two"})
    patch(cluster, namespace, "fluidjob", {"cancelled": True})
    patch(cluster, namespace, "fluidjob", {"cancelled": False, "runId": "three"})


def test_other_fields_of_a_cancelled_job_may_change(cluster: Cluster, namespace: str) -> None:
    create(cluster, namespace, fluid_job("x").spec(cancelled=True))
    patch(cluster, namespace, "fluidjob", {"priority": 5})


@pytest.mark.parametrize("change", ["other", None], ids=["changed", "removed"])
def test_a_key_prefix_stays(cluster: Cluster, namespace: str, change: str | None) -> None:
    create(cluster, namespace, fluid_environment("x").external_redis("redis", key_prefix="mine"))
    with pytest.raises(ClusterError, match="keyPrefix cannot be changed"):
        patch(cluster, namespace, "fluidenvironment", {"redis": {"keyPrefix": change}})
    patch(cluster, namespace, "fluidenvironment", {"redis": {"external": {"urlSecretRef": {"name": "other"}}}})


def test_a_key_prefix_cannot_be_added_later(cluster: Cluster, namespace: str) -> None:
    create(cluster, namespace, fluid_environment("x"))
    with pytest.raises(ClusterError, match="keyPrefix cannot be changed"):
        patch(cluster, namespace, "fluidenvironment", {"redis": {"keyPrefix": "late"}})


def create(cluster: Cluster, namespace: str, builder: Builder) -> None:
    """Create the object with strict checking of its fields."""
    cluster.kubectl("create", f"--namespace={namespace}", "--filename=-", input=builder.json())


def patch(cluster: Cluster, namespace: str, kind: str, spec: dict[str, Any]) -> None:
    """Change fields of the spec of object `x`; None takes a field away."""
    body = json.dumps({"spec": spec})
    cluster.kubectl("patch", kind, "x", f"--namespace={namespace}", "--type=merge", f"--patch={body}")
