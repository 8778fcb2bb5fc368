"""How large things may be: every limit on what a job carries, in one place. Numbers only.

What a producer hands in beyond a limit is refused, naming the field. What a handler says beyond one (result, messages,
lines) is cut or dropped and says so: the work is done by then, and too long a word is no reason to do it again.
Whoever takes a value checks it.
"""

from __future__ import annotations

KIB = 1024
MIB = 1024 * KIB

PAYLOAD_BYTES = 1 * MIB
"""JSON of one payload, before compression and encryption, so that whoever writes it can tell. A worker holds as many as
it has slots, Redis as many as wait: larger things belong elsewhere, with a reference in the payload."""

RESULT_BYTES = 64 * KIB
"""JSON of one result, before compression and encryption."""

ORIGIN_BYTES = 4 * KIB
"""JSON of where a job comes from."""

TAGS = 8
TAG_NAME_CHARACTERS = 63
TAG_VALUE_CHARACTERS = 256

HASH_CHARACTERS = 128
"""What `replace` compares; a tombstone keeps it for a day."""

ERROR_TYPE_CHARACTERS = 128
ERROR_MESSAGE_CHARACTERS = 1024
PROGRESS_MESSAGE_CHARACTERS = 256

FAILURE_RULES = 20
FAILURE_RULE_TYPES = 32
"""Rules of a job about its failures, and error types that one of them names."""

INDEX_RANGES_CHARACTERS = 8192
"""Index ranges as text, such as "0-5,7", unless somebody asks for more."""

LOG_LINE_CHARACTERS = 4096
LOG_LINES = 1000
"""Lines that a job keeps, the last ones; log.lua cuts there."""

CALL_ITEMS = 500
CALL_BYTES = 4 * MIB
"""What one call to Redis carries at most, jobs, endings or ids: it serves nobody else while a script runs."""
