"""Index jobs that go on where an earlier run was, change their size while they run, and tell how many run now."""

from collections.abc import Sequence

import pytest

from fluid_queue import Indexes, InvalidJob, Queue
from support.claims import STOPPED, claim, end, failing, names, states, work_off
from support.queues import following, job, record

REFUSED = failing("Error", final="PermanentError")


async def enqueue(queue: Queue, completions: int, parallelism: int = 10, *, name: str = "i", **fields) -> None:
    max_failed, completed = fields.pop("max_failed", 0), fields.pop("completed", "")
    indexes = Indexes(completions, parallelism, max_failed, completed=completed)
    await queue.enqueue([job(name, indexes=indexes, **fields)])


async def counts(queue: Queue) -> tuple[str, int, int]:
    found = await record(queue, "i")
    return found.state, found.succeeded, found.failed


# -- completed before -------------------------------------------------------------------------------------------------


async def test_indexes_that_an_earlier_run_has_completed_do_not_run(queue):
    await enqueue(queue, 12, completed="0-5,7,9-10")
    assert await counts(queue) == ("waiting-children", 9, 0)
    assert sorted(await work_off(queue)) == ["i.11", "i.6", "i.8"]
    assert await counts(queue) == ("completed", 12, 0)
    assert (await queue.indexes("i")).completed == "0-11"


async def test_a_job_of_which_all_is_done_ends_at_once(queue):
    await enqueue(queue, 3, completed="0-2", delay_seconds=60, acknowledged=True)
    found = await record(queue, "i")
    assert (found.state, found.reason, found.succeeded, found.started_at) == ("completed", "Completed", 3, 0)
    assert await names(queue) == []
    assert [page async for page in queue.unacknowledged()] == [["i"]]


async def test_the_failed_indexes_alone_are_run_again_as_another_job(queue):
    await enqueue(queue, 20, parallelism=20, max_failed=None)
    got = await claim(queue, 20)
    await end(queue, [each for each in got if each.index % 7 == 3], REFUSED)
    await end(queue, [each for each in got if each.index % 7 != 3])
    before = await queue.indexes("i")
    assert before.failed == "3,10,17"
    await enqueue(queue, 20, name="again", completed=before.completed)
    assert sorted(await work_off(queue)) == ["again.10", "again.17", "again.3"]
    assert (await record(queue, "again")).succeeded == 20


async def test_a_hundred_thousand_indexes_of_which_every_other_is_done_start_with_the_rest(queue):
    await enqueue(queue, 100_000, completed=",".join(str(n) for n in range(0, 100_000, 2)))
    assert (await record(queue, "i")).succeeded == 50_000
    assert await names(queue, 4) == ["i.1", "i.3", "i.5", "i.7"]
    told = await queue.indexes("i")
    assert told.truncated
    assert len(told.completed) <= 8192
    assert not (await queue.indexes("i", limit=None)).truncated


# -- another size -----------------------------------------------------------------------------------------------------


async def test_more_indexes_run_as_soon_as_more_may(queue):
    await enqueue(queue, 50, parallelism=2)
    assert len(await claim(queue, 50)) == 2
    assert await queue.resize(["i", "nobody"], parallelism=10) == ["resized", "gone"]
    assert len(await claim(queue, 50)) == 8
    assert await claim(queue, 50) == []


async def test_fewer_indexes_run_when_fewer_may_and_those_that_run_go_on(queue):
    await enqueue(queue, 60, parallelism=10)
    got = await claim(queue, 50)
    await queue.resize(["i"], parallelism=3)
    assert await end(queue, got[:7]) == ["done"] * 7
    assert await claim(queue, 50) == []
    await end(queue, got[7:])
    got = await claim(queue, 50)
    assert len(got) == 3
    await end(queue, got)
    assert len(await work_off(queue, 50)) == 60 - 13
    assert await counts(queue) == ("completed", 60, 0)


