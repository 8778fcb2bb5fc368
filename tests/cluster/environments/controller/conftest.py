"""Fixtures of the tests that watch a real operator keep environments, where pods become ready as on fake nodes."""

from collections.abc import Iterator

import pytest

from fluid_dev.cluster import Cluster
from fluid_dev.redis import RedisServer
from support.operators import Operator
from support.sites import Site, cluster_with_fake_nodes, site_on


@pytest.fixture(scope="session")
def cluster() -> Iterator[Cluster]:
    """One cluster with fake nodes for all tests here: keep to your `namespace`."""
    with cluster_with_fake_nodes() as cluster:
        yield cluster


@pytest.fixture
def site(cluster: Cluster, namespace: str, redis_server: RedisServer) -> Iterator[Site]:
    """A fresh namespace without an operator, and Secret `redis` in it."""
    with site_on(cluster, namespace, redis_server) as site:
        yield site


@pytest.fixture
def operator(site: Site) -> Operator:
    """The operator that serves the site, once it leads."""
    return site.operator().leading()
