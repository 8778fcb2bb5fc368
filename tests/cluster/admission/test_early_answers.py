"""What `kubectl apply` says at once, and that a condition says the same where nobody was asked."""

import json
from collections.abc import Callable

import pytest

from cluster.builders import FluidJobBuilder, fluid_job
from fluid_operator.api.meta import PAYLOAD_LABEL, REQUEST_ANNOTATION
from support.stages import Stage
from support.waiting import until
from support.webhooks import MAIL, Hook, Served, created, publish, refused, try_create


def mail(name: str, **payload: object) -> FluidJobBuilder:
    return fluid_job(name).type("mail").spec(payload=payload or None)


def message(stage: Stage, name: str, kind: str = "Failed") -> str:
    """The text of a condition, as soon as it is there."""
    return str(until(lambda: stage.condition(name, kind), 30, f"{name} has the condition {kind}")["message"])


def reviews(served: Served) -> float:
    """How often the webhook was asked so far."""
    names = ("allowed", "refused", "unchecked", "malformed", "late")
    series = [f'fluid_operator_admission_reviews_total{{outcome="{name}"}}' for name in names]
    return sum(served.operator.metric(each) or 0 for each in series)


@pytest.mark.parametrize("verb", ["create", "apply", "apply --server-side"])
def test_a_payload_that_does_not_fit_is_refused_naming_every_field(served: Served, hook: Hook, verb: str) -> None:
    text = refused(served.stage, mail("wrong", copies=0), *verb.split())
    assert 'spec.payload: "to" is a required property' in text
    assert "spec.payload.copies: 0 is less than the minimum of 1" in text
    assert "wrong" not in served.stage.jobs()


WRONG: dict[str, Callable[[str], FluidJobBuilder]] = {
    "schema": lambda name: mail(name, to=7, more=True),
    "payload-size": lambda name: mail(name, to="x" * 33_000),
    "item": lambda name: mail(name).spec(items=[{"to": "a"}, {"to": "b"}, {"to": "c", "copies": -3}]),
    "items-size": lambda name: mail(name).spec(items=[{"to": "x" * 30_000}] * 9),
}


@pytest.mark.parametrize("case", WRONG)
def test_without_the_webhook_the_same_text_arrives_as_a_condition(served: Served, hook: Hook, case: str) -> None:
    job = WRONG[case](case)
    text = refused(served.stage, job)
    hook.delete()
    created(served.stage, job)
    assert message(served.stage, case) == text


def test_a_request_that_nobody_can_understand_is_refused_naming_the_annotation(served: Served, hook: Hook) -> None:
    job = mail("request", to="x").annotation(REQUEST_ANNOTATION, "retry please")
    text = refused(served.stage, job)
    assert text.startswith(f"annotation {REQUEST_ANNOTATION}: ")
    hook.delete()
    created(served.stage, job)
    assert message(served.stage, "request", "RequestIgnored") == text


def test_a_change_of_the_payload_is_judged_and_other_changes_of_a_wrong_object_are_not(
    served: Served, hook: Hook
) -> None:
    stage = served.stage
    hook.delete()
    stage.apply(mail("old", to=1).spec(suspend=True))
    hook.apply(served.authorities())
    refused(stage, mail("probe", to=1))

    def patch(**spec: object) -> str:
        return stage.kubectl("patch", "fj", "old", "--type=merge", "-p", json.dumps({"spec": spec}), check=False)

    assert "spec.payload.to: 2 is not of type" in patch(payload={"to": 2})
    assert "patched" in patch(ttlSecondsAfterFinished=60)
    assert "patched" in patch(cancelled=True)
    assert "patched" in patch(cancelled=False, runId="2", payload={"to": "x"})


def test_a_type_that_no_worker_knows_is_taken_with_a_warning(served: Served, hook: Hook) -> None:
    refused(served.stage, mail("probe", to=1))
    said = created(served.stage, fluid_job("stranger").type("unheard-of"))
    assert "Warning: spec.type: no worker of environment default can run unheard-of yet" in said
    served.stage.reason("stranger", "TypeNotYetKnown")


def test_what_a_secret_may_still_complete_is_taken(served: Served, hook: Hook) -> None:
    stage = served.stage
    refused(stage, mail("probe", to=1))
    secret = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": "rest", "labels": {PAYLOAD_LABEL: "true"}},
        "stringData": {"rest": '{"to": "x"}'},
    }
    stage.kubectl("apply", "-f", "-", input=json.dumps(secret))
    created(stage, mail("completed", copies=1).spec(payloadFrom={"secretKeyRef": {"name": "rest", "key": "rest"}}))
    stage.reaches("completed", "Queued")


def test_a_schema_that_was_widened_a_moment_ago_counts_at_once(served: Served, hook: Hook) -> None:
    """What workers tell is remembered for seconds, but nobody is refused by a memory."""
    stage = served.stage
    refused(stage, mail("wide", to="x", subject="y"))
    wider = {**MAIL, "properties": {**MAIL["properties"], "subject": {"type": "string"}}}
    publish(stage, mail=wider)
    try:
        until(lambda: "created" in try_create(stage, mail("wide", to="x", subject="y")), 6, "it is taken")
    finally:
        publish(stage, mail=MAIL)


def test_only_what_asks_for_something_is_asked_about(served: Served, hook: Hook) -> None:
    stage = served.stage
    refused(stage, mail("probe", to=1))
    created(stage, mail("quiet", to="x"))
    stage.reaches("quiet", "Queued")
    before = reviews(served)
    stage.kubectl("label", "fj", "quiet", "colour=blue")
    stage.kubectl("annotate", "fj", "quiet", "note=blue")
    stage.kubectl("patch", "fj", "quiet", "--subresource=status", "--type=merge", "-p", '{"status":{"worker":"w"}}')
    stage.kubectl("delete", "fj", "quiet")
    assert reviews(served) == before
    stage.kubectl("apply", "-f", "-", input=mail("asked", to="x").json())
    assert reviews(served) == before + 1


def test_a_webhook_that_is_away_refuses_nothing(served: Served, hook: Hook) -> None:
    refused(served.stage, mail("probe", to=1))
    hook.aim(1)
    created(served.stage, mail("away", to=7))
    served.stage.reaches("away", "Failed")


def test_the_log_names_the_field_and_holds_nothing_of_the_payload(served: Served, hook: Hook) -> None:
    refused(served.stage, mail("secretive", to="x", copies=-271828))
    told = [line for line in served.operator.said("Refused a FluidJob at admission.") if line["name"] == "secretive"]
    assert told[0]["field"] == "spec.payload.copies"
    assert "271828" not in served.operator.process.log.read_text()
