"""Index jobs that are held, stopped, run out of time, are run again or have children: what becomes of their indexes."""

import asyncio

from fluid_queue import ActiveJob, Indexes, Queue
from support.claims import STOPPED, claim, end, failing, names, states, work_off
from support.queues import consuming, ended, job, record
from support.waiting import auntil


async def enqueue(queue: Queue, completions: int, parallelism: int = 10, **fields) -> None:
    await queue.enqueue([job("i", indexes=Indexes(completions, parallelism), **fields)])


async def counts(queue: Queue) -> tuple[str, int, int]:
    found = await record(queue, "i")
    return found.state, found.succeeded, found.failed


# -- cancel, suspend, deadline ----------------------------------------------------------------------------------------


async def test_a_cancel_stops_what_runs_and_starts_nothing_more(queue):
    await enqueue(queue, 50, parallelism=3)
    got = await claim(queue)
    assert await queue.cancel(["i"]) == ["stopping"]
    assert await names(queue) == []
    await end(queue, got[:1])
    await end(queue, got[1:], STOPPED)
    found = await record(queue, "i")
    assert (found.state, found.reason, found.succeeded, found.failed) == ("cancelled", "Cancelled", 1, 0)


async def test_a_cancel_of_an_index_job_of_which_nothing_runs_is_done_at_once(queue):
    await enqueue(queue, 50, parallelism=3)
    assert await queue.cancel(["i"]) == ["cancelled"]
    assert await states(queue, "i", "i.0") == ["cancelled", ""]
    assert await names(queue) == []


async def test_a_running_index_is_told_to_stop(queue):
    reasons = []

    async def slow(active: ActiveJob):
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            reasons.append(active.stop_reason)
            raise

    async with consuming(queue, slow) as consumer:
        await enqueue(queue, 5, parallelism=2)
        await auntil(lambda: consumer.running == 2, 10)
        await queue.cancel(["i"])
        assert (await ended(queue, "i", within=4)).state == "cancelled"
    assert reasons == ["cancel", "cancel"]


async def test_a_suspended_index_job_goes_on_where_it_was(queue):
    await enqueue(queue, 9, parallelism=3)
    got = await claim(queue)
    assert await queue.suspend(["i"]) == ["stopping"]
    await end(queue, got[:1])
    await end(queue, got[1:], STOPPED)
    assert await states(queue, "i") == ["suspended"]
    assert await names(queue) == []
    assert await queue.resume(["i"]) == ["resumed"]
    assert sorted(await work_off(queue)) == [f"i.{n}" for n in range(1, 9)]
    assert await counts(queue) == ("completed", 9, 0)


async def test_a_suspend_before_anything_ran_holds_all_of_it(queue):
    await enqueue(queue, 4)
    assert await queue.suspend(["i"]) == ["suspended"]
    assert await names(queue) == []
    await queue.resume(["i"])
    assert sorted(await work_off(queue)) == [f"i.{n}" for n in range(4)]


async def test_a_resume_before_the_suspend_is_through_lets_all_indexes_run(queue):
    await enqueue(queue, 9, parallelism=3)
    got = await claim(queue)
    await queue.suspend(["i"])
    assert await queue.resume(["i"]) == ["resumed"]
    await end(queue, got, STOPPED)
    assert sorted(await work_off(queue)) == [f"i.{n}" for n in range(9)]
    assert await counts(queue) == ("completed", 9, 0)


async def test_a_deadline_holds_for_the_whole_job_from_its_first_start(queue):
    await enqueue(queue, 50, parallelism=2, active_deadline_seconds=0.2)
    got = await claim(queue)
    assert 0 < got[0].deadline_at - got[0].started_at <= 200

    async def stopping():
        await queue.sweep()
        return (await record(queue, "i")).stopping

    await auntil(stopping, 10, "the deadline")
    assert await names(queue) == []
    await end(queue, got, STOPPED)
    found = await record(queue, "i")
    assert (found.state, found.reason, found.failed) == ("failed", "DeadlineExceeded", 0)


