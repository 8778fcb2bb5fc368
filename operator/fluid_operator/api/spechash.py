"""Which run an object asks for, as one short value.

A FluidJob runs once for each spec that it is given, so two specs must hash alike exactly when the user asked
for the same run. Only the run-defining fields count, as the user set them: a default that a newer CRD adds
would otherwise run every finished job again. The form is part of stored objects and of the ledger; a change
of it needs a new version prefix.
"""

import hashlib
import json
from collections.abc import Mapping
from typing import Any, Final

HASH_VERSION: Final = "v1"

RUN_DEFINING: Final = (
    "environment",
    "type",
    "queue",
    "payload",
    "payloadFrom",
    "completions",
    "items",
    "itemsFrom",
    "runId",
)


def spec_hash(spec: Mapping[str, Any]) -> str:
    """`v1:` and the SHA-256 of a raw FluidJob spec's run-defining fields; absent, null and "" are the same."""
    defining = {name: _canonical(spec[name]) for name in RUN_DEFINING if spec.get(name) not in (None, "")}
    # ASCII with escapes: a lone surrogate in a payload has no UTF-8 form, but it has an escape.
    text = json.dumps(defining, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return f"{HASH_VERSION}:{hashlib.sha256(text.encode()).hexdigest()}"


def _canonical(value: Any) -> Any:
    """One spelling for each number: the API server writes 1.0 as 1, while a file may still say 1.0."""
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, Mapping):
        return {key: _canonical(child) for key, child in value.items()}
    if isinstance(value, list):
        return [_canonical(child) for child in value]
    return value
