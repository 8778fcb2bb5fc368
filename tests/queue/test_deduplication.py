"""Deduplication: jobs of one key make each other needless, in three ways; who frees the key, and what they answer."""

import asyncio

import pytest

from fluid_queue import Deduplication, Indexes, InvalidJob, NewJob, Queue
from support.claims import claim, end, failing, names, states, work_off
from support.queues import job, record
from support.waiting import auntil


def twin(name: str, mode: str = "WhileUnfinished", ttl: float = 0, **fields) -> NewJob:
    return job(name, deduplication=Deduplication("d", mode, ttl), **fields)


async def put(queue: Queue, *jobs: NewJob) -> list[tuple[str, str]]:
    """The answers: code, and for a needless job the one that made it so."""
    return [(answer.code, answer.first) for answer in await queue.enqueue(jobs)]


# -- while one has not ended ------------------------------------------------------------------------------------------


async def test_while_one_has_not_ended_another_is_needless(queue):
    assert await put(queue, twin("a"), twin("b"), twin("c")) == [
        ("created", ""),
        ("duplicate", "a"),
        ("duplicate", "a"),
    ]
    assert await work_off(queue) == ["a"]


async def test_a_needless_job_has_ended_as_completed_and_names_its_twin(queue):
    await put(queue, twin("a"), twin("b"))
    found = await record(queue, "b")
    assert (found.state, found.reason, found.deduplicated_by) == ("completed", "Deduplicated", "a")
    assert (found.attempt, found.started_at, found.finished_at > 0) == (0, 0, True)


async def test_a_needless_job_is_acknowledged_and_forgotten_like_any_other(queue):
    await put(queue, twin("a"), twin("b", acknowledged=True, keep_seconds=0.05))
    assert [page async for page in queue.unacknowledged()] == [["b"]]
    await queue.acknowledge(["b"])

    async def gone():
        return (await record(queue, "b")).tombstone

    await auntil(gone, 10, "the record to expire")
    (answer,) = await queue.enqueue([twin("b")])
    assert (answer.code, answer.outcome.reason) == ("finished", "Deduplicated")


async def test_the_same_job_again_is_no_twin_of_itself(queue):
    await put(queue, twin("a"), twin("b"))
    answers = await queue.enqueue([twin("a"), twin("b")])
    assert [(answer.code, answer.state) for answer in answers] == [("exists", "waiting"), ("finished", "completed")]


async def test_a_key_holds_over_all_queues(queue):
    assert await put(queue, twin("a"), twin("b", queue="other")) == [("created", ""), ("duplicate", "a")]


async def test_a_delayed_or_running_job_has_not_ended(queue):
    await put(queue, twin("a", delay_seconds=0.01))
    assert await put(queue, twin("b")) == [("duplicate", "a")]
    got = await auntil(lambda: claim(queue), 10)
    assert await put(queue, twin("c")) == [("duplicate", "a")]
    await end(queue, got, failing("Error", after=60))
    assert await put(queue, twin("d")) == [("duplicate", "a")]


@pytest.mark.parametrize("how", ["completed", "failed", "cancelled", "drained"])
async def test_the_key_is_free_when_its_job_has_ended_however_that_was(queue, how):
    await put(queue, twin("a"))
    if how == "cancelled":
        await queue.cancel(["a"])
    elif how == "drained":
        assert [step async for step in queue.drain("q")] == [1]
    else:
        await end(queue, await claim(queue), *([failing("Error", final="PermanentError")] if how == "failed" else []))
    assert await put(queue, twin("b"), twin("c")) == [("created", ""), ("duplicate", "b")]


async def test_a_key_with_a_time_is_free_when_that_is_over(queue):
    await put(queue, twin("a", ttl=0.05))
    await asyncio.sleep(0.06)
    assert await put(queue, twin("b")) == [("created", "")]


async def test_the_end_of_an_earlier_job_does_not_free_the_key_of_a_later(queue):
    await put(queue, twin("a", ttl=0.05))
    got = await claim(queue)
    await asyncio.sleep(0.06)
    await put(queue, twin("b"))
    await end(queue, got)
    assert await put(queue, twin("c")) == [("duplicate", "b")]


async def test_a_job_that_runs_again_has_its_key_again(queue):
    await put(queue, twin("a"))
    await queue.cancel(["a"])
    await queue.retry(["a"])
    assert await put(queue, twin("b")) == [("duplicate", "a")]


async def test_a_job_that_runs_again_leaves_its_key_to_who_has_it_now(queue):
    await put(queue, twin("a"))
    await queue.cancel(["a"])
    await put(queue, twin("b"))
    await queue.retry(["a"])
    await end(queue, [got for got in await claim(queue) if got.id == "a"])
    assert await put(queue, twin("c")) == [("duplicate", "b")]


async def test_a_replaced_job_keeps_its_key(queue):
    await put(queue, twin("a", hash="1"))
    assert await put(queue, twin("a", hash="2", replace=True), twin("b")) == [("replaced", ""), ("duplicate", "a")]


