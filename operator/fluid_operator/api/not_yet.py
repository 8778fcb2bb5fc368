"""Fields that the API already has and whose effect does not exist yet.

A field that is silently ignored is a lie to its user. The controllers ask here which such fields an object
sets, and answer with a condition that names them. When an issue brings a field to life, its line goes; when
the tables are empty, so does this module.
"""

from collections.abc import Mapping
from typing import Any, Final, NamedTuple


class Unsupported(NamedTuple):
    """A field of an object without an effect: its path from the root, and what that means for the user."""

    field: str
    sentence: str


_FLUID_ENVIRONMENT: Final[Mapping[str, str]] = {
    "redis.managed": "the operator runs no Redis yet; use redis.external",
    "redis.onChange": "a changed address takes effect at once",
    "workers": "the operator runs no workers yet; start them by hand",
    "database": "processors get no database yet",
    "encryption": "payloads and results are not encrypted in Redis",
    "deletionPolicy": "the operator runs no Redis yet, so there is nothing to keep or delete",
}

UNSUPPORTED: Final[Mapping[str, Mapping[str, str]]] = {
    "FluidEnvironment": _FLUID_ENVIRONMENT,
}


def unsupported_fields(kind: str, spec: Mapping[str, Any]) -> list[Unsupported]:
    """The fields of a raw spec that ask for an effect which does not exist yet, in the order of the table."""
    return [
        Unsupported(f"spec.{path}", sentence)
        for path, sentence in UNSUPPORTED[kind].items()
        if _at(spec, path) not in (None, [])
    ]


def _at(spec: Mapping[str, Any], path: str) -> Any:
    value: Any = spec
    for step in path.split("."):
        if not isinstance(value, Mapping):
            return None
        value = value.get(step)
    return value
