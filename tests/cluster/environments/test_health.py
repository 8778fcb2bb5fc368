"""What threatens the jobs of an environment that works, and keys that encrypt nothing: told in words, healed when it is
mended, and never in the way of what still works."""

import base64
import json
import os
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from fluid_dev.cluster import Cluster
from fluid_dev.redis import RedisServer
from support.stages import Stage, stage_on, work
from support.waiting import until

HALF = base64.b64encode(os.urandom(16)).decode()
WHOLE = base64.b64encode(os.urandom(32)).decode()


@pytest.fixture
def stage(cluster: Cluster, namespace: str, own_redis: RedisServer) -> Iterator[Stage]:
    """An operator that leads, and a Redis of the test's own that keeps everything."""
    with stage_on(cluster, namespace, own_redis) as stage:
        stage.operator().leading()
        yield stage


def condition(stage: Stage, kind: str) -> dict[str, Any]:
    """One condition of the environment, {} where it is not there."""
    status = json.loads(stage.kubectl("get", "fluidenvironment", "default", "--output=json")).get("status", {})
    return next((each for each in status.get("conditions", []) if each["type"] == kind), {})


def told(stage: Stage, kind: str, *words: str) -> Callable[[], bool]:
    """Whether this condition holds all these words, among them its status and reason."""

    def look() -> bool:
        found = condition(stage, kind)
        return all(
            word in (found.get("status"), found.get("reason")) or word in found.get("message", "") for word in words
        )

    return look


def key_ring(stage: Stage, text: str) -> None:
    body = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "ring"}, "stringData": {"keys": text}}
    stage.kubectl("apply", "--filename=-", input=json.dumps(body))


def test_a_redis_that_may_lose_jobs_is_told_of_and_jobs_run_all_the_same(stage):
    stage.environment()
    stage.worker()
    until(told(stage, "QueueHealthy", "True", "Available"), 30, "all is well")
    for setting in ("appendonly no", "maxmemory 256mb", "maxmemory-policy allkeys-lru"):
        stage.redis.cli("CONFIG", "SET", *setting.split())
    threats = ("False", "PersistenceOff", "Set appendonly to yes", "Set maxmemory-policy to noeviction")
    until(told(stage, "QueueHealthy", *threats), 30, "the threats are told")
    assert condition(stage, "Ready")["status"] == "True"
    stage.apply(work("a"))
    stage.reaches("a", "Succeeded")
    for setting in ("appendonly yes", "maxmemory-policy noeviction"):
        stage.redis.cli("CONFIG", "SET", *setting.split())
    until(told(stage, "QueueHealthy", "True", "Available"), 30, "all is well again")


def test_a_memory_that_is_nearly_full_is_told_of_before_it_is_full(stage):
    stage.environment()
    until(told(stage, "QueueHealthy", "True"), 30, "all is well")
    used = int(stage.redis.cli("INFO", "memory").split("used_memory:")[1].split()[0])
    stage.redis.cli("CONFIG", "SET", "maxmemory", str(int(used / 0.9)))
    until(told(stage, "QueueHealthy", "False", "MemoryNearlyFull", "Raise maxmemory"), 30, "the memory is told of")
    assert condition(stage, "Ready")["status"] == "True"
    stage.redis.cli("CONFIG", "SET", "maxmemory", str(used * 4))
    until(told(stage, "QueueHealthy", "True"), 30, "all is well again")


def test_an_open_circuit_is_told_of_with_what_the_jobs_failed_with(stage):
    breaker = {"failures": 2, "withinSeconds": 60, "probeSeconds": 600}
    stage.environment(queues=[{"name": "work", "circuitBreaker": breaker}])
    stage.worker()
    until(told(stage, "QueueHealthy", "True"), 30, "all is well")
    stage.apply(*(work(f"bad-{n}", succeedAt=9).spec(backoffLimit=0) for n in range(3)))
    until(told(stage, "QueueHealthy", "False", "CircuitOpen", "work (ValueError)"), 30, "the circuit is told of")
    assert condition(stage, "Ready")["status"] == "True"


def test_a_key_ring_is_asked_for_and_refused_without_being_shown(stage):
    secret = {"name": "ring", "key": "keys"}
    stage.environment(encryption={"keySecretRef": secret})
    until(told(stage, "Ready", "False", "SecretNotFound", "Secret ring", "under the key keys"), 30, "it is asked for")
    key_ring(stage, f"now: {HALF}\n")
    until(told(stage, "Ready", "False", "InvalidKeyRing", "line 1: the key has 16 bytes"), 30, "it is refused")
    assert condition(stage, "Stalled")["status"] == "True"
    key_ring(stage, f"now: {WHOLE}\n")
    until(told(stage, "Ready", "True", "Available"), 30, "it is taken")
    assert condition(stage, "Stalled") == {}
    everything = stage.kubectl("get", "fluidenvironments,events", "--output=yaml") + _log(stage)
    for hidden in (HALF, WHOLE):
        assert hidden not in everything


def _log(stage: Stage) -> str:
    return "".join(each.process.log.read_text() for each in stage._operators)
