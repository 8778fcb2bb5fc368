"""A stage with an operator and a worker, and the command `fluid` of its administrator."""

from collections.abc import Iterator

import pytest

from fluid_dev.cluster import Cluster
from fluid_dev.redis import RedisServer
from support.fluid_command import Fluid
from support.stages import Stage, stage_on


@pytest.fixture
def bare(cluster: Cluster, namespace: str, redis_server: RedisServer) -> Iterator[Stage]:
    """A namespace with an environment and an operator that leads, and no worker."""
    with stage_on(cluster, namespace, redis_server) as stage:
        stage.environment()
        stage.operator().leading()
        yield stage


@pytest.fixture
def stage(bare: Stage) -> Stage:
    """The same with a worker."""
    bare.worker()
    return bare


@pytest.fixture
def fluid(cluster: Cluster, namespace: str) -> Fluid:
    """The command, as the administrator of the cluster."""
    return Fluid(cluster.kubeconfig, namespace)
