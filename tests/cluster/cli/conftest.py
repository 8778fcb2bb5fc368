"""Stages for the command `fluid`, and the command of the cluster's administrator."""

from collections.abc import Iterator

import pytest

from fluid_dev.cluster import Cluster
from fluid_dev.redis import RedisServer
from support.fluid_command import Fluid
from support.stages import Stage, stage_on


@pytest.fixture
def bare(cluster: Cluster, namespace: str, redis_server: RedisServer) -> Iterator[Stage]:
    """A namespace with an environment that nobody serves: enough for whatever ends at the API server."""
    with stage_on(cluster, namespace, redis_server) as stage:
        stage.environment()
        yield stage


@pytest.fixture
def idle(bare: Stage) -> Stage:
    """The same with an operator that leads, and a worker that knows the types and takes no job."""
    bare.worker(FLUID_QUEUES="elsewhere")
    bare.operator().leading()
    return bare


@pytest.fixture
def stage(bare: Stage) -> Stage:
    """The same with an operator that leads and a worker."""
    bare.worker()
    bare.operator().leading()
    return bare


@pytest.fixture
def fluid(cluster: Cluster, namespace: str) -> Fluid:
    """The command, as the administrator of the cluster."""
    return Fluid(cluster.kubeconfig, namespace)
