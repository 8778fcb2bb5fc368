"""Payloads: size, depth, the processor's schema, and what of a Secret's payload a message may tell."""

from typing import Any

import pytest

from fluid_operator.api.conditions import Reason
from fluid_operator.environments.types import KnownType, ProcessorSettings
from fluid_operator.jobs.payloads import MAX_BYTES, check_payload, check_size
from fluid_operator.jobs.problems import Problem

SCHEMA = {
    "type": "object",
    "properties": {
        "seconds": {"type": "number"},
        "people": {"type": "array", "items": {"type": "object", "properties": {"age": {"type": "integer"}}}},
        "tags": {"type": "object", "propertyNames": {"maxLength": 3}, "additionalProperties": {"type": "string"}},
    },
    "required": ["seconds"],
    "additionalProperties": False,
}


def refusal(payload: Any, *, schema: Any = SCHEMA, secret: bool = False, sensitive: bool = False) -> Problem:
    known = KnownType(schema, ProcessorSettings(sensitive_payload=sensitive))
    with pytest.raises(Problem) as caught:
        check_payload(payload, known, secret=secret)
    return caught.value


def nested(levels: int) -> dict[str, Any]:
    value: dict[str, Any] = {}
    for _ in range(levels):
        value = {"a": value}
    return value


def test_a_payload_of_the_largest_size_is_taken_and_one_more_byte_is_not():
    room = MAX_BYTES - len('{"a":""}')
    check_size({"a": "x" * room}, MAX_BYTES, "spec.payload")
    with pytest.raises(Problem) as caught:
        check_size({"a": "x" * (room + 1)}, MAX_BYTES, "spec.payload")
    assert caught.value.terminal
    assert caught.value.message.startswith(f"spec.payload: {MAX_BYTES + 1} bytes of JSON, at most {MAX_BYTES}")


@pytest.mark.parametrize("levels", [300, 2_000])
def test_a_payload_too_deep_to_be_written_ends_the_run(levels):
    with pytest.raises(Problem) as caught:
        check_size(nested(levels), MAX_BYTES, "spec.payloadFrom")
    assert (caught.value.reason, caught.value.terminal) == (Reason.INVALID_PAYLOAD, True)
    assert "spec.payloadFrom" in caught.value.message


def test_a_text_that_has_no_utf_8_form_ends_the_run_and_is_not_repeated():
    with pytest.raises(Problem) as caught:
        check_size({"token": "hush\ud800"}, MAX_BYTES, "spec.payloadFrom")
    assert caught.value.reason == Reason.INVALID_PAYLOAD
    assert caught.value.__cause__ is None


def test_a_misfit_names_the_field_and_the_value():
    found = refusal({"seconds": "long"})
    assert (found.reason, found.terminal) == (Reason.INVALID_PAYLOAD, True)
    assert found.message.startswith('spec.payload.seconds: "long"')


def test_many_misfits_are_told_in_part_and_counted():
    found = refusal({"seconds": 1, "people": [{"age": "x"} for _ in range(12)]})
    assert found.message.count("spec.payload.people") == 5
    assert found.message.endswith("and more")


def test_no_value_and_no_name_from_a_secret_is_repeated():
    payload = {
        "seconds": "hush-1",
        "hush-2": 1,
        "people": [{"age": "hush-3"}],
        "tags": {"hush-4": 1, "b": "fits"},
    }
    message = refusal(payload, secret=True).message
    assert "hush" not in message
    assert "spec.payload.seconds" in message
    assert "spec.payload.people[0].age" in message
    assert "additionalProperties" in message


def test_a_sensitive_payload_shows_names_but_no_values():
    message = refusal({"seconds": "hush", "colour": 1}, sensitive=True).message
    assert "hush" not in message
    assert "colour" in message


def test_one_sensitive_field_hides_the_values_of_all():
    schema = {"properties": {"a": {"type": "integer", "x-sensitive": True}, "b": {"type": "integer"}}}
    message = refusal({"a": "hush", "b": "hush"}, schema=schema).message
    assert "hush" not in message


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "nope"},
        {"properties": 3},
        {"$ref": "file:///etc/hostname"},
        {"$ref": "http://127.0.0.1:1/schema"},
        {"$ref": "#/nowhere"},
        {"properties": nested(600)},
    ],
    ids=["no type", "no properties", "a file", "an address", "nowhere", "too deep"],
)
def test_a_schema_that_is_none_or_reaches_out_makes_the_job_wait_for_a_better_one(schema):
    found = refusal({}, schema=schema)
    assert (found.reason, found.terminal) == (Reason.TYPE_NOT_YET_KNOWN, False)
    assert "schema" in found.message


def test_a_reference_inside_the_schema_is_followed():
    schema = {"$defs": {"word": {"type": "string"}}, "properties": {"a": {"$ref": "#/$defs/word"}}}
    assert "spec.payload.a" in refusal({"a": 1}, schema=schema).message
