"""JSON that is nested too deeply for the fast parser is cut, and nothing else of it is lost."""

import json

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fluid_operator.kube.decoding import KEPT_LEVELS, cut, decode

TOO_DEEP = 1_100
"""Levels that the API server stores and the fast parser refuses."""

json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.text(),
    lambda children: st.lists(children, max_size=4) | st.dictionaries(st.text(), children, max_size=4),
    max_leaves=20,
)


def nested(levels: int, opening: str = '{"a":', core: str = "1", closing: str = "}") -> str:
    return opening * levels + core + closing * levels


def depth(value: object) -> int:
    found = 0
    while isinstance(value, dict | list):
        found += 1
        value = value["a"] if isinstance(value, dict) else value[0]
    return found


def pruned(value: object, levels: int) -> object:
    """The plain meaning of the cut."""
    if isinstance(value, dict):
        return {name: pruned(child, levels - 1) for name, child in value.items()} if levels else None
    if isinstance(value, list):
        return [pruned(child, levels - 1) for child in value] if levels else None
    return value


@given(json_values, st.integers(0, 6), st.booleans())
def test_a_cut_leaves_everything_above_its_level_as_it_was(value, levels, pretty):
    text = json.dumps(value, indent=2 if pretty else None)
    assert orjson.loads(cut(text.encode(), levels)) == pruned(value, levels)


def test_brackets_and_quotes_inside_strings_do_not_count():
    text = r'{"a\"[{":["]}\\",{"b":"{\\\"["}]}'
    assert orjson.loads(cut(text.encode(), 2)) == {'a"[{': ["]}\\", None]}


def test_what_the_fast_parser_can_read_is_not_cut():
    assert depth(decode(nested(1_000).encode())) == 1_000


@pytest.mark.parametrize(("opening", "closing"), [('{"a":', "}"), ("[", "]")], ids=["maps", "lists"])
def test_an_object_that_is_nested_too_deeply_is_read_down_to_a_level(opening, closing):
    assert depth(decode(nested(TOO_DEEP, opening, "1", closing).encode())) == KEPT_LEVELS


def test_one_deep_object_does_not_hide_the_others_of_its_list():
    items = [f'{{"name":"{n}","payload":{nested(TOO_DEEP if n == 1 else 1)}}}' for n in range(3)]
    page = decode(f'{{"items":[{",".join(items)}]}}'.encode())
    assert [item["name"] for item in page["items"]] == ["0", "1", "2"]


@pytest.mark.parametrize("raw", [b"", b"{", b"nothing", b'{"a":' * 2_000, b'"\xff"'])
def test_what_is_no_json_is_still_refused(raw):
    with pytest.raises(orjson.JSONDecodeError):
        decode(raw)
