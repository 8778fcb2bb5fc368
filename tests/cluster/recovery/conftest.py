"""Stages of which a test may break everything: the Redis is its own, and where it says so the cluster as well."""

import uuid
from collections.abc import Iterator

import pytest

from fluid_dev.cluster import Cluster
from fluid_dev.redis import RedisServer
from support.stages import Stage, stage_on


@pytest.fixture
def stage(cluster: Cluster, namespace: str, own_redis: RedisServer) -> Iterator[Stage]:
    """A namespace with an environment on a Redis of its own, and an operator that leads; no worker yet."""
    with stage_on(cluster, namespace, own_redis) as stage:
        stage.environment()
        stage.operator().leading()
        yield stage


@pytest.fixture
def own_stage(own_cluster: Cluster, own_redis: RedisServer) -> Iterator[Stage]:
    """A namespace on a cluster and a Redis of its own, with nobody and nothing in it."""
    name = f"test-{uuid.uuid4().hex[:10]}"
    own_cluster.kubectl("create", "namespace", name)
    with stage_on(own_cluster, name, own_redis) as stage:
        yield stage
