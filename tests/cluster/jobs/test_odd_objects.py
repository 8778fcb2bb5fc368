"""Objects that no reasonable user writes: each gets an honest status, and the jobs beside it go on.

All share one namespace with operator and worker, because none of them may disturb another.
"""

import json
import uuid
from collections.abc import Iterator
from typing import Any

import pytest

from cluster.builders import fluid_job
from fluid_dev.cluster import Cluster
from fluid_dev.redis import RedisServer
from fluid_operator.api.meta import API_VERSION, PAYLOAD_LABEL, REQUEST_ANNOTATION
from support.stages import Stage, stage_on, work
from support.waiting import until


@pytest.fixture(scope="module")
def crowd(cluster: Cluster, redis_server: RedisServer) -> Iterator[Stage]:
    """A namespace with an environment, an operator and a worker for all tests of this file: keep to your own names."""
    name = f"test-{uuid.uuid4().hex[:10]}"
    cluster.kubectl("create", "namespace", name)
    with stage_on(cluster, name, redis_server) as stage:
        stage.environment()
        stage.worker()
        stage.operator().leading()
        yield stage


def nested(levels: int) -> str:
    return '{"a":' * levels + "1" + "}" * levels


def create_deep(stage: Stage, name: str, levels: int) -> None:
    """By a plain POST: kubectl itself does not write so deep an object."""
    spec = f'{{"type":"work","payload":{nested(levels)}}}'
    body = f'{{"apiVersion":"{API_VERSION}","kind":"FluidJob","metadata":{{"name":"{name}"}},"spec":{spec}}}'
    path = f"/apis/{API_VERSION}/namespaces/{stage.namespace}/fluidjobs"
    stage.kubectl("create", "--raw", path, "-f", "-", input=body)


def assert_others_run(stage: Stage, name: str) -> None:
    stage.apply(work(name))
    stage.reaches(name, "Succeeded")


def request(stage: Stage, name: str, text: str) -> None:
    stage.kubectl("annotate", "--overwrite", "fj", name, f"{REQUEST_ANNOTATION}={text}")


# -- depth and size ---------------------------------------------------------------------------------------------------


def test_payloads_of_any_depth_fail_and_hold_up_nobody(bare: Stage):
    """Those that are there before the operator are listed, the later ones are watched."""
    bare.environment()
    bare.worker()
    for levels in (300, 1_100, 5_000):
        create_deep(bare, f"listed-{levels}", levels)
    operator = bare.operator().leading()
    assert_others_run(bare, "beside")
    for levels in (300, 1_100, 5_000):
        create_deep(bare, f"watched-{levels}", levels)
    assert_others_run(bare, "after")
    for name in (f"{when}-{levels}" for when in ("listed", "watched") for levels in (300, 1_100, 5_000)):
        bare.kubectl("wait", "--for=condition=Failed", "--timeout=20s", f"fj/{name}")
        error = json.loads(bare.kubectl("get", "fj", name, "-o", "jsonpath={.status.error}"))
        assert error["type"] == "InvalidPayload", name
        assert "nested" in error["message"], name
    assert operator.leads


@pytest.mark.parametrize(
    ("name", "value", "told"),
    [
        ("large", json.dumps({"value": "x" * 300_000}), "at most 262144"),
        ("deep", nested(300), "cannot be written"),
        ("abyss", nested(3_000), "is not JSON"),
        ("list", "[]", "not an object"),
    ],
    ids=["large", "deep", "deeper", "a list"],
)
def test_a_payload_source_beyond_all_bounds_fails_the_job(crowd: Stage, name, value, told):
    source = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": {"payload": value}}
    crowd.kubectl("create", "-f", "-", input=json.dumps(source))
    crowd.apply(work(f"source-{name}").spec(payloadFrom={"configMapKeyRef": {"name": name, "key": "payload"}}))
    error = crowd.reaches(f"source-{name}", "Failed")["error"]
    assert error["type"] == "InvalidPayload"
    assert "spec.payloadFrom" in error["message"]
    assert told in error["message"]
    assert_others_run(crowd, f"beside-{name}")


