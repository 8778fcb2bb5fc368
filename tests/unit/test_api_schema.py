"""The schemas that the CRDs hold: what each field must carry, and what structural schemas forbid."""

from collections.abc import Iterator
from typing import Annotated, Any

import pytest
from pydantic import Field

from fluid_operator.api.crd import KINDS, crd
from fluid_operator.api.errors import NotStructural
from fluid_operator.api.fields import doc
from fluid_operator.api.meta import ApiModel, Kind
from fluid_operator.api.schema import published, structural

Node = dict[str, Any]


def root(kind: Kind) -> Node:
    """The whole schema of a kind."""
    schema: Node = crd(kind)["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    return schema


def halves(kind: Kind) -> Iterator[tuple[str, Node]]:
    """Every schema below spec and status, with its path."""
    for half in ("spec", "status"):
        yield from walk(half, root(kind)["properties"][half])


def walk(path: str, node: Node) -> Iterator[tuple[str, Node]]:
    yield path, node
    for name, child in node.get("properties", {}).items():
        yield from walk(f"{path}.{name}", child)
    if "items" in node:
        yield from walk(f"{path}[]", node["items"])
    if "additionalProperties" in node:
        yield from walk(f"{path}.*", node["additionalProperties"])


def fields(kind: Kind) -> Iterator[tuple[str, Node]]:
    """Every field below spec and status: no entries of lists and maps."""
    return ((path, node) for path, node in halves(kind) if not path.endswith(("[]", ".*")))


each_kind = pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.kind)


@each_kind
def test_every_field_has_a_description_that_is_a_sentence(kind: Kind) -> None:
    bad = [path for path, node in fields(kind) if not node.get("description", "").rstrip().endswith(".")]
    assert bad == []


@each_kind
def test_every_optional_field_tells_what_unset_means(kind: Kind) -> None:
    optional = (
        (f"{path}.{name}", child)
        for path, node in halves(kind)
        for name, child in node.get("properties", {}).items()
        if name not in node.get("required", ()) and "default" not in child
    )
    assert [path for path, node in optional if "Unset:" not in node["description"]] == []


@each_kind
def test_every_text_list_and_map_has_a_maximum(kind: Kind) -> None:
    bounds = {"string": ("maxLength", "enum"), "array": ("maxItems",)}
    bad = [path for path, node in halves(kind) if not has_any(node, bounds.get(node.get("type", ""), ()))]
    unbounded_maps = [
        path for path, node in halves(kind) if "additionalProperties" in node and "maxProperties" not in node
    ]
    assert bad + unbounded_maps == []


@each_kind
def test_every_list_says_how_it_is_merged(kind: Kind) -> None:
    kinds_of_list = {
        path: node.get("x-kubernetes-list-type") for path, node in halves(kind) if node.get("type") == "array"
    }
    assert set(kinds_of_list.values()) <= {"atomic", "map", "set"}, kinds_of_list


@each_kind
def test_every_number_is_a_bounded_integer(kind: Kind) -> None:
    assert [path for path, node in halves(kind) if node.get("type") == "number"] == []
    integers = {path: node for path, node in halves(kind) if node.get("type") == "integer"}
    assert [path for path, node in integers.items() if not {"minimum", "maximum"} <= node.keys()] == []


@each_kind
def test_durations_carry_their_unit_in_name_and_text(kind: Kind) -> None:
    durations = [(path, node) for path, node in fields(kind) if path.endswith("Seconds") and node["type"] == "integer"]
    assert [path for path, node in durations if "In seconds." not in node["description"]] == []


@each_kind
def test_only_structural_keywords_reach_a_definition(kind: Kind) -> None:
    forbidden = {"$ref", "$defs", "title", "const", "propertyNames", "patternProperties", "allOf", "oneOf", "not"}
    bad = [
        path for path, node in halves(kind) if forbidden & node.keys() or any(key.startswith("x-doc-") for key in node)
    ]
    unions = [path for path, node in halves(kind) if "anyOf" in node and "x-kubernetes-int-or-string" not in node]
    assert bad + unions == []


def test_the_schema_has_no_defaults_but_those_of_the_design() -> None:
    defaults = {
        f"{kind.kind}.{path}": node["default"] for kind in KINDS for path, node in halves(kind) if "default" in node
    }
    assert defaults == {
        "FluidJob.spec.suspend": False,
        "FluidJob.spec.cancelled": False,
        "FluidJob.spec.runPolicy": "Auto",
        "FluidJob.status": {"phase": "Pending", "observedGeneration": -1},
        "FluidSchedule.spec.suspend": False,
        "FluidSchedule.status": {"observedGeneration": -1},
        "FluidEnvironment.status": {"observedGeneration": -1},
    }


def test_lists_by_name_merge_entry_by_entry() -> None:
    keys = {
        f"{kind.kind}.{path}": node["x-kubernetes-list-map-keys"]
        for kind in KINDS
        for path, node in halves(kind)
        if node.get("x-kubernetes-list-type") == "map"
    }
    assert keys == {
        "FluidJob.status.conditions": ["type"],
        "FluidSchedule.status.conditions": ["type"],
        "FluidSchedule.status.active": ["name"],
        "FluidEnvironment.spec.workers": ["name"],
        "FluidEnvironment.spec.workers[].env": ["name"],
        "FluidEnvironment.spec.queues": ["name"],
        "FluidEnvironment.status.conditions": ["type"],
        "FluidEnvironment.status.pools": ["name"],
    }


def test_a_field_takes_its_place_from_the_type_and_its_words_from_the_field() -> None:
    class Inner(ApiModel):
        """Text of the type."""

        size: Annotated[int, Field(ge=0, le=9), doc("The size.", unit="bytes", unset="9.")] = 9

    class Outer(ApiModel):
        """An object."""

        inner: Annotated[Inner | None, doc("Text of the field.")] = None

    assert published(structural(Outer)) == {
        "description": "An object.",
        "type": "object",
        "properties": {
            "inner": {
                "description": "Text of the field.",
                "type": "object",
                "properties": {
                    "size": {
                        "description": "The size. In bytes. Unset: 9.",
                        "type": "integer",
                        "format": "int32",
                        "default": 9,
                        "minimum": 0,
                        "maximum": 9,
                    }
                },
            }
        },
    }


def test_a_union_is_refused_with_its_path() -> None:
    class Either(ApiModel):
        """An object."""

        value: Annotated[int | str | None, doc("A number or a text.")] = None

    with pytest.raises(NotStructural, match=r"^Either\.value: a union of 2 types"):
        structural(Either)


def test_a_field_without_a_type_is_refused_with_its_path() -> None:
    class Anything(ApiModel):
        """An object."""

        value: Annotated[Any, doc("Anything.")] = None

    with pytest.raises(NotStructural, match=r"^Anything\.value: "):
        structural(Anything)


def has_any(node: Node, keywords: tuple[str, ...]) -> bool:
    """Whether one of the keywords is there, or none is asked for."""
    return not keywords or any(keyword in node for keyword in keywords)
