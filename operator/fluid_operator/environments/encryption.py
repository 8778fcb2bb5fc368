"""The keys of an environment: read from its Secret, and checked before anything is encrypted with them.

Operator and workers read the same key of the same Secret. No message of this module holds any part of a key, nor
anything else that stands in that Secret.
"""

import base64
import binascii
from collections.abc import Mapping
from typing import Any, Final

from fluid_operator.api.conditions import Reason
from fluid_operator.api.meta import KeyRef
from fluid_operator.environments.errors import UnusableKeys
from fluid_operator.environments.status import Problem
from fluid_queue import InvalidKeyRing, KeyRing, MissingExtra

_FORM: Final = "lines of `<key id>: <32 bytes as base64>`, the first of which encrypts"


def key_ring_in(secret: Mapping[str, Any], ref: KeyRef) -> KeyRing:
    """The key ring that a Secret of the API server holds under the key of `ref`. Raises UnusableKeys."""
    encoded = (secret.get("data") or {}).get(ref.key)
    if encoded is None:
        message = f"Secret {ref.name} has no key {ref.key}; add it with the key ring of the environment ({_FORM})."
        raise UnusableKeys(Problem(Reason.SECRET_NOT_FOUND, message))
    try:
        return KeyRing.parse(base64.b64decode(encoded, validate=True).decode())
    except InvalidKeyRing as error:
        raise _unusable(ref, f"is no key ring: {'; '.join(error.problems)}. It must be {_FORM}") from None
    except MissingExtra as error:
        raise UnusableKeys(Problem(Reason.INVALID_KEY_RING, f"The operator cannot encrypt: {error}.")) from error
    except (binascii.Error, UnicodeDecodeError):
        # Not chained: these errors hold the text that could not be read.
        raise _unusable(ref, f"is no text; it must be {_FORM}") from None


def _unusable(ref: KeyRef, flaw: str) -> UnusableKeys:
    message = f"Key {ref.key} of Secret {ref.name} {flaw}."
    return UnusableKeys(Problem(Reason.INVALID_KEY_RING, message, stalled=True))