async def test_a_deadline_ends_an_index_job_of_which_nothing_runs(queue):
    await enqueue(queue, 50, parallelism=2, active_deadline_seconds=0.2)
    await end(queue, await claim(queue), failing("Error", after=3600))

    async def over():
        await queue.sweep()
        return (await record(queue, "i")).ended

    await end(queue, await claim(queue), failing("Error", after=3600))
    await auntil(over, 10, "the deadline")
    assert (await record(queue, "i")).reason == "DeadlineExceeded"


async def test_a_replaced_index_job_leaves_no_index_behind(queue):
    await enqueue(queue, 50, parallelism=5, hash="1")
    indexes = Indexes(2, parallelism=5)
    (answer,) = await queue.enqueue([job("i", indexes=indexes, hash="2", replace=True)])
    assert answer.code == "replaced"
    assert sorted(await work_off(queue)) == ["i.0", "i.1"]
    assert await counts(queue) == ("completed", 2, 0)


async def test_a_suspend_clears_the_clock_of_an_index_job(queue):
    """As that of any other job: the time while it is held is not its own."""
    await enqueue(queue, 4, parallelism=2, active_deadline_seconds=0.3)
    got = await claim(queue)
    await queue.suspend(["i"])
    await end(queue, got, STOPPED)
    assert (await record(queue, "i")).started_at == 0
    await asyncio.sleep(0.35)
    await queue.resume(["i"])
    got = await claim(queue)
    assert len(got) == 2
    assert got[0].deadline_at - got[0].started_at == 300

    async def stopping():
        await queue.sweep()
        return (await record(queue, "i")).stopping

    await auntil(stopping, 10, "the deadline of the second time")


async def test_a_drain_takes_an_index_job_that_has_not_started_as_a_whole(queue):
    await enqueue(queue, 30, parallelism=2)
    await queue.enqueue([job("a")])
    assert sum([step async for step in queue.drain("q")]) >= 2
    found = await record(queue, "i")
    assert (found.state, found.reason, found.failed) == ("cancelled", "Drained", 0)
    assert await names(queue) == []


async def test_a_drain_leaves_an_index_job_that_runs_alone(queue):
    await enqueue(queue, 30, parallelism=2)
    got = await claim(queue, 1)
    assert [step async for step in queue.drain("q")] == []
    await end(queue, got)
    assert len(await work_off(queue)) == 29
    assert await counts(queue) == ("completed", 30, 0)


async def test_another_priority_of_an_index_job_is_that_of_all_its_indexes(queue):
    await queue.enqueue([job("before")])
    await enqueue(queue, 6, parallelism=2)
    assert await queue.reprioritize(["i"], 5) == ["reprioritized"]
    assert await work_off(queue, 1) == [*(f"i.{n}" for n in range(6)), "before"]


# -- children of an index ---------------------------------------------------------------------------------------------


async def test_an_index_may_have_children_and_has_completed_when_they_have(queue):
    await enqueue(queue, 3, parallelism=1)
    for _ in range(3):
        got = await claim(queue, queues=["q"])
        await ActiveJob(got[0], queue, None).enqueue("t", key="c", queue="children")
        await end(queue, got)
        await end(queue, await claim(queue, queues=["children"]))
    assert await counts(queue) == ("completed", 3, 0)
    left = [key.decode() async for key in queue._redis.scan_iter(f"{queue.keys.prefix}children:*")]
    assert left == []


async def test_a_cancel_reaches_the_children_of_an_index(queue):
    await enqueue(queue, 3, parallelism=1)
    (got,) = await claim(queue)
    await ActiveJob(got, queue, None).enqueue("t", key="c", queue="q", delay_seconds=3600)
    await queue.cancel(["i"])
    await end(queue, [got], STOPPED)
    assert await states(queue, "i", "i.0/c") == ["cancelled", "cancelled"]
