"""Every public method of `Queue` as a call that fuzzing can spoil: its arguments as they ought to be, and what may be
wrong about one.

Knows nothing of what a spoilt call should do.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from hypothesis import strategies as st

from fluid_queue import (
    Backoff,
    CircuitBreaker,
    CreationLimit,
    Deduplication,
    Ending,
    FailureRule,
    Fairness,
    Indexes,
    NewJob,
    Parent,
    Queue,
    QueueSettings,
    RateLimit,
    Settings,
)

Arguments = Mapping[str, Any]

TEXTS = st.one_of(
    st.sampled_from(
        [
            "",
            " ",
            "a b",
            "a\nb",
            "a\x00b",
            "{a}",
            "a{b",
            "*",
            ",",
            "a,b",
            ":",
            "1:2",
            "1:",
            "é",
            "😀",
            "\ud800",
            "%s",
            "-",
            "a" * 300,
        ]
    ),
    st.sampled_from(
        ["waiting", "key:k", "job", "9" * 30, "0x10", "nan", "inf", "-1", "1e5", "]]", "'", '"', "\\", "\r\n"]
    ),
    st.text(max_size=20),
)
NUMBERS = st.one_of(
    st.sampled_from([-1, 0, 1, 2**31, 2**53, 2**53 + 1, 2**63, 2**64, 10**30, -(10**30)]),
    st.sampled_from([0.5, -0.5, 1e15, 1e17, 1e300, math.inf, -math.inf, math.nan]),
    st.integers(-5, 5),
)
THINGS = st.sampled_from(
    [None, True, b"bytes", (), [], [None], {}, {"a": 1}, {1: 2}, object(), 1.5, 3, "text", datetime.now(UTC), Ellipsis]
)
"""Of some type or other; as a rule the wrong one."""
_NO_NUMBERS = ("", "-", "nan", "inf", "-inf", "abc", "1e400", "1.5", "  1 ", "0x10", "9" * 20, "%d")
_NO_WORDS = ("[]", "{}", "null", '["a"]', "a b", "a\nb", "\x00", "{", "*", ":", "a:b", "é")
_IN_PLACE_OF_OTHERS = ("waiting", "1:2", "a", "i.0", "q", "2", "-1", "0")
WORDS = st.sampled_from(_NO_NUMBERS + _NO_WORDS + _IN_PLACE_OF_OTHERS)
"""What a script may be sent by a client that is out of its mind."""
ODD = TEXTS | NUMBERS | THINGS | st.lists(TEXTS | THINGS, max_size=3)


@dataclass(frozen=True)
class Call:
    """One method, or one value that is handed to one."""

    run: Callable[[Queue, Arguments], Coroutine[Any, Any, Any]]
    good: Arguments


async def _drain(queue: Queue, given: Arguments) -> None:
    async for _ in queue.drain(**given):
        pass


def _with(**parts: Callable[[Any], Any]) -> Callable[[Arguments], Arguments]:
    """Build parts of the arguments out of plain values first."""
    return lambda given: {name: parts[name](value) if name in parts else value for name, value in given.items()}


async def _enqueue(queue: Queue, given: Arguments) -> Any:
    return await queue.enqueue([NewJob(**given)])


def _enqueue_with(part: str, kind: Callable[..., Any]) -> Callable[[Queue, Arguments], Coroutine[Any, Any, Any]]:
    async def run(queue: Queue, given: Arguments) -> Any:
        return await queue.enqueue([NewJob(id="with", type="t", queue="q", **{part: kind(**given)})])

    return run


async def _enqueue_with_rule(queue: Queue, given: Arguments) -> Any:
    return await queue.enqueue([NewJob(id="ruled", type="t", queue="q", failure_rules=[FailureRule(**given)])])


def _configure_with(part: str, kind: Callable[..., Any]) -> Callable[[Queue, Arguments], Coroutine[Any, Any, Any]]:
    async def run(queue: Queue, given: Arguments) -> Any:
        return await queue.configure(Settings(queues={"q": QueueSettings(**{part: kind(**given)})}))

    return run


async def _finish(queue: Queue, given: Arguments) -> Any:
    job_id, epoch, *_ = given["id"], given["epoch"]
    words = {name: value for name, value in given.items() if name not in ("id", "epoch")}
    return await queue.finish([(job_id, epoch, Ending(**words))])


async def _configure_queue(queue: Queue, given: Arguments) -> Any:
    return await queue.configure(Settings(queues={"q": QueueSettings(**given)}))


async def _configure(queue: Queue, given: Arguments) -> Any:
    await queue.configure(Settings(**given))
    return await queue.settings()


def _method(name: str) -> Callable[[Queue, Arguments], Coroutine[Any, Any, Any]]:
    async def run(queue: Queue, given: Arguments) -> Any:
        return await getattr(queue, name)(**given)

    return run


_NEW = {
    "id": "a",
    "type": "t",
    "payload": {"n": 1},
    "queue": "q",
    "priority": 0,
    "start_after": None,
    "delay_seconds": 0,
    "start_by": None,
    "suspended": False,
    "tags": {"user": "1"},
    "backoff_limit": 3,
    "attempt_deadline_seconds": 300,
    "active_deadline_seconds": 0,
    "keep_seconds": 3600,
    "acknowledged": False,
    "origin": {"kind": "Api"},
    "hash": "h",
    "replace": False,
    "seed_attempt": 0,
    "seed_failures": 0,
    "key": "k",
    "backoff": Backoff(),
    "failure_rules": (),
    "deduplication": None,
    "indexes": None,
    "parent": None,
}
_IDS: Arguments = {"ids": ["a", "b"], "leader": ""}
_ATTEMPT: Arguments = {"id": "a", "epoch": 1}

CALLS: Mapping[str, Call] = {
    "enqueue": Call(_enqueue, _NEW),
    "add": Call(_method("add"), {"type": "t", "payload": {"n": 1}, "id": "a", "queue": "q"}),
    "deduplication": Call(
        _enqueue_with("deduplication", Deduplication), {"key": "d", "mode": "WhileUnfinished", "ttl_seconds": 5}
    ),
    "indexes of a job": Call(
        _enqueue_with("indexes", Indexes),
        {"completions": 3, "parallelism": 2, "max_failed": 0, "items": (), "completed": "0,2"},
    ),
    "failure rule of a job": Call(_enqueue_with_rule, {"error_types": ["TimeoutError"], "action": "FailJob"}),
    "parent": Call(_enqueue_with("parent", Parent), {"id": "a", "epoch": 5}),
    "backoff": Call(
        _enqueue_with("backoff", Backoff),
        {"type": "Fixed", "delay_seconds": 1, "factor": 2, "max_delay_seconds": 10, "jitter_percent": 5},
    ),
    "cancel": Call(_method("cancel"), {**_IDS, "reason": "Cancelled"}),
    **{
        name: Call(_method(name), _IDS) for name in ("withdraw", "acknowledge", "suspend", "resume", "promote", "retry")
    },
    "inspect": Call(_method("inspect"), {"ids": ["a", "b"]}),
    "reprioritize": Call(_method("reprioritize"), {**_IDS, "priority": 1}),
    "resize": Call(_method("resize"), {"ids": ["a", "i"], "leader": "", "parallelism": 3, "max_failed": None}),
    "indexes": Call(_method("indexes"), {"job_id": "i", "limit": 100}),
    "log_lines": Call(_method("log_lines"), {"job_id": "a"}),
    "types": Call(_method("types"), {"image": "image:1"}),
    "list_jobs": Call(_method("list_jobs"), {"queue": "q", "state": "waiting", "offset": 0, "limit": 10}),
    "pause": Call(_method("pause"), {"queue": "q", "leader": ""}),
    "unpause": Call(_method("unpause"), {"queue": "q", "leader": ""}),
    "limit": Call(_method("limit"), {"queue": "q", "seconds": 1, "key": "k"}),
    "drain": Call(_drain, {"queue": "q", "states": ("waiting",), "leader": ""}),
    "durations": Call(_method("durations"), {"queue": "q"}),
    "once": Call(_method("once"), {"key": "mail", "owner": "a", "word": "begin", "keep_seconds": 60}),
    "register": Call(
        _method("register"),
        {"worker": "w", "info": {"host": "h"}, "types": {"t": {}}, "image": "image:1", "queues": ("*",)},
    ),
    "claim": Call(
        _method("claim"),
        {"worker": "w", "queues": ("q",), "n": 1, "lease_seconds": 15, "max_stalled": 3, "suspects": 5},
    ),
    "finish": Call(
        _finish,
        {
            **_ATTEMPT,
            "outcome": "retry",
            "reason": "Failed",
            "delay_seconds": 1,
            "result": b"",
            "error": b"{}",
            "scope": "",
        },
    ),
    "progress": Call(_method("progress"), {"job_id": "a", "epoch": 1, "percent": 5, "message": "half"}),
    "log": Call(_method("log"), {"job_id": "a", "epoch": 1, "lines": ["a line"]}),
    "wake": Call(_method("wake"), {"queues": ("q",)}),
    "lead": Call(_method("lead"), {"shard": 0, "identity": "me"}),
    "own": Call(_method("own"), {"owner": "uid", "name": "team-a/default", "seconds": 30}),
    "adopt": Call(_method("adopt"), {"owner": "uid", "shard": 0, "compared": "mine"}),
    "disown": Call(_method("disown"), {"owner": "uid"}),
    "settings": Call(_configure, {"suspend": False, "queues": {"q": QueueSettings()}, "outbound": {"mail": "Allow"}}),
    "queue settings": Call(
        _configure_queue,
        {
            "paused": False,
            "concurrency": 5,
            "concurrency_per_key": 2,
            "rate_limit": None,
            "creation_limit": None,
            "circuit_breaker": None,
            "fairness": None,
        },
    ),
    "rate limit": Call(_configure_with("rate_limit", RateLimit), {"max": 3, "per_seconds": 1}),
    "creation limit": Call(_configure_with("creation_limit", CreationLimit), {"max": 3, "per_seconds": 1}),
    "circuit breaker": Call(
        _configure_with("circuit_breaker", CircuitBreaker), {"failures": 3, "within_seconds": 1, "probe_seconds": 1}
    ),
    "fairness": Call(_configure_with("fairness", Fairness), {"tag": "user"}),
}
