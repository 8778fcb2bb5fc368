"""A job that has to start by some time: it fails then, whatever kept it waiting, and nothing else happens to it once it
has started.
"""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from fluid_queue import ActiveJob, Indexes, Queue, QueueSettings, Settings
from support.claims import (
    DONE,
    RELEASED,
    STOPPED,
    claim,
    end,
    failing,
    lease_runs_out,
    names,
    running,
    states,
    work_off,
)
from support.queues import consuming, ended, job, record, state
from support.waiting import auntil

OVER = datetime(2020, 2, 29, 23, 59, 58, tzinfo=UTC)


def within(seconds: float) -> datetime:
    """So long from now, by a clock that agrees with Redis' own on this machine."""
    return datetime.now(UTC) + timedelta(seconds=seconds)


async def time_passes(queue: Queue, name: str) -> None:
    """As if the time by which the job has to start had come; the keys of docs/decisions/0001."""
    await queue._redis.hset(queue.keys.key(f"job:{name}"), "startBy", 1)
    await queue._redis.zadd(queue.keys.key("starting"), {name: 1}, xx=True)


async def outcome(queue: Queue, name: str) -> tuple[str, str]:
    found = await record(queue, name)
    return found.state, found.reason


MISSED = ("failed", "StartingDeadlineExceeded")


async def test_a_job_that_has_not_started_by_then_fails_and_says_by_when_it_had_to(queue):
    await queue.enqueue([job("a", start_by=OVER, acknowledged=True)])
    found = await record(queue, "a")
    assert (found.state, found.reason, found.attempt, found.started_at) == (*MISSED, 0, 0)
    assert found.error["type"] == "StartingDeadlineExceeded"
    assert found.error["message"].startswith("not started by 2020-02-29T23:59:58Z")
    assert await names(queue) == []
    assert [page async for page in queue.unacknowledged()] == [["a"]]


@pytest.mark.parametrize(
    ("moment", "text"),
    [
        (datetime(1971, 1, 1, tzinfo=UTC), "1971-01-01T00:00:00Z"),
        (datetime(2000, 2, 29, 12, 30, 1, tzinfo=UTC), "2000-02-29T12:30:01Z"),
        (datetime(2000, 12, 31, 23, 59, 59, 999_000, tzinfo=UTC), "2000-12-31T23:59:59Z"),
        (datetime(2023, 3, 1, tzinfo=UTC), "2023-03-01T00:00:00Z"),
        (datetime(2026, 4, 30, 6, tzinfo=UTC), "2026-04-30T06:00:00Z"),
    ],
)
async def test_the_message_names_the_time_as_the_calendar_has_it(queue, moment, text):
    await queue.enqueue([job("a", start_by=moment)])
    assert f"not started by {text}," in (await record(queue, "a")).error["message"]


async def test_the_record_tells_by_when_a_job_has_to_start_until_it_has(queue):
    moment = within(3600)
    await queue.enqueue([job("a", start_by=moment)])
    assert (await record(queue, "a")).start_by == int(moment.timestamp() * 1000)
    await claim(queue)
    assert (await record(queue, "a")).start_by == 0


async def test_a_job_that_starts_in_time_may_take_as_long_as_it_likes(queue):
    await queue.enqueue([job("a", start_by=within(0.1))])
    got = await claim(queue)
    await asyncio.sleep(0.12)
    await queue.sweep()
    assert await end(queue, got) == ["done"]
    assert await outcome(queue, "a") == ("completed", "Completed")


async def hold_by_pause(queue: Queue) -> None:
    await queue.pause("q")


async def hold_by_suspending_the_environment(queue: Queue) -> None:
    await queue.configure(Settings(suspend=True))


async def hold_by_a_limit(queue: Queue) -> None:
    await queue.limit("q", 3600)


async def hold_by_a_used_up_concurrency(queue: Queue) -> None:
    await queue.configure(Settings(queues={"q": QueueSettings(concurrency=1)}))
    await queue.enqueue([job("first")])
    await claim(queue)


async def hold_by_its_key(queue: Queue) -> None:
    await queue.enqueue([job("first", key="k")])
    await claim(queue)


@pytest.mark.parametrize(
    "hold",
    [
        hold_by_pause,
        hold_by_suspending_the_environment,
        hold_by_a_limit,
        hold_by_a_used_up_concurrency,
        hold_by_its_key,
    ],
)
async def test_it_fails_on_time_whatever_keeps_it_waiting(queue, hold):
    await hold(queue)
    await queue.enqueue([job("a", key="k", start_by=within(3600))])
    assert await names(queue) == []
    await time_passes(queue, "a")
    await queue.sweep()
    assert await outcome(queue, "a") == MISSED


async def test_a_time_to_start_before_the_delay_is_over_ends_the_wait(queue):
    await queue.enqueue([job("a", delay_seconds=3600, start_by=within(3600))])
    await time_passes(queue, "a")
    await queue.sweep()
    assert await outcome(queue, "a") == MISSED


async def test_a_worker_that_sleeps_wakes_for_it(queue):
    """The next tick would come seconds later."""
    await queue.pause("q")
    async with consuming(queue, lambda _: asyncio.sleep(0)) as consumer:
        await auntil(lambda: consumer.last_claim, 10, "the first claim")
        await asyncio.sleep(0.1)  # it sleeps by now, knowing of nothing that falls due
        await queue.enqueue([job("a", start_by=within(0.3))])
        found = await ended(queue, "a", within=4)
    assert (found.state, found.reason) == MISSED
    assert found.finished_at - found.created_at < 2000


