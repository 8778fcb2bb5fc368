"""Jobs as Redis knows them: what a worker gets, what an inspector reads, what is left at the end. No I/O.

Times are integers, milliseconds of the server's clock.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, Literal, Self

import orjson

from fluid_queue.errors import CorruptValue, UnreadableValue
from fluid_queue.failures import Action, FailureRule
from fluid_queue.retries import BACKOFF_LIMIT, Backoff
from fluid_queue.values import Values

State = Literal[
    "waiting",
    "blocked",
    "delayed",
    "suspended",
    "active",
    "waiting-children",
    "completed",
    "failed",
    "cancelled",
]

ENDED: frozenset[str] = frozenset({"completed", "failed", "cancelled"})
"""States that a job leaves only by `Queue.retry`."""


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
        return cls(state, int(attempt), int(started), int(finished), reason, digest)  # type: ignore[arg-type]  # Redis holds what conclude.lua wrote


@dataclass(frozen=True, slots=True)
class Enqueued:
    """The answer for one job: `created`, `replaced`, `exists` in `state`, or `finished` with its `outcome`.
    `duplicate`: it has ended as completed, because `first` made it needless. `limited`: not taken; try again after
    `wait_seconds`. `stale`: its parent's attempt is no longer the one that runs."""

    code: Literal["created", "replaced", "exists", "finished", "duplicate", "limited", "stale"]
    state: str = ""
    outcome: Outcome | None = None
    first: str = ""
    wait_seconds: float = 0

    @classmethod
    def parse(cls, line: str) -> Self:
        code, _, rest = line.partition(" ")
        if code == "finished":
            outcome = Outcome.parse(rest)
            return cls("finished", outcome.state, outcome)
        if code == "duplicate":
            return cls("duplicate", "completed", first=rest)
        if code == "limited":
            return cls("limited", wait_seconds=int(rest) / 1000)
        return cls(code, rest)  # type: ignore[arg-type]  # held against the header's CODES by a test


@lru_cache(maxsize=256)
def _backoff(*fields: tuple[str, Any]) -> Backoff:
    """Jobs of one type share theirs, and it is checked once."""
    return Backoff.from_json(dict(fields))


@lru_cache(maxsize=256)
def _rules(*fields: tuple[tuple[str, ...], Action]) -> tuple[FailureRule, ...]:
    """Likewise."""
    return tuple(FailureRule(*each) for each in fields)


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
    stalls: int = 0
    """Workers that vanished while they ran it."""
    key: str = ""
    index: int | None = None
    """Of an index job: which one this is."""
    failure_rules: Sequence[FailureRule] = ()
    unreadable: UnreadableValue | None = None
    """Why the payload and the settings beside it could not be read; they are empty then."""

    @property
    def last_moment(self) -> float:
        """When the whole job is over, retries included, in ms of the server's clock."""
        return self.started_at + self.active_deadline if self.active_deadline else float("inf")

    @classmethod
    def parse(cls, row: Sequence[Any], values: Values) -> Self:
        """Read one row of claim.lua's answer. A job that cannot be read must not hold up those beside it."""
        job_id = row[0].decode()
        spec, unreadable = _read_spec(job_id, row[9], row[14], row[13], values)
        return cls(
            id=job_id,
            epoch=int(row[1]),
            attempt=int(row[2]),
            failures=int(row[3]),
            started_at=int(row[4]),
            deadline_at=int(row[5]),
            queue=row[6].decode(),
            type=row[7].decode(),
            origin=orjson.loads(row[8]),
            payload=spec["payload"],
            tags=orjson.loads(row[10]),
            backoff_limit=spec["backoffLimit"],
            backoff=_backoff(*spec["backoff"].items()),
            active_deadline=spec.get("activeDeadline", 0),
            stalls=int(row[11]),
            key=row[12].decode(),
            index=int(row[13]) if row[13] else None,
            failure_rules=_rules(*((tuple(r["errorTypes"]), r["action"]) for r in spec.get("failureRules", ()))),
            unreadable=unreadable,
        )


