"""Namespaces whose FluidJobs go by the webhook of a real operator, asked by a real API server."""

import uuid
from collections.abc import Iterator

import pytest

from fluid_dev.cluster import Cluster
from fluid_dev.ports import free_port
from fluid_dev.redis import RedisServer
from support.stages import Stage, stage_on
from support.webhooks import MAIL, Hook, Served, hooked, own_webhook, publish


@pytest.fixture
def stage(cluster: Cluster, namespace: str, redis_server: RedisServer) -> Iterator[Stage]:
    """A namespace with an environment whose workers can run `mail`, and with no operator."""
    with stage_on(cluster, namespace, redis_server) as stage:
        stage.environment()
        publish(stage, mail=MAIL)
        yield stage


@pytest.fixture(scope="module")
def served(cluster: Cluster, redis_server: RedisServer) -> Iterator[Served]:
    """The same with a leading operator and its webhook, for all tests of a file: keep to your own names of jobs."""
    namespace, port = f"test-{uuid.uuid4().hex[:10]}", free_port()
    cluster.kubectl("create", "namespace", namespace)
    with stage_on(cluster, namespace, redis_server) as stage:
        stage.environment()
        publish(stage, mail=MAIL)
        operator = own_webhook(stage, port).leading()
        yield Served(stage, operator, port)


@pytest.fixture
def hook(served: Served) -> Iterator[Hook]:
    """The API server asks the webhook, until the test is over or deletes this."""
    with hooked(served.stage, served.port, served.authorities()) as hook:
        yield hook