async def test_a_claim_and_a_sweep_tell_when_it_will_be(queue):
    await queue.pause("q")
    await queue.enqueue([job("a", start_by=within(1.0))])
    assert 0 < (await queue.claim("w", ["other"], 5, 15)).wait_seconds <= 1
    assert 0 < await queue.sweep() <= 1


@pytest.mark.parametrize("how", ["retry", "released", "stalled"])
async def test_a_job_that_has_started_once_is_not_concerned_any_more(queue, how):
    await queue.enqueue([job("a", start_by=within(3600))])
    got = await claim(queue)
    if how == "stalled":
        await lease_runs_out(queue, "a")
    else:
        await end(queue, got, failing("E") if how == "retry" else RELEASED)
    assert not await is_watched(queue, "a")
    assert await work_off(queue) == ["a"]
    assert await outcome(queue, "a") == ("completed", "Completed")


async def is_watched(queue: Queue, name: str) -> bool:
    """Whether some claim is going to ask if it has started."""
    return await queue._redis.zscore(queue.keys.key("starting"), name) is not None


async def test_a_suspended_job_is_held_on_purpose_and_fails_only_when_it_is_resumed(queue):
    await queue.enqueue([job("a", start_by=within(3600)), job("b", start_by=within(3600))])
    await queue.suspend(["a", "b"])
    await time_passes(queue, "a")
    await queue.sweep()
    assert await states(queue, "a", "b") == ["suspended", "suspended"]
    assert await queue.resume(["a", "b"]) == ["finished failed", "resumed"]
    assert await outcome(queue, "a") == MISSED
    await time_passes(queue, "b")
    await queue.sweep()
    assert await outcome(queue, "b") == MISSED


@pytest.mark.parametrize("indexes", [None, Indexes(1)])
async def test_a_job_that_ran_and_was_suspended_may_be_resumed_at_any_time(queue, indexes):
    await queue.enqueue([job("a", start_by=within(3600), hash="1", indexes=indexes)])
    got = await claim(queue)
    await queue.suspend(["a"])
    await end(queue, got, STOPPED)
    assert await other_words(queue, indexes=indexes, suspended=True) == "replaced"
    assert await queue.resume(["a"]) == ["resumed"]
    assert await work_off(queue) == [each.id for each in got]


@pytest.mark.parametrize("indexes", [None, Indexes(1)])
async def test_other_words_about_a_job_that_is_run_again_do_not_end_it(queue, indexes):
    await queue.enqueue([job("a", start_by=OVER, hash="1", indexes=indexes)])
    await queue.retry(["a"])
    assert await other_words(queue, indexes=indexes) == "replaced"
    assert len(await work_off(queue)) == 1


async def other_words(queue: Queue, **fields) -> str:
    """The same run, about which something else is said now; by when it had to start is repeated."""
    again = job("a", start_by=OVER, hash="1", replace=True, origin={"kind": "Api", "generation": 2}, **fields)
    (answer,) = await queue.enqueue([again])
    return answer.code


async def test_a_replaced_job_has_the_time_of_the_one_that_took_its_place(queue):
    await queue.enqueue([job("a", hash="1", start_by=within(3600)), job("b", hash="1", start_by=within(3600))])
    await queue.enqueue([job("a", hash="2", replace=True), job("b", hash="2", replace=True, start_by=OVER)])
    assert (await record(queue, "a")).start_by == 0
    assert await outcome(queue, "b") == MISSED
    assert await names(queue) == ["a"]


async def test_whoever_runs_a_failed_job_again_does_not_want_it_to_fail_at_once(queue):
    await queue.enqueue([job("a", start_by=OVER)])
    assert await queue.retry(["a"]) == ["retried"]
    await queue.sweep()
    assert await work_off(queue) == ["a"]


async def test_an_index_job_has_started_with_its_first_index(queue):
    await queue.enqueue(
        [job(name, indexes=Indexes(3, 1), start_by=within(3600), queue=name) for name in ("late", "timely")]
    )
    got = await claim(queue, queues=["timely"])
    await time_passes(queue, "late")
    assert not await is_watched(queue, "timely")
    await queue.sweep()
    assert await outcome(queue, "late") == MISSED
    assert await names(queue, queues=["late"]) == []
    await end(queue, got)
    await work_off(queue)
    assert await outcome(queue, "timely") == ("completed", "Completed")


async def test_a_child_that_missed_its_start_fails_its_parent(queue):
    parent = await running(queue)
    await parent.enqueue("t", key="x", queue="q", start_by=within(3600))
    await queue.finish([(parent.id, parent.epoch, DONE)])
    await time_passes(queue, "p/x")
    await queue.sweep()
    assert await outcome(queue, "p") == ("failed", "ChildFailed")


async def test_many_that_fall_due_at_once_all_fail_and_none_of_them_runs(queue):
    ran = []

    async def note(active: ActiveJob) -> None:
        ran.append(active.id)

    await queue.enqueue([job(f"j{n}", start_by=within(3600)) for n in range(700)] + [job("last")])
    for n in range(700):
        await time_passes(queue, f"j{n}")
    async with consuming(queue, note):
        await auntil(lambda: state(queue, "last", "completed"), 20, "the only one that may run")
        (found,) = (await queue.stats()).queues
    assert ran == ["last"]
    assert (found.failed, found.waiting) == (700, 0)
