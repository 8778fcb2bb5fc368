"""A FluidJob from `kubectl apply` to its end, as its user sees it."""

import json

import pytest

from cluster.builders import fluid_job
from support.stages import Stage, work
from support.waiting import until


@pytest.mark.field("spec.payload", "effect")
def test_a_job_succeeds_and_says_how_it_went(stage: Stage):
    stage.apply(work("hello", value="ä"))
    stage.kubectl("wait", "--for=condition=Complete", "--timeout=30s", "fluidjob/hello")
    status = stage.status("hello")
    assert (status["phase"], status["attempts"], status["run"]) == ("Succeeded", 1, 1)
    assert status["result"] == {"value": "ä"}
    assert status["observedGeneration"] == 1
    assert status["jobId"] == f"{stage.job('hello')['metadata']['uid']}.1"
    assert [each["outcome"] for each in status["attemptHistory"]] == ["Succeeded"]
    assert status["effective"]["backoffLimit"] == 8
    assert stage.kubectl("get", "fj", "--field-selector", "status.phase=Succeeded", "-o", "name").count("hello") == 1


def test_a_job_that_fails_first_succeeds_at_its_third_attempt(stage: Stage):
    stage.apply(work("flaky", succeedAt=3).retries(5))
    status = stage.reaches("flaky", "Succeeded")
    assert status["attempts"] == 3
    assert [each["outcome"] for each in status["attemptHistory"]] == ["Failed", "Failed", "Succeeded"]


@pytest.mark.field("spec.backoffLimit", "effect")
def test_a_job_that_never_succeeds_fails_after_its_retries(stage: Stage):
    stage.apply(work("hopeless", succeedAt=99).retries(2))
    stage.kubectl("wait", "--for=condition=Failed", "--timeout=30s", "fluidjob/hopeless")
    status = stage.status("hopeless")
    assert (status["attempts"], status["error"]["type"]) == (3, "ValueError")
    assert stage.condition("hopeless", "Failed")["reason"] == "BackoffLimitExceeded"


@pytest.mark.field("spec.attemptDeadlineSeconds", "effect")
def test_an_attempt_past_its_deadline_fails_as_such(stage: Stage):
    stage.apply(work("slow", seconds=60).retries(0).spec(attemptDeadlineSeconds=1))
    assert stage.reaches("slow", "Failed")["error"]["type"] == "AttemptTimeout"
    assert stage.condition("slow", "Failed")["reason"] == "AttemptTimeout"


@pytest.mark.field("spec.activeDeadlineSeconds", "effect")
def test_a_run_past_its_deadline_fails_without_a_retry(stage: Stage):
    stage.apply(work("slow", seconds=60).retries(5).spec(activeDeadlineSeconds=1))
    assert stage.reaches("slow", "Failed")["attempts"] == 1
    assert stage.condition("slow", "Failed")["reason"] == "DeadlineExceeded"


@pytest.mark.field("spec.startAfter", "effect")
def test_a_job_for_later_is_scheduled(stage: Stage):
    stage.apply(work("later").spec(startAfter="2099-01-01T07:00:00Z"))
    status = stage.reaches("later", "Scheduled")
    assert status["nextAttemptTime"] == "2099-01-01T07:00:00.000000Z"
    assert stage.starts() == []


@pytest.mark.field("spec.cancelled", "effect", "during")
def test_a_running_job_shows_its_worker_and_is_cancelled_by_its_spec(stage: Stage):
    stage.apply(work("long", seconds=300))
    assert stage.reaches("long", "Running")["worker"]
    stage.kubectl("patch", "fj", "long", "--type=merge", "-p", '{"spec":{"cancelled":true}}')
    stage.reaches("long", "Cancelled", within=10)
    assert stage.condition("long", "Failed")["reason"] == "Cancelled"


@pytest.mark.field("spec.cancelled", "before")
def test_a_cancelled_job_that_waits_never_starts(bare: Stage):
    bare.environment()
    bare.worker(FLUID_QUEUES="elsewhere")
    bare.operator().leading()
    bare.apply(work("waits"))
    bare.reaches("waits", "Queued")
    bare.kubectl("patch", "fj", "waits", "--type=merge", "-p", '{"spec":{"cancelled":true}}')
    assert bare.reaches("waits", "Cancelled")["attempts"] == 0
    assert bare.starts() == []


def test_a_job_that_is_applied_as_cancelled_ends_at_once(stage: Stage):
    stage.apply(work("never").spec(cancelled=True))
    stage.reaches("never", "Cancelled")
    assert stage.starts() == []


@pytest.mark.field("spec.suspend", "effect")
def test_a_suspended_job_waits_until_it_is_released(stage: Stage):
    stage.apply(work("held").spec(suspend=True))
    stage.reaches("held", "Suspended")
    assert stage.starts() == []
    stage.kubectl("patch", "fj", "held", "--type=merge", "-p", '{"spec":{"suspend":false}}')
    stage.reaches("held", "Succeeded")


def test_a_retry_by_request_is_one_more_run_and_is_acknowledged(stage: Stage):
    stage.apply(work("again"))
    stage.reaches("again", "Succeeded")
    request = "retry@2026-12-01T07:00:00Z"
    stage.kubectl("annotate", "fj", "again", f"jobs.fluidcalendar.com/request={request}")
    status = stage.reaches("again", "Succeeded", run=2)
    assert status["lastHandledRequest"] == request
    stage.kubectl("label", "fj", "again", "touched=yes")
    stage.apply(work("witness"))
    stage.reaches("witness", "Succeeded")
    assert stage.status("again")["run"] == 2
    assert len(stage.starts()) == 3


