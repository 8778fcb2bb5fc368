"""Payloads: how large, how deep, and whether they fit the processor's schema. Pure.

A payload that comes from a Secret is told about without its values, and without the names in it that the schema does
not know.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from functools import lru_cache
from itertools import islice
from typing import Any

import jsonschema_rs
import orjson

from fluid_operator.api.conditions import Reason, cut
from fluid_operator.environments.types import KnownType
from fluid_operator.jobs.problems import Problem, ending, waiting

MAX_BYTES = 32 * 1024
"""Of spec.payload, as JSON."""

MAX_MERGED_BYTES = 256 * 1024
"""Of the whole, with what payloadFrom added."""

MAX_ITEMS_BYTES = 256 * 1024
"""Of spec.items, as JSON."""

_SENSITIVE = b'"x-sensitive":true'
"""How a worker marks a field whose value must not be shown."""

_NAMING = frozenset({"additionalProperties", "propertyNames", "unevaluatedProperties", "dependentRequired"})
"""Rules whose message repeats names of the payload."""

_SHOWN = 5
"""Problems that a message tells; that there are more is told too."""

_SENTENCE = 200
"""Characters of one of them: it may quote a value as long as the payload."""

_BREATH = 500
"""Items that are checked before others get a turn."""


def check_size(payload: Mapping[str, Any] | Sequence[Any], limit: int, field: str) -> None:
    """The schema of the kind cannot limit the size of a free object, so it is checked here. Raises a Problem."""
    try:
        size = len(orjson.dumps(payload))
    except (TypeError, ValueError, RecursionError):
        # Without the cause: its text may quote a value.
        raise ending(Reason.INVALID_PAYLOAD, f"{field}: cannot be written as JSON") from None
    if size > limit:
        message = f"{field}: {size} bytes of JSON, at most {limit}: pass a reference to the data instead"
        raise ending(Reason.INVALID_PAYLOAD, message)


def check_payload(payload: Mapping[str, Any], known: KnownType, *, secret: bool, at: str = "spec.payload") -> None:
    """Hold a payload against the processor's schema. Raises a Problem naming the fields below `at`; with `secret`
    nothing of the payload is repeated but field names that the schema knows."""
    schema = _written(known.schema)
    hidden = secret or known.settings.sensitive_payload or _SENSITIVE in schema
    errors = list(islice(_validator(schema, hidden).iter_errors(payload), _SHOWN + 1))
    if not errors:
        return
    told = [cut(_sentence(error, schema if secret else None, at), _SENTENCE) for error in errors[:_SHOWN]]
    if len(errors) > _SHOWN:
        told.append("and more")
    raise ending(Reason.INVALID_PAYLOAD, "; ".join(told))


async def check_items(
    items: Sequence[Mapping[str, Any]], payload: Mapping[str, Any], known: KnownType, *, secret: bool, at: str
) -> None:
    """Hold each item, merged over the payload, against the processor's schema. Raises a Problem for the first that does
    not fit; `at` is the field that holds them."""
    for number, item in enumerate(items):
        check_size(item, MAX_MERGED_BYTES, f"{at}[{number}]")
        check_payload({**payload, **item}, known, secret=secret, at=f"{at}[{number}]")
        if number % _BREATH == _BREATH - 1:
            await asyncio.sleep(0)


def _written(schema: Mapping[str, Any]) -> bytes:
    """The schema as JSON. Raises a Problem for one that is nested too deeply to be written, though it could be read."""
    try:
        return orjson.dumps(schema)
    except TypeError as error:
        raise _unusable() from error


@lru_cache(maxsize=512)
def _validator(schema: bytes, hidden: bool) -> Any:
    """Raises a Problem when what the workers published is no JSON Schema; that is not the fault of the job."""
    try:
        return jsonschema_rs.validator_for(
            orjson.loads(schema), mask="a hidden value" if hidden else None, validate_formats=True, retriever=_refuse
        )
    except ValueError as error:
        raise _unusable() from error


def _unusable() -> Problem:
    return waiting(
        Reason.TYPE_NOT_YET_KNOWN, "spec.type: the schema that the workers published for it is not valid JSON Schema"
    )


def _refuse(reference: str) -> Any:
    """A schema is data from a worker: no reference in it may reach out of it."""
    raise ValueError(f"references to {reference[:80]} are not followed")


def _sentence(error: Any, schema: bytes | None, at: str) -> str:
    """One problem: where, and what. With a `schema`, only what stands in it is repeated."""
    if schema is None:
        return f"{_path(at, error.instance_path)}: {error.message}"
    steps = [
        step if isinstance(step, int) or orjson.dumps(step) + b":" in schema else "…" for step in error.instance_path
    ]
    rule = error.kind.name
    return f"{_path(at, steps)}: " + (f"breaks the rule {rule}" if rule in _NAMING else error.message)


def _path(at: str, steps: list[str | int]) -> str:
    return at + "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in steps)
