"""What the webhook holds against a FluidJob, and what it does not. From raw objects to problems, nothing else."""

import json
from typing import Any

import pytest

from fluid_operator.admission.checks import NOTHING, changed, check_against, check_form, takes_over
from fluid_operator.admission.reviews import Review
from fluid_operator.api.meta import GROUP, REQUEST_ANNOTATION
from fluid_operator.environments.types import KnownType, ProcessorSettings
from fluid_operator.jobs.problems import Problem

SCHEMA = {"type": "object", "properties": {"to": {"type": "string"}}, "required": ["to"]}


def known(schema: dict[str, Any] | None = None, **settings: Any) -> KnownType:
    return KnownType(schema or SCHEMA, ProcessorSettings(**settings))


def job(metadata: dict[str, Any] | None = None, **spec: Any) -> dict[str, Any]:
    return {"metadata": {"name": "a", **(metadata or {})}, "spec": {"type": "mail", **spec}}


def review(new: Any, old: Any = None, **fields: Any) -> Review:
    defaults = {
        "uid": "u1",
        "operation": "CREATE" if old is None else "UPDATE",
        "group": GROUP,
        "kind": "FluidJob",
        "subresource": "",
        "namespace": "team-a",
        "name": "a",
    }
    return Review(**{**defaults, **fields}, new=new, old=old)


def problem(new: Any, old: Any = None, of: KnownType | None = None) -> str:
    """What is wrong; empty when nothing is."""
    try:
        spec = check_form(changed(review(new, old)))
        if spec is not None:
            list(check_against(spec, of or known()))
    except Problem as found:
        return found.message
    return ""


# -- what is looked at ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "fields",
    [
        {"operation": "DELETE"},
        {"operation": "CONNECT"},
        {"subresource": "status"},
        {"kind": "FluidSchedule"},
        {"group": "example.org"},
    ],
)
def test_nothing_else_than_a_job_that_is_written_is_looked_at(fields: dict[str, str]) -> None:
    assert changed(review(job(payload={}), **fields)) == NOTHING


def test_an_object_on_its_way_out_is_not_looked_at() -> None:
    assert problem(job({"deletionTimestamp": "2026-12-01T07:00:00Z"})) == ""


@pytest.mark.parametrize(
    "change", [{"cancelled": True}, {"suspend": True}, {"priority": 5}, {"ttlSecondsAfterFinished": 1}]
)
def test_a_wrong_object_may_still_be_changed_in_what_defines_no_run(change: dict[str, Any]) -> None:
    wrong = job(payload={"to": 1})
    assert problem(wrong) != ""
    assert problem(job(payload={"to": 1}, **change), wrong) == ""


@pytest.mark.parametrize("change", [{"runId": "2"}, {"environment": "other"}, {"payload": {"to": 2}}, {"type": "post"}])
def test_a_change_that_defines_a_run_is_looked_at(change: dict[str, Any]) -> None:
    assert problem(job(**{"payload": {"to": 1}, **change}), job(payload={"to": 1})) != ""


def test_a_wrong_request_is_told_once_and_does_not_forbid_later_changes() -> None:
    wrong = job({"annotations": {REQUEST_ANNOTATION: "retry"}}, payload={"to": "x"})
    assert problem(wrong).startswith(f"annotation {REQUEST_ANNOTATION}: not of the form ")
    assert problem(wrong, wrong) == ""
    assert problem(wrong, job(payload={"to": "x"})) != ""


@pytest.mark.parametrize("text", ["", "retry@2026-12-01T07:00:00Z", "suspend@2026-12-01T07:00:00.5+01:00"])
def test_a_request_in_its_form_is_fine(text: str) -> None:
    assert problem(job({"annotations": {REQUEST_ANNOTATION: text}}, payload={"to": "x"})) == ""


# -- what is held against it ------------------------------------------------------------------------------------------


