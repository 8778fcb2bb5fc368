"""Holding back and hurrying: pause, suspend, promote, reprioritize, retry and drain, for jobs in every state."""

import asyncio

import pytest

from fluid_queue import Ending, InvalidJob, Queue, QueueSettings, Settings
from support.claims import DONE, RELEASED, STOPPED, claim, end, failing, lease_runs_out, names, states
from support.queues import all_completed, consuming, ended, job, record, state
from support.waiting import auntil

# -- queues -----------------------------------------------------------------------------------------------------------


async def test_nothing_of_a_paused_queue_starts_and_what_runs_goes_on(queue):
    await queue.enqueue([job("a"), job("b"), job("c", queue="other")])
    (running,) = await claim(queue, 1, queues=["q"])
    assert await queue.pause("q") is True
    assert await names(queue) == ["c"]
    assert await end(queue, [running]) == ["done"]
    assert await queue.unpause("q") is True
    assert await names(queue) == ["b"]


async def test_a_second_pause_changes_nothing_and_says_so(queue):
    assert [await queue.pause("q"), await queue.pause("q")] == [True, False]
    assert await queue.paused() == ["q"]
    assert [await queue.unpause("q"), await queue.unpause("q")] == [True, False]
    assert await queue.paused() == []


async def test_a_pause_that_somebody_asked_for_and_one_of_the_settings_do_not_undo_each_other(queue):
    paused = Settings(queues={"q": QueueSettings(paused=True)})
    await queue.enqueue([job("a")])
    await queue.configure(paused)
    await queue.pause("q")
    await queue.configure(Settings())
    assert await names(queue) == []
    await queue.configure(paused)
    await queue.unpause("q")
    assert await names(queue) == []
    (found,) = (await queue.stats()).queues
    assert found.held_by == "QueuePaused"
    await queue.configure(Settings())
    assert await names(queue) == ["a"]


async def test_a_suspended_environment_starts_nothing_at_all(queue):
    await queue.enqueue([job("a"), job("b", queue="other"), job("late", delay_seconds=0.01)])
    running = await claim(queue, 1)
    await queue.configure(Settings(suspend=True))
    await asyncio.sleep(0.02)
    assert await names(queue) == []
    assert await end(queue, running) == ["done"]
    await queue.configure(Settings())
    assert len(await claim(queue)) == 2


@pytest.mark.parametrize("how", ["unpause", "configure"])
async def test_workers_that_sleep_are_woken_when_they_may_start_again(queue, how):
    """Otherwise they would sleep until the next tick, 5 s later."""
    await (queue.pause("q") if how == "unpause" else queue.configure(Settings(suspend=True)))
    async with consuming(queue, lambda _: asyncio.sleep(0)) as consumer:
        await queue.enqueue([job("a")])
        await auntil(lambda: consumer.last_claim, 10, "the first claim")
        await asyncio.sleep(0.1)
        assert await states(queue, "a") == ["waiting"]
        await (queue.unpause("q") if how == "unpause" else queue.configure(Settings()))
        await ended(queue, "a", within=4)


# -- suspend and resume -----------------------------------------------------------------------------------------------


async def test_a_suspended_job_waits_until_it_is_resumed_and_keeps_its_place(queue):
    await queue.enqueue([job(name) for name in "abc"])
    assert await queue.suspend(["a", "nobody"]) == ["suspended", "gone"]
    assert await names(queue, 1) == ["b"]
    assert await queue.resume(["a", "c", "nobody"]) == ["resumed", "unchanged", "gone"]
    assert await names(queue) == ["a", "c"]


async def test_a_delayed_job_that_was_suspended_keeps_its_time(queue):
    await queue.enqueue([job("late", delay_seconds=3600), job("soon", delay_seconds=0.05)])
    due = (await record(queue, "late")).due_at
    await queue.suspend(["late", "soon"])
    await asyncio.sleep(0.06)
    assert await names(queue) == []
    await queue.resume(["late", "soon"])
    assert await states(queue, "late", "soon") == ["delayed", "waiting"]
    assert (await record(queue, "late")).due_at == due


async def test_a_blocked_job_can_be_suspended_and_meets_its_key_again(queue):
    await queue.enqueue([job(name, key="k") for name in "abc"])
    (running,) = await claim(queue)
    await queue.suspend(["b"])
    await queue.resume(["b"])
    assert await states(queue, "b", "c") == ["blocked", "blocked"]
    await queue.suspend(["b"])
    await end(queue, [running])
    assert await names(queue) == ["c"]


async def test_a_running_job_is_stopped_and_starts_over_later_as_if_it_never_had(queue):
    reasons = []

    async def slow(active):
        if reasons:
            return
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            reasons.append(active.stop_reason)
            raise

    async with consuming(queue, slow):
        await queue.enqueue([job("a", active_deadline_seconds=900)])
        await auntil(lambda: state(queue, "a", "active"), 10, "the start")
        assert await queue.suspend(["a"]) == ["stopping"]
        await auntil(lambda: state(queue, "a", "suspended"), 10, "the worker to let go")
        found = await record(queue, "a")
        assert (found.attempt, found.failures, found.started_at, found.stopping) == (0, 0, 0, False)
        await queue.resume(["a"])
        found = await ended(queue, "a")
    assert (found.state, found.attempt, len(reasons)) == ("completed", 1, 1)