# -- throttle ---------------------------------------------------------------------------------------------------------


async def test_throttled_jobs_are_needless_for_a_time_from_the_first_ended_or_not(queue):
    assert await put(queue, twin("a", "Throttle", 1), twin("b", "Throttle", 1)) == [
        ("created", ""),
        ("duplicate", "a"),
    ]
    await end(queue, await claim(queue))
    assert await put(queue, twin("c", "Throttle", 60)) == [("duplicate", "a")]

    async def free():
        (answer,) = await queue.enqueue([twin(f"n{asyncio.get_running_loop().time()}", "Throttle", 60)])
        return answer.code == "created"

    await auntil(free, 10, "the time to be over")
    assert len(await names(queue)) == 1


async def test_a_needless_job_does_not_prolong_the_time(queue):
    await put(queue, twin("a", "Throttle", 5))
    before = await queue._redis.pttl(queue.keys.key("deduplication:d"))
    await put(queue, twin("b", "Throttle", 100))
    assert 0 < await queue._redis.pttl(queue.keys.key("deduplication:d")) <= before


async def test_a_throttle_needs_a_time():
    with pytest.raises(InvalidJob, match=r"deduplication\.ttlSeconds"):
        Deduplication("d", "Throttle")


# -- replace ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("fields", [{}, {"delay_seconds": 60}, {"key": "held"}])
async def test_a_job_that_has_not_started_gives_way_to_a_newer_one(queue, fields):
    await queue.enqueue([job("holder", key="held")])
    await claim(queue)
    await put(queue, twin("a", "Replace", payload={"v": 1}, **fields))
    assert await put(queue, twin("b", "Replace", payload={"v": 2})) == [("created", "")]
    found = await record(queue, "a")
    assert (found.state, found.reason, found.deduplicated_by) == ("completed", "Deduplicated", "b")
    (got,) = await claim(queue)
    assert (got.id, got.payload) == ("b", {"v": 2})


async def test_the_newest_of_many_runs(queue):
    await put(queue, *(twin(f"j{n}", "Replace") for n in range(10)))
    assert await work_off(queue) == ["j9"]
    assert {found.state for found in await queue.inspect([f"j{n}" for n in range(10)])} == {"completed"}


async def test_a_job_that_has_started_is_not_replaced_and_the_newer_one_runs_too(queue):
    await put(queue, twin("a", "Replace"))
    got = await claim(queue)
    assert await put(queue, twin("b", "Replace"), twin("c", "Replace")) == [("created", ""), ("created", "")]
    assert await states(queue, "a", "b", "c") == ["active", "completed", "waiting"]
    await end(queue, got)
    assert await work_off(queue) == ["c"]


async def test_a_job_that_waits_for_a_retry_has_started(queue):
    await put(queue, twin("a", "Replace"))
    await end(queue, await claim(queue), failing("Error", after=60))
    await put(queue, twin("b", "Replace"))
    assert await states(queue, "a", "b") == ["delayed", "waiting"]


async def test_an_index_job_that_gives_way_leaves_no_index_behind(queue):
    await put(queue, twin("a", "Replace", indexes=Indexes(20, parallelism=2)))
    await put(queue, twin("b", "Replace"))
    assert await states(queue, "a", "a.0") == ["completed", ""]
    assert await work_off(queue) == ["b"]


# -- in any case ------------------------------------------------------------------------------------------------------


async def test_needless_jobs_are_counted_as_completed_and_wait_nowhere(queue):
    await put(queue, *(twin(f"j{n}") for n in range(5)))
    (found,) = (await queue.stats()).queues
    assert (found.waiting, found.completed) == (1, 4)


async def test_a_producer_that_asks_again_after_a_crash_gets_the_same_answers(redis_server, key_prefix):
    """Ids make it so: the key alone could not tell a repeated question from a new job."""
    batch = [twin("a"), twin("b"), twin("c", "Replace")]
    asked = []
    for _ in range(2):
        async with Queue.from_url(redis_server.url, key_prefix) as queue:
            await queue.open()
            await queue.enqueue(batch)
            asked.append([found.reason for found in await queue.inspect(["a", "b", "c"])])
    assert asked == [["Deduplicated", "Deduplicated", ""]] * 2


async def test_jobs_without_a_key_have_no_twins(queue):
    assert await put(queue, job("a"), job("b"), twin("c")) == [("created", "")] * 3


@pytest.mark.parametrize("key", ["", "x" * 257, "line\nbreak"])
def test_a_key_is_printable_and_bounded(key):
    with pytest.raises(InvalidJob, match=r"deduplication\.key"):
        Deduplication(key)


async def test_a_key_may_hold_spaces_and_any_letters(queue):
    key = "user 7: mail/täglich {1}"
    answers = await queue.enqueue([job(name, deduplication=Deduplication(key)) for name in "ab"])
    assert [answer.code for answer in answers] == ["created", "duplicate"]
