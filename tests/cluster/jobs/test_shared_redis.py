"""Environments on one Redis: with prefixes of their own nothing crosses over, and one prefix serves one of them."""

import uuid
from collections.abc import Iterator

import pytest

from cluster.builders import fluid_environment
from fluid_dev.cluster import Cluster
from fluid_dev.redis import RedisServer
from support.idle_jobs import idle
from support.stages import Stage, stage_on, work
from support.waiting import until


@pytest.fixture
def other(cluster: Cluster, redis_server: RedisServer) -> Iterator[Stage]:
    """A second namespace on the same Redis, with nobody in it."""
    name = f"test-{uuid.uuid4().hex[:10]}"
    cluster.kubectl("create", "namespace", name)
    with stage_on(cluster, name, redis_server) as stage:
        yield stage
    cluster.kubectl("delete", "namespace", name, "--wait=false")


def on_prefix(stage: Stage, prefix: str) -> None:
    """An environment with this key prefix."""
    stage.kubectl("create", "secret", "generic", "redis", f"--from-literal=url={stage.redis.url}")
    spec = fluid_environment("default").spec(image="example.org/app:1", workers=[])
    stage.apply(spec.external_redis("redis", key_prefix=prefix))


def ready_reason(stage: Stage) -> str:
    path = '{.status.conditions[?(@.type=="Ready")].reason}'
    return stage.kubectl("get", "fe", "default", "-o", f"jsonpath={path}")


def test_two_environments_with_prefixes_of_their_own_run_their_own_jobs_only(bare: Stage, other: Stage):
    for stage in (bare, other):
        stage.environment()
        stage.worker()
        stage.operator().leading()
    for stage in (bare, other):
        stage.apply(*(work(f"job-{number}", value=stage.namespace) for number in range(5)))
    for stage in (bare, other):
        stage.all_end(5)
        assert {start.value for start in stage.starts()} == {stage.namespace}
        assert len(stage.starts()) == 5


def test_an_environment_with_the_prefix_of_another_waits_until_that_is_deleted(bare: Stage, other: Stage):
    prefix = f"shared-{uuid.uuid4().hex[:8]}"
    on_prefix(bare, prefix)
    bare.worker(FLUID_KEY_PREFIX=prefix, FLUID_QUEUES="work")  # it tells which types there are
    bare.operator().leading()
    bare.apply(idle("first"))
    bare.reaches("first", "Queued")
    on_prefix(other, prefix)
    other.operator().leading()
    other.apply(idle("second"))
    message = other.reason("second", "QueueUnavailable")["message"]
    assert f"{bare.namespace}/default" in message
    until(lambda: ready_reason(other) == "KeyPrefixInUse", 20, "the environment says why")
    keys = bare.redis.cli("--raw", "KEYS", f"{{fluid:{prefix}}}:job:*").split()
    assert keys == [f"{{fluid:{prefix}}}:job:{bare.status('first')['jobId']}"]
    assert bare.status("first")["phase"] == "Queued"
    bare.kubectl("delete", "fe", "default")
    other.reaches("second", "Queued")
    until(lambda: ready_reason(other) == "Available", 20, "the environment is ready")
