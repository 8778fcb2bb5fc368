"""How an attempt ends: from what a handler did to what finish.lua is told. Pure; the script only referees who may
say it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, Literal

import orjson

from fluid_queue import limits
from fluid_queue.checks import instance, number, text, whole
from fluid_queue.errors import (
    TEN_YEARS,
    InvalidJob,
    PermanentError,
    Postponed,
    RateLimited,
    RetryLater,
    UnknownKey,
    UnreadableValue,
    seconds_of,
)
from fluid_queue.failures import action_for
from fluid_queue.keys import check_id
from fluid_queue.records import ClaimedJob
from fluid_queue.values import Values

StopReason = Literal["deadline", "cancel", "lost", "drain"]

WORD = re.compile(r"[A-Za-z]([A-Za-z0-9_,:]{0,126}[A-Za-z0-9_])?")
"""A reason is one word, as in a condition; it stands between spaces in a tombstone."""

_UNKNOWN_KEY_SECONDS = 30.0
"""Between two tries of a job whose key its worker does not have."""


_LONGEST = 2 * TEN_YEARS
"""Seconds; with its jitter a wait may pass the longest that anybody can ask for."""

_OUTCOMES = ("completed", "failed", "retry", "postponed", "released", "stopped")


@dataclass(frozen=True, slots=True)
class Ending:
    """One job's share of finish.lua's ARGV; the outcomes are explained in its header. A reason is one word."""

    outcome: Literal["completed", "failed", "retry", "postponed", "released", "stopped"]
    reason: str = ""
    delay_seconds: float = 0
    result: bytes = b""
    error: bytes = b""
    scope: Literal["", "queue", "key"] = ""
    """What else has to wait for `delay_seconds`."""

    def __post_init__(self) -> None:
        if self.outcome not in _OUTCOMES:
            raise InvalidJob("outcome", f"one of {', '.join(_OUTCOMES)}")
        word = text("reason", self.reason, 128)
        if word and not word.replace("_", "").replace(",", "").replace(":", "").isalnum():
            raise InvalidJob("reason", "one word of letters and digits, such as Cancelled")
        if self.scope not in ("", "queue", "key"):
            raise InvalidJob("scope", "queue, key, or nothing")
        number("delay_seconds", self.delay_seconds, -_LONGEST, _LONGEST)
        for name in ("result", "error"):
            instance(name, getattr(self, name), bytes)
        if self.error and not _is_object(self.error):
            raise InvalidJob("error", "a JSON object with type, message and attempt")

    def line(self, job_id: str, epoch: int) -> str:
        """The job's line in finish.lua's first argument. Raises InvalidJob for an id or epoch that is none."""
        check_id(job_id)
        whole("epoch", epoch, 0, 2**53)
        delay = max(0, round(self.delay_seconds * 1000))
        given = f"{1 if self.result else 0} {1 if self.error else 0}"
        return f"{job_id} {epoch} {self.outcome} {self.reason or '-'} {delay} {self.scope or '-'} {given}"

    def values(self, job_id: str, values: Values) -> list[bytes]:
        """The arguments that the line announces, as `values` stores them."""
        stored = (values.write("result", job_id, self.result), values.write_error(job_id, self.error))
        return [value for value in stored if value]


def _is_object(error: bytes) -> bool:
    """Lua copies it into a line of the attempts as it is."""
    try:
        return isinstance(orjson.loads(error), dict)
    except orjson.JSONDecodeError:
        return False


def succeeded(value: Any) -> Ending:
    """A handler returned `value`. What is not JSON, or too large, is no reason to run the job again: the result is
    dropped and says so."""
    if value is None:
        return Ending("completed", "Completed")
    try:
        result = orjson.dumps(value)
    except (TypeError, ValueError) as error:
        return Ending("completed", "Completed", result=orjson.dumps({"dropped": f"the result is not JSON: {error}"}))
    if len(result) > limits.RESULT_BYTES:
        dropped = f"the result has {len(result)} bytes; at most {limits.RESULT_BYTES} are kept"
        result = orjson.dumps({"dropped": dropped})
    return Ending("completed", "Completed", result=result)


def interrupted(job: ClaimedJob, reason: StopReason, now: int, seconds: float, spread: float) -> Ending | None:
    """The handler ended because it was told to, after `seconds`. None: somebody else holds the job, there is nothing
    to say."""
    if reason == "lost":
        return None
    if reason == "drain":
        return Ending("released", "Released")
    if reason == "cancel":
        return Ending("stopped", "Cancelled")
    return failed(
        job,
        TimeoutError(f"the attempt passed its deadline after {seconds:.1f} s"),
        now,
        spread,
        type_="AttemptTimeout",
    )


def failed(job: ClaimedJob, error: BaseException, now: int, spread: float, *, type_: str = "") -> Ending:
    """The handler raised `error`: retry while the limit and the job's rules allow, else fail. `now` in ms of the
    server's clock, `spread` in [-1, 1]."""
    name = _type(type_ or getattr(error, "type", None) or error.__class__.__name__)
    detail = _detail(job, name, error)
    if isinstance(error, Postponed):
        scope = error.scope if isinstance(error, RateLimited) else ""
        if scope == "key" and not job.key:
            scope = "queue"  # a job without a key shares the provider with its whole queue
        return Ending("postponed", error.__class__.__name__[:128], seconds_of(error.after), error=detail, scope=scope)
    action = action_for(name, job.failure_rules)
    if action == "FailJob":
        return Ending("failed", "PolicyFailed", error=detail)
    if isinstance(error, PermanentError):
        return Ending("failed", _word(error.reason), error=detail)
    wait = seconds_of(error.after) if isinstance(error, RetryLater) else job.backoff.wait(job.failures + 1, spread)
    if now >= job.last_moment:
        return Ending("failed", "DeadlineExceeded", error=detail)
    if action == "Count" and job.failures >= job.backoff_limit:
        return Ending("failed", type_ or "BackoffLimitExceeded", error=detail)
    if now + wait * 1000 >= job.last_moment:
        return Ending("failed", "DeadlineExceeded", error=detail)
    if action == "Ignore":
        return Ending("postponed", "Ignored", wait, error=detail)
    return Ending("retry", type_ or "Failed", wait, error=detail)


def unreadable(job: ClaimedJob, error: UnreadableValue) -> Ending:
    """The job's payload could not be read. A key may be on its way, so the job waits for it, uncounted; nothing else
    gets better by itself."""
    detail = _detail(job, _type(error.__class__.__name__), error)
    if isinstance(error, UnknownKey):
        return Ending("postponed", "UnknownKey", _UNKNOWN_KEY_SECONDS, error=detail)
    return Ending("failed", "UnreadablePayload", error=detail)


def _type(name: object) -> str:
    """The type of an error, as its job shows it and rules name it."""
    return _text(name)[: limits.ERROR_TYPE_CHARACTERS]


def _detail(job: ClaimedJob, type_: str, error: BaseException) -> bytes:
    message = _text(error)[: limits.ERROR_MESSAGE_CHARACTERS]
    return orjson.dumps({"type": type_, "message": message, "attempt": job.attempt})


def _word(reason: str) -> str:
    return reason if WORD.fullmatch(reason) else "PermanentError"


def _text(value: object) -> str:
    """As text without lone surrogates, which JSON cannot hold; also of an error that cannot even be printed."""
    try:
        text = str(value)
    except Exception:  # noqa: BLE001 - whatever its __str__ does, the attempt has to end
        text = f"a {value.__class__.__name__} that cannot be shown"
    return text.encode("utf-8", "replace").decode()
