"""Limits: how many jobs of a queue or key run, start or arrive, over all workers and clients."""

import asyncio
from itertools import pairwise

import pytest

from fluid_queue import CreationLimit, InvalidJob, Queue, QueueSettings, RateLimit, RateLimited, Settings
from support.claims import DONE, claim, end, failing, names, states, work_off
from support.queues import all_completed, consuming, ended, job, record, state
from support.waiting import auntil


async def configure(queue: Queue, **fields) -> None:
    await queue.configure(Settings(queues={"q": QueueSettings(**fields)}))


# -- running at once ------------------------------------------------------------------------------------------------


async def test_a_queue_runs_no_more_jobs_than_its_concurrency_over_all_workers(queue):
    await configure(queue, concurrency=3)
    await queue.enqueue([job(f"j{n}") for n in range(9)])
    first = await claim(queue, 2, worker="one")
    second = await claim(queue, 10, worker="two")
    assert (len(first), len(second)) == (2, 1)
    assert await claim(queue, worker="one") == []
    await end(queue, first)
    assert len(await claim(queue, worker="three")) == 2


async def test_a_full_queue_stands_in_no_other_queues_way(queue):
    await configure(queue, concurrency=1)
    await queue.enqueue([job(f"j{n}", priority=9) for n in range(5)])
    await queue.enqueue([job(f"free{n}", queue="other") for n in range(5)])
    assert sorted(await names(queue)) == ["free0", "free1", "free2", "free3", "free4", "j0"]


async def test_workers_that_sleep_are_told_of_a_place_that_became_free(queue):
    """Otherwise each job would wait for the next tick, 5 s later."""
    await configure(queue, concurrency=1)
    running = most = 0

    async def short(_):
        nonlocal running, most
        running += 1
        most = max(most, running)
        await asyncio.sleep(0.001)
        running -= 1

    async with consuming(queue, short, worker="one"), consuming(queue, short, worker="two"):
        await queue.enqueue([job(f"j{n}") for n in range(40)])
        await auntil(lambda: all_completed(queue, 40), 20, "40 jobs, one at a time")
    assert most == 1


async def test_a_concurrency_that_was_lowered_is_kept_by_the_next_claims(queue):
    await queue.enqueue([job(f"j{n}") for n in range(10)])
    running = await claim(queue, 4)
    await configure(queue, concurrency=2)
    await end(queue, running[:2])
    assert await claim(queue) == []
    await end(queue, running[2:3])
    assert len(await claim(queue)) == 1


# -- concurrency keys -------------------------------------------------------------------------------------------------


async def test_one_job_of_a_key_runs_at_a_time_and_the_others_follow_in_order(queue):
    await queue.enqueue([job(f"j{n}", key="feed/1") for n in range(4)])
    order = []
    for _ in range(4):
        (got,) = await claim(queue)
        order.append(got.id)
        await end(queue, [got])
    assert order == ["j0", "j1", "j2", "j3"]


async def test_a_job_that_waits_for_its_key_says_so_and_lets_others_pass(queue):
    await queue.enqueue([job("a", key="k"), job("b", key="k", priority=5), job("c", key="k"), job("d")])
    assert await names(queue) == ["b", "d"]
    found = await record(queue, "c")
    assert (found.state, found.blocked_by) == ("blocked", "key:k")


async def test_a_key_may_be_held_by_as_many_jobs_as_the_settings_say(queue):
    await configure(queue, concurrency_per_key=3)
    await queue.enqueue([job(f"j{n}", key="k") for n in range(7)])
    got = await claim(queue)
    assert [each.id for each in got] == ["j0", "j1", "j2"]
    await end(queue, got[1:])
    assert await names(queue) == ["j3", "j4"]


async def test_more_jobs_of_a_key_may_run_as_soon_as_the_settings_allow_it(queue):
    await queue.enqueue([job(f"j{n}", key="k") for n in range(5)])
    (first,) = await claim(queue)
    await configure(queue, concurrency_per_key=3)
    await end(queue, [first])
    assert await names(queue) == ["j1", "j2", "j3"]


async def test_the_same_key_in_another_queue_is_another_key(queue):
    await queue.enqueue([job("a", key="k"), job("b", key="k", queue="other")])
    assert sorted(await names(queue)) == ["a", "b"]


@pytest.mark.parametrize("ending", [DONE, failing("Error", after=60), failing("Error", final="PermanentError")])
async def test_a_key_is_free_again_however_its_job_ended(queue, ending):
    await queue.enqueue([job("a", key="k"), job("b", key="k")])
    await end(queue, await claim(queue), ending)
    assert await names(queue) == ["b"]


