"""The number of workers in a real API server: set by the operator without touching anything else of the Deployment, or
left to KEDA by a ScaledObject."""

import json

import pytest

from cluster.environments.conftest import teach
from fluid_operator.environments.children import FIELD_MANAGER, SCALING_MANAGER, ChildKey, Children, Owner
from fluid_operator.kube.client import connect
from fluid_operator.kube.errors import Forbidden, NotFound
from support.environments import environment

MINIMAL = environment("minimal")["spec"]
KEDA = {"optional": ["ScaledObject"], "metrics_url": "http://fluid-operator.fluid-system:8080/metrics"}
WORKERS = "default-default"
SCALED_OBJECT = ChildKey("ScaledObject", WORKERS)

SCALED_OBJECTS = """
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata:
  name: scaledobjects.keda.sh
spec:
  group: keda.sh
  names: {kind: ScaledObject, plural: scaledobjects, singular: scaledobject, shortNames: [so]}
  scope: Namespaced
  versions:
    - name: v1alpha1
      served: true
      storage: true
      schema:
        openAPIV3Schema:
          type: object
          required: [spec]
          properties:
            spec:
              type: object
              required: [scaleTargetRef, triggers]
              properties:
                cooldownPeriod: {type: integer, format: int32}
                maxReplicaCount: {type: integer, format: int32}
                minReplicaCount: {type: integer, format: int32}
                pollingInterval: {type: integer, format: int32}
                advanced:
                  type: object
                  properties:
                    horizontalPodAutoscalerConfig:
                      type: object
                      properties:
                        behavior:
                          type: object
                          properties:
                            scaleDown: &rules
                              type: object
                              properties:
                                stabilizationWindowSeconds: {type: integer, format: int32}
                                tolerance: {anyOf: [{type: integer}, {type: string}], x-kubernetes-int-or-string: true}
                            scaleUp: *rules
                scaleTargetRef:
                  type: object
                  required: [name]
                  properties: {apiVersion: {type: string}, kind: {type: string}, name: {type: string, minLength: 1}}
                triggers:
                  type: array
                  minItems: 1
                  items:
                    type: object
                    required: [metadata, type]
                    properties:
                      metadata: {type: object, additionalProperties: {type: string}}
                      metricType: {type: string}
                      type: {type: string, minLength: 1}
"""
"""The fields of KEDA's own definition that we use; all others are refused."""


@pytest.fixture(scope="session")
def keda(cluster):
    """Teach the shared cluster the kind ScaledObject; nobody scales by it."""
    teach(cluster, SCALED_OBJECTS)


def scaled(provider="BuiltIn", **fields):
    bounds = {"minReplicas": 1, "maxReplicas": 9, "autoscaling": {"provider": provider}}
    return {**MINIMAL, "workers": [{"name": "default", **bounds, **fields}]}


def owner_of(plan):
    return Owner(plan.namespace, plan.name, plan.uid)


def deployment(stage):
    return json.loads(stage.kubectl("get", "deployment", WORKERS, "--output=json", "--show-managed-fields"))


def owners_of_the_number(found):
    return {
        entry["manager"]
        for entry in found["metadata"]["managedFields"]
        if "f:replicas" in entry.get("fieldsV1", {}).get("f:spec", {})
    }


@pytest.mark.parametrize("least", [0, 1, 3])
async def test_a_new_pool_begins_with_its_minimum_which_is_its_autoscaler_s_from_then_on(stage, least):
    plan = stage.environment(scaled(minReplicas=least))
    outcome = await stage.apply(plan)
    assert outcome.problems == ()
    made = deployment(stage)
    assert made["spec"]["replicas"] == least
    assert owners_of_the_number(made) == {SCALING_MANAGER}
    assert (await stage.apply(plan)).settled
    assert (await stage.apply(plan, Children(stage.kube))).settled
    assert deployment(stage)["metadata"]["resourceVersion"] == made["metadata"]["resourceVersion"]


async def test_scaling_changes_the_number_and_nothing_else(stage):
    plan = stage.environment(scaled())
    await stage.apply(plan)
    before = deployment(stage)
    for replicas in (6, 0, 2):
        await stage.children.scale(owner_of(plan), WORKERS, replicas)
        after = deployment(stage)
        assert after["spec"] == before["spec"] | {"replicas": replicas}
        assert owners_of_the_number(after) == {SCALING_MANAGER}


async def test_the_children_are_settled_whatever_the_number(stage):
    plan = stage.environment(scaled())
    await stage.apply(plan)
    await stage.children.scale(owner_of(plan), WORKERS, 6)
    assert (await stage.apply(plan)).settled
    assert (await stage.apply(plan, Children(stage.kube))).settled
    assert deployment(stage)["spec"]["replicas"] == 6


