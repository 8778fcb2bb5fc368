"""What an environment wants of its queues and workers, as values. One record in Redis, written by `Queue.configure`,
obeyed by every claim; the field names in JSON are those of a FluidEnvironment. No I/O."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Self

import orjson

from fluid_queue import limits
from fluid_queue.checks import as_json, flag, instance, number, text, whole
from fluid_queue.errors import TEN_YEARS
from fluid_queue.keys import check_queue

_MOST = 1_000_000


_OUTBOUND_BYTES = 64 * 1024


@dataclass(frozen=True, slots=True)
class RateLimit:
    """At most `max` starts in any `per_seconds`, over all workers."""

    max: int
    per_seconds: float = 1

    def __post_init__(self) -> None:
        whole("rateLimit.max", self.max, 1, 100_000)
        number("rateLimit.perSeconds", self.per_seconds, 0.001, 86_400)


@dataclass(frozen=True, slots=True)
class CreationLimit:
    """At most `max` new jobs at once, and that many again over `per_seconds`. Nothing is refused for good: the answer
    says when to ask again."""

    max: int
    per_seconds: float = 60

    def __post_init__(self) -> None:
        whole("creationLimit.max", self.max, 1, _MOST)
        number("creationLimit.perSeconds", self.per_seconds, 0.001, 86_400)


@dataclass(frozen=True, slots=True)
class CircuitBreaker:
    """Opens after so many consecutive failures of one error type `within_seconds`; then one job is tried every
    `probe_seconds`, and failures of that type are not counted, until one succeeds."""

    failures: int
    within_seconds: float = 60
    probe_seconds: float = 60

    def __post_init__(self) -> None:
        whole("circuitBreaker.failures", self.failures, 1, _MOST)
        number("circuitBreaker.withinSeconds", self.within_seconds, 0.001, TEN_YEARS)
        number("circuitBreaker.probeSeconds", self.probe_seconds, 0.001, TEN_YEARS)


@dataclass(frozen=True, slots=True)
class Fairness:
    """Jobs of equal priority take turns by the value of this tag, in order of arrival within one value."""

    tag: str

    def __post_init__(self) -> None:
        text("fairness.tag", self.tag, limits.TAG_NAME_CHARACTERS, least=1)


@dataclass(frozen=True, slots=True)
class QueueSettings:
    """One queue's. Unset: no limit, except that a concurrency key is held by one job at a time."""

    paused: bool = False
    concurrency: int | None = None
    """Running jobs at most, over all workers."""
    concurrency_per_key: int | None = None
    rate_limit: RateLimit | None = None
    creation_limit: CreationLimit | None = None
    circuit_breaker: CircuitBreaker | None = None
    fairness: Fairness | None = None

    def __post_init__(self) -> None:
        for name, value in (("concurrency", self.concurrency), ("concurrencyPerKey", self.concurrency_per_key)):
            if value is not None:
                whole(name, value, 1, _MOST)
        flag("paused", self.paused)
        for name, kind in _PARTS.items():
            if (part := getattr(self, name)) is not None:
                instance(_camel(name), part, kind)


@dataclass(frozen=True, slots=True)
class Settings:
    """The whole environment's."""

    suspend: bool = False
    """No job starts; what runs goes on."""
    queues: Mapping[str, QueueSettings] = field(default_factory=dict)
    outbound: Mapping[str, Any] = field(default_factory=dict)
    """For processors: may they touch the outside world? Opaque to the queue."""

    def __post_init__(self) -> None:
        flag("suspend", self.suspend)
        for queue, wanted in instance("queues", self.queues, Mapping).items():
            check_queue(queue)
            instance(f"queues.{queue}", wanted, QueueSettings)
        as_json("outbound", instance("outbound", self.outbound, Mapping), _OUTBOUND_BYTES)

    def fields(self) -> list[str | bytes]:
        """As configure.lua's ARGV: field and value, in a fixed order. Unset is absent."""
        words: list[str | bytes] = ["suspend", "1"] if self.suspend else []
        if self.outbound:
            words += ["outbound", orjson.dumps(self.outbound, option=orjson.OPT_SORT_KEYS)]
        for queue in sorted(self.queues):
            words += [f"queue:{queue}", orjson.dumps(_to_json(self.queues[queue]), option=orjson.OPT_SORT_KEYS)]
        return words

    @classmethod
    def from_fields(cls, fields: Mapping[str, bytes]) -> Self:
        """The inverse of `fields`. What this version does not know is passed over: a newer one may have written it."""
        queues = {
            name.removeprefix("queue:"): _from_json(QueueSettings, orjson.loads(value))
            for name, value in fields.items()
            if name.startswith("queue:")
        }
        return cls(fields.get("suspend") == b"1", queues, orjson.loads(fields.get("outbound", b"{}")))


def _to_json(value: Any) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for each in dataclasses.fields(value):
        content = getattr(value, each.name)
        if dataclasses.is_dataclass(content):
            found[_camel(each.name)] = _to_json(content)
        elif content is not None and content is not False:
            found[_camel(each.name)] = content
    return found


_PARTS = {
    "rate_limit": RateLimit,
    "creation_limit": CreationLimit,
    "circuit_breaker": CircuitBreaker,
    "fairness": Fairness,
}


def _from_json(kind: Any, data: Mapping[str, Any]) -> Any:
    found = {}
    for each in dataclasses.fields(kind):
        if (content := data.get(_camel(each.name))) is not None:
            found[each.name] = _from_json(_PARTS[each.name], content) if each.name in _PARTS else content
    return kind(**found)


def _camel(name: str) -> str:
    first, *rest = name.split("_")
    return first + "".join(word.capitalize() for word in rest)