async def test_a_smaller_number_that_may_fail_ends_a_job_in_which_more_have(queue):
    await enqueue(queue, 50, parallelism=4, max_failed=10)
    got = await claim(queue, 4)
    await end(queue, got[:2], REFUSED)
    assert await queue.resize(["i"], max_failed=2) == ["resized"]
    assert (await counts(queue))[0] == "waiting-children"
    assert await queue.resize(["i"], max_failed=1) == ["resized"]
    assert await names(queue) == []
    await end(queue, got[2:], STOPPED)
    found = await record(queue, "i")
    assert (found.state, found.reason, found.failed) == ("failed", "MaxFailedIndexesExceeded", 2)


async def test_a_job_of_which_nothing_runs_fails_at_once_when_fewer_may_fail(queue):
    await enqueue(queue, 50, parallelism=4, max_failed=None)
    await end(queue, await claim(queue, 2), REFUSED)
    assert await queue.resize(["i"], max_failed=0) == ["resized"]
    assert await states(queue, "i") == ["failed"]


async def test_any_number_may_fail_where_the_limit_is_lifted_in_time(queue):
    await enqueue(queue, 5, parallelism=5, max_failed=0)
    got = await claim(queue)
    await queue.resize(["i"], max_failed=None)
    await end(queue, got[:4], REFUSED)
    await end(queue, got[4:])
    assert await counts(queue) == ("failed", 1, 4)


async def test_a_job_takes_its_new_size_along_into_what_comes_later(queue):
    await enqueue(queue, 9, parallelism=1, suspended=True)
    assert await queue.resize(["i"], parallelism=4) == ["resized"]
    await queue.resume(["i"])
    assert len(await claim(queue, 50)) == 4


async def test_only_an_index_job_that_has_not_ended_has_a_size(queue):
    await queue.enqueue([job("plain")])
    await enqueue(queue, 2, parallelism=2)
    await queue.enqueue([job("ended", indexes=Indexes(1))])
    await queue.cancel(["ended"])
    answers = await queue.resize(["plain", "i", "ended"], parallelism=2, max_failed=0)
    assert answers == ["unchanged", "unchanged", "finished cancelled"]


@pytest.mark.parametrize(
    ("field", "change"),
    [
        ("parallelism", {"parallelism": 0}),
        ("parallelism", {"parallelism": 1001}),
        ("parallelism", {"parallelism": "2"}),
        ("maxFailedIndexes", {"max_failed": -1}),
        ("maxFailedIndexes", {"max_failed": "any"}),
    ],
)
async def test_a_size_that_no_job_may_have_is_refused(queue, field, change):
    await enqueue(queue, 2)
    with pytest.raises(InvalidJob) as caught:
        await queue.resize(["i"], **change)
    assert caught.value.field == field


# -- looking on -------------------------------------------------------------------------------------------------------


async def test_a_record_tells_how_many_indexes_run_now(queue):
    await queue.enqueue([job("plain")])
    await enqueue(queue, 20, parallelism=7)

    async def active() -> Sequence[int]:
        return [found.active for found in await queue.inspect(["i", "plain"])]

    assert await active() == [0, 0]
    got = await claim(queue)
    assert await active() == [7, 0]
    await end(queue, [each for each in got if each.index is not None][:3])
    assert await active() == [4, 0]
    await work_off(queue)
    await end(queue, got[3:])
    await work_off(queue)
    assert await active() == [0, 0]


async def test_however_many_indexes_move_in_a_call_readers_are_told_once_and_of_their_job(queue):
    await enqueue(queue, 600, parallelism=300)
    async with following(queue) as reader:
        got = await claim(queue, 300)
        await queue.progress("i.0", got[0].epoch, 50)
        await end(queue, got)
        hints = await reader.read()
    assert hints.ids == {"i"}
    entries = await queue._redis.xrevrange(queue.keys.key("events"), count=10)
    assert [fields[b"ids"] for _, fields in entries] == [b"i", b"i", b"i"]  # its arrival, the claim, the ends
