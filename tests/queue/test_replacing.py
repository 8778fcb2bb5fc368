"""A job that takes the place of another one under its id: what it begins with, and what becomes of the attempts before
it.
"""

from fluid_queue import Indexes
from support.claims import DONE, STOPPED, claim, end, failing, names, states, work_off
from support.queues import job, record

NEWER = {"kind": "Api", "generation": 2}


async def run_and_suspend(queue, **fields):
    """A job that has failed once, was stopped in its second attempt, and is held now; that attempt."""
    await queue.enqueue([job("a", hash="1", **fields)])
    await end(queue, await claim(queue), failing("E"))
    (got,) = await claim(queue)
    await queue.log("a", got.epoch, ["so far"])
    await queue.suspend(["a"])
    await end(queue, [got], STOPPED)
    return got


async def test_a_job_may_begin_held_back(queue):
    await queue.enqueue([job("a", suspended=True), job("late", suspended=True, delay_seconds=3600)])
    assert await states(queue, "a", "late") == ["suspended", "suspended"]
    assert await names(queue) == []
    assert (await queue.stats()).queues[0].suspended == 2
    assert await queue.resume(["a", "late"]) == ["resumed", "resumed"]
    assert await states(queue, "a", "late") == ["waiting", "delayed"]
    assert await names(queue) == ["a"]


async def test_a_job_that_was_suspended_while_it_ran_gives_way_to_another_spec(queue):
    await run_and_suspend(queue)
    (answer,) = await queue.enqueue([job("a", hash="2", replace=True, payload={"v": 2})])
    assert answer.code == "replaced"
    found = await record(queue, "a")
    assert (found.state, found.attempt, found.failures, found.attempts) == ("waiting", 0, 0, [])
    assert await queue.log_lines("a") == []
    (got,) = await claim(queue)
    assert (got.payload, got.attempt) == ({"v": 2}, 1)


async def test_a_held_job_stays_held_when_its_successor_says_so(queue):
    await run_and_suspend(queue)
    await queue.enqueue([job("a", hash="2", replace=True, suspended=True)])
    assert await states(queue, "a") == ["suspended"]
    await queue.resume(["a"])
    assert await work_off(queue) == ["a"]


async def test_other_words_about_the_same_run_forget_none_of_its_attempts(queue):
    """Somebody changes the priority of a held job: its run goes on, with the retries that are left."""
    before = await run_and_suspend(queue)
    created = (await record(queue, "a")).created_at
    await queue.enqueue([job("a", hash="1", origin=NEWER, replace=True, priority=7, backoff_limit=1)])
    found = await record(queue, "a")
    assert found.created_at == created
    assert (found.state, found.attempt, found.failures, found.priority) == ("waiting", 1, 1, 7)
    assert [past.outcome for past in found.attempts] == ["Failed"]
    assert await queue.log_lines("a") == ["so far"]
    (got,) = await claim(queue)
    assert (got.attempt, got.failures) == (2, 1)
    assert got.epoch > before.epoch


async def test_a_worker_of_the_replaced_spec_has_no_say_about_the_new_one(queue):
    stopped = await run_and_suspend(queue)
    await queue.enqueue([job("a", hash="2", replace=True)])
    assert await end(queue, [stopped], DONE) == ["stale"]
    assert await states(queue, "a") == ["waiting"]


async def test_a_held_index_job_keeps_what_is_done_while_it_is_the_same_run(queue):
    await queue.enqueue([job("i", hash="1", indexes=Indexes(9, 4, 3))])
    got = await claim(queue)
    await end(queue, got[:1], failing("E", final="PermanentError"))
    await queue.suspend(["i"])
    await end(queue, got[1:3])
    await end(queue, got[3:], STOPPED)
    again = job("i", hash="1", origin=NEWER, replace=True, suspended=True, indexes=Indexes(9, 2, 3))
    await queue.enqueue([again])
    found = await record(queue, "i")
    assert (found.state, found.succeeded, found.failed) == ("suspended", 2, 1)
    await queue.resume(["i"])
    assert sorted(await work_off(queue)) == [f"i.{n}" for n in range(3, 9)]
    found = await record(queue, "i")
    assert (found.state, found.succeeded, found.failed) == ("failed", 8, 1)


async def test_a_held_index_job_with_another_spec_begins_anew(queue):
    await queue.enqueue([job("i", hash="1", indexes=Indexes(3, 3))])
    got = await claim(queue)
    await queue.suspend(["i"])
    await end(queue, got[:2])
    await end(queue, got[2:], STOPPED)
    await queue.enqueue([job("i", hash="2", replace=True, indexes=Indexes(3, 3))])
    assert len(await work_off(queue)) == 3


async def test_a_job_that_waits_for_a_retry_is_held_with_its_clock_at_zero(queue):
    await queue.enqueue([job("a", active_deadline_seconds=900)])
    await end(queue, await claim(queue), failing("E", after=3600))
    await queue.suspend(["a"])
    found = await record(queue, "a")
    assert (found.state, found.started_at, found.failures) == ("suspended", 0, 1)
    await queue.resume(["a"])
    assert await states(queue, "a") == ["delayed"]