async def test_a_suspended_job_holds_neither_key_nor_lease(queue):
    await queue.enqueue([job("a", key="k"), job("b", key="k")])
    running = await claim(queue)
    await queue.suspend(["a"])
    await end(queue, running, STOPPED)
    assert await states(queue, "a") == ["suspended"]
    assert await names(queue) == ["b"]


async def test_a_resume_before_the_worker_has_stopped_brings_the_job_back_by_itself(queue):
    await queue.enqueue([job("a")])
    running = await claim(queue)
    await queue.suspend(["a"])
    assert await queue.resume(["a"]) == ["resumed"]
    await end(queue, running, STOPPED)
    (again,) = await claim(queue)
    assert (again.id, again.attempt, again.failures) == ("a", 1, 0)


@pytest.mark.parametrize(
    ("ending", "want"),
    [
        (DONE, ("completed", 0)),
        (RELEASED, ("suspended", 0)),
        (failing("Error"), ("suspended", 1)),
        (failing("Error", final="PermanentError"), ("failed", 0)),
        (Ending("postponed", "RateLimited", 1), ("suspended", 0)),
    ],
)
async def test_whatever_an_attempt_says_that_was_asked_to_stop_it_does_not_start_again(queue, ending, want):
    await queue.enqueue([job("a")])
    running = await claim(queue)
    await queue.suspend(["a"])
    await end(queue, running, ending)
    found = await record(queue, "a")
    assert (found.state, found.failures) == want


async def test_a_job_whose_worker_died_while_it_was_to_stop_is_suspended(queue):
    await queue.enqueue([job("a")])
    await claim(queue)
    await queue.suspend(["a"])
    await lease_runs_out(queue, "a")
    assert await names(queue) == []
    assert await states(queue, "a") == ["suspended"]


async def test_work_that_was_done_after_all_is_not_done_again_by_a_resume(queue):
    await queue.enqueue([job("a")])
    running = await claim(queue)
    await queue.suspend(["a"])
    await lease_runs_out(queue, "a")
    await queue.sweep()
    assert await end(queue, running) == ["done"]
    assert await states(queue, "a") == ["completed"]


async def test_a_cancel_overrides_a_suspend_and_not_the_other_way_round(queue):
    await queue.enqueue([job("a"), job("b"), job("c")])
    running = await claim(queue, 2)
    await queue.suspend(["a", "c"])
    assert await queue.cancel(["a", "b", "c"]) == ["stopping", "stopping", "cancelled"]
    assert await queue.suspend(["a", "b", "c"]) == ["stopping", "stopping", "finished cancelled"]
    await end(queue, running, STOPPED)
    assert await states(queue, "a", "b", "c") == ["cancelled"] * 3


# -- promote ----------------------------------------------------------------------------------------------------------


async def test_a_promoted_job_need_not_wait_any_longer(queue):
    await queue.enqueue([job("late", delay_seconds=3600), job("again"), job("now")])
    await end(queue, await claim(queue, 1), failing("Error", after=3600))
    assert await queue.promote(["late", "again", "now", "nobody"]) == ["promoted", "promoted", "unchanged", "gone"]
    assert sorted(await names(queue)) == ["again", "late", "now"]


async def test_a_promoted_job_wakes_a_worker(queue):
    async with consuming(queue, lambda _: asyncio.sleep(0)):
        await queue.enqueue([job("a", delay_seconds=3600)])
        await auntil(lambda: state(queue, "a", "delayed"), 10)
        await queue.promote(["a"])
        await ended(queue, "a", within=4)


# -- reprioritize -----------------------------------------------------------------------------------------------------


async def every_state(queue: Queue) -> list[str]:
    """One job in each state, named after it, and one more that waits."""
    await queue.enqueue([job("active", key="k"), job("completed"), job("failed")])
    _, *two = await claim(queue)
    await end(queue, two[:1])
    await end(queue, two[1:], failing("Error", final="PermanentError"))
    await queue.enqueue(
        [job("blocked", key="k"), job("delayed", delay_seconds=3600), job("suspended"), job("cancelled")]
    )
    await queue.suspend(["suspended"])
    await queue.cancel(["cancelled"])
    await queue.enqueue([job("waiting"), job("first")])
    found = ["waiting", "blocked", "delayed", "suspended", "active", "completed", "failed", "cancelled"]
    assert await states(queue, *found) == found
    return found


