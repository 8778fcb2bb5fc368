"""Cut long work into calls that Redis can carry: while a script runs, it serves nobody else. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TypeVar

from fluid_queue.limits import CALL_BYTES, CALL_ITEMS

T = TypeVar("T")


def by_number(items: Sequence[T], most: int = CALL_ITEMS) -> list[Sequence[T]]:
    """Batches of at most `most`."""
    return [items[start : start + most] for start in range(0, len(items), most)]


def by_size(items: Iterable[T], size_of: Callable[[T], int]) -> Iterator[list[T]]:
    """Batches of at most CALL_ITEMS and CALL_BYTES; an item that is larger goes alone. Items are taken as needed."""
    batch: list[T] = []
    size = 0
    for item in items:
        length = size_of(item)
        if batch and (len(batch) == CALL_ITEMS or size + length > CALL_BYTES):
            yield batch
            batch, size = [], 0
        batch.append(item)
        size += length
    if batch:
        yield batch
