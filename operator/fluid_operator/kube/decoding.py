"""From bytes to JSON, also for what the fast parser refuses. Pure.

The API server stores objects that are nested in up to 10,000 levels, orjson reads 1,024. One such object must not
end a list of thousands, so what
is too deep is cut: nobody here looks so deep, and whoever needs the depth measures it (it stays far above any limit
of ours).
"""

import re
from typing import Any

import orjson

KEPT_LEVELS = 512

_TOKENS = re.compile(rb'"(?:[^"\\]|\\.)*"|[\[\]{}]')


def decode(raw: bytes) -> Any:
    """The decoded JSON value. Raises orjson.JSONDecodeError for what is no JSON."""
    try:
        return orjson.loads(raw)
    except orjson.JSONDecodeError:
        shallow = cut(raw)
        if shallow == raw:
            raise
        return orjson.loads(shallow)


def cut(raw: bytes, levels: int = KEPT_LEVELS) -> bytes:
    """The same text with null in place of everything that is nested deeper than `levels`."""
    kept: list[bytes] = []
    depth = start = 0
    for token in _TOKENS.finditer(raw):
        sign = token[0]
        if sign in b"[{":
            depth += 1
            if depth == levels + 1:
                kept.append(raw[start : token.start()] + b"null")
        elif sign in b"]}":
            depth -= 1
            if depth == levels:
                start = token.end()
    return b"".join(kept) + raw[start:]
