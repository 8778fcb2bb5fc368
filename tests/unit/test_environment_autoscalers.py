"""Pools that KEDA scales: a ScaledObject on the operator's own recommendation, and words where that cannot be."""

import pytest
from prometheus_client.parser import text_string_to_metric_families

from fluid_operator.environments.rendering.autoscalers import problem_of
from fluid_operator.environments.rendering.manifests import render
from fluid_operator.environments.rendering.pools import first_replicas
from fluid_operator.kube.keys import ObjectKey
from fluid_operator.metrics import Metrics
from fluid_queue import QueueStats
from support.environments import blueprint, child

URL = "http://fluid-operator.fluid-system:8080/metrics"
KEDA = {"optional": ["ScaledObject"], "metrics_url": URL}


def spec(provider="KEDA", **fields):
    pool = {"name": "Mail", "minReplicas": 0, "maxReplicas": 7, "autoscaling": {"provider": provider}, **fields}
    return {"image": "x:1", "redis": {"managed": {}}, "workers": [pool]}


def kinds(*args, **more):
    return {each["kind"] for each in render(blueprint(*args, **more))}


def test_keda_is_told_where_the_recommendation_is_and_between_which_bounds():
    manifests = render(blueprint(spec(), **KEDA))
    scaled, deployment = child(manifests, "ScaledObject"), child(manifests, "Deployment")
    assert scaled["spec"]["scaleTargetRef"] == {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "name": deployment["metadata"]["name"],
    }
    assert (scaled["spec"]["minReplicaCount"], scaled["spec"]["maxReplicaCount"]) == (0, 7)
    (trigger,) = scaled["spec"]["triggers"]
    assert trigger["type"] == "metrics-api"
    assert trigger["metadata"]["url"] == URL
    assert all(isinstance(value, str) for value in trigger["metadata"].values())
    assert "replicas" not in deployment["spec"]


def test_keda_finds_the_series_that_the_operator_publishes():
    (trigger,) = child(render(blueprint(spec(), **KEDA)), "ScaledObject")["spec"]["triggers"]
    name, _, selector = trigger["metadata"]["valueLocation"].partition("{")
    wanted = dict(each.split("=") for each in selector.removesuffix("}").split(","))
    metrics = Metrics()
    metrics.loads.show(ObjectKey("team-a", "default"), [], {"Mail": 3, "sync": 5})
    found = [
        sample.value
        for family in text_string_to_metric_families(metrics.render().decode())
        for sample in family.samples
        if sample.name == name and {key: f'"{value}"' for key, value in sample.labels.items()} == wanted
    ]
    assert found == [3]


def test_who_does_not_ask_for_keda_gets_none():
    for other in (spec("BuiltIn"), spec(autoscaling=None), spec(minReplicas=7)):
        assert "ScaledObject" not in kinds(other, **KEDA)
        assert problem_of(blueprint(other)) == ""


def test_a_number_that_is_decided_here_is_not_keda_s():
    plan = blueprint(spec(), replicas={"Mail": 1}, **KEDA)
    manifests = render(plan)
    assert "ScaledObject" not in {each["kind"] for each in manifests}
    assert child(manifests, "Deployment")["spec"]["replicas"] == 1
    assert problem_of(plan) == ""


def test_a_pool_begins_with_its_minimum_where_its_number_is_an_autoscaler_s():
    pools = [
        {"name": "asleep", "minReplicas": 0, "maxReplicas": 4},
        {"name": "unset", "maxReplicas": 4},
        {"name": "fixed", "minReplicas": 3},
        {"name": "told", "minReplicas": 2, "maxReplicas": 4},
    ]
    plan = blueprint({**spec(), "workers": pools}, replicas={"told": 3})
    assert first_replicas(plan) == {"default-asleep": 0, "default-unset": 1}
    assert {
        each["metadata"]["name"]: each["spec"].get("replicas") for each in render(plan) if each["kind"] == "Deployment"
    } == {"default-asleep": None, "default-unset": None, "default-fixed": 3, "default-told": 3}


MISSING = {
    "no KEDA": ({"metrics_url": URL}, "install KEDA"),
    "no address": ({"optional": ["ScaledObject"]}, "FLUID_METRICS_SERVICE"),
}


@pytest.mark.parametrize("case", MISSING)
def test_without_what_keda_needs_there_is_a_sentence_instead(case):
    known, want = MISSING[case]
    assert "ScaledObject" not in kinds(spec(), **known)
    told = problem_of(blueprint(spec(), **known))
    assert want in told
    assert "spec.workers[Mail].autoscaling.provider" in told
    assert "replicas" not in child(render(blueprint(spec(), **known)), "Deployment")["spec"]


# -- the metrics -------------------------------------------------------------------------------------------------------

HERE = ObjectKey("team-a", "default")


def queue(name, waiting, age=0.0):
    return QueueStats(name, waiting, 0, 0, age, 0, 0, 0)


def shown(metrics, name):
    for family in metrics.registry.collect():
        if family.name == name:
            return {tuple(sample.labels.values()): sample.value for sample in family.samples}
    raise AssertionError(f"{name} is not there")


def test_queues_and_pools_are_shown_as_they_were_seen_last():
    metrics = Metrics()
    metrics.loads.show(HERE, [queue("mail", 3, 7.5), queue("sync", 1)], {"default": 2})
    assert shown(metrics, "fluid_operator_queue_waiting") == {
        ("team-a", "default", "mail"): 3,
        ("team-a", "default", "sync"): 1,
    }
    assert shown(metrics, "fluid_operator_queue_oldest_seconds")["team-a", "default", "mail"] == 7.5
    assert shown(metrics, "fluid_operator_pool_wanted_workers") == {("team-a", "default", "default"): 2}
    metrics.loads.show(HERE, [queue("sync", 2)], {})
    assert shown(metrics, "fluid_operator_queue_waiting") == {("team-a", "default", "sync"): 2}
    assert shown(metrics, "fluid_operator_pool_wanted_workers") == {}


def test_a_flood_of_queues_shows_only_the_busiest():
    metrics = Metrics()
    metrics.loads.show(HERE, [queue(f"q{number:03}", number) for number in range(500)], {})
    found = shown(metrics, "fluid_operator_queue_waiting")
    assert len(found) == 100
    assert min(found.values()) == 400


def test_nothing_is_shown_of_what_is_gone():
    metrics = Metrics()
    there = ObjectKey("team-b", "default")
    with metrics.leading():
        for key in (HERE, there):
            metrics.loads.show(key, [queue("mail", 1)], {"default": 1})
        metrics.environment_gone(HERE)
        assert shown(metrics, "fluid_operator_queue_waiting") == {("team-b", "default", "mail"): 1}
    for name in ("pool_wanted_workers", "queue_waiting", "queue_oldest_seconds"):
        assert shown(metrics, f"fluid_operator_{name}") == {}