async def test_a_key_is_free_again_when_its_holder_vanished(queue):
    await queue.enqueue([job("a", key="k"), job("b", key="k")])
    await queue.claim("dead", ["*"], 1, 0.05)
    got = await auntil(lambda: claim(queue), 10, "the lease to run out")
    assert [each.id for each in got] == ["a"]
    await end(queue, got)
    assert await names(queue) == ["b"]


async def test_a_blocked_job_that_goes_leaves_its_key_to_the_next(queue):
    await queue.enqueue([job(name, key="k") for name in "abc"])
    got = await claim(queue)
    await queue.cancel(["b"])
    await end(queue, got)
    assert await names(queue) == ["c"]


# -- starts per time --------------------------------------------------------------------------------------------------


async def test_two_clients_together_keep_to_one_rate_limit(queue, redis_server):
    """In no window of the limit's length more starts than it says, by the clock of Redis."""
    most, window = 10, 300
    await configure(queue, rate_limit=RateLimit(most, per_seconds=window / 1000))
    ids = [f"j{n}" for n in range(35)]
    await queue.enqueue([job(name) for name in ids])
    async with Queue.from_url(redis_server.url, queue.keys.name) as other:

        async def worked_off():
            for client in (queue, other):
                await end(client, await claim(client, 7))
            return await all_completed(queue, len(ids))

        await auntil(worked_off, 20, "all jobs", pause=0.005)
    starts = sorted(found.claimed_at for found in await queue.inspect(ids))
    assert all(later - first >= window for first, later in zip(starts, starts[most:], strict=False))
    assert starts[-1] - starts[0] < 20 * window


async def test_a_burst_need_not_wait_and_the_claim_says_when_to_come_back(queue):
    await configure(queue, rate_limit=RateLimit(5, per_seconds=20))
    await queue.enqueue([job(f"j{n}") for n in range(6)])
    assert len(await claim(queue)) == 5
    again = await queue.claim("w", ["q"], 10, 30)
    assert again.jobs == []
    assert 0 < again.wait_seconds <= 5  # the longest sleep
    assert await states(queue, "j5") == ["waiting"]


async def test_a_queue_that_has_used_up_its_rate_says_so(queue):
    await configure(queue, rate_limit=RateLimit(2, per_seconds=60))
    await queue.enqueue([job(f"j{n}") for n in range(3)])
    got = await claim(queue)
    (found,) = (await queue.stats()).queues
    first = min(record.claimed_at for record in await queue.inspect([each.id for each in got]))
    assert (found.held_by, found.held_until) == ("RateLimited", first + 60_000)


async def test_a_worker_that_sleeps_at_the_rate_limit_wakes_when_it_is_over(queue):
    await configure(queue, rate_limit=RateLimit(1, per_seconds=0.2))
    async with consuming(queue, lambda _: asyncio.sleep(0)):
        await queue.enqueue([job(f"j{n}") for n in range(5)])
        await auntil(lambda: all_completed(queue, 5), 4, "5 jobs, before the first tick")


async def test_a_retry_is_a_start_too(queue):
    await configure(queue, rate_limit=RateLimit(2, per_seconds=30))
    await queue.enqueue([job("a")])
    for _ in range(2):
        await end(queue, await claim(queue), failing("Error"))
    await queue.sweep()
    assert await claim(queue) == []


# -- new jobs per time ------------------------------------------------------------------------------------------------


async def test_jobs_beyond_the_creation_limit_are_not_taken_and_told_when_to_come_again(queue):
    await configure(queue, creation_limit=CreationLimit(3, per_seconds=0.6))
    answers = await queue.enqueue([job(f"j{n}") for n in range(4)] + [job("free", queue="other")])
    assert [answer.code for answer in answers] == ["created", "created", "created", "limited", "created"]
    assert 0 < answers[3].wait_seconds <= 0.2
    assert await queue.inspect(["j3"]) == [None]

    async def taken():
        return (await queue.enqueue([job("j3")]))[0].code == "created"

    await auntil(taken, 10, "room for one more")


async def test_a_job_that_is_there_already_needs_no_room(queue):
    await configure(queue, creation_limit=CreationLimit(1, per_seconds=3600))
    await queue.enqueue([job("a", hash="1")])
    answers = await queue.enqueue([job("a", hash="1"), job("a", hash="2", replace=True), job("b")])
    assert [answer.code for answer in answers] == ["exists", "replaced", "limited"]


