"""A FluidJob from the command line: payload, fields and name, checked before anything is sent. Pure but for reading the
file that the user names.
"""

from __future__ import annotations

import json
import random
import re
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import yaml

from fluid_cli.errors import BadUsage
from fluid_operator.api.errors import InvalidSpec
from fluid_operator.api.fluidjob import FluidJobSpec
from fluid_operator.api.meta import API_VERSION, parse

PAYLOAD_BYTES: Final = 32 * 1024
_NAME_LENGTH = 63
_SUFFIX_LENGTH = 5
# Kubernetes' own letters for generated names: no vowels and no look-alikes, so that no word comes out.
_LETTERS = "bcdfghjklmnpqrstvwxz2456789"


def payload_from(pairs: Sequence[str], text: str, file: Path | None) -> dict[str, Any] | None:
    """The payload: a JSON text or a file as its base, single fields over it; None where none was given.

    Raises BadUsage."""
    if text and file:
        raise BadUsage("--payload-json", "cannot be given together with --file")
    base: dict[str, Any] | None = None
    if text:
        base = _object("--payload-json", text, json_only=True)
    elif file:
        base = _object("--file", _read(file), json_only=False)
    if not pairs:
        return base
    return {**(base or {}), **dict(_pair(each) for each in pairs)}


def _pair(text: str) -> tuple[str, Any]:
    """`key=value`; a value that is JSON (a number, true, null, a quoted text, an object) is taken as such."""
    key, sign, value = text.partition("=")
    if not key or not sign:
        raise BadUsage("--payload", f"{text!r} is not of the form key=value")
    try:
        return key, json.loads(value, parse_constant=_no_number)
    except ValueError:
        return key, value


def _no_number(word: str) -> Any:
    """NaN and Infinity are words in JSON, whatever Python thinks."""
    raise ValueError(word)


def _object(option: str, text: str, *, json_only: bool) -> dict[str, Any]:
    try:
        value = json.loads(text, parse_constant=_no_number) if json_only else yaml.safe_load(text)
        # What YAML knows beyond JSON (dates, sets) has no place in a payload.
        json.dumps(value, allow_nan=False)
    except (ValueError, TypeError, RecursionError, yaml.YAMLError) as error:
        kind = "JSON" if json_only else "JSON or YAML without dates and other special types"
        raise BadUsage(option, f"is no {kind}") from error
    if not isinstance(value, dict):
        raise BadUsage(option, 'must be an object, such as {"to": "ada@example.com"}')
    return value


def _read(file: Path) -> str:
    try:
        return sys.stdin.read() if str(file) == "-" else file.read_text()
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is no UTF-8 text"
        raise BadUsage("--file", f"{file} cannot be read: {why}") from error


def spec_of(kind: str, payload: Mapping[str, Any] | None, **fields: Any) -> dict[str, Any]:
    """The spec as the API server takes it, checked by the model. Raises BadUsage that names the field."""
    spec = {"type": kind, "payload": payload, **fields}
    spec = {name: value for name, value in spec.items() if value not in (None, "")}
    try:
        parse(FluidJobSpec, spec, unknown="forbid")
    except InvalidSpec as error:
        raise BadUsage(error.field, error.message) from error
    size = len(json.dumps(spec.get("payload", {}), ensure_ascii=False, separators=(",", ":")).encode())
    if size > PAYLOAD_BYTES:
        raise BadUsage("spec.payload", f"has {size} bytes of JSON, and may have {PAYLOAD_BYTES}: refer to large data")
    return spec


def manifest(spec: Mapping[str, Any], name: str, namespace: str) -> dict[str, Any]:
    """The object to create."""
    meta = {"name": name, "namespace": namespace}
    return {"apiVersion": API_VERSION, "kind": "FluidJob", "metadata": meta, "spec": dict(spec)}


def generated_name(kind: str, rng: random.Random) -> str:
    """`<type>-<5 letters>`, with what no name of an object may hold taken out of the type."""
    stem = re.sub(r"[^a-z0-9-]+", "-", kind.lower()).strip("-")
    suffix = "".join(rng.choices(_LETTERS, k=_SUFFIX_LENGTH))
    return f"{stem[: _NAME_LENGTH - _SUFFIX_LENGTH - 1].rstrip('-') or 'job'}-{suffix}"