@dataclass(frozen=True, slots=True)
class Claim:
    """What a claim brought: `now` by the server's clock, jobs, and after how many seconds to ask again if nobody
    wakes us before. `settings_version` changes with every change of the environment's settings."""

    now: int
    wait_seconds: float
    jobs: Sequence[ClaimedJob]
    settings_version: int = 0


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
    def parse(cls, job_id: str, line: bytes, values: Values) -> Self:
        data = orjson.loads(line)
        error = data.get("error")
        return cls(
            data["attempt"],
            data["startedAt"],
            data["endedAt"],
            data["worker"],
            data["outcome"],
            values.read_error(job_id, error) if error else None,
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
    begun: bool = False
    """It has started once, and was held back since; `started_at` speaks of the time after that."""
    progress: Mapping[str, Any] | None = None
    result: bytes | None = None
    error: Mapping[str, Any] | None = None
    reason: str = ""
    key: str = ""
    parent: str = ""
    """Of a child: the id of its parent."""
    deduplicated_by: str = ""
    """The job that made this one needless."""
    blocked_by: str = ""
    """While it is blocked: the gate that is shut, `key:<concurrency key>` or `index:<id>`."""
    ready_at: int = 0
    """Since when it could run; 0 while it has a later due time."""
    start_by: int = 0
    """By when it has to start; 0: by no time, or it has started."""
    completions: int = 0
    """Of an index job: its indexes, and how many of them run now, have succeeded or failed; else 0."""
    active: int = 0
    succeeded: int = 0
    failed: int = 0
    children: int = 0
    children_succeeded: int = 0
    children_failed: int = 0
    tags: Mapping[str, str] = field(default_factory=dict)
    attempts: Sequence[Attempt] = ()
    acknowledged: bool = False
    """Its owner has written the outcome down; what is left as a tombstone counts so."""
    tombstone: bool = False

    @property
    def ended(self) -> bool:
        return self.state in ENDED

    @property
    def value(self) -> Any:
        """What the handler returned; None where it returned nothing, or has not ended."""
        return orjson.loads(self.result) if self.result else None

    @classmethod
    def parse(cls, job_id: str, answer: Any, values: Values) -> Self | None:
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
                acknowledged=True,
                tombstone=True,
            )
        row, attempts, running = answer
        raw = dict(zip(RECORD_FIELDS, row, strict=True))
        error = _json(raw["error"])
        fields: dict[str, Any] = {name: (raw[key] or b"").decode() for name, key in _TEXTS.items()}
        fields |= {name: int(raw[key] or 0) for name, key in _NUMBERS.items()}
        return cls(
            id=job_id,
            **fields,
            origin=_json(raw["origin"]) or {},
            tags=_json(raw["tags"]) or {},
            stopping=raw["stop"] is not None,
            begun=raw["begun"] is not None,
            acknowledged=raw["acked"] is not None,
            progress=_json(values.read_progress(job_id, raw["progress"])) if raw["progress"] else None,
            result=values.read_result(job_id, raw["result"]) if raw["result"] else None,
            error=values.read_error(job_id, error) if error else None,
            attempts=[Attempt.parse(job_id, line, values) for line in attempts],
            active=running,
        )


_TEXTS = {
    **{name: name for name in ("state", "queue", "type", "hash", "worker", "reason", "key", "parent")},
    "deduplicated_by": "deduplicatedBy",
    "blocked_by": "blockedBy",
}
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
    "ready_at": "readyAt",
    "start_by": "startBy",
    "completions": "completions",
    "succeeded": "succeeded",
    "failed": "failed",
    "children": "children",
    "children_succeeded": "childrenSucceeded",
    "children_failed": "childrenFailed",
}
RECORD_FIELDS = (
    "state",
    *(key for key in _TEXTS.values() if key != "state"),
    *_NUMBERS.values(),
    "origin",
    "tags",
    "stop",
    "begun",
    "acked",
    "progress",
    "result",
    "error",
)
"""The fields that inspect asks for; `state` first, because its absence means that there is no record."""


def _read_spec(
    job_id: str, spec: bytes, item: bytes, index: bytes, values: Values
) -> tuple[dict[str, Any], UnreadableValue | None]:
    """What a worker needs, and why it could not be read. The indexes of a job share its spec, bound to its id."""
    owner = job_id.removesuffix(f".{index.decode()}") if index else job_id
    try:
        found = orjson.loads(values.read("spec", owner, spec))
        if item:
            found["payload"] |= orjson.loads(values.read("item", job_id, item))
        return found, None
    except UnreadableValue as error:
        problem = error
    except orjson.JSONDecodeError:
        problem = CorruptValue(f"spec {job_id}", "it is no JSON")
    return {"payload": {}, "backoffLimit": BACKOFF_LIMIT, "backoff": Backoff().to_json()}, problem


def _json(value: bytes | None) -> Mapping[str, Any] | None:
    """The JSON object in a field; None where it holds none, whoever wrote it."""
    try:
        found = orjson.loads(value or b"null")
    except orjson.JSONDecodeError:
        return None
    return found if isinstance(found, dict) else None
