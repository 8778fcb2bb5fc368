"""What may be handed to the queue at all. Each function answers the value, or raises InvalidJob, which names the field
and says what would be right. No I/O.

Types alone do not keep a wrong value out: many callers have no type checker, and what nobody refuses here surfaces in
Lua, or in a worker.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any, TypeVar

import orjson

from fluid_queue.errors import InvalidJob

T = TypeVar("T")


def text(field: str, value: Any, most: int = 256, *, least: int = 0) -> str:
    """A text of so many characters that UTF-8 can hold."""
    if not isinstance(value, str) or not least <= len(value) <= most or not (value.isascii() or _encodable(value)):
        raise InvalidJob(field, f"a text of {least} to {most} characters")
    return value


def several(field: str, values: Collection[T]) -> Collection[T]:
    """A list or the like, and not one text that would be read letter by letter."""
    given: Any = values
    if isinstance(given, str | bytes | Mapping) or not isinstance(given, Collection):
        raise InvalidJob(field, "a list")
    return values


def texts(field: str, values: Collection[str]) -> Collection[str]:
    """Several texts."""
    for value in several(field, values):
        text(field, value, 65_536)
    return values


def number(field: str, value: Any, low: float, high: float) -> float:
    """A number in these bounds, which NaN never is."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
        raise InvalidJob(field, f"a number from {low:.17g} to {high:.17g}")
    return value


def whole(field: str, value: Any, low: int, high: int) -> int:
    """A whole number in these bounds."""
    if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
        raise InvalidJob(field, f"a whole number from {low} to {high}")
    return value


def flag(field: str, value: Any) -> bool:
    """True or False."""
    if not isinstance(value, bool):
        raise InvalidJob(field, "True or False")
    return value


def instance(field: str, value: T, kind: Any) -> T:
    """A value of the type `kind`."""
    if not isinstance(value, kind):
        raise InvalidJob(field, f"of the type {kind.__name__}")
    return value


def as_json(field: str, value: Any, limit: int) -> bytes:
    """A value of at most `limit` bytes as JSON."""
    try:
        found = orjson.dumps(value)
    except (TypeError, ValueError) as error:
        raise InvalidJob(field, f"not JSON: {error}") from error
    if len(found) > limit:
        raise InvalidJob(field, f"{len(found)} bytes of JSON; at most {limit}: pass a reference instead")
    return found


def _encodable(value: str) -> bool:
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True
