"""Nobody's mistake may harm a queue: a bad argument gets a typed error that names it, and whatever a script is sent,
no half move stays.

What "harm" means is said by support.queue_invariants; a call that is merely unusual may work.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Iterator
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

import orjson
import pytest
import redis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from fluid_queue import (
    CircuitBreaker,
    CreationLimit,
    Deduplication,
    Ending,
    Fairness,
    Indexes,
    InvalidJob,
    LeaderFenced,
    NewJob,
    Parent,
    Queue,
    QueueSettings,
    RateLimit,
    Settings,
)
from fluid_queue.scripts import names, script
from support.queue_invariants import problems
from support.queue_oddities import CALLS, ODD, WORDS
from support.queue_snapshot import snapshot

BRIEF = settings(
    max_examples=60,
    deadline=None,
    database=None,
    derandomize=True,
    phases=[Phase.generate],
    suppress_health_check=list(HealthCheck),
)
"""No shrinking: an example is one argument."""

BUSY = Settings(
    queues={
        "q": QueueSettings(
            concurrency=5,
            rate_limit=RateLimit(9, 60),
            creation_limit=CreationLimit(1000),
            circuit_breaker=CircuitBreaker(2),
            fairness=Fairness("user"),
        )
    }
)
"""Every limit is on, so that every branch is near."""


class World:
    """A key space with a job in each state, in a database of its own."""

    def __init__(self, url: str) -> None:
        self.runner = asyncio.Runner()
        self.queue = Queue.from_url(url, "fuzz")
        self.server = redis.Redis.from_url(url)
        self.epochs: dict[str, int] = {}

    def begin(self) -> None:
        """Everything anew."""
        self.server.flushdb()
        self.runner.run(self._prepare())

    async def _prepare(self) -> None:
        queue = self.queue
        await queue.open()
        await queue.configure(BUSY)
        common: dict[str, Any] = {"type": "t", "queue": "q"}
        await queue.enqueue(
            [
                NewJob(id="a", key="k", **common),
                NewJob(id="blocked", key="k", **common),
                NewJob(id="b", delay_seconds=100, start_by=datetime(2100, 1, 1, tzinfo=UTC), **common),
                NewJob(id="i", indexes=Indexes(3, 2), **common),
                NewJob(id="ended", acknowledged=True, **common),
                NewJob(id="held", **common),
            ]
        )
        await queue.cancel(["ended"])
        await queue.suspend(["held"])
        claim = await queue.claim("w", ["q"], 2, 100)
        self.epochs = {job.id: job.epoch for job in claim.jobs}

    def error_of(self, command: Coroutine[Any, Any, Any]) -> Exception | None:
        """What the command raises, if it does."""
        try:
            self.runner.run(command)
        except Exception as error:  # noqa: BLE001 - which errors are right is what the tests are about
            return error
        return None

    def problems(self) -> list[str]:
        return problems(snapshot(self.server, self.queue.keys.prefix))

    def close(self) -> None:
        self.runner.run(self.queue.aclose())
        self.server.close()
        self.runner.close()


@pytest.fixture
def world(redis_server) -> Iterator[World]:
    address, _, _ = redis_server.url.rpartition("/")
    opened = World(f"{address}/6")  # a database of its own, so that one look at all keys is a look at this key space
    yield opened
    opened.close()


@pytest.mark.parametrize("name", CALLS)
def test_a_bad_argument_is_refused_by_name_or_does_no_harm(world, name):
    call = CALLS[name]
    world.begin()

    @BRIEF
    @given(st.sampled_from(sorted(call.good)), ODD)
    def spoil(argument: str, value: Any) -> None:
        error = world.error_of(call.run(world.queue, {**call.good, argument: value}))
        if isinstance(error, InvalidJob):
            assert error.field
            assert error.message
        else:
            assert error is None or (argument == "leader" and isinstance(error, LeaderFenced)), repr(error)
        assert world.problems() == []

    spoil()


def good_words(epochs: dict[str, int]) -> dict[str, list[Any]]:
    """What each script is sent, as Python would send it now."""
    epoch = epochs.get("a", 1)
    one = NewJob(id="n", type="t", queue="q", key="k", tags={"user": "1"}, deduplication=Deduplication("d"))
    later = datetime(2100, 1, 1, tzinfo=UTC)
    indexes = Indexes(3, 2, completed="1")
    other = NewJob(id="m", type="t", queue="q", indexes=indexes, parent=Parent("a", epoch), start_by=later)
    lines = [Ending("retry", "Failed", 1, error=b"{}").line("a", epoch), Ending("completed", "Completed").line("b", 1)]
    return {
        "acknowledge": ["", "ended"],
        "cancel": ["", "Cancelled", "a", "blocked", "b", "i"],
        "claim": ["w", "q", "2", "1000", "3", "5"],
        "configure": ["", "suspend", "1", "queue:q", '{"concurrency":2}'],
        "drain": ["", "q", "10", "waiting", "delayed"],
        "enqueue": ["", *one.arguments(), *other.arguments()],
        "finish": ["\n".join(lines), b'{"type":"E"}'],
        "inspect": ["1", "state", "a"],
        "items": ["z", "0", "{}"],
        "lead": ["0", "me"],
        "limit": ["q", "k", "1000"],
        "log": ["a", epoch, "a line"],
        "once": ["mail", "begin", "a", "1000"],
        "open": ["abc", "1"],
        "adopt": ["uid", "0", "mine"],
        "own": ["uid", "team-a/default", "1000"],
        "pause": ["", "q", "1"],
        "progress": ["a", epoch, "{}"],
        "promote": ["", "b"],
        "register": ["w", "q", "image", "{}", "t", "{}"],
        "renew": ["w", "1000", "a", epoch],
        "reprioritize": ["", "5", "a", "b", "blocked", "i"],
        "resume": ["", "held"],
        "resize": ["", "3", "-1", "i", "a"],
        "retry": ["", "ended"],
        "stats": [],
        "suspend": ["", "a", "b", "blocked", "i"],
    }


def spoilt(words: list[Any], where: int, within: int, how: str, word: str) -> list[Any]:
    """These words with one lost, one too many, or one that is another; also within a word that holds several."""
    place = where % len(words) if words else 0
    if how == "insert" or not words:
        return [*words[:place], word, *words[place:]]
    if how == "drop":
        return words[:place] + words[place + 1 :]
    changed: Any = word
    if how == "within" and isinstance(words[place], bytes) and words[place].startswith(b"["):
        parts = orjson.loads(words[place])
        parts[within % len(parts)] = word
        changed = orjson.dumps(parts)
    elif how == "within" and isinstance(words[place], str) and " " in words[place]:
        parts = words[place].split(" ")
        parts[within % len(parts)] = word
        changed = " ".join(parts)
    return [*words[:place], changed, *words[place + 1 :]]


@pytest.mark.parametrize("name", names())
def test_a_script_that_is_sent_nonsense_leaves_no_half_move_behind(world, name):
    @settings(BRIEF, max_examples=150 if name in ("claim", "enqueue", "finish") else 40)
    @given(
        st.integers(0, 30), st.integers(0, 30), st.sampled_from(["insert", "drop", "change", "within", "within"]), WORDS
    )
    def send(where: int, within: int, how: str, word: str) -> None:
        world.begin()
        words = spoilt(good_words(world.epochs)[name], where, within, how, word)
        with suppress(redis.ResponseError):  # an error reply is right; half of the work is not
            world.server.eval(script(name).text, 1, world.queue.keys.prefix, *words)
        assert world.problems() == []

    send()


def test_every_script_is_sent_nonsense():
    assert sorted(good_words({})) == names()


async def test_one_text_is_not_read_as_a_list_of_ids(queue):
    await queue.enqueue([NewJob(id="a", type="t")])
    with pytest.raises(InvalidJob, match="ids: "):
        await queue.cancel("a")
    assert (await queue.inspect(["a"]))[0].state == "waiting"


async def test_a_payload_that_no_handler_could_read_is_refused_before_it_stops_the_workers(queue):
    with pytest.raises(InvalidJob, match="payload: "):
        await queue.enqueue([NewJob(id="a", type="t", payload=[1])])


async def test_an_error_that_is_no_json_does_not_spoil_the_list_of_attempts(queue):
    with pytest.raises(InvalidJob, match="error: "):
        Ending("retry", "Failed", error=b'"}, {"')


async def test_the_longest_id_of_a_job_with_indexes_leaves_room_for_those(queue):
    with pytest.raises(InvalidJob, match="id: "):
        NewJob(id="i" * 256, type="t", indexes=Indexes(100_000))
    job = NewJob(id="i" * 249, type="t", queue="q", indexes=Indexes(1))
    await queue.enqueue([job])
    (got,) = (await queue.claim("w", ["q"], 1, 15)).jobs
    assert await queue.finish([(got.id, got.epoch, Ending("completed", "Completed"))]) == ["done"]