async def test_a_job_in_any_state_that_is_no_end_takes_another_priority(queue):
    ids = await every_state(queue)
    codes = await queue.reprioritize([*ids, "nobody"], 7)
    assert codes == ["reprioritized"] * 5 + ["finished completed", "finished failed", "finished cancelled", "gone"]
    assert [found.priority for found in await queue.inspect(ids)] == [7] * 5 + [0] * 3
    assert await states(queue, *ids) == ids
    await queue.promote(["delayed"])
    await queue.resume(["suspended"])
    assert await names(queue) == ["suspended", "waiting", "delayed", "first"]


async def test_the_new_priority_is_that_of_the_place(queue):
    await queue.enqueue([job(name) for name in "abcd"])
    await queue.reprioritize(["c"], 5)
    await queue.reprioritize(["a"], -5)
    assert await names(queue) == ["c", "b", "d", "a"]


async def test_a_blocked_job_is_called_by_its_new_priority(queue):
    await queue.enqueue([job(name, key="k") for name in "abc"])
    running = await claim(queue)
    await queue.reprioritize(["c"], 5)
    await end(queue, running)
    assert await names(queue) == ["c"]


async def test_a_priority_has_bounds(queue):
    with pytest.raises(InvalidJob, match="priority"):
        await queue.reprioritize(["a"], 1001)


# -- retry ------------------------------------------------------------------------------------------------------------


async def test_a_failed_job_runs_again_with_all_its_retries(queue):
    async def fail(_):
        raise ValueError("always")

    async with consuming(queue, fail):
        await queue.enqueue([job("a", backoff_limit=1)])
        assert (await ended(queue, "a")).attempt == 2
    assert await queue.retry(["a"]) == ["retried"]
    found = await record(queue, "a")
    assert (found.state, found.failures, found.reason, found.error, found.finished_at) == ("waiting", 0, "", None, 0)
    async with consuming(queue, fail):
        assert (await ended(queue, "a")).attempt == 4


async def test_only_what_failed_or_was_cancelled_can_be_run_again(queue):
    ids = await every_state(queue)
    codes = await queue.retry([*ids, "nobody"])
    assert codes == ["unchanged"] * 6 + ["retried"] * 2 + ["gone"]


async def test_a_retried_job_has_neither_tombstone_nor_expiry(queue):
    await queue.enqueue([job("a", acknowledged=True)])
    await end(queue, await claim(queue), failing("Error", final="PermanentError"))
    await queue.acknowledge(["a"])
    await queue.retry(["a"])
    assert await queue._redis.pttl(queue.keys.key("job:a")) == -1
    assert not await queue._redis.hexists(queue.keys.key("tombstones"), "a")
    (answer,) = await queue.enqueue([job("a")])
    assert (answer.code, answer.state) == ("exists", "waiting")
    assert [page async for page in queue.unacknowledged()] == [["a"]]


async def test_a_retried_job_has_its_whole_time_again(queue):
    await queue.enqueue([job("a", active_deadline_seconds=0.1)])
    await end(queue, await claim(queue), failing("Error", final="BackoffLimitExceeded"))
    await asyncio.sleep(0.12)
    await queue.retry(["a"])
    (got,) = await claim(queue)
    assert got.started_at == got.deadline_at - 100


# -- drain ------------------------------------------------------------------------------------------------------------


async def test_a_drain_takes_what_has_not_started_in_bounded_steps(queue):
    await queue.enqueue([job(f"j{n}") for n in range(450)])
    await queue.enqueue([job("run", priority=9, key="k"), job("blocked", key="k"), job("late", delay_seconds=60)])
    await queue.enqueue([job("other", queue="other")])
    running = await claim(queue, 1, queues=["q"])
    await queue.enqueue([job("blocked2", key="k", priority=10)])
    steps = [step async for step in queue.drain("q")]
    assert (sum(steps), max(steps) <= 200) == (452, True)
    assert await states(queue, "run", "late", "other", "j0") == ["active", "delayed", "waiting", "cancelled"]
    assert (await record(queue, "blocked")).reason == "Drained"
    assert await end(queue, running) == ["done"]


async def test_a_drain_of_delayed_and_suspended_jobs_is_asked_for(queue):
    await queue.enqueue([job("late", delay_seconds=60), job("held"), job("a")])
    await queue.suspend(["held"])
    assert [step async for step in queue.drain("q", states=["delayed", "suspended"])] == [2]
    assert await states(queue, "late", "held", "a") == ["cancelled", "cancelled", "waiting"]
    assert [step async for step in queue.drain("nothing")] == []


async def test_running_jobs_cannot_be_drained(queue):
    with pytest.raises(InvalidJob, match="states"):
        await anext(queue.drain("q", states=["active"]))


async def test_a_drain_that_is_left_in_the_middle_has_taken_whole_steps(queue):
    await queue.enqueue([job(f"j{n}") for n in range(300)])
    steps = queue.drain("q")
    assert await anext(steps) == 200
    await steps.aclose()
    async with consuming(queue, lambda _: asyncio.sleep(0)):
        await auntil(lambda: all_completed(queue, 100), 20, "the rest")
