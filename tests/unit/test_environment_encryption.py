"""The key ring of an environment: read from its Secret, refused with words, and never shown."""

import base64
import traceback

import pytest

from fluid_operator.api.conditions import Reason
from fluid_operator.api.meta import KeyRef
from fluid_operator.environments.encryption import key_ring_in
from fluid_operator.environments.errors import UnusableKeys, UnusableSource
from fluid_queue import KeyRing

REF = KeyRef(name="ring", key="keys")
KEY = base64.b64encode(b"k" * 32).decode()
SHORT = base64.b64encode(b"hush" * 4).decode()


def secret(text: str | bytes) -> dict:
    data = text.encode() if isinstance(text, str) else text
    return {"data": {"keys": base64.b64encode(data).decode()}}


def problem_of(body: dict):
    with pytest.raises(UnusableKeys) as refused:
        key_ring_in(body, REF)
    assert isinstance(refused.value, UnusableSource)
    return refused.value.problem, "".join(traceback.format_exception(refused.value))


def test_a_key_ring_is_read():
    assert key_ring_in(secret(f"# of this month\n2026-11: {KEY}\n"), REF) == KeyRing.parse(f"2026-11: {KEY}")


@pytest.mark.parametrize("body", [{}, {"data": None}, {"data": {"other": "eA=="}}])
def test_a_missing_key_is_asked_for(body):
    problem, _ = problem_of(body)
    assert (problem.reason, problem.stalled) == (Reason.SECRET_NOT_FOUND, False)
    assert "Secret ring has no key keys" in problem.message
    assert "<key id>: <32 bytes as base64>" in problem.message


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (secret(""), "holds no key"),
        (secret(KEY), "line 1"),
        (secret(f"a: {KEY}\nb: {SHORT}"), "line 2: the key has 16 bytes instead of 32"),
        (secret(f"a: {KEY}\na: {KEY}"), "line 2: its key id stands in an earlier line too"),
        (secret(b"\xff\xfe" + KEY.encode()), "is no text"),
        ({"data": {"keys": KEY + "!"}}, "is no text"),
    ],
)
def test_what_is_no_key_ring_is_refused_without_showing_any_of_it(body, words):
    problem, trace = problem_of(body)
    assert (problem.reason, problem.stalled) == (Reason.INVALID_KEY_RING, True)
    assert words in problem.message
    for hidden in (KEY, KEY[:8], SHORT, "hush"):
        assert hidden not in problem.message
        assert hidden not in trace
