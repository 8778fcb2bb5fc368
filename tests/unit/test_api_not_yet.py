"""Fields without an effect are reported, and only when they ask for something that does not happen anyway."""

from collections.abc import Iterator
from typing import Any

import pytest

from fluid_operator.api.crd import KINDS
from fluid_operator.api.meta import Kind
from fluid_operator.api.not_yet import UNSUPPORTED, unsupported_fields
from fluid_operator.api.schema import structural

EXTERNAL = {"external": {"urlSecretRef": {"name": "redis", "key": "url"}}}


def reported(kind: str, spec: dict[str, Any]) -> list[str]:
    """The paths only."""
    return [unsupported.field for unsupported in unsupported_fields(kind, spec)]


def test_a_plain_environment_is_supported() -> None:
    environment = {
        "redis": EXTERNAL,
        "workers": [],
        "queues": [{"name": "email", "paused": True}],
        "suspend": True,
        "outbound": {"mode": "Suppress"},
        "retention": {"maxFinished": 3},
    }
    assert reported("FluidEnvironment", environment) == []


def test_each_field_is_reported_by_its_path() -> None:
    environment = {"redis": {"managed": {}}, "workers": [{"name": "p"}], "deletionPolicy": "Retain"}
    assert reported("FluidEnvironment", environment) == ["spec.redis.managed", "spec.workers", "spec.deletionPolicy"]


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind.kind in UNSUPPORTED], ids=lambda kind: kind.kind)
def test_the_table_names_only_fields_that_exist(kind: Kind) -> None:
    assert set(UNSUPPORTED[kind.kind]) <= set(paths("", structural(kind.spec)))


def paths(at: str, schema: dict[str, Any]) -> Iterator[str]:
    """The paths of all fields of an object schema."""
    for name, child in schema.get("properties", {}).items():
        yield at + name
        yield from paths(f"{at}{name}.", child)