async def test_scaling_to_the_same_number_writes_nothing(stage):
    plan = stage.environment(scaled())
    await stage.apply(plan)
    await stage.children.scale(owner_of(plan), WORKERS, 6)
    before = deployment(stage)["metadata"]["resourceVersion"]
    await stage.children.scale(owner_of(plan), WORKERS, 6)
    assert deployment(stage)["metadata"]["resourceVersion"] == before


async def test_a_number_set_by_hand_is_overruled_by_the_next_decision(stage):
    plan = stage.environment(scaled())
    await stage.apply(plan)
    stage.kubectl("scale", "deployment", WORKERS, "--replicas=8")
    await stage.children.scale(owner_of(plan), WORKERS, 3)
    assert deployment(stage)["spec"]["replicas"] == 3


async def test_from_a_fixed_number_to_a_scaled_one_and_back(stage):
    await stage.apply(stage.environment(scaled(minReplicas=4, maxReplicas=4)))
    assert owners_of_the_number(deployment(stage)) == {FIELD_MANAGER}
    plan = stage.environment(scaled())
    await stage.apply(plan)
    assert deployment(stage)["spec"]["replicas"] == 4
    await stage.children.scale(owner_of(plan), WORKERS, 7)
    assert (await stage.apply(plan)).settled
    assert deployment(stage)["spec"]["replicas"] == 7
    await stage.apply(stage.environment(scaled(minReplicas=2, maxReplicas=2)))
    assert deployment(stage)["spec"]["replicas"] == 2
    assert owners_of_the_number(deployment(stage)) == {FIELD_MANAGER}


async def test_a_pool_that_is_gone_cannot_be_scaled(stage):
    plan = stage.environment(scaled())
    with pytest.raises(NotFound):
        await stage.children.scale(owner_of(plan), WORKERS, 1)
    assert stage.names("deployment") == set()


async def test_the_right_to_scale_is_all_that_scaling_needs(stage, cluster):
    plan = stage.environment(scaled())
    await stage.apply(plan)
    async with connect(cluster.client_kubeconfig("scaler")) as kube:
        with pytest.raises(Forbidden):
            await Children(kube).scale(owner_of(plan), WORKERS, 5)
        stage.kubectl("create", "role", "scaler", "--verb=patch", "--resource=deployments/scale")
        stage.kubectl("create", "rolebinding", "scaler", "--role=scaler", "--user=scaler")
        await Children(kube).scale(owner_of(plan), WORKERS, 5)
    assert deployment(stage)["spec"]["replicas"] == 5


async def test_what_is_to_be_kept_stays_although_it_is_not_rendered(stage):
    plan = stage.environment(MINIMAL)
    await stage.apply(plan)
    kept = ChildKey("Deployment", WORKERS)
    outcome = await stage.children.apply(owner_of(plan), [], keep=lambda key: key == kept)
    assert kept not in outcome.deleted
    assert kept in outcome.live
    assert stage.names("deployment") == {WORKERS}
    assert stage.names("statefulset") == set()


async def test_keda_gets_its_object_and_leaves_with_it(stage, keda):
    plan = stage.environment(scaled("KEDA", minReplicas=0), **KEDA)
    outcome = await stage.apply(plan)
    assert outcome.problems == ()
    assert SCALED_OBJECT in outcome.applied
    spec = stage.get("scaledobject", WORKERS)["spec"]
    assert (spec["minReplicaCount"], spec["maxReplicaCount"]) == (0, 9)
    assert spec["scaleTargetRef"]["name"] in stage.names("deployment")
    assert (await stage.apply(plan)).settled
    back = stage.environment(scaled(), **KEDA)
    assert (await stage.apply(back)).deleted == (SCALED_OBJECT,)
    assert stage.names("scaledobject") == set()


async def test_what_keda_is_told_is_put_right(stage, keda):
    plan = stage.environment(scaled("KEDA"), **KEDA)
    await stage.apply(plan)
    patch = json.dumps({"spec": {"maxReplicaCount": 100}})
    stage.kubectl("patch", "scaledobject", WORKERS, "--type=merge", f"--patch={patch}")
    assert (await stage.apply(plan)).applied == (SCALED_OBJECT,)
    assert stage.get("scaledobject", WORKERS)["spec"]["maxReplicaCount"] == 9


async def test_a_cluster_without_the_optional_kinds_is_not_asked_for_them(stage):
    outcome = await stage.apply(stage.environment(scaled("KEDA"), metrics_url=KEDA["metrics_url"]))
    assert outcome.problems == ()
    assert {key.kind for key in outcome.live}.isdisjoint({"ScaledObject", "PodMonitor"})