async def test_a_limited_job_leaves_nothing_behind(queue):
    await configure(queue, creation_limit=CreationLimit(1, per_seconds=3600))
    await queue.enqueue([job("a")])
    before = sorted(await queue._redis.keys(f"{queue.keys.prefix}*"))
    await queue.enqueue([job("b", key="k", acknowledged=True)])
    assert sorted(await queue._redis.keys(f"{queue.keys.prefix}*")) == before


# -- a pause that somebody asked for ----------------------------------------------------------------------------------


async def test_nothing_of_a_limited_queue_starts_until_the_limit_is_lifted(queue):
    await queue.enqueue([job("a"), job("b", queue="other")])
    until = await queue.limit("q", 60)
    assert await names(queue) == ["b"]
    (found,) = [each for each in (await queue.stats()).queues if each.queue == "q"]
    assert (found.held_by, found.held_until) == ("RateLimited", until)
    assert await queue.limit("q", 0) == 0
    assert await names(queue) == ["a"]


async def test_only_one_key_of_a_queue_may_be_limited(queue):
    await queue.enqueue([job("a", key="k"), job("b", key="other"), job("c")])
    await queue.limit("q", 60, key="k")
    assert sorted(await names(queue)) == ["b", "c"]
    assert (await record(queue, "a")).blocked_by == "key:k"
    await queue.limit("q", 0, key="k")
    assert await names(queue) == ["a"]


async def test_the_later_of_two_limits_stands(queue):
    late = await queue.limit("q", 60)
    assert await queue.limit("q", 1) == late


async def test_a_limit_ends_by_itself_and_wakes_who_sleeps(queue):
    async with consuming(queue, lambda _: asyncio.sleep(0)):
        await queue.limit("q", 0.3)
        await queue.limit("q", 0.3, key="k")
        await queue.enqueue([job("a"), job("b", key="k")])
        await auntil(lambda: all_completed(queue, 2), 4, "both jobs, before the first tick")
    first, second = await queue.inspect(["a", "b"])
    assert min(first.claimed_at - first.created_at, second.claimed_at - second.created_at) > 100


async def test_a_limit_that_is_lifted_wakes_who_sleeps(queue):
    async with consuming(queue, lambda _: asyncio.sleep(0)) as consumer:
        await queue.limit("q", 3600)
        await queue.limit("q", 3600, key="k")
        await queue.enqueue([job("a"), job("b", key="k")])
        await auntil(lambda: consumer.last_claim, 10)
        await queue.limit("q", 0)
        await ended(queue, "a", within=4)
        await queue.limit("q", 0, key="k")
        await ended(queue, "b", within=4)


async def test_a_limit_needs_a_duration(queue):
    with pytest.raises(InvalidJob, match="seconds"):
        await queue.limit("q", -1)


# -- RateLimited from a handler ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(("scope", "held", "free"), [("queue", ["b", "c"], ["d"]), ("key", ["b"], ["c", "d"])])
async def test_a_handler_that_is_rate_limited_holds_its_scope_back(queue, scope, held, free):
    started = []

    async def refused(active):
        started.append(active.id)
        if active.id == "a":
            raise RateLimited(after=60, scope=scope)

    async with consuming(queue, refused):
        await queue.enqueue([job("a", key="k", backoff_limit=0)])
        await auntil(lambda: state(queue, "a", "delayed"), 10, "the provider's answer")
        await queue.enqueue([job("b", key="k"), job("c"), job("d", queue="other")])
        for name in free:
            await ended(queue, name)
    assert await states(queue, *held) == (["waiting"] * 2 if scope == "queue" else ["blocked"])
    assert sorted(started) == ["a", *free]
    assert (await record(queue, "a")).failures == 0


async def test_a_rate_limited_job_goes_on_by_itself(queue):
    async def refused(active):
        if active.attempt == 1:
            raise RateLimited(after=0.2, scope="queue")

    async with consuming(queue, refused):
        await queue.enqueue([job("a"), job("b")])
        await auntil(lambda: all_completed(queue, 2), 4, "both jobs, before the first tick")
    for found in await queue.inspect(["a", "b"]):
        assert found.failures == 0


async def test_a_key_limit_over_many_jobs_lets_them_out_one_by_one(queue):
    await queue.limit("q", 0.1, key="k")
    await queue.enqueue([job(f"j{n:02}", key="k") for n in range(20)])
    started = await auntil(lambda: work_off(queue), 10, "the end of the limit")
    assert started == [f"j{n:02}" for n in range(20)]
    records = await queue.inspect(started)
    assert all(first.finished_at <= second.claimed_at for first, second in pairwise(records))
