"""Index jobs: one job that runs for each of its indexes, in a bounded window, each with retries of its own."""

from collections import Counter

import pytest

from fluid_queue import ActiveJob, ClaimedJob, Indexes, InvalidJob, PermanentError, Queue
from support.claims import STOPPED, claim, end, failing, lease_runs_out, names, states, work_off
from support.queues import consuming, ended, job, record
from support.waiting import auntil

REFUSED = failing("Error", final="PermanentError")


async def enqueue(queue: Queue, completions: int, parallelism: int = 10, *, name: str = "i", **fields) -> None:
    indexes = Indexes(completions, parallelism, fields.pop("max_failed", 0), fields.pop("items", ()))
    (answer,) = await queue.enqueue([job(name, indexes=indexes, **fields)])
    assert answer.code == "created"


def at(jobs: list[ClaimedJob], *indexes: int) -> list[ClaimedJob]:
    """Those of the claimed ones that have these indexes."""
    return [got for got in jobs if got.index in indexes]


async def counts(queue: Queue, name: str = "i") -> tuple[str, int, int]:
    found = await record(queue, name)
    return found.state, found.succeeded, found.failed


# -- running ----------------------------------------------------------------------------------------------------------


async def test_each_index_runs_once_with_the_payload_and_its_number(queue):
    runs = Counter()

    async def note(active: ActiveJob):
        runs[active.index, active.payload["v"]] += 1

    async with consuming(queue, note, concurrency=7):
        await enqueue(queue, 53, parallelism=4, payload={"v": 1})
        found = await ended(queue, "i")
    assert runs == {(n, 1): 1 for n in range(53)}
    assert (found.state, found.reason, found.completions, found.succeeded) == ("completed", "Completed", 53, 53)
    assert (await queue.indexes("i")).completed == "0-52"


async def test_items_are_merged_over_the_payload(queue):
    items = [{"feed": f"f{n}"} if n else {"v": 9} for n in range(1200)]
    seen = {}

    async def note(active: ActiveJob):
        seen[active.index] = active.payload

    async with consuming(queue, note):
        await enqueue(queue, 1200, parallelism=50, items=items, payload={"v": 1})
        await ended(queue, "i")
    assert seen == {n: {"v": 1} | item for n, item in enumerate(items)}


async def test_an_index_has_the_name_tags_and_priority_of_its_job(queue):
    await queue.enqueue([job("low", priority=1)])
    await enqueue(queue, 2, priority=5, tags={"user": "u"}, origin={"kind": "Api", "name": "n"})
    first, second, _ = await claim(queue)
    assert [first.id, second.id] == ["i.0", "i.1"]
    assert (first.tags, first.origin["name"], first.type) == ({"user": "u"}, "n", "t")


async def test_no_more_indexes_run_than_the_parallelism(queue):
    await enqueue(queue, 20, parallelism=3)
    first = await claim(queue, 2, worker="one")
    second = await claim(queue, 10, worker="two")
    assert (len(first), len(second)) == (2, 1)
    assert await claim(queue) == []
    await end(queue, first[:1])
    assert len(await claim(queue)) == 1


async def test_other_jobs_pass_an_index_job_that_is_at_its_parallelism(queue):
    await enqueue(queue, 20, parallelism=2)
    await queue.enqueue([job("behind")])
    assert await names(queue) == ["i.0", "i.1", "behind"]


async def test_indexes_obey_the_concurrency_key_of_their_job(queue):
    await enqueue(queue, 5, parallelism=5, key="k")
    await queue.enqueue([job("same", key="k")])
    assert await work_off(queue) == ["i.0", "i.1", "i.2", "i.3", "i.4", "same"]
    assert await counts(queue) == ("completed", 5, 0)


async def test_an_index_job_may_start_later(queue):
    await enqueue(queue, 3, delay_seconds=0.1)
    assert await names(queue) == []
    assert await states(queue, "i") == ["delayed"]
    await auntil(lambda: work_off(queue), 10, "the indexes")
    assert await counts(queue) == ("completed", 3, 0)


# -- failing ----------------------------------------------------------------------------------------------------------


async def test_the_first_index_that_fails_for_good_ends_the_job_unless_more_may(queue):
    await enqueue(queue, 50, parallelism=3)
    got = await claim(queue)
    await end(queue, at(got, 0))
    await end(queue, at(got, 1), REFUSED)
    assert await names(queue) == []
    assert await states(queue, "i") == ["waiting-children"]  # one of them runs
    await end(queue, at(got, 2), STOPPED)
    found = await record(queue, "i")
    assert (found.state, found.reason, found.succeeded, found.failed) == ("failed", "MaxFailedIndexesExceeded", 1, 1)
    assert found.error["type"] == "Error"


