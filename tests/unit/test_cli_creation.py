"""From the words of `fluid run` to a FluidJob."""

import random
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fluid_cli.creation import generated_name, payload_from, spec_of
from fluid_cli.errors import BadUsage


def test_values_that_are_json_are_taken_as_such_and_all_others_as_text():
    pairs = ["n=5", "on=true", "to=ada@example.com", 'zip="01234"', "raw=01234", 'tags=["a"]', "eq=a=b", "empty="]
    assert payload_from(pairs, "", None) == {
        "n": 5,
        "on": True,
        "to": "ada@example.com",
        "zip": "01234",
        "raw": "01234",
        "tags": ["a"],
        "eq": "a=b",
        "empty": "",
    }


@pytest.mark.parametrize("word", ["NaN", "Infinity", "-Infinity"])
def test_words_that_only_python_takes_for_numbers_are_texts(word):
    assert payload_from([f"x={word}"], "", None) == {"x": word}


def test_single_fields_lie_over_the_whole():
    assert payload_from(["a=2"], '{"a": 1, "b": 1}', None) == {"a": 2, "b": 1}


def test_a_file_may_be_yaml(tmp_path):
    file = tmp_path / "payload.yaml"
    file.write_text("to: ada@example.com\nnested: {a: [1, 2]}\n")
    assert payload_from((), "", file) == {"to": "ada@example.com", "nested": {"a": [1, 2]}}


def test_without_any_there_is_no_payload():
    assert payload_from((), "", None) is None


@pytest.mark.parametrize(
    ("pairs", "text", "content", "subject"),
    [
        (["nothing"], "", None, "--payload"),
        (["=1"], "", None, "--payload"),
        ((), "[1]", None, "--payload-json"),
        ((), "{", None, "--payload-json"),
        ((), '{"x": NaN}', None, "--payload-json"),
        ((), "", "- 1", "--file"),
        ((), "", "when: 2026-11-24", "--file"),
        ((), "", "a: [", "--file"),
        ((), "{}", "a: 1", "--payload-json"),
    ],
)
def test_a_bad_payload_names_its_option(tmp_path, pairs, text, content, subject):
    file = None
    if content is not None:
        file = tmp_path / "payload"
        file.write_text(content)
    with pytest.raises(BadUsage) as raised:
        payload_from(pairs, text, file)
    assert raised.value.subject == subject
    assert raised.value.exit_code == 2


def test_a_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(BadUsage, match="No such file"):
        payload_from((), "", tmp_path / "none")


@pytest.mark.parametrize(
    ("kind", "fields", "field"),
    [("a b", {}, "spec.type"), ("email", {"priority": 2000}, "spec.priority"), ("email", {"queue": "-"}, "spec.queue")],
)
def test_a_bad_field_is_named_by_its_path(kind, fields, field):
    with pytest.raises(BadUsage) as raised:
        spec_of(kind, None, **fields)
    assert raised.value.subject == field


def test_a_payload_that_is_too_large_is_refused_before_it_is_sent():
    with pytest.raises(BadUsage, match=r"spec\.payload: has 32776 bytes"):
        spec_of("email", {"text": "x" * 32_765})


def test_unset_fields_are_left_out():
    assert spec_of("email", None, queue="", priority=0, environment="") == {"type": "email", "priority": 0}


@given(st.from_regex(r"[A-Za-z0-9]([A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?", fullmatch=True))
def test_every_type_gives_a_name_that_the_api_server_takes(kind):
    name = generated_name(kind, random.Random(1))
    assert re.fullmatch(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?", name)


def test_a_name_is_the_type_and_five_letters():
    assert re.fullmatch(r"email-[a-z0-9]{5}", generated_name("email", random.Random()))
