"""Fixtures of the tests that apply what an environment consists of, without an operator that would do it as well."""

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
import yaml

from fluid_dev.cluster import Cluster
from fluid_operator.environments.children import Children, Outcome, Owner
from fluid_operator.environments.rendering.blueprint import Blueprint
from fluid_operator.environments.rendering.manifests import render
from fluid_operator.environments.rendering.pools import first_replicas
from fluid_operator.kube.client import Kube, connect
from support.environments import blueprint
from support.waiting import until

Json = dict[str, Any]

POD_MONITORS = """
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata:
  name: podmonitors.monitoring.coreos.com
spec:
  group: monitoring.coreos.com
  names: {kind: PodMonitor, plural: podmonitors, singular: podmonitor}
  scope: Namespaced
  versions:
    - name: v1
      served: true
      storage: true
      schema:
        openAPIV3Schema:
          type: object
          properties:
            spec:
              type: object
              required: [selector]
              properties:
                podTargetLabels: {type: array, items: {type: string}}
                podMetricsEndpoints:
                  type: array
                  items: {type: object, properties: {port: {type: string}, path: {type: string}}}
                selector:
                  type: object
                  properties:
                    matchLabels: {type: object, additionalProperties: {type: string}}
"""
"""The fields of the real definition that we use; all others are refused."""


@pytest.fixture(scope="session")
def monitors(cluster: Cluster) -> None:
    """Teach the shared cluster the kind PodMonitor."""
    teach(cluster, POD_MONITORS)


def teach(cluster: Cluster, definition: str) -> None:
    """Give the cluster a kind, and wait until it can be listed, which takes a moment longer than until it is known."""
    parsed = yaml.safe_load(definition)
    name = parsed["metadata"]["name"]
    cluster.apply([parsed])

    def listed() -> bool:
        return "No resources found" in cluster.kubectl("get", name, "--all-namespaces", check=False)

    until(listed, 30, f"{name} can be listed")


@pytest.fixture
async def kube(cluster: Cluster) -> AsyncIterator[Kube]:
    async with connect(cluster.kubeconfig) as client:
        yield client


class Stage:
    """One namespace of the cluster, and environments in it whose children a test applies."""

    def __init__(self, cluster: Cluster, namespace: str, kube: Kube) -> None:
        self.cluster = cluster
        self.namespace = namespace
        self.kube = kube
        self.children = Children(kube)

    def environment(self, spec: Json, name: str = "default", **more: Any) -> Blueprint:
        """Create the object, or change its spec, and return the blueprint of what it is now."""
        manifest = {
            "apiVersion": "jobs.fluidcalendar.com/v1alpha1",
            "kind": "FluidEnvironment",
            "metadata": {"name": name},
            "spec": spec,
        }
        self.kubectl("apply", "--filename=-", input=json.dumps(manifest))
        uid = self.get("fluidenvironment", name)["metadata"]["uid"]
        return blueprint(spec, name=name, namespace=self.namespace, uid=uid, **more)

    async def apply(self, plan: Blueprint, children: Children | None = None) -> Outcome:
        owner = Owner(plan.namespace, plan.name, plan.uid)
        return await (children or self.children).apply(
            owner, render(plan), optional=plan.optional, first=first_replicas(plan)
        )

    def get(self, kind: str, name: str) -> Json:
        found: Json = json.loads(self.kubectl("get", kind, name, "--output=json"))
        return found

    def names(self, kind: str) -> set[str]:
        return {each.partition("/")[2] for each in self.kubectl("get", kind, "--output=name").split()}

    def kubectl(self, *args: str, input: str | None = None) -> str:  # noqa: A002 - as in subprocess
        return self.cluster.kubectl(f"--namespace={self.namespace}", *args, input=input)


@pytest.fixture
def stage(cluster: Cluster, namespace: str, kube: Kube) -> Stage:
    return Stage(cluster, namespace, kube)
