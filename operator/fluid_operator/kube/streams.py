"""From the bytes of a watch to its events: split lines across chunks, decode, raise what the server reports.

A chunk of a busy watch carries hundreds of events; handing them on as one list costs one step of the event
loop per chunk instead of one per event. Pure but for the reading itself; knows nothing of caches or time.
"""

from collections.abc import AsyncGenerator, Awaitable, Callable
from typing import Any, NamedTuple

import orjson

from fluid_operator.kube.decoding import decode
from fluid_operator.kube.errors import Unreachable, from_status


class Event(NamedTuple):
    """One event of a watch: `type` is ADDED, MODIFIED, DELETED or BOOKMARK, `object` the raw object."""

    type: str
    object: dict[str, Any]


class Lines:
    """Cuts a stream of chunks into whole lines; what has no end yet waits for the next chunk."""

    def __init__(self) -> None:
        self._rest: list[bytes] = []

    def feed(self, chunk: bytes) -> list[bytes]:
        """Take a chunk, return the lines that it completes, without their newlines and without empty ones."""
        head, newline, tail = chunk.partition(b"\n")
        if not newline:
            self._rest += [chunk] if chunk else []
            return []
        first = b"".join(self._rest) + head
        *lines, rest = tail.split(b"\n")
        self._rest = [rest] if rest else []
        return [line for line in (first, *lines) if line]

    @property
    def incomplete(self) -> bool:
        """Whether the stream stands in the middle of a line."""
        return bool(self._rest)


async def read_events(read: Callable[[], Awaitable[bytes]], path: str) -> AsyncGenerator[list[Event]]:
    """Yield the events of each chunk in order; `read` returns the next chunk, or nothing at the end.

    Raises the ApiError of an ERROR event (Gone when the resourceVersion is too old), and Unreachable when a
    line is no event or the stream ends inside one: a cut line proves that the end was not the server's wish.
    """
    lines = Lines()
    while chunk := await read():
        events = [_event(line, path) for line in lines.feed(chunk)]
        failed = next((n for n, event in enumerate(events) if event.type == "ERROR"), None)
        if events[:failed]:
            yield events[:failed]
        if failed is not None:
            raise from_status(500, events[failed].object, path)
    if lines.incomplete:
        raise Unreachable(path, "the watch ended inside an event")


def _event(line: bytes, path: str) -> Event:
    try:
        raw = decode(line)
        return Event(raw["type"], raw["object"])
    except (orjson.JSONDecodeError, KeyError, TypeError) as error:
        raise Unreachable(path, "the watch sent a line that is no event") from error
