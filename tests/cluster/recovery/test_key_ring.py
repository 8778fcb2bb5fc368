"""The key ring of an environment is replaced by one that lacks the key of what waits in the queue."""

import base64
import json
import os

import pytest

from support.idle_jobs import IDLE, idle
from support.stages import Stage


def ring(name: str) -> str:
    """A key ring with one new key."""
    return f"{name}: {base64.b64encode(os.urandom(32)).decode()}\n"


def store(stage: Stage, keys: str) -> None:
    body = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "ring"}, "stringData": {"keys": keys}}
    stage.kubectl("apply", "--filename=-", input=json.dumps(body))


@pytest.fixture
def rings(stage: Stage) -> tuple[str, str]:
    """The key ring under which job `sealed` was enqueued, and the one that has taken its place. No retry is allowed."""
    old, new = ring("old"), ring("new")
    store(stage, old)
    stage.environment(encryption={"keySecretRef": {"name": "ring", "key": "keys"}})
    stage.worker(FLUID_ENCRYPTION_KEYS=old, FLUID_QUEUES="elsewhere")
    stage.apply(idle("sealed", value="a").spec(backoffLimit=0))
    stage.reaches("sealed", "Queued")
    store(stage, new)
    wrong = stage.worker(FLUID_ENCRYPTION_KEYS=new, FLUID_QUEUES=IDLE)
    status = stage.reaches("sealed", "Retrying")
    assert status["error"]["type"] == "UnknownKey"
    assert "is not in this process's key ring: add it there" in status["error"]["message"]
    assert stage.starts() == []
    wrong.process.stop()
    return old, new


def test_what_a_missing_key_encrypts_waits_for_it_and_runs_when_it_is_back(stage: Stage, rings: tuple[str, str]):
    old, new = rings
    store(stage, new + old)
    stage.worker(FLUID_ENCRYPTION_KEYS=new + old, FLUID_QUEUES=IDLE)
    assert stage.reaches("sealed", "Succeeded", within=60, run=1)["result"] == {"value": "a"}


def test_what_a_lost_key_had_encrypted_runs_from_its_object_when_it_is_asked_to_run_anew(
    stage: Stage, rings: tuple[str, str]
):
    _, new = rings
    stage.worker(FLUID_ENCRYPTION_KEYS=new, FLUID_QUEUES=IDLE)
    stage.kubectl("patch", "fluidjob", "sealed", "--type=merge", '--patch={"spec":{"runId":"after-the-lost-key"}}')
    assert stage.reaches("sealed", "Succeeded", within=60)["result"] == {"value": "a"}
    assert len(stage.starts()) == 1
