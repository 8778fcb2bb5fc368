"""Objects for programs: JSON, YAML and names. Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Any

import yaml

Json = Mapping[str, Any]


class Output(StrEnum):
    """The forms of -o; unset is a table or a text for people."""

    JSON = "json"
    YAML = "yaml"
    WIDE = "wide"
    NAME = "name"

    @property
    def for_programs(self) -> bool:
        return self is not Output.WIDE


def document(value: Any, form: Output) -> str:
    """One value as JSON or YAML, with its end of line."""
    if form is Output.JSON:
        return json.dumps(value, indent=2, ensure_ascii=False) + "\n"
    return yaml.safe_dump(value, sort_keys=False, allow_unicode=True)


def objects(found: Sequence[Json], form: Output, *, single: bool) -> str:
    """Objects as kubectl prints them: a `single` one as itself, else a List; `name` is one line for each."""
    if form is Output.NAME:
        return "".join(f"{name_of(each)}\n" for each in found)
    cleaned = [without_bookkeeping(each) for each in found]
    if single:
        return document(cleaned[0], form)
    return document({"apiVersion": "v1", "kind": "List", "items": cleaned}, form)


def name_of(found: Json) -> str:
    """`fluidjob/x` with the group, as `kubectl get -o name` says it and every kubectl command takes it."""
    group = str(found["apiVersion"]).partition("/")[0]
    return f"{str(found['kind']).lower()}.{group}/{found['metadata']['name']}"


def without_bookkeeping(found: Json) -> dict[str, Any]:
    """Without managedFields, which nobody reads."""
    meta = {key: value for key, value in found["metadata"].items() if key != "managedFields"}
    return {**found, "metadata": meta}
