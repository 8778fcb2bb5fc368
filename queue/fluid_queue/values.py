"""Which values of a job are encoded, and what a reader gets when one cannot be read. No I/O.

Encoded are a job's spec (payload and retry settings), the items of its indexes, result, progress, lines of its log, and
the message of an error. Plain stay what Lua and people must see without a key: id, queue, type, tags, keys, origin,
hash, times, states, reasons, and the type of an error, on which circuit breakers and failure policies decide.

A spec that cannot be read is an error, for without it nothing can run. Everything else is read on the way to something:
one bad result must not hide a page of records, so what cannot be read says why in its own place.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from typing import Any, Literal

import orjson

from fluid_queue.codec import Codec
from fluid_queue.errors import UnreadableValue

Kind = Literal["spec", "item", "result", "error", "progress", "log"]

_SEALED = "sealed"
"""The field of an error that holds its encrypted message, as base64."""

_OF = "of"
"""The field that names the job whose error it was: an index job shows the last error of its indexes."""


class Values:
    """The values of one key space, each bound to its key space, kind and job."""

    def __init__(self, codec: Codec, key_space: str) -> None:
        self._codec = codec
        self._key_space = key_space

    def write(self, kind: Kind, job_id: str, value: bytes) -> bytes:
        """The stored form of a value; an empty one means that there is none, and stays empty."""
        if not value or self._codec.leaves(value):
            return value
        return self._codec.encode(value, self._place(kind, job_id))

    def read(self, kind: Kind, job_id: str, stored: bytes) -> bytes:
        """The value. Raises UnreadableValue."""
        if self._codec.reads(stored):
            return stored
        return self._codec.decode(stored, self._place(kind, job_id))

    def read_result(self, job_id: str, stored: bytes) -> bytes:
        """A result as JSON; where it cannot be read, `{"dropped": why}` as for a result that was not kept."""
        try:
            return self.read("result", job_id, stored)
        except UnreadableValue as error:
            return orjson.dumps({"dropped": f"the result cannot be read: {error.message}"})

    def read_progress(self, job_id: str, stored: bytes) -> bytes:
        """A progress as JSON; `null` where it cannot be read: the next one comes soon."""
        try:
            return self.read("progress", job_id, stored)
        except UnreadableValue:
            return b"null"

    def write_line(self, job_id: str, line: str) -> bytes:
        """A line of a log; characters that no UTF-8 can hold become question marks."""
        return self._codec.encode(line.encode("utf-8", "replace"), self._place("log", job_id))

    def read_line(self, job_id: str, stored: bytes) -> str:
        """A line of a log, or in its place why it cannot be read."""
        try:
            return self.read("log", job_id, stored).decode("utf-8", "replace")
        except UnreadableValue as error:
            return f"(a line that cannot be read: {error.message})"

    def write_error(self, job_id: str, error: bytes) -> bytes:
        """An error as JSON with type, message and attempt; only the message is encrypted, and only with a key."""
        if self._codec.keys is None or not error:
            return error
        plain = orjson.loads(error)
        message = self.write("error", job_id, str(plain.pop("message", "")).encode())
        return orjson.dumps(plain | {_OF: job_id, _SEALED: base64.b64encode(message).decode()})

    def read_error(self, job_id: str, error: Mapping[str, Any]) -> Mapping[str, Any]:
        """An error with its message, or in its place why that cannot be read."""
        if _SEALED not in error:
            return error
        plain = {name: value for name, value in error.items() if name not in (_SEALED, _OF)}
        return plain | {"message": self._message(str(error.get(_OF, job_id)), str(error[_SEALED]))}

    def _message(self, job_id: str, sealed: str) -> str:
        try:
            stored = base64.b64decode(sealed, validate=True)
            return self.read("error", job_id, stored).decode("utf-8", "replace")
        except (UnreadableValue, binascii.Error) as error:
            why = error.message if isinstance(error, UnreadableValue) else "it is no base64"
            return f"(a message that cannot be read: {why})"

    def _place(self, kind: Kind, job_id: str) -> str:
        # None of the three can hold a space, so no two places have the same name.
        return f"{self._key_space} {kind} {job_id}"
