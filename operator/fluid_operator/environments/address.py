"""The address of an environment's Redis: read from its Secret, and checked before anybody connects to it.

An address is a secret as a whole; no message of this module holds any part of it. It is checked by a list of what is
allowed, because a driver that meets an option it does not know fails late and in its own words.
"""

import base64
import binascii
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import SplitResult, parse_qsl, urlsplit

from fluid_operator.api.conditions import Reason
from fluid_operator.api.meta import KeyRef
from fluid_operator.environments.status import Problem

_OPTIONS: Final[Mapping[str, frozenset[str]]] = {
    "redis": frozenset(),
    "rediss": frozenset({"ssl_ca_certs", "ssl_ca_data", "ssl_cert_reqs", "ssl_check_hostname"}),
}
_FORM: Final = "redis://user:password@host:6379/0, or rediss:// with TLS"


class UnusableAddress(Exception):
    """There is no address to connect to; `problem` says why and what to do."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem.message)
        self.problem = problem


def address_in(secret: Mapping[str, Any], ref: KeyRef) -> str:
    """Return the address that a Secret holds under the key of `ref`. Raises UnusableAddress."""
    encoded = (secret.get("data") or {}).get(ref.key)
    if encoded is None:
        message = f"Secret {ref.name} has no key {ref.key}; add it with the URL of Redis ({_FORM})."
        raise UnusableAddress(Problem(Reason.SECRET_NOT_FOUND, message))
    try:
        address = base64.b64decode(encoded, validate=True).decode().strip()
        flaw = flaw_of(urlsplit(address))
    except (binascii.Error, UnicodeDecodeError, ValueError):
        flaw = "is no URL"
    if flaw:
        message = f"Key {ref.key} of Secret {ref.name} {flaw}; it must look like {_FORM}."
        raise UnusableAddress(Problem(Reason.INVALID_REDIS_URL, message, stalled=True))
    return address


def flaw_of(address: SplitResult) -> str | None:
    """Return what is wrong with an address, None for a good one. Raises ValueError for a port that is no number."""
    options = _OPTIONS.get(address.scheme)
    if options is None:
        return "does not begin with redis:// or rediss://"
    if not address.hostname:
        return "names no host"
    if address.port == 0:
        return "names port 0"
    database = address.path.removeprefix("/")
    if database and not database.isdecimal():
        return "names a database that is no number"
    unknown = [name for name, _ in parse_qsl(address.query, keep_blank_values=True) if name not in options]
    if unknown or address.fragment:
        allowed = f"only {', '.join(sorted(options))}" if options else "none"
        return f"has options after the database that are not supported ({allowed} are)"
    return None
