"""Children: a parent has ended when they have, in every order of events and over all its attempts."""

import asyncio
from collections import Counter

import pytest

from fluid_queue import ActiveJob, Deduplication, PermanentError, Queue
from support.claims import child, claim, end, failing, finish, names, running, states
from support.queues import consuming, ended, job, record, state
from support.waiting import auntil

REFUSED = failing("Error", final="PermanentError")


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


async def test_many_children_at_once_are_all_counted(queue):
    async def fan_out(active: ActiveJob):
        if active.id == "p":
            await asyncio.gather(*(active.enqueue("t", key=f"c{n}", queue="q") for n in range(300)))

    async with consuming(queue, fan_out):
        await queue.enqueue([job("p")])
        found = await ended(queue, "p")
    assert (found.state, found.children, found.children_succeeded) == ("completed", 300, 300)


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


async def test_a_failed_child_that_somebody_runs_again_is_waited_for_again(queue):
    parent = await running(queue)
    await child(parent, "a")
    await child(parent, "b")
    await finish(queue, parent)
    bad, good = await claim(queue)
    await end(queue, [bad], REFUSED)
    await queue.retry([bad.id])
    await end(queue, [good])
    assert await states(queue, "p") == ["waiting-children"]
    await end(queue, await claim(queue))
    found = await record(queue, "p")
    assert (found.state, found.children_succeeded, found.children_failed) == ("completed", 2, 0)


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


async def test_children_of_one_concurrency_key_run_one_after_the_other(queue):
    parent = await running(queue)
    await child(parent, "a", concurrency_key="k")
    await child(parent, "b", concurrency_key="k")
    assert await names(queue) == ["p/a"]
    assert await states(queue, "p/b") == ["blocked"]
