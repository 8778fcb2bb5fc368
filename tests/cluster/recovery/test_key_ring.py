"""The key ring of an environment is replaced by one that lacks the key of what waits in the queue."""

import base64
import json
import os

import pytest

from support.idle_jobs import IDLE, idle
from support.operators import Operator
from support.stages import Stage
from support.waiting import until

RESULTS = ("settled", "again", "retry")


def ring(name: str) -> str:
    """A key ring with one new key."""
    return f"{name}: {base64.b64encode(os.urandom(32)).decode()}\n"


def store(stage: Stage, keys: str) -> None:
    body = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "ring"}, "stringData": {"keys": keys}}
    stage.kubectl("apply", "--filename=-", input=json.dumps(body))


def looks(operator: Operator) -> float:
    """How often it has looked at an environment."""
    series = (f'fluid_operator_reconciles_total{{controller="environments",result="{each}"}}' for each in RESULTS)
    return sum(operator.metric(each) or 0.0 for each in series)


@pytest.fixture
def rings(stage: Stage) -> tuple[str, str]:
    """The key ring under which job `sealed` was enqueued, and the one that has taken its place. No retry is allowed."""
    (operator,) = stage._operators
    old, new = ring("old"), ring("new")
    store(stage, old)
    stage.environment(encryption={"keySecretRef": {"name": "ring", "key": "keys"}})
    stage.worker(FLUID_ENCRYPTION_KEYS=old, FLUID_QUEUES="elsewhere")
    stage.apply(idle("sealed", value="a").spec(backoffLimit=0))
    stage.reaches("sealed", "Queued")
    store(stage, new)
    before = looks(operator)
    until(lambda: looks(operator) >= before + 2, 60, "the operator has read the Secret anew")
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


def test_what_a_lost_key_had_encrypted_runs_from_its_object_after_it_was_cancelled_and_retried(
    stage: Stage, rings: tuple[str, str]
):
    _, new = rings
    stage.worker(FLUID_ENCRYPTION_KEYS=new, FLUID_QUEUES=IDLE)
    stage.ask("fj/sealed", "cancel")
    stage.reaches("sealed", "Cancelled")
    stage.ask("fj/sealed", "retry")
    assert stage.reaches("sealed", "Succeeded", within=60)["result"] == {"value": "a"}
    assert len(stage.starts()) == 1
