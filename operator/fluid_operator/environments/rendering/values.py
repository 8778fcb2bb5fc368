"""Values as JSON that every YAML parser reads as what they are: the one way from Python into a template.

JSON is nearly a part of YAML 1.1. Where the two differ this writer stays on the side of both: characters that YAML
takes for line breaks or refuses are escaped, floats always have a point, and those that JSON lacks are refused.
"""

import json
import math
import re
from collections.abc import Mapping
from typing import Any, Final

from fluid_operator.environments.rendering.errors import UnwritableValue

_TO_ESCAPE: Final = re.compile("[\x7f-\uffff]")
_LONGEST_KEY: Final = 500
"""YAML reads keys of up to 1,024 characters on their line; escapes make them longer. Kubernetes' own limit is 317."""


class Written(str):
    """Text that this module made; nothing else may stand in the output of a template."""

    __slots__ = ()


def write(value: Any) -> Written:
    """The value on one line. Raises UnwritableValue."""
    return Written(_write(value))


def _write(value: Any) -> str:
    if value is None or isinstance(value, bool | int):
        return json.dumps(value)
    if isinstance(value, str):
        return _text(value)
    if isinstance(value, float):
        return _number(value)
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{_key(key)}: {_write(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(_write, value)) + "]"
    raise UnwritableValue(value, "only what JSON knows may enter a template")


def _text(text: str) -> str:
    # Characters beyond 16 bits are printable to YAML as they are; JSON's pairs of escapes are not.
    return _TO_ESCAPE.sub(lambda found: f"\\u{ord(found[0]):04x}", json.dumps(text, ensure_ascii=False))


def _key(key: Any) -> str:
    if not isinstance(key, str):
        raise UnwritableValue(key, "keys are texts")
    written = _text(key)
    if len(written) > _LONGEST_KEY:
        raise UnwritableValue(key, f"a key is longer than {_LONGEST_KEY} characters")
    return written


def _number(value: float) -> str:
    if not math.isfinite(value):
        raise UnwritableValue(value, "JSON has finite numbers only")
    mantissa, mark, exponent = repr(value).partition("e")
    return (mantissa if "." in mantissa else f"{mantissa}.0") + mark + exponent
