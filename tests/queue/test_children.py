"""Children: a parent has ended when they have, in every order of events, over retries, cancels and lost leases."""

import asyncio
from collections import Counter

import pytest

from fluid_queue import ActiveJob, Deduplication, PermanentError, Queue, StaleAttempt
from support.claims import DONE, STOPPED, claim, end, failing, lease_runs_out, names, states
from support.queues import consuming, ended, job, record, state
from support.waiting import auntil

REFUSED = failing("Error", final="PermanentError")


async def running(queue: Queue, name: str = "p", **fields) -> ActiveJob:
    """A parent that has just started, played by hand."""
    await queue.enqueue([job(name, queue="parents", **fields)])
    (claimed,) = await claim(queue, queues=["parents"])
    return ActiveJob(claimed, queue, None)


async def child(parent: ActiveJob, key: str, **options) -> str:
    return await parent.enqueue("t", key=key, queue="q", **options)


async def finish(queue: Queue, parent: ActiveJob, ending=DONE) -> None:
    assert await queue.finish([(parent.id, parent.epoch, ending)]) == ["done"]


# -- a parent waits ---------------------------------------------------------------------------------------------------


async def test_a_parent_has_ended_when_its_last_child_has(queue):
    parent = await running(queue)
    assert await child(parent, "a") == "p/a"
    await child(parent, "b")
    await finish(queue, parent)
    first, second = await claim(queue)
    await end(queue, [first])
    found = await record(queue, "p")
    assert (found.state, found.children, found.children_succeeded) == ("waiting-children", 2, 1)
    await end(queue, [second])
    found = await record(queue, "p")
    assert (found.state, found.reason, found.children_succeeded) == ("completed", "Completed", 2)


async def test_children_that_end_before_their_parent_returns_do_not_end_it(queue):
    parent = await running(queue)
    await child(parent, "a")
    await end(queue, await claim(queue))
    assert await states(queue, "p", "p/a") == ["active", "completed"]
    await finish(queue, parent)
    assert await states(queue, "p") == ["completed"]


async def test_a_waiting_parent_needs_no_slot_and_keeps_its_result(queue):
    """With a single slot, a parent that held it would wait for ever."""

    async def fan_out(active: ActiveJob):
        if active.payload:
            return active.payload
        for n in range(5):
            await active.enqueue("t", {"n": n}, key=f"c{n}", queue="q")
        return {"children": 5}

    async with consuming(queue, fan_out, concurrency=1):
        await queue.enqueue([job("p")])
        found = await ended(queue, "p")
    assert (found.state, found.result, found.attempt) == ("completed", b'{"children":5}', 1)
    assert (await record(queue, "p/c3")).result == b'{"n":3}'


async def test_a_child_knows_where_it_comes_from(queue):
    parent = await running(queue)
    await child(parent, "a")
    found = await record(queue, "p/a")
    assert (found.parent, found.origin) == ("p", {"kind": "Child", "parent": "p"})


async def test_grandchildren_hold_up_the_whole_line(queue):
    grandparent = await running(queue)
    await grandparent.enqueue("t", key="c", queue="parents")
    await finish(queue, grandparent)
    (claimed,) = await claim(queue)
    parent = ActiveJob(claimed, queue, None)
    await child(parent, "g")
    await finish(queue, parent)
    assert await states(queue, "p", "p/c", "p/c/g") == ["waiting-children", "waiting-children", "waiting"]
    await end(queue, await claim(queue))
    assert await states(queue, "p", "p/c", "p/c/g") == ["completed"] * 3


async def test_a_detached_child_holds_up_nobody(queue):
    parent = await running(queue)
    await child(parent, "a", detached=True)
    await finish(queue, parent)
    found = await record(queue, "p")
    assert (found.state, found.children) == ("completed", 0)
    assert await names(queue) == ["p/a"]


async def test_a_delayed_or_suspended_child_is_waited_for(queue):
    parent = await running(queue)
    await child(parent, "late", delay_seconds=3600)
    await child(parent, "held")
    await queue.suspend(["p/held"])
    await finish(queue, parent)
    assert await queue.suspend(["p"]) == ["unchanged"]
    await queue.promote(["p/late"])
    await queue.resume(["p/held"])
    await end(queue, await claim(queue))
    assert await states(queue, "p") == ["completed"]


