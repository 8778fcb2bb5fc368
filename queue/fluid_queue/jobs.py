"""Jobs as values: what a producer hands in, what a worker gets, what an inspector reads. No I/O.

Times that come from Redis are integers, milliseconds of the server's clock; durations that people write are seconds.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal, Self

import orjson

from fluid_queue.errors import TEN_YEARS, InvalidJob
from fluid_queue.keys import check_id, check_queue
from fluid_queue.retries import BACKOFF_LIMIT, Backoff

State = Literal["waiting", "delayed", "active", "completed", "failed", "cancelled"]

ENDED: frozenset[str] = frozenset({"completed", "failed", "cancelled"})
"""States that a job never leaves."""

MAX_PAYLOAD_BYTES = 256 * 1024
MAX_RESULT_BYTES = 64 * 1024
API_ORIGIN: Mapping[str, Any] = {"kind": "Api"}


@dataclass(frozen=True, slots=True, kw_only=True)
class NewJob:
    """A job to enqueue. Raises InvalidJob, naming the field, when the queue could not take it."""

    id: str
    type: str
    payload: Mapping[str, Any] = field(default_factory=dict)
    queue: str = ""
    """Unset: the type is the queue's name."""
    priority: int = 0
    """-1000 to 1000, higher first."""
    start_after: datetime | None = None
    """Not before this time (with a zone)."""
    delay_seconds: float = 0
    tags: Mapping[str, str] = field(default_factory=dict)
    backoff_limit: int = BACKOFF_LIMIT
    """Retries after the first attempt."""
    backoff: Backoff = field(default_factory=Backoff)
    attempt_deadline_seconds: float = 300
    """How long one attempt may take; 0: no limit."""
    active_deadline_seconds: float = 0
    """How long the job may take from its first start, retries included; 0: no limit."""
    keep_seconds: float = 3600
    """How long the record stays readable after the end."""
    acknowledged: bool = False
    """The owner calls `acknowledge`; the record does not expire before."""
    origin: Mapping[str, Any] = field(default_factory=lambda: API_ORIGIN)
    hash: str = ""
    """What `replace` compares."""
    replace: bool = False
    """Take the place of a job of this id that never started and has another hash."""
    seed_attempt: int = 0
    seed_failures: int = 0
    """Where a job goes on whose record was lost."""

    def __post_init__(self) -> None:
        check_id(self.id)
        check_queue(self.queue or self.type)
        if not 1 <= len(self.type) <= 63:
            raise InvalidJob("type", "1 to 63 characters")
        if not -1000 <= self.priority <= 1000:
            raise InvalidJob("priority", "a number from -1000 to 1000")
        if self.start_after and self.start_after.tzinfo is None:
            raise InvalidJob("start_after", "a time with a zone, such as 2026-12-01T07:00:00Z")
        for name in ("backoff_limit", "seed_attempt", "seed_failures"):
            if getattr(self, name) < 0:
                raise InvalidJob(name, "0 or more")
        for name in ("delay_seconds", "attempt_deadline_seconds", "active_deadline_seconds", "keep_seconds"):
            if not 0 <= getattr(self, name) <= TEN_YEARS:
                raise InvalidJob(name, f"a number of seconds from 0 to {TEN_YEARS}")

    def spec(self) -> bytes:
        """What a worker needs, as JSON; Redis never looks into it."""
        try:
            payload = orjson.dumps(self.payload)
        except (TypeError, ValueError) as error:
            raise InvalidJob("payload", f"not JSON: {error}") from error
        if len(payload) > MAX_PAYLOAD_BYTES:
            raise InvalidJob(
                "payload",
                f"{len(payload)} bytes of JSON; at most {MAX_PAYLOAD_BYTES}: pass a reference instead",
            )
        spec = {
            "payload": orjson.Fragment(payload),
            "tags": dict(self.tags),
            "backoffLimit": self.backoff_limit,
            "backoff": self.backoff.to_json(),
            "activeDeadline": _ms(self.active_deadline_seconds),
        }
        return orjson.dumps(spec)

    def arguments(self) -> list[str | int | bytes]:
        """One job's share of enqueue.lua's ARGV."""
        due = int(self.start_after.timestamp() * 1000) if self.start_after else 0
        return [
            self.id,
            self.queue or self.type,
            self.type,
            self.priority,
            due,
            _ms(self.delay_seconds),
            self.hash,
            int(self.replace),
            int(self.acknowledged),
            _ms(self.keep_seconds),
            _ms(self.attempt_deadline_seconds),
            _ms(self.active_deadline_seconds),
            f"{self.seed_attempt}:{self.seed_failures}",
            orjson.dumps(self.origin),
            self.spec(),
        ]


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a job ended, in the few words that also a tombstone knows."""

    state: State
    attempt: int
    started_at: int
    """0: it never started."""
    finished_at: int
    reason: str
    hash: str = ""

    @classmethod
    def parse(cls, line: str) -> Self:
        """Read `<state> <attempt> <startedAt> <finishedAt> <reason> <hash>`."""
        state, attempt, started, finished, reason, digest = line.split(" ", 5)
        return cls(state, int(attempt), int(started), int(finished), reason, digest)  # type: ignore[arg-type]  # Redis holds what endJob.lua wrote


@dataclass(frozen=True, slots=True)
class Enqueued:
    """The answer for one job: `created`, `replaced`, `exists` in `state`, or `finished` with its `outcome`."""

    code: Literal["created", "replaced", "exists", "finished"]
    state: str = ""
    outcome: Outcome | None = None

    @classmethod
    def parse(cls, line: str) -> Self:
        code, _, rest = line.partition(" ")
        if code == "finished":
            outcome = Outcome.parse(rest)
            return cls("finished", outcome.state, outcome)
        return cls(code, rest)  # type: ignore[arg-type]  # held against the header's CODES by a test


@dataclass(slots=True)
class ClaimedJob:
    """A job under this worker's lease."""

    id: str
    epoch: int
    attempt: int
    """1 for the first."""
    failures: int
    """Attempts before this one that count against the retry limit."""
    started_at: int
    deadline_at: int
    """0: none."""
    queue: str
    type: str
    origin: Mapping[str, Any]
    payload: Mapping[str, Any]
    tags: Mapping[str, str]
    backoff_limit: int
    backoff: Backoff
    active_deadline: int = 0
    """Milliseconds from `started_at`; 0: none."""

    @property
    def last_moment(self) -> float:
        """When the whole job is over, retries included, in ms of the server's clock."""
        return self.started_at + self.active_deadline if self.active_deadline else float("inf")

    @classmethod
    def parse(cls, row: Sequence[Any]) -> Self:
        """Read one row of claim.lua's answer."""
        spec = orjson.loads(row[9])
        return cls(
            id=row[0].decode(),
            epoch=int(row[1]),
            attempt=int(row[2]),
            failures=int(row[3]),
            started_at=int(row[4]),
            deadline_at=int(row[5]),
            queue=row[6].decode(),
            type=row[7].decode(),
            origin=orjson.loads(row[8]),
            payload=spec["payload"],
            tags=spec["tags"],
            backoff_limit=spec["backoffLimit"],
            backoff=Backoff.from_json(spec["backoff"]),
            active_deadline=spec.get("activeDeadline", 0),
        )