def test_every_wrong_field_is_named() -> None:
    schema = {"type": "object", "properties": {"a": {"type": "string"}, "b": {"items": {"minimum": 3}}}}
    assert problem(job(payload={"a": 1, "b": [4, 2]}), of=known(schema)) == (
        'spec.payload.a: 1 is not of type "string"; spec.payload.b[1]: 2 is less than the minimum of 3'
    )


def test_a_job_without_a_payload_is_held_against_the_schema_too() -> None:
    assert problem(job()) == 'spec.payload: "to" is a required property'


def test_each_item_is_merged_over_the_payload_and_the_first_wrong_one_is_named() -> None:
    assert problem(job(payload={"to": "x"}, items=[{}, {"to": "y"}])) == ""
    wrong = job(payload={"to": "x"}, items=[{}, {"to": "y"}, {"to": 3}, {"to": 4}])
    assert problem(wrong) == 'spec.items[2].to: 3 is not of type "string"'
    assert problem(job(items=[{"to": "x"}, {}])) == 'spec.items[1]: "to" is a required property'


@pytest.mark.parametrize(
    "source", [{"secretKeyRef": {"name": "s", "key": "k"}}, {"configMapKeyRef": {"name": "s", "key": "k"}}]
)
def test_what_is_read_later_may_complete_or_replace_anything(source: dict[str, Any]) -> None:
    assert problem(job(payload={"to": 1}, payloadFrom=source)) == ""
    assert problem(job(payload={"to": 1}, itemsFrom=[source])) == ""


def test_sizes_are_limited_also_where_more_is_read_later() -> None:
    source = {"secretKeyRef": {"name": "s", "key": "k"}}
    large = problem(job(payload={"to": "x" * 33_000}, payloadFrom=source))
    assert large.startswith("spec.payload: 33009 bytes of JSON, at most 32768")
    many = problem(job(items=[{"to": "x" * 30_000}] * 9))
    assert many.startswith("spec.items: ")
    assert "at most 262144" in many


@pytest.mark.parametrize(("levels", "fits"), [(63, True), (64, False)])
def test_depth_is_limited(levels: int, fits: bool) -> None:
    payload = json.loads('{"to":' * levels + '"x"' + "}" * levels)
    said = problem(job(payload=payload), of=known({"type": "object"}))
    assert said == ("" if fits else "spec: nested in more than 64 levels")


def test_values_of_sensitive_types_are_not_repeated() -> None:
    schema = {"type": "object", "properties": {"pin": {"type": "string", "x-sensitive": True}}}
    for kind in (known(schema), known({**SCHEMA, "properties": {"pin": {"type": "string"}}}, sensitive_payload=True)):
        said = problem(job(payload={"to": "x", "pin": 271828}), of=kind)
        assert "spec.payload.pin: " in said
        assert "271828" not in said


def test_a_schema_that_cannot_be_used_is_not_the_fault_of_the_job() -> None:
    spec = check_form(changed(review(job(payload={}))))
    assert spec is not None
    with pytest.raises(Problem) as found:
        list(check_against(spec, known({"type": "nonsense"})))
    assert not found.value.terminal


# -- objects that somebody re-creates ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("metadata", "spec", "want"),
    [
        ({}, {}, False),
        ({}, {"runPolicy": "OncePerSpec"}, True),
        ({"annotations": {"argocd.argoproj.io/tracking-id": f"app:{GROUP}/FluidJob:team-a/a"}}, {}, True),
        ({"labels": {"kustomize.toolkit.fluxcd.io/name": "app"}}, {"runPolicy": "Always"}, False),
        ({"annotations": 7, "labels": [], "ownerReferences": {}}, {"runPolicy": []}, False),
    ],
)
def test_objects_of_a_tracking_tool_may_take_over_an_outcome(
    metadata: dict[str, Any], spec: dict[str, Any], want: bool
) -> None:
    assert takes_over(review(job(metadata, **spec))) is want
    assert takes_over(review(job(metadata, **spec), job())) is False
