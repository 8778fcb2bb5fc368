"""Children and their parents when somebody cancels, a lease is lost or time is over."""

import pytest

from fluid_queue import ActiveJob, StaleAttempt
from support.claims import STOPPED, child, claim, end, finish, lease_runs_out, running, states
from support.queues import consuming, ended, job, record, state
from support.waiting import auntil


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
