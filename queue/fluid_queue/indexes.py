"""Bitmaps of indexes as text, as batch/v1 writes them, and back. Pure.

A bitmap has its most significant bit first, as in Redis.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache
from typing import NamedTuple

from fluid_queue.checks import instance
from fluid_queue.errors import InvalidJob

_ALL = re.compile(r"(\d{1,9}(-\d{1,9})?(,\d{1,9}(-\d{1,9})?)*)?")


class Ranges(NamedTuple):
    """Indexes as text. `truncated`: further ones did not fit."""

    text: str
    truncated: bool


def ranges(bitmap: bytes, limit: int | None = None) -> Ranges:
    """The set bits as "0-5,7"; empty for none. With a `limit` as many of the first ranges as fit into so many
    characters, and the time that this takes depends on them alone."""
    parts: list[str] = []
    room = len(bitmap) * 64 if limit is None else limit + 1  # the first range has no comma before it
    for first, last in _runs(bitmap):
        part = f"{first}-{last}" if first != last else str(first)
        room -= len(part) + 1
        if room < 0:
            return Ranges(",".join(parts), True)
        parts.append(part)
    return Ranges(",".join(parts), False)


def _runs(bitmap: bytes) -> Iterator[tuple[int, int]]:
    # One character for each bit, so that the searches are those of C.
    bits = f"{int.from_bytes(bitmap):0{len(bitmap) * 8}b}" if bitmap else ""
    first = bits.find("1")
    while first >= 0:
        behind = bits.find("0", first)
        if behind < 0:
            behind = len(bits)
        yield first, behind - 1
        first = bits.find("1", behind)


def bitmap(text: str, size: int) -> bytes:
    """The inverse of `ranges`: the bitmap of "0-5,7", of which all are below `size`; empty for none. Raises
    InvalidJob."""
    return _bitmap(instance("completed", text, str), size)


@lru_cache(maxsize=16)
def _bitmap(text: str, size: int) -> bytes:
    """A job is checked first and sent then: 50,000 ranges need not be read twice."""
    if not _ALL.fullmatch(text):
        raise InvalidJob("completed", 'index ranges, such as "0-5,7"')
    bits, behind = bytearray(b"0") * size, -1
    for first, last in _parsed(text):
        if not behind < first <= last < size:
            raise InvalidJob("completed", f'indexes from 0 to {size - 1}, in ascending order, such as "0-5,7"')
        bits[first : last + 1] = b"1" * (last + 1 - first)
        behind = last
    filled = -(-(behind + 1) // 8) * 8
    return int(bits[: behind + 1].ljust(filled, b"0"), 2).to_bytes(filled // 8) if filled else b""


def _parsed(text: str) -> Iterator[tuple[int, int]]:
    for part in text.split(",") if text else ():
        first, _, last = part.partition("-")
        yield int(first), int(last or first)