def test_a_cancel_by_request_is_executed_once_and_acknowledged(stage: Stage):
    stage.apply(work("long", seconds=300))
    stage.reaches("long", "Running")
    request = "cancel@2026-12-01T07:00:00Z"
    stage.kubectl("annotate", "fj", "long", f"jobs.fluidcalendar.com/request={request}")
    assert stage.reaches("long", "Cancelled")["lastHandledRequest"] == request
    stage.kubectl("patch", "fj", "long", "--type=merge", "-p", '{"spec":{"payload":{"seconds":0}}}')
    assert stage.reaches("long", "Succeeded", run=2)


@pytest.mark.field("spec.payloadFrom.secretKeyRef.name", "effect")
@pytest.mark.field("spec.payloadFrom.secretKeyRef.key", "effect")
def test_a_payload_from_a_secret_is_merged_and_seen_nowhere(stage: Stage):
    value = "s3cr3t-value"
    for name, labels in (("open", {"jobs.fluidcalendar.com/payload": "true"}), ("closed", {})):
        secret = {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {"name": name, "labels": labels},
            "stringData": {"payload": json.dumps({"value": value, "seconds": "many" if name == "wrong" else 0})},
        }
        stage.kubectl("apply", "-f", "-", input=json.dumps(secret))
    stage.apply(
        work("reads").spec(payloadFrom={"secretKeyRef": {"name": "open", "key": "payload"}}),
        work("denied").spec(payloadFrom={"secretKeyRef": {"name": "closed", "key": "payload"}}),
        work("missing").spec(payloadFrom={"configMapKeyRef": {"name": "nowhere", "key": "payload"}}),
        work("wrong").spec(
            payloadFrom={"secretKeyRef": {"name": "open", "key": "payload"}}, payload={"succeedAt": "x"}
        ),
    )
    stage.reaches("reads", "Succeeded")
    assert [start.value for start in stage.starts()] == [value]
    assert "jobs.fluidcalendar.com/payload" in stage.reason("denied", "SecretAccessDenied")["message"]
    assert "nowhere" in stage.reason("missing", "PayloadSourceNotFound")["message"]
    assert "spec.payload.succeedAt" in stage.reason("wrong", "InvalidPayload")["message"]
    for name in ("denied", "missing", "wrong"):
        assert value not in json.dumps(stage.job(name))
    assert value not in stage._operators[0].process.log.read_text()


# -- bad input --------------------------------------------------------------------------------------------------------


@pytest.mark.field("spec.payload", "bad value")
@pytest.mark.parametrize(
    ("payload", "field"),
    [
        ({"seconds": "long"}, "spec.payload.seconds"),
        ({"colour": "red"}, "colour"),
        ({"seconds": 10_000}, "spec.payload.seconds"),
    ],
    ids=["wrong type", "unknown field", "out of range"],
)
def test_a_payload_that_does_not_fit_fails_at_once_and_names_the_field(stage: Stage, payload, field):
    stage.apply(work("bad", **payload))
    status = stage.reaches("bad", "Failed")
    assert (status["attempts"], status["error"]["type"]) == (0, "InvalidPayload")
    assert field in status["error"]["message"]
    assert stage.starts() == []


def test_a_corrected_payload_runs(stage: Stage):
    stage.apply(work("bad", seconds="long"))
    stage.reaches("bad", "Failed")
    stage.apply(work("bad", seconds=0))
    stage.reaches("bad", "Succeeded", run=2)


@pytest.mark.field("spec.payload", "bad value")
def test_a_payload_above_32_kib_fails_and_says_how_large_it_is(stage: Stage):
    stage.apply(work("large", value="x" * 33 * 1024), server_side=True)
    error = stage.reaches("large", "Failed")["error"]
    assert error["type"] == "InvalidPayload"
    assert "at most 32768" in error["message"]


@pytest.mark.field("spec.type", "bad value")
def test_an_unknown_type_is_waited_for_and_then_fails(bare: Stage):
    bare.environment()
    bare.worker()
    bare.operator(FLUID_UNKNOWN_TYPE_GRACE_SECONDS="2").leading()
    bare.apply(fluid_job("mystery").type("no-such-type"), work("witness"))
    bare.reaches("witness", "Succeeded")
    assert "no-such-type" in bare.reason("mystery", "TypeNotYetKnown")["message"]
    assert bare.reaches("mystery", "Failed")["error"]["type"] == "UnknownType"


def test_a_job_without_an_environment_waits_for_one(bare: Stage):
    bare.worker()
    bare.operator().leading()
    bare.apply(work("early"))
    assert "create one" in bare.reason("early", "EnvironmentNotFound")["message"]
    assert bare.status("early")["phase"] == "Pending"
    bare.environment()
    bare.reaches("early", "Succeeded")


@pytest.mark.field("spec.environment", "effect")
def test_a_job_that_must_choose_between_two_environments_says_so(bare: Stage):
    bare.environment("red")
    bare.environment("blue")
    bare.operator().leading()
    until(
        lambda: bare.kubectl("get", "fe", "-o", "jsonpath={..keyPrefix}").count(bare.namespace) == 2,
        30,
        "two environments",
    )
    bare.apply(work("torn"))
    assert "blue, red" in bare.reason("torn", "EnvironmentNotFound")["message"]


@pytest.mark.field("spec.environment", "effect")
def test_the_only_environment_is_taken_whatever_its_name(bare: Stage):
    bare.environment("only")
    bare.key_prefix = f"{bare.namespace}.only"
    bare.worker()
    bare.operator().leading()
    bare.apply(work("plain"))
    assert bare.reaches("plain", "Succeeded")["environment"] == "only"