# -- numbers and times ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "fields"),
    [
        ("delay", {"backoff": {"delaySeconds": 315_360_000}}),
        ("longest", {"backoff": {"maxDelaySeconds": 315_360_000, "factor": 10}}),
        ("retries", {"backoffLimit": 1000}),
        ("deadlines", {"attemptDeadlineSeconds": 315_360_000, "activeDeadlineSeconds": 315_360_000}),
    ],
    ids=["delay", "longest delay", "retries", "deadlines"],
)
def test_a_job_with_the_largest_number_that_the_api_takes_runs(crowd: Stage, name, fields):
    crowd.apply(work(name).spec(**fields))
    effective = crowd.reaches(name, "Succeeded")["effective"]
    for field, value in fields.items():
        assert effective[field] == value or value.items() <= effective[field].items()


def test_a_job_for_the_last_second_of_the_calendar_is_scheduled(crowd: Stage):
    crowd.apply(work("far").spec(startAfter="9999-12-31T23:59:59-01:00"))
    assert crowd.reaches("far", "Scheduled")["nextAttemptTime"].startswith("9999-12-31T23:59:59")


# -- requests ---------------------------------------------------------------------------------------------------------


def test_a_retry_with_an_endless_fraction_runs_nothing_and_is_told(crowd: Stage):
    crowd.apply(work("fraction"))
    crowd.reaches("fraction", "Succeeded")
    request(crowd, "fraction", f"retry@2026-12-01T07:00:00.{'0' * 300}Z")
    crowd.kubectl("wait", "--for=condition=RequestIgnored", "--timeout=20s", "fj/fraction")
    assert_others_run(crowd, "after-fraction")
    status = crowd.status("fraction")
    assert (status["phase"], status["run"]) == ("Succeeded", 1)
    assert len(crowd.starts(status["jobId"])) == 1


def test_a_request_that_cannot_be_understood_is_told_for_as_long_as_it_stands(crowd: Stage):
    crowd.apply(work("misspelt").spec(startAfter="2099-01-01T07:00:00Z"))
    crowd.reaches("misspelt", "Scheduled")
    request(crowd, "misspelt", "cancle@2026-12-01T07:00:00Z")
    crowd.kubectl("wait", "--for=condition=RequestIgnored", "--timeout=20s", "fj/misspelt")
    assert "not of the form" in crowd.condition("misspelt", "RequestIgnored")["message"]
    crowd.kubectl("label", "fj", "misspelt", "looked=again")
    assert_others_run(crowd, "after-misspelt")
    assert crowd.condition("misspelt", "RequestIgnored")["status"] == "True"
    crowd.kubectl("annotate", "fj", "misspelt", f"{REQUEST_ANNOTATION}-")
    until(lambda: not crowd.condition("misspelt", "RequestIgnored"), 20, "nothing is without effect any more")
    assert crowd.status("misspelt")["phase"] == "Scheduled"


# -- secrets ----------------------------------------------------------------------------------------------------------


def test_neither_names_nor_values_of_a_secret_reach_status_or_log(crowd: Stage):
    hidden: dict[str, Any] = {"sk_live_name": 1, "seconds": "sk_live_value", "deep": {"sk_live_inner": True}}
    secret = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": "keys", "labels": {PAYLOAD_LABEL: "true"}},
        "stringData": {"payload": json.dumps(hidden)},
    }
    crowd.kubectl("create", "-f", "-", input=json.dumps(secret))
    crowd.apply(work("tells").spec(payloadFrom={"secretKeyRef": {"name": "keys", "key": "payload"}}))
    error = crowd.reaches("tells", "Failed")["error"]
    assert "spec.payload.seconds" in error["message"]
    assert "sk_live" not in json.dumps(crowd.job("tells"))
    assert "sk_live" not in crowd._operators[0].process.log.read_text()


def test_a_type_that_nobody_knows_waits_and_names_those_that_are_known(crowd: Stage):
    crowd.apply(fluid_job("mystery").type("no-such-type"))
    assert "work" in crowd.reason("mystery", "TypeNotYetKnown")["message"]