async def test_some_indexes_may_fail_while_the_others_run_on(queue):
    await enqueue(queue, 10, parallelism=10, max_failed=2)
    got = await claim(queue)
    await end(queue, at(got, 3, 4), REFUSED)
    await end(queue, [each for each in got if each.index not in (3, 4)])
    found = await record(queue, "i")
    assert (found.state, found.reason, found.succeeded, found.failed) == ("failed", "FailedIndexes", 8, 2)
    ranges = await queue.indexes("i")
    assert (ranges.completed, ranges.failed) == ("0-2,5-9", "3-4")


async def test_without_a_bound_every_index_runs(queue):
    await enqueue(queue, 30, parallelism=4, max_failed=None)
    started = 0
    while got := await claim(queue):
        started += len(got)
        await end(queue, got, REFUSED)
    assert started == 30
    assert await counts(queue) == ("failed", 0, 30)


async def test_each_index_has_its_own_retries(queue):
    attempts = Counter()

    async def flaky(active: ActiveJob):
        attempts[active.index] += 1
        if attempts[active.index] <= 2 and active.index % 2:
            raise ConnectionError("twice")

    async with consuming(queue, flaky):
        await enqueue(queue, 12, parallelism=3, backoff_limit=2)
        found = await ended(queue, "i")
    assert (found.state, found.succeeded) == ("completed", 12)
    assert attempts == {n: 3 if n % 2 else 1 for n in range(12)}


async def test_an_index_that_waits_for_its_retry_is_not_fed_again(queue):
    await enqueue(queue, 6, parallelism=1)
    await end(queue, await claim(queue), failing("Error", after=0.2))
    assert await work_off(queue) == [f"i.{n}" for n in range(1, 6)]
    assert await counts(queue) == ("waiting-children", 5, 0)
    assert await auntil(lambda: work_off(queue), 10) == ["i.0"]
    assert await counts(queue) == ("completed", 6, 0)


async def test_an_index_whose_worker_vanished_runs_again_and_fails_at_the_third_time(queue):
    await enqueue(queue, 3, parallelism=3, max_failed=1)
    got = await claim(queue)
    await end(queue, at(got, 0, 2))
    for _ in range(2):
        await lease_runs_out(queue, "i.1")
        assert await names(queue) == ["i.1"]
    await lease_runs_out(queue, "i.1")
    assert await names(queue) == []
    found = await record(queue, "i")
    assert (found.state, found.reason, found.succeeded, found.failed) == ("failed", "FailedIndexes", 2, 1)
    assert found.error["type"] == "Stalled"


async def test_a_retry_runs_only_the_indexes_that_did_not_complete(queue):
    broken, runs = True, Counter()

    async def some(active: ActiveJob):
        runs[active.index] += 1
        if broken and active.index in (2, 7):
            raise PermanentError("not yet")

    async with consuming(queue, some):
        await enqueue(queue, 10, parallelism=2, max_failed=None)
        assert (await ended(queue, "i")).failed == 2
        broken = False
        assert await queue.retry(["i"]) == ["retried"]
        found = await ended(queue, "i")
    assert (found.state, found.succeeded, found.failed) == ("completed", 10, 0)
    assert runs == {n: 2 if n in (2, 7) else 1 for n in range(10)}


async def test_a_cancelled_index_job_that_is_retried_does_the_rest(queue):
    await enqueue(queue, 20, parallelism=4)
    await end(queue, await claim(queue))
    await queue.cancel(["i"])
    await queue.retry(["i"])
    assert sorted(await work_off(queue), key=lambda name: int(name[2:])) == [f"i.{n}" for n in range(4, 20)]
    assert await counts(queue) == ("completed", 20, 0)


# -- bounds -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "field"),
    [((0,), "completions"), ((100_001,), "completions"), ((5, 0), "parallelism"), ((5, 1001), "parallelism")],
)
def test_bounds_of_an_index_job_are_named(arguments, field):
    with pytest.raises(InvalidJob, match=field):
        Indexes(*arguments)


def test_items_are_as_many_as_the_indexes():
    with pytest.raises(InvalidJob, match="items"):
        Indexes(2, items=[{}])
