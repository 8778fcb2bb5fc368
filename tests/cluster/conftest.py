"""Fixtures of the tests that speak to a real Kubernetes API server."""

import uuid
from collections.abc import Iterator

import pytest

from fluid_dev.cluster import Cluster
from support.clusters import running_cluster


@pytest.fixture(scope="session")
def cluster() -> Iterator[Cluster]:
    """One cluster with our kinds for all tests of this process: keep to your `namespace`, break only `own_cluster`."""
    with running_cluster() as cluster:
        yield cluster


@pytest.fixture
def own_cluster() -> Iterator[Cluster]:
    """A cluster that this test alone may freeze, kill, restart and roll back."""
    with running_cluster() as cluster:
        yield cluster


@pytest.fixture
def namespace(cluster: Cluster) -> str:
    """A fresh namespace of the shared cluster. It is not deleted: that takes 5 s, and the cluster goes at the end."""
    name = f"test-{uuid.uuid4().hex[:10]}"
    cluster.kubectl("create", "namespace", name)
    return name