@dataclass(frozen=True, slots=True)
class Claim:
    """What a claim brought: `now` by the server's clock, jobs, and after how many seconds to ask again if nobody
    wakes us before."""

    now: int
    wait_seconds: float
    jobs: Sequence[ClaimedJob]


@dataclass(frozen=True, slots=True)
class Attempt:
    """A past attempt that did not end its job. Times in milliseconds."""

    attempt: int
    started_at: int
    ended_at: int
    worker: str
    outcome: str
    error: Mapping[str, Any] | None

    @classmethod
    def parse(cls, line: bytes) -> Self:
        data = orjson.loads(line)
        return cls(
            data["attempt"],
            data["startedAt"],
            data["endedAt"],
            data["worker"],
            data["outcome"],
            data.get("error"),
        )


@dataclass(frozen=True, slots=True)
class JobRecord:
    """A job as Redis knows it, without its payload. `tombstone`: only the outcome is left of it."""

    id: str
    state: State
    version: int = 0
    queue: str = ""
    type: str = ""
    priority: int = 0
    origin: Mapping[str, Any] = field(default_factory=dict)
    hash: str = ""
    created_at: int = 0
    due_at: int = 0
    attempt: int = 0
    failures: int = 0
    stalls: int = 0
    epoch: int = 0
    worker: str = ""
    started_at: int = 0
    claimed_at: int = 0
    deadline_at: int = 0
    finished_at: int = 0
    stopping: bool = False
    progress: Mapping[str, Any] | None = None
    result: bytes | None = None
    error: Mapping[str, Any] | None = None
    reason: str = ""
    attempts: Sequence[Attempt] = ()
    tombstone: bool = False

    @property
    def ended(self) -> bool:
        return self.state in ENDED

    @classmethod
    def parse(cls, job_id: str, answer: Any) -> Self | None:
        """Read one entry of inspect.lua's answer, whose values follow RECORD_FIELDS; None when nothing is known of
        the id."""
        if answer is None:
            return None
        if isinstance(answer, bytes):
            left = Outcome.parse(answer.decode())
            return cls(
                job_id,
                left.state,
                attempt=left.attempt,
                started_at=left.started_at,
                finished_at=left.finished_at,
                reason=left.reason,
                hash=left.hash,
                tombstone=True,
            )
        values, attempts = answer
        raw = dict(zip(RECORD_FIELDS, values, strict=True))
        fields: dict[str, Any] = {name: (raw[key] or b"").decode() for name, key in _TEXTS.items()}
        fields |= {name: int(raw[key] or 0) for name, key in _NUMBERS.items()}
        return cls(
            id=job_id,
            **fields,
            origin=_json(raw["origin"]) or {},
            stopping=raw["stop"] is not None,
            progress=_json(raw["progress"]),
            result=raw["result"],
            error=_json(raw["error"]),
            attempts=[Attempt.parse(line) for line in attempts],
        )


_TEXTS = {name: name for name in ("state", "queue", "type", "hash", "worker", "reason")}
_NUMBERS = {
    "version": "version",
    "priority": "priority",
    "created_at": "createdAt",
    "due_at": "dueAt",
    "attempt": "attempt",
    "failures": "failures",
    "stalls": "stalls",
    "epoch": "epoch",
    "started_at": "startedAt",
    "claimed_at": "claimedAt",
    "deadline_at": "deadlineAt",
    "finished_at": "finishedAt",
}
RECORD_FIELDS = (
    "state",
    *(key for key in _TEXTS.values() if key != "state"),
    *_NUMBERS.values(),
    "origin",
    "stop",
    "progress",
    "result",
    "error",
)
"""The fields that inspect asks for; `state` first, because its absence means that there is no record."""


def _json(value: bytes | None) -> Mapping[str, Any] | None:
    """The JSON object in a field; None where it holds none, whoever wrote it."""
    try:
        found = orjson.loads(value or b"null")
    except orjson.JSONDecodeError:
        return None
    return found if isinstance(found, dict) else None


def _ms(seconds: float) -> int:
    return round(seconds * 1000)
