"""Jobs as values, as a producer hands them in. No I/O. Durations that people write are seconds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

import orjson

from fluid_queue import limits
from fluid_queue.checks import as_json, flag, instance, number, text, whole
from fluid_queue.errors import TEN_YEARS, InvalidJob
from fluid_queue.failures import FailureRule, check_rules
from fluid_queue.indexes import bitmap
from fluid_queue.keys import check_id, check_key, check_queue
from fluid_queue.retries import BACKOFF_LIMIT, Backoff

MAX_INDEXES = 100_000
MAX_PARALLELISM = 1000
API_ORIGIN: Mapping[str, Any] = {"kind": "Api"}


@dataclass(frozen=True, slots=True)
class Deduplication:
    """Jobs of one `key`, over all queues, that make each other needless.

    WhileUnfinished: while one has not ended, another ends at once, as completed with the reason Deduplicated.
    `ttl_seconds` (0: none) bounds for how long. Throttle: the same for `ttl_seconds` from the first, ended or not.
    Replace: a job that has not started gives way to the newer one."""

    key: str
    mode: Literal["WhileUnfinished", "Throttle", "Replace"] = "WhileUnfinished"
    ttl_seconds: float = 0

    def __post_init__(self) -> None:
        check_key("deduplication.key", self.key)
        if self.mode not in ("WhileUnfinished", "Throttle", "Replace"):
            raise InvalidJob("deduplication.mode", "WhileUnfinished, Throttle or Replace")
        number("deduplication.ttlSeconds", self.ttl_seconds, 0, TEN_YEARS)
        if self.mode == "Throttle" and not _ms(self.ttl_seconds):
            raise InvalidJob("deduplication.ttlSeconds", "Throttle needs to know for how long: a number above 0")


@dataclass(frozen=True, slots=True)
class Indexes:
    """One job that runs once for each index from 0 to `completions` - 1, `parallelism` of them at once, each with
    retries of its own.

    `items`: merged over the payload of the index with their position; `Queue.enqueue` lays them down before the job.
    """

    completions: int
    parallelism: int = 10
    max_failed: int | None = 0
    """When more than so many have failed for good, the job fails and the rest does not start; None: all of them run in
    any case."""
    items: Sequence[Mapping[str, Any]] = ()
    completed: str = ""
    """Indexes that need not run, because an earlier run has completed them: "0-5,7"."""

    def __post_init__(self) -> None:
        whole("completions", self.completions, 1, MAX_INDEXES)
        check_parallelism(self.parallelism)
        check_max_failed(self.max_failed)
        for item in instance("items", self.items, Sequence):
            instance("items", item, Mapping)
        if self.items and len(self.items) != self.completions:
            raise InvalidJob("items", f"{len(self.items)} items for {self.completions} indexes")
        bitmap(self.completed, self.completions)

    def argument(self) -> str:
        """Its share of a job's words in enqueue.lua's ARGV."""
        words = (self.completions, self.parallelism, most_failed(self.max_failed))
        return ":".join(map(str, words)) + f":{bitmap(self.completed, self.completions).hex()}"


@dataclass(frozen=True, slots=True)
class Parent:
    """The attempt that a child belongs to; the parent has not ended before its children have."""

    id: str
    epoch: int

    def __post_init__(self) -> None:
        check_id(self.id)
        whole("epoch", self.epoch, 0, 2**53)


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
    start_by: datetime | None = None
    """A job whose first attempt has not started by this time (with a zone) fails as StartingDeadlineExceeded, unless
    it is suspended then."""
    suspended: bool = False
    """Held back from the beginning, until `resume`."""
    tags: Mapping[str, str] = field(default_factory=dict)
    backoff_limit: int = BACKOFF_LIMIT
    """Retries after the first attempt."""
    backoff: Backoff = field(default_factory=Backoff)
    failure_rules: Sequence[FailureRule] = ()
    """The first that names the type of an error decides what follows from it."""
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
    """Take the place of a job of this id that has not started, or was suspended since, and has another hash or origin.
    With the same hash it goes on where that one was: its failures count, its completed indexes stay."""
    seed_attempt: int = 0
    seed_failures: int = 0
    """Where a job goes on whose record was lost."""
    key: str = ""
    """Concurrency key: at most one running job of the queue has it (or as many as the queue's settings say)."""
    deduplication: Deduplication | None = None
    indexes: Indexes | None = None
    parent: Parent | None = None

    def __post_init__(self) -> None:
        check_id(self.id)
        if self.indexes and len(self.id) > 256 - len(f".{MAX_INDEXES}"):
            raise InvalidJob(
                "id", "the id of a job with indexes leaves room for theirs, which are up to 7 characters longer"
            )
        text("type", self.type, 63, least=1)
        check_queue(self.queue if self.queue != "" else self.type)
        check_priority(self.priority)
        if self.key != "":
            check_key("key", self.key)
        if self.tags != {}:
            _check_tags(self.tags)
        text("hash", self.hash, limits.HASH_CHARACTERS)
        for name in ("backoff_limit", "seed_attempt", "seed_failures"):
            whole(name, getattr(self, name), 0, _MOST_ATTEMPTS)
        for name in ("delay_seconds", "attempt_deadline_seconds", "active_deadline_seconds", "keep_seconds"):
            number(name, getattr(self, name), 0, TEN_YEARS)
        flag("acknowledged", self.acknowledged)
        flag("replace", self.replace)
        flag("suspended", self.suspended)
        instance("backoff", self.backoff, Backoff)
        if self.failure_rules != ():
            check_rules(self.failure_rules)
        for name, part in (("payload", self.payload), ("origin", self.origin)):
            if type(part) is not dict:  # a check against an abstract class takes as long as all the others
                instance(name, part, Mapping)
        self._check_parts()

    def _check_parts(self) -> None:
        for name, given, kind in (
            ("start_after", self.start_after, datetime),
            ("start_by", self.start_by, datetime),
            ("deduplication", self.deduplication, Deduplication),
            ("indexes", self.indexes, Indexes),
            ("parent", self.parent, Parent),
        ):
            if given is not None:
                instance(name, given, kind)
            if isinstance(given, datetime) and given.tzinfo is None:
                raise InvalidJob(name, "a time with a zone, such as 2026-12-01T07:00:00Z")

    def spec(self) -> bytes:
        """What a worker needs, as JSON; Redis never looks into it."""
        spec = {
            "payload": orjson.Fragment(as_json("payload", self.payload, limits.PAYLOAD_BYTES)),
            "backoffLimit": self.backoff_limit,
            "backoff": self.backoff.to_json(),
            "activeDeadline": _ms(self.active_deadline_seconds),
        }
        if self.failure_rules:
            spec["failureRules"] = [rule.to_json() for rule in self.failure_rules]
        return orjson.dumps(spec)

    def arguments(self) -> tuple[bytes, bytes]:
        """One job's share of enqueue.lua's ARGV: what Lua has to know, and the spec. Few words, because each costs as
        much as a small job."""
        due = int(self.start_after.timestamp() * 1000) if self.start_after else 0
        return orjson.dumps(
            [
                self.id,
                self.queue or self.type,
                self.type,
                str(self.priority),
                str(due),
                str(_ms(self.delay_seconds)),
                self.hash,
                "1" if self.replace else "0",
                "1" if self.acknowledged else "0",
                str(_ms(self.keep_seconds)),
                str(_ms(self.attempt_deadline_seconds)),
                str(_ms(self.active_deadline_seconds)),
                f"{self.seed_attempt}:{self.seed_failures}",
                as_json("origin", self.origin, limits.ORIGIN_BYTES).decode(),
                orjson.dumps(dict(self.tags)).decode(),
                self.key,
                f"{twin.mode} {_ms(twin.ttl_seconds)} {twin.key}" if (twin := self.deduplication) else "",
                f"{self.parent.epoch} {self.parent.id}" if self.parent else "",
                self.indexes.argument() if self.indexes else "",
                str(max(1, int(self.start_by.timestamp() * 1000))) if self.start_by else "0",
                "1" if self.suspended else "0",
            ]
        ), self.spec()


_MOST_ATTEMPTS = 1_000_000


def check_priority(priority: int) -> int:
    """The number itself. Raises InvalidJob."""
    return whole("priority", priority, -1000, 1000)


def check_parallelism(parallelism: int) -> int:
    """How many indexes may run at once. Raises InvalidJob."""
    return whole("parallelism", parallelism, 1, MAX_PARALLELISM)


def check_max_failed(max_failed: int | None) -> None:
    """How many indexes may fail, None for any number. Raises InvalidJob."""
    if max_failed is not None:
        whole("maxFailedIndexes", max_failed, 0, MAX_INDEXES)


def most_failed(max_failed: int | None) -> int:
    """The number that scripts know: -1 for any."""
    return -1 if max_failed is None else max_failed


def _check_tags(tags: Mapping[Any, Any]) -> None:
    if len(instance("tags", tags, Mapping)) > limits.TAGS:
        raise InvalidJob("tags", f"{len(tags)} tags; at most {limits.TAGS}")
    for name, value in tags.items():
        text("tags", name, limits.TAG_NAME_CHARACTERS, least=1)
        text(f"tags.{name}", value, limits.TAG_VALUE_CHARACTERS)


def _ms(seconds: float) -> int:
    return round(seconds * 1000)