# -- a child fails ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("early", [True, False])
async def test_a_parent_fails_when_a_child_has_and_not_before_the_others_have_ended(queue, early):
    parent = await running(queue)
    await child(parent, "a")
    await child(parent, "b")
    bad, good = await claim(queue)
    if early:
        await end(queue, [bad], REFUSED)
        await finish(queue, parent)
    else:
        await finish(queue, parent)
        await end(queue, [bad], REFUSED)
    assert await states(queue, "p") == ["waiting-children"]
    await end(queue, [good])
    found = await record(queue, "p")
    assert (found.state, found.reason, found.children_failed) == ("failed", "ChildFailed", 1)


async def test_a_cancelled_child_has_failed_for_its_parent(queue):
    parent = await running(queue)
    await child(parent, "a")
    await finish(queue, parent)
    await queue.cancel(["p/a"])
    assert (await record(queue, "p")).reason == "ChildFailed"


async def test_a_child_that_is_retried_has_not_ended(queue):
    parent = await running(queue)
    await child(parent, "a")
    await finish(queue, parent)
    await end(queue, await claim(queue), failing("Error", after=0.01))
    assert await states(queue, "p") == ["waiting-children"]
    await end(queue, await auntil(lambda: claim(queue), 10))
    assert await states(queue, "p") == ["completed"]


async def test_a_failing_parent_does_not_wait_for_its_children(queue):
    parent = await running(queue)
    await child(parent, "a")
    await finish(queue, parent, REFUSED)
    assert await states(queue, "p", "p/a") == ["failed", "waiting"]
    await end(queue, await claim(queue))
    assert await states(queue, "p", "p/a") == ["failed", "completed"]


# -- the same key again -----------------------------------------------------------------------------------------------


async def test_the_same_key_is_the_same_child_within_and_over_attempts(queue):
    runs = Counter()

    async def fan_out(active: ActiveJob):
        runs[active.id] += 1
        if active.id == "p":
            for _ in range(2):
                await active.enqueue("t", key="c", queue="q")
            await auntil(lambda: state(queue, "p/c", "completed"), 10)
            if active.attempt == 1:
                raise ConnectionError("after the fan-out")

    async with consuming(queue, fan_out):
        await queue.enqueue([job("p")])
        found = await ended(queue, "p")
    assert (found.state, found.children, found.children_succeeded) == ("completed", 1, 1)
    assert runs == {"p": 2, "p/c": 1}


async def test_a_retried_parent_runs_again_only_what_failed(queue):
    runs, broken = Counter(), True

    async def fan_out(active: ActiveJob):
        runs[active.id] += 1
        if active.id == "p":
            for key in "ab":
                await active.enqueue("t", key=key, queue="q")
        if active.id == "p/b" and broken:
            raise PermanentError("not yet")

    async with consuming(queue, fan_out):
        await queue.enqueue([job("p")])
        assert (await ended(queue, "p")).reason == "ChildFailed"
        broken = False
        assert await queue.retry(["p"]) == ["retried"]
        found = await ended(queue, "p")
    assert (found.state, found.children, found.children_succeeded, found.children_failed) == ("completed", 2, 2, 0)
    assert runs == {"p": 2, "p/a": 1, "p/b": 2}


async def test_a_child_that_had_been_detached_is_waited_for_when_it_is_asked_for_again(queue):
    parent = await running(queue)
    await child(parent, "a", detached=True)
    await child(parent, "a")
    await finish(queue, parent)
    assert await states(queue, "p") == ["waiting-children"]
    await end(queue, await claim(queue))
    assert await states(queue, "p") == ["completed"]


async def test_a_child_that_another_job_makes_needless_has_succeeded(queue):
    await queue.enqueue([job("first", queue="later", deduplication=Deduplication("d"))])
    parent = await running(queue)
    await child(parent, "a", deduplication=Deduplication("d"))
    await finish(queue, parent)
    found = await record(queue, "p")
    assert (found.state, found.children_succeeded) == ("completed", 1)


async def test_a_child_that_gives_way_to_a_newer_job_has_succeeded(queue):
    parent = await running(queue)
    await child(parent, "a", deduplication=Deduplication("d", "Replace"))
    await finish(queue, parent)
    await queue.enqueue([job("newer", deduplication=Deduplication("d", "Replace"))])
    assert await states(queue, "p", "p/a") == ["completed", "completed"]


async def test_a_child_of_which_only_a_tombstone_is_left_counts(queue):
    parent = await running(queue)
    await child(parent, "a", keep_seconds=0)
    await end(queue, await claim(queue))
    await auntil(lambda: tombstone(queue, "p/a"), 10)
    await finish(queue, parent, failing("Error"))
    await queue.sweep()
    (claimed,) = await claim(queue, queues=["parents"])
    again = ActiveJob(claimed, queue, None)
    await child(again, "a")
    await finish(queue, again)
    found = await record(queue, "p")
    assert (found.state, found.children, found.children_succeeded) == ("completed", 1, 1)


