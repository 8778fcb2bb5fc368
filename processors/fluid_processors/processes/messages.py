"""What a worker and its children say to each other: JSON objects, each with its length in front.

Every message names itself in `say`:

    worker -> child   meet      who you are: module and type to import, import path, log level
                      job       run this: the claimed job, seconds to its deadline, the outbound rule
                      stop      why the running job has to end
                      answer    the id of an enqueued job, or the error
    child -> worker   ready     the processor is imported; or unusable, with an error
                      started   a job has arrived and begins
                      log, progress, record   a line of the job's log, how far it is, a record of the process' log
                      enqueue   enqueue a child of the job, and answer
                      ended     with a result, an error, or neither after a stop

Knows no sockets and no processes.
"""

import struct
import time
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

import orjson

import fluid_queue
from fluid_processors.context import Job
from fluid_processors.outbound import Outbound
from fluid_queue import Backoff, Deduplication, Indexes, PermanentError, Postponed, QueueError, RateLimited, RetryLater

Message = dict[str, Any]

_HEADER = struct.Struct("!I")
MAX_RESULT_BYTES = 1 << 20
"""More than any queue keeps; a result above is not even sent."""

_MOST_CHARACTERS = 8192  # of the text of an error
_BASES: dict[str, tuple[type[Exception], tuple[str, ...]]] = {
    "later": (RetryLater, ("after",)),
    "limited": (RateLimited, ("after", "scope")),
    "postponed": (Postponed, ("after",)),
    "error": (Exception, ()),
}
# Fields of a new job that are more than JSON; as JSON they are their own fields, or the text of a time.
_OPTIONS: dict[str, Callable[[Any], Any]] = {
    "backoff": lambda data: Backoff(**data),
    "deduplication": lambda data: Deduplication(**data),
    "indexes": lambda data: Indexes(**data),
    "start_after": datetime.fromisoformat,
}


def encode(message: Mapping[str, Any]) -> bytes:
    """One message as bytes. What is not JSON in it is sent as its text."""
    try:
        body = orjson.dumps(message, default=str)
    except TypeError:  # a lone surrogate, a number of more than 64 bits, a key that is no string
        body = orjson.dumps(_plain(message))
    return _HEADER.pack(len(body)) + body


class Decoder:
    """Cuts a stream of bytes into messages."""

    __slots__ = ("_pending",)

    def __init__(self) -> None:
        self._pending = bytearray()

    def feed(self, data: bytes) -> list[Message]:
        """The messages that are complete with this piece."""
        self._pending += data
        found: list[Message] = []
        while len(self._pending) >= _HEADER.size:
            end = _HEADER.size + _HEADER.unpack_from(self._pending)[0]
            if len(self._pending) < end:
                break
            found.append(orjson.loads(self._pending[_HEADER.size : end]))
            del self._pending[:end]
        return found


def job_message(number: int, job: Job, outbound: Outbound) -> Message:
    """The claimed job as attempt number `number` of a child. Clocks of processes are not compared: the deadline
    travels as the seconds that are left."""
    deadline = job.deadline_seconds
    return {
        "say": "job",
        "attempt": number,
        "job": {
            "id": job.id,
            "type": job.type,
            "queue": job.queue,
            "epoch": job.epoch,
            "attempt": job.attempt,
            "payload": dict(job.payload),
            "tags": dict(job.tags),
            "index": job.index,
            "origin": getattr(job, "origin", None) or {},
        },
        "seconds": None if deadline is None else deadline - time.monotonic(),
        "outbound": {"mode": outbound.mode, "redirect_to": outbound.redirect_to, "allow": outbound.allow},
    }


def result_data(result: Any) -> Any:
    """A return value that can be sent. What cannot is no reason to run the job again: it is dropped and says so,
    in the queue's own words for that."""
    try:
        size = len(orjson.dumps(result))
    except TypeError as error:
        return {"dropped": f"the result is not JSON: {error}"}
    if size > MAX_RESULT_BYTES:
        return {"dropped": f"the result has {size} bytes; a child process sends at most {MAX_RESULT_BYTES}"}
    return result


def error_data(error: BaseException) -> Message:
    """An exception as data: all that the queue takes from it."""
    name = str(getattr(error, "type", None) or type(error).__name__)
    data: Message = {"type": name, "message": text_of(error)[:_MOST_CHARACTERS]}
    if isinstance(error, PermanentError):
        return {**data, "kind": "permanent", "reason": error.reason}
    if isinstance(error, RetryLater):
        return {**data, "kind": "later", "after": error.after}
    if isinstance(error, RateLimited):
        return {**data, "kind": "limited", "after": error.after, "scope": error.scope}
    if isinstance(error, Postponed):
        return {**data, "kind": "postponed", "after": error.after}
    return {**data, "kind": "error"}


def error_from(data: Message) -> Exception:
    """An exception of the same name, text and meaning."""
    message, name, kind = data["message"], data["type"], data["kind"]
    if kind == "permanent":
        return PermanentError(message, type=name, reason=data["reason"])
    base, meaning = _BASES[kind]
    error: Exception = _namesake(name, base)(message, **{key: data[key] for key in meaning})
    return error


def queue_error_data(error: QueueError) -> Message:
    """An error of the queue as data, with its fields."""
    return {"kind": "queue", "type": type(error).__name__, "message": str(error), "facts": vars(error)}


def queue_error_from(data: Message) -> Exception:
    """The same error again, so that a processor can catch it by its type; any other by its name alone."""
    kind = getattr(fluid_queue, data["type"], None)
    if data["kind"] != "queue" or not isinstance(kind, type) or not issubclass(kind, QueueError):
        return error_from({**data, "kind": "error"})
    error = kind.__new__(kind)
    QueueError.__init__(error, data["message"])  # and not its own: that would want what the message was made of
    vars(error).update(data["facts"])
    return error


def options_from(data: Mapping[str, Any]) -> dict[str, Any]:
    """Fields of a new job as they were before they were sent."""
    return {
        name: _OPTIONS[name](value) if name in _OPTIONS and value is not None else value for name, value in data.items()
    }


def text_of(error: BaseException) -> str:
    """The text of an error, also of one that cannot even be shown."""
    try:
        return str(error)
    except Exception:  # noqa: BLE001 - whatever its __str__ does, the attempt has to end
        return f"a {type(error).__name__} that cannot be shown"


def _namesake(name: str, base: type[Exception]) -> type[Any]:
    return base if name == base.__name__ else type(name.replace("\0", ""), (base,), {})


def _plain(value: Any) -> Any:
    """The same with every key and leaf as something that JSON can hold."""
    if isinstance(value, Mapping):
        return {_plain(str(key)): _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [_plain(item) for item in value]
    if value is None or isinstance(value, (bool, float)):
        return value
    if isinstance(value, int) and -(2**63) <= value < 2**63:
        return value
    return str(value).encode("utf-8", "replace").decode()
