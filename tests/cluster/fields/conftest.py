"""A bare stage for tests that put jobs for every field of FluidJob on it at once."""

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