async def tombstone(queue: Queue, name: str) -> bool:
    return (await record(queue, name)).tombstone


# -- cancel, lost leases, deadlines -----------------------------------------------------------------------------------


async def test_a_cancel_goes_down_to_the_children_and_the_parent_ends_with_the_last(queue):
    parent = await running(queue)
    for key in ("runs", "waits"):
        await child(parent, key, **({} if key == "runs" else {"delay_seconds": 3600}))
    await finish(queue, parent)
    started = await claim(queue)
    assert await queue.cancel(["p"]) == ["stopping"]
    assert await states(queue, "p", "p/runs", "p/waits") == ["waiting-children", "active", "cancelled"]
    await end(queue, started, STOPPED)
    found = await record(queue, "p")
    assert (found.state, found.reason) == ("cancelled", "Cancelled")
    assert await states(queue, "p/runs") == ["cancelled"]


async def test_a_cancel_of_a_running_parent_stops_its_children_too(queue):
    parent = await running(queue)
    await child(parent, "a")
    assert await queue.cancel(["p"]) == ["stopping"]
    assert await states(queue, "p/a") == ["cancelled"]
    await finish(queue, parent, STOPPED)
    assert await states(queue, "p") == ["cancelled"]


async def test_a_cancel_reaches_grandchildren_and_leaves_detached_ones_alone(queue):
    parent = await running(queue)
    await parent.enqueue("t", key="c", queue="parents")
    await child(parent, "free", detached=True)
    (claimed,) = await claim(queue, queues=["parents"])
    middle = ActiveJob(claimed, queue, None)
    await child(middle, "g")
    await finish(queue, middle)
    await finish(queue, parent)
    await queue.cancel(["p"])
    assert await states(queue, "p", "p/c", "p/c/g", "p/free") == ["cancelled"] * 3 + ["waiting"]


async def test_whoever_lost_the_lease_enqueues_no_more_children(queue):
    old = await running(queue)
    await child(old, "before")
    await lease_runs_out(queue, "p")
    (claimed,) = await claim(queue, queues=["parents"])
    with pytest.raises(StaleAttempt) as raised:
        await child(old, "after")
    assert (raised.value.job_id, raised.value.epoch) == ("p", old.epoch)
    assert await queue.inspect(["p/after"]) == [None]
    await child(ActiveJob(claimed, queue, None), "after")


async def test_a_parent_that_has_returned_gets_no_more_children(queue):
    parent = await running(queue)
    await child(parent, "a")
    await finish(queue, parent)
    with pytest.raises(StaleAttempt):
        await child(parent, "b")


async def test_the_children_of_a_lost_attempt_count_for_the_next(queue):
    await child(await running(queue), "a")
    await lease_runs_out(queue, "p")
    (claimed,) = await claim(queue, queues=["parents"])
    await end(queue, [claimed])
    assert await states(queue, "p") == ["waiting-children"]
    await end(queue, await claim(queue))
    assert await states(queue, "p") == ["completed"]


async def test_a_parent_past_its_deadline_does_not_wait_for_its_children(queue):
    parent = await running(queue, active_deadline_seconds=0.1)
    await child(parent, "a", delay_seconds=3600)
    await finish(queue, parent)
    assert await states(queue, "p") == ["waiting-children"]

    async def over():
        await queue.sweep()
        return await state(queue, "p", "failed")

    await auntil(over, 10, "the deadline")
    assert (await record(queue, "p")).reason == "DeadlineExceeded"


async def test_a_worker_that_sleeps_wakes_for_the_deadline_of_a_waiting_parent(queue):
    async def fan_out(active: ActiveJob):
        await active.enqueue("t", key="c", queue="q", delay_seconds=3600)

    async with consuming(queue, fan_out):
        await queue.enqueue([job("p", active_deadline_seconds=0.3)])
        assert (await ended(queue, "p", within=4)).reason == "DeadlineExceeded"


async def test_many_children_at_once_are_all_counted(queue):
    async def fan_out(active: ActiveJob):
        if active.id == "p":
            await asyncio.gather(*(active.enqueue("t", key=f"c{n}", queue="q") for n in range(300)))

    async with consuming(queue, fan_out):
        await queue.enqueue([job("p")])
        found = await ended(queue, "p")
    assert (found.state, found.children, found.children_succeeded) == ("completed", 300, 300)
