"""Read what a payload is merged from: keys of Secrets and ConfigMaps. Values pass through, and appear in no log,
error or status."""

from __future__ import annotations

import asyncio
import base64
import binascii
from collections.abc import Mapping, Sequence
from typing import Any

import orjson

from fluid_operator.api.conditions import Reason
from fluid_operator.api.meta import PAYLOAD_LABEL
from fluid_operator.api.policies import PayloadSource
from fluid_operator.jobs.problems import ending, waiting
from fluid_operator.kube.client import Kube
from fluid_operator.kube.errors import Forbidden, NotFound
from fluid_operator.kube.keys import CONFIG_MAPS, SECRETS, ObjectKey
from fluid_queue.jobs import MAX_INDEXES

_LOOK_AGAIN = 30.0
"""Seconds: Secrets and ConfigMaps are not watched, because that would need the right to list them."""


async def read_object(kube: Kube, namespace: str, source: PayloadSource) -> Mapping[str, Any]:
    """The JSON object under the key of spec.payloadFrom. Raises a Problem that says which object is missing, closed, or
    not JSON."""
    value, where = await _read(kube, namespace, source, "spec.payloadFrom")
    return _object(value, f"spec.payloadFrom: {where}")


async def read_items(kube: Kube, namespace: str, sources: Sequence[PayloadSource]) -> list[Mapping[str, Any]]:
    """The JSON objects of all keys of spec.itemsFrom, one on each line that is not empty. Raises a Problem that says
    which object, key or line is wrong."""
    items: list[Mapping[str, Any]] = []
    for at, source in enumerate(sources):
        value, where = await _read(kube, namespace, source, f"spec.itemsFrom[{at}]")
        for number, line in enumerate(value.splitlines(), 1):
            if line.strip():
                items.append(_object(line, f"spec.itemsFrom[{at}]: {where}, line {number}"))
            if len(items) > MAX_INDEXES:
                message = f"spec.itemsFrom: more than {MAX_INDEXES} lines in all; at most that many are run"
                raise ending(Reason.INVALID_PAYLOAD, message)
        await asyncio.sleep(0)  # a large one takes a while to read, and others have to be looked at too
    return items


def _object(value: bytes, where: str) -> Mapping[str, Any]:
    try:
        decoded = orjson.loads(value)
    except orjson.JSONDecodeError:
        # Without the cause: its text may quote the value.
        raise ending(Reason.INVALID_PAYLOAD, f"{where} is not JSON") from None
    if not isinstance(decoded, dict):
        raise ending(Reason.INVALID_PAYLOAD, f"{where} is JSON, but not an object")
    return decoded


async def _read(kube: Kube, namespace: str, source: PayloadSource, field: str) -> tuple[bytes, str]:
    """The bytes under the key, and a name for them. Raises a Problem."""
    secret = source.secret_key_ref
    ref = secret or source.config_map_key_ref
    if ref is None:
        raise ending(Reason.INVALID_SPEC, f"{field}: name a secretKeyRef or a configMapKeyRef")
    resource = SECRETS if secret else CONFIG_MAPS
    where = f"{resource.kind} {ref.name}"
    try:
        found = await kube.get(resource, ObjectKey(namespace, ref.name))
    except NotFound as error:
        message = f"{field}: there is no {where} in this namespace; the job goes on when there is"
        raise waiting(Reason.PAYLOAD_SOURCE_NOT_FOUND, message, again=_LOOK_AGAIN) from error
    except Forbidden as error:
        message = f"{field}: the operator may not read {where}; grant it `get` in this namespace"
        raise waiting(Reason.SECRET_ACCESS_DENIED, message, again=_LOOK_AGAIN) from error
    if secret and (found["metadata"].get("labels") or {}).get(PAYLOAD_LABEL) != "true":
        message = f'{field}: {where} does not carry the label {PAYLOAD_LABEL}: "true"'
        raise waiting(Reason.SECRET_ACCESS_DENIED, message, again=_LOOK_AGAIN)
    value = (found.get("data") or {}).get(ref.key)
    if value is None:
        message = f"{field}: {where} has no key {ref.key}; the job goes on when it has"
        raise waiting(Reason.PAYLOAD_SOURCE_NOT_FOUND, message, again=_LOOK_AGAIN)
    where = f"{where}, key {ref.key}"
    try:
        return (base64.b64decode(value) if secret else value.encode()), where
    except binascii.Error:
        raise ending(Reason.INVALID_PAYLOAD, f"{field}: {where} is not JSON") from None
