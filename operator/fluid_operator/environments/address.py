"""The address of an environment's Redis: read from its Secret, and checked before anybody connects to it.

An address is a secret as a whole; no message of this module holds any part of it.
"""

import base64
import binascii
from collections.abc import Mapping
from typing import Any, Final

from fluid_operator.api.conditions import Reason
from fluid_operator.api.meta import KeyRef
from fluid_operator.environments.errors import UnusableAddress
from fluid_operator.environments.status import Problem
from fluid_queue import Address, InvalidAddress

_FORM: Final = "redis://user:password@host:6379/0, or rediss:// with TLS"


def address_in(secret: Mapping[str, Any], ref: KeyRef) -> str:
    """Return the address that a Secret holds under the key of `ref`. Raises UnusableAddress."""
    encoded = (secret.get("data") or {}).get(ref.key)
    if encoded is None:
        message = f"Secret {ref.name} has no key {ref.key}; add it with the URL of Redis ({_FORM})."
        raise UnusableAddress(Problem(Reason.SECRET_NOT_FOUND, message))
    try:
        address = base64.b64decode(encoded, validate=True).decode().strip()
        flaw = _flaw_of(address)
    except (binascii.Error, UnicodeDecodeError):
        flaw = f"is no text; it must look like {_FORM}"
    if flaw:
        message = f"Key {ref.key} of Secret {ref.name} {flaw}."
        raise UnusableAddress(Problem(Reason.INVALID_REDIS_URL, message, stalled=True))
    return address


def _flaw_of(url: str) -> str | None:
    """What is wrong with an address, None for a good one."""
    try:
        address = Address.parse(url)
    except InvalidAddress as error:
        return error.message
    if address.kind == "socket":
        return f"names a Unix socket, and the operator shares none with Redis; it must look like {_FORM}"
    if address.tls and address.tls.certificate_file:
        return "names files of a client certificate, and the operator has none"
    return None
