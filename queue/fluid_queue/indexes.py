"""Bitmaps of indexes as text, as batch/v1 writes them. Pure."""

from __future__ import annotations

from collections.abc import Iterator


def ranges(bitmap: bytes) -> str:
    """The set bits, most significant bit first as in Redis, as "0-5,7"; empty for none."""
    return ",".join(str(first) if first == last else f"{first}-{last}" for first, last in _runs(bitmap))


def _runs(bitmap: bytes) -> Iterator[tuple[int, int]]:
    first = None
    for number, byte in enumerate(bitmap):
        if byte == 0xFF and first is not None:
            continue
        for bit in range(8):
            here = number * 8 + bit
            if byte & (0x80 >> bit):
                first = here if first is None else first
            elif first is not None:
                yield first, here - 1
                first = None
    if first is not None:
        yield first, len(bitmap) * 8 - 1
