"""What may happen to a queue, and how often: the jobs, endings, settings and deeds that the test against the model
draws from. A small world, so that jobs meet: two queues, two keys, two twins.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, TypeVar

from hypothesis import strategies as st

from fluid_queue import (
    CircuitBreaker,
    CreationLimit,
    Deduplication,
    Ending,
    Fairness,
    Indexes,
    NewJob,
    QueueSettings,
    RateLimit,
)

T = TypeVar("T")

HOUR = 3600
LONG_AGO, LATER = datetime(2000, 1, 1, tzinfo=UTC), datetime(2100, 1, 1, tzinfo=UTC)

QUEUES = ("p", "q")
SELECTORS: dict[str, tuple[str, ...]] = {"w1": ("*",), "w2": ("p",), "w3": ("p", "q"), "w4": ("*",), "w5": ("q",)}
PLAIN = tuple("abcdefgh")
INDEXED = tuple("ijkl")

picks = st.integers(0, 30)
"""Of what there is at that moment; how many there are nobody knows before."""
targets = st.lists(picks, min_size=1, max_size=3)
queues = st.sampled_from(QUEUES)
priorities = st.sampled_from([0, 0, 0, 5, -5])
keys = st.sampled_from(["", "", "key1", "key2"])
deduplications = st.builds(
    Deduplication,
    key=st.sampled_from(["twin1", "twin2"]),
    mode=st.sampled_from(["WhileUnfinished", "Throttle", "Replace"]),
    ttl_seconds=st.just(HOUR),
) | st.builds(
    Deduplication, key=st.sampled_from(["twin1", "twin2"]), mode=st.sampled_from(["WhileUnfinished", "Replace"])
)
COMMON: dict[str, st.SearchStrategy[Any]] = {
    "type": st.sampled_from(["t", "u"]),
    "queue": queues,
    "priority": priorities,
    "key": keys,
    "hash": st.sampled_from(["h1", "h2"]),
    "replace": st.booleans(),
    "acknowledged": st.booleans(),
    "delay_seconds": st.sampled_from([0, 0, 0, HOUR]),
    "active_deadline_seconds": st.sampled_from([0, 0, HOUR]),
    "start_by": st.sampled_from([None] * 6 + [LATER] * 3 + [LONG_AGO]),
    "suspended": st.sampled_from([False] * 6 + [True]),
    "tags": st.sampled_from([{}, {"user": "1"}, {"user": "2"}]),
    "deduplication": st.none() | st.none() | deduplications,
}
plain_jobs = st.builds(NewJob, id=st.sampled_from(PLAIN), **COMMON)
parallelisms = st.integers(1, 3)
most_failed = st.sampled_from([None, 0, 1])
index_jobs = st.builds(
    NewJob,
    id=st.sampled_from(INDEXED),
    indexes=st.integers(1, 6).flatmap(
        lambda n: st.builds(
            Indexes,
            completions=st.just(n),
            parallelism=parallelisms,
            max_failed=most_failed,
            completed=st.sampled_from([""] * 4 + ["0", f"{n - 1}", f"0-{n - 1}"]),
        )
    ),
    **COMMON,
)
KINDS = ("E", "F")
endings = st.one_of(
    st.builds(Ending, st.just("completed"), st.just("Completed"), result=st.sampled_from([b"", b"1"])),
    st.builds(Ending, st.just("failed"), st.sampled_from(["PermanentError", "BackoffLimitExceeded"])),
    st.builds(Ending, st.just("retry"), st.just("Failed"), delay_seconds=st.sampled_from([0, HOUR])),
    st.builds(
        Ending, st.just("postponed"), st.just("RateLimited"), st.just(HOUR), scope=st.sampled_from(["", "queue", "key"])
    ),
    st.builds(Ending, st.sampled_from(["released", "stopped"]), st.just("Released")),
)
queue_settings = st.builds(
    QueueSettings,
    paused=st.sampled_from([False] * 7 + [True]),
    concurrency=st.sampled_from([None, None, None, 1, 2]),
    concurrency_per_key=st.sampled_from([None, None, 2]),
    rate_limit=st.sampled_from([None, None, None, RateLimit(3, HOUR)]),
    creation_limit=st.sampled_from([None] * 5 + [CreationLimit(3, HOUR), CreationLimit(1, HOUR)]),
    circuit_breaker=st.sampled_from([None, None, CircuitBreaker(1, HOUR, HOUR), CircuitBreaker(2, HOUR, HOUR)]),
    fairness=st.sampled_from([None, None, None, Fairness("user")]),
)
DEEDS: dict[str, st.SearchStrategy[dict[str, Any]]] = {}
SHARES: list[str] = []


def deed(share: int, **arguments: st.SearchStrategy[Any]) -> Callable[[T], T]:
    """Something that happens in the world; how often, beside the others. All are drawn by one rule: with a rule for
    each, Hypothesis would leave out half of them in every example, and few jobs would come to run."""

    def register(method: Any) -> Any:
        DEEDS[method.__name__] = st.fixed_dictionaries(arguments)
        SHARES.extend([method.__name__] * share)
        return method

    return register
