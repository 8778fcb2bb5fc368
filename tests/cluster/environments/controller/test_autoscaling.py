"""Pools whose number KEDA sets: the operator recommends by a metric and renders a ScaledObject, and scales nothing."""

import pytest

from cluster.environments.conftest import teach
from cluster.environments.test_scaling import SCALED_OBJECTS
from support.sites import IMAGE, external
from support.stages import work
from support.waiting import until

POOL = {"concurrency": 1, "minReplicas": 1, "maxReplicas": 9}
KEDA = {"provider": "KEDA", "targetLatencySeconds": 1}


@pytest.fixture(scope="session")
def keda(cluster):
    """Teach the cluster the kind ScaledObject; nobody scales by it."""
    teach(cluster, SCALED_OBJECTS)


def wanted(operator, namespace):
    labels = f'environment="default",namespace="{namespace}",pool="default"'
    return operator.metric(f"fluid_operator_pool_wanted_workers{{{labels}}}")


def test_a_pool_that_cannot_be_left_to_keda_is_told_of_in_words(site, operator):
    site.apply(external().pool("default", autoscaling=KEDA, **POOL))
    site.becomes({"Ready": "AutoscalerMissing", "RedisReady": "Available", "WorkersReady": "Available"})
    assert "spec.workers[default].autoscaling.provider" in site.told()["message"]
    site.apply(external().pool("default", **POOL))
    site.becomes({"Ready": "Available"})


def test_keda_is_told_what_a_backlog_wants_and_sets_the_number_itself(site, keda, namespace):
    operator = site.operator(FLUID_METRICS_SERVICE=f"fluid-operator.{namespace}").leading()
    hand = site.worker(FLUID_IMAGE=IMAGE)
    site.apply(external().pool("default", autoscaling=KEDA, **POOL))
    site.becomes({"Ready": "Available", "TypesDiscovered": "Available"})
    (trigger,) = site.get("scaledobject", "default-default")["spec"]["triggers"]
    assert trigger["metadata"]["url"].startswith(f"http://fluid-operator.{namespace}:")
    assert wanted(operator, namespace) == 1
    hand.process.stop(within=5)
    site.apply(*(work(f"job-{number}") for number in range(20)))
    until(lambda: wanted(operator, namespace) == 5, 60, "a step of four more workers is recommended", pause=0.3)
    site.looks(operator)
    assert site.get("deployment", "default-default")["spec"]["replicas"] == 1
    site.apply(external())
    until(lambda: wanted(operator, namespace) is None, 30, "the series goes with the pool")
    until(lambda: not site.exists("scaledobject", "default-default"), 30, "the ScaledObject goes with the pool")
