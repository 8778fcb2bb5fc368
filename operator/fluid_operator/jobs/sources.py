"""Read what a payload is merged from: one key of a Secret or ConfigMap. Values pass through, and appear in no log,
error or status."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from typing import Any

import orjson

from fluid_operator.api.conditions import Reason
from fluid_operator.api.meta import PAYLOAD_LABEL
from fluid_operator.api.policies import PayloadSource
from fluid_operator.jobs.problems import ending, waiting
from fluid_operator.kube.client import Kube
from fluid_operator.kube.errors import Forbidden, NotFound
from fluid_operator.kube.keys import CONFIG_MAPS, SECRETS, ObjectKey

_LOOK_AGAIN = 30.0
"""Seconds: Secrets and ConfigMaps are not watched, because that would need the right to list them."""


async def read_source(kube: Kube, namespace: str, source: PayloadSource) -> Mapping[str, Any]:
    """The JSON object under the key. Raises a Problem that says which object is missing, closed, or not JSON."""
    secret = source.secret_key_ref
    ref = secret or source.config_map_key_ref
    if ref is None:
        raise ending(Reason.INVALID_SPEC, "spec.payloadFrom: name a secretKeyRef or a configMapKeyRef")
    resource = SECRETS if secret else CONFIG_MAPS
    where = f"{resource.kind} {ref.name}"
    try:
        found = await kube.get(resource, ObjectKey(namespace, ref.name))
    except NotFound as error:
        message = f"spec.payloadFrom: there is no {where} in this namespace; the job goes on when there is"
        raise waiting(Reason.PAYLOAD_SOURCE_NOT_FOUND, message, again=_LOOK_AGAIN) from error
    except Forbidden as error:
        message = f"spec.payloadFrom: the operator may not read {where}; grant it `get` in this namespace"
        raise waiting(Reason.SECRET_ACCESS_DENIED, message, again=_LOOK_AGAIN) from error
    if secret and (found["metadata"].get("labels") or {}).get(PAYLOAD_LABEL) != "true":
        message = f'spec.payloadFrom: {where} does not carry the label {PAYLOAD_LABEL}: "true"'
        raise waiting(Reason.SECRET_ACCESS_DENIED, message, again=_LOOK_AGAIN)
    value = (found.get("data") or {}).get(ref.key)
    if value is None:
        message = f"spec.payloadFrom: {where} has no key {ref.key}; the job goes on when it has"
        raise waiting(Reason.PAYLOAD_SOURCE_NOT_FOUND, message, again=_LOOK_AGAIN)
    return _object(value, encoded=secret is not None, where=f"{where}, key {ref.key}")


def _object(value: str, *, encoded: bool, where: str) -> Mapping[str, Any]:
    try:
        decoded = orjson.loads(base64.b64decode(value) if encoded else value)
    except (binascii.Error, orjson.JSONDecodeError):
        # Without the cause: its text may quote the value.
        raise ending(Reason.INVALID_PAYLOAD, f"spec.payloadFrom: {where} is not JSON") from None
    if not isinstance(decoded, dict):
        raise ending(Reason.INVALID_PAYLOAD, f"spec.payloadFrom: {where} is JSON, but not an object")
    return decoded
