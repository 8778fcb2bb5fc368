"""The hash that decides whether a spec has already run.

The golden values stand in stored objects: they may never change.
"""

import hashlib
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fluid_operator.api.fluidjob import FluidJobSpec
from fluid_operator.api.spechash import RUN_DEFINING, spec_hash

FULL = {
    "environment": "default",
    "type": "calendar-sync",
    "queue": "sync",
    "payload": {"feedId": "clx1", "full": False, "depth": 2},
    "payloadFrom": {"secretKeyRef": {"name": "s", "key": "k"}},
    "items": [{"feedId": "a"}, {"feedId": "ä"}],
    "runId": "2",
}

GOLDEN = {
    "only a type": ({"type": "email"}, "v1:485ec3791fa7e8fba11c3c556f41ff31c2487f154c1f14cfc217ea7387779c5d"),
    "many fields": (FULL, "v1:0e8776beef3d6a692fc5dec0a1abc4e88e70b5af09e6bc666d40bf6813c3218f"),
    "numbers and escapes": (
        {"type": "t", "completions": 3, "payload": {"pi": 3.25, "one": 1.0, "text": 'a"\\\n\u2028😀'}},
        "v1:1f4cf77b9fbb28d0a3c7d02a81aff373f62896f767b0440d036223a140f0b110",
    ),
}

json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=10,
)


@pytest.mark.parametrize(("spec", "want"), GOLDEN.values(), ids=GOLDEN)
def test_a_golden_hash_never_changes(spec: dict[str, Any], want: str) -> None:
    assert spec_hash(spec) == want


def test_the_canonical_form_is_sorted_json_without_whitespace() -> None:
    text = '{"payload":{"a":[1,"\\u00e4"],"b":null},"type":"email"}'
    spec = {"type": "email", "payload": {"b": None, "a": [1.0, "ä"]}}
    assert spec_hash(spec) == "v1:" + hashlib.sha256(text.encode()).hexdigest()


@pytest.mark.parametrize("name", RUN_DEFINING)
def test_absent_null_and_empty_text_are_the_same(name: str) -> None:
    rest = {key: value for key, value in FULL.items() if key != name}
    assert spec_hash(rest) == spec_hash(rest | {name: None}) == spec_hash(rest | {name: ""})


@pytest.mark.parametrize("name", FULL)
def test_each_run_defining_field_makes_a_difference(name: str) -> None:
    assert spec_hash(FULL | {name: "another"}) != spec_hash(FULL)


def test_inside_a_payload_null_and_empty_texts_are_values() -> None:
    hashes = {
        spec_hash({"type": "t", "payload": payload}) for payload in ({}, {"a": None}, {"a": ""}, {"a": 0}, {"a": False})
    }
    assert len(hashes) == 5


def test_no_other_field_counts() -> None:
    others = {
        name for field in FluidJobSpec.model_fields.values() if (name := field.alias) and name not in RUN_DEFINING
    }
    assert {"suspend", "cancelled", "runPolicy", "priority", "backoffLimit"} <= others
    assert spec_hash(FULL | dict.fromkeys(others, "anything")) == spec_hash(FULL)


def test_run_defining_fields_exist() -> None:
    assert set(RUN_DEFINING) <= {field.alias for field in FluidJobSpec.model_fields.values()}


@given(payload=st.dictionaries(st.text(), json_values, max_size=4))
def test_a_way_through_json_and_another_order_of_keys_change_nothing(payload: dict[str, Any]) -> None:
    spec = {"type": "t", "payload": payload}
    travelled = json.loads(json.dumps({"payload": dict(reversed(payload.items())), "type": "t"}))
    assert spec_hash(travelled) == spec_hash(spec)
