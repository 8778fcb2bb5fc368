"""Stages for FluidJobs: with an operator and a worker, bare, or on a cluster that may be broken."""

import uuid
from collections.abc import Iterator

import pytest

from fluid_dev.cluster import Cluster
from fluid_dev.redis import RedisServer
from support.stages import Stage, stage_on


@pytest.fixture
def bare(cluster: Cluster, namespace: str, redis_server: RedisServer) -> Iterator[Stage]:
    """A namespace on the shared parts, with nobody in it."""
    with stage_on(cluster, namespace, redis_server) as stage:
        yield stage


@pytest.fixture
def stage(bare: Stage) -> Stage:
    """A namespace with an environment, an operator that leads and a worker."""
    bare.environment()
    bare.worker()
    bare.operator().leading()
    return bare


@pytest.fixture
def own_stage(cluster: Cluster, namespace: str, own_redis: RedisServer) -> Iterator[Stage]:
    """As `stage`, on a Redis of its own."""
    with stage_on(cluster, namespace, own_redis) as stage:
        stage.environment()
        stage.worker()
        stage.operator().leading()
        yield stage


@pytest.fixture
def lonely_stage(own_cluster: Cluster, own_redis: RedisServer) -> Iterator[Stage]:
    """A namespace with an environment on a cluster and a Redis of its own; no operator, no worker yet."""
    name = f"test-{uuid.uuid4().hex[:10]}"
    own_cluster.kubectl("create", "namespace", name)
    with stage_on(own_cluster, name, own_redis) as stage:
        stage.environment()
        yield stage
