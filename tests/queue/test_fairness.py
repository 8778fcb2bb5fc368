"""Fair claims: tenants take turns, a better priority goes first but starves no queue, nobody stands in the way."""

from collections import Counter

import pytest

from fluid_queue import Fairness, NewJob, Queue, QueueSettings, Settings
from support.claims import claim, end, names, states, work_off
from support.queues import QUICK, all_completed, consuming, job
from support.waiting import auntil


async def by_user(queue: Queue) -> None:
    await queue.configure(Settings(queues={"q": QueueSettings(fairness=Fairness("user"))}))


def jobs(user: str, n: int, **fields) -> list[NewJob]:
    return [job(f"{user}{number}", tags={"user": user}, **fields) for number in range(n)]


# -- turns ------------------------------------------------------------------------------------------------------------


async def test_tenants_take_turns_whatever_the_order_of_arrival(queue):
    await by_user(queue)
    await queue.enqueue(jobs("a", 5) + jobs("b", 3) + jobs("c", 1))
    assert await names(queue) == ["a0", "b0", "c0", "a1", "b1", "a2", "b2", "a3", "a4"]


async def test_without_fairness_the_order_is_that_of_arrival(queue):
    await queue.enqueue(jobs("a", 3) + jobs("b", 2))
    assert await names(queue) == ["a0", "a1", "a2", "b0", "b1"]


async def test_turns_are_taken_among_equal_priorities_only(queue):
    await by_user(queue)
    await queue.enqueue(jobs("a", 3) + jobs("urgent", 2, priority=5) + jobs("b", 2))
    assert await names(queue) == ["urgent0", "urgent1", "a0", "b0", "a1", "b1", "a2"]


async def test_turns_are_taken_over_claims_of_one_job_too(queue):
    await by_user(queue)
    await queue.enqueue(jobs("a", 6) + jobs("b", 3))
    order = [(await names(queue, 1))[0] for _ in range(9)]
    assert order == ["a0", "b0", "a1", "b1", "a2", "b2", "a3", "a4", "a5"]


async def test_a_tenant_that_was_away_has_saved_up_no_turns(queue):
    await by_user(queue)
    await queue.enqueue(jobs("a", 60))
    for _ in range(20):
        await end(queue, await claim(queue, 2))
    await queue.enqueue(jobs("b", 10))
    users = Counter(name[0] for name in await names(queue, 10))
    assert users == {"a": 5, "b": 5}


async def test_a_tenant_that_comes_late_waits_for_no_backlog(queue):
    await by_user(queue)
    await queue.enqueue(jobs("a", 100))
    for round_ in range(5):
        await end(queue, await claim(queue, 3))
        await queue.enqueue([job(f"late{round_}", tags={"user": f"u{round_}"})])
        assert f"late{round_}" in await names(queue, 2)


async def test_jobs_without_the_tag_are_one_tenant(queue):
    await by_user(queue)
    await queue.enqueue([job(f"x{n}", tags={"other": str(n)}) for n in range(4)] + jobs("a", 2))
    order = await names(queue)
    assert sorted(order[:2]) == ["a0", "x0"]
    assert sorted(order[2:4]) == ["a1", "x1"]
    assert order[4:] == ["x2", "x3"]


async def test_fairness_may_begin_while_jobs_wait(queue):
    await queue.enqueue(jobs("a", 50))
    await by_user(queue)
    await queue.enqueue(jobs("b", 5))
    users = Counter(name[0] for name in await names(queue, 10))
    assert users == {"a": 5, "b": 5}


async def test_fairness_may_end_while_jobs_wait_and_nothing_is_lost(queue):
    await by_user(queue)
    await queue.enqueue(jobs("a", 20) + jobs("b", 5))
    await queue.configure(Settings())
    await queue.enqueue(jobs("c", 5))
    assert len(await work_off(queue)) == 30


async def test_jobs_take_their_turns_when_they_fall_due(queue):
    """Not when they came: else a tenant that enqueues for tomorrow would use up today's turns."""
    await by_user(queue)
    await queue.enqueue(jobs("a", 40, delay_seconds=0.01))

    async def promoted():
        await queue.sweep()
        return await states(queue, "a39") == ["waiting"]

    await auntil(promoted, 10)
    await queue.enqueue(jobs("b", 2))
    assert set(await names(queue, 4)) >= {"b0", "b1"}


async def test_one_job_behind_a_hundred_thousand_of_another_tenant_is_next(own_redis, key_prefix):
    async with Queue.from_url(own_redis.url, key_prefix) as queue:
        await queue.open()
        await by_user(queue)
        for start in range(0, 100_000, 5000):
            await queue.enqueue(
                [
                    NewJob(id=f"a{n}", type="t", queue="q", backoff=QUICK, tags={"user": "a"})
                    for n in range(start, start + 5000)
                ]
            )
        await end(queue, await claim(queue, 100))
        await queue.enqueue(jobs("b", 1))
        assert "b0" in await names(queue, 2)


# -- queues -----------------------------------------------------------------------------------------------------------


async def test_claims_of_one_job_at_a_time_serve_every_queue(queue):
    for name in ("x", "y", "z"):
        await queue.enqueue([job(f"{name}{n}", queue=name) for n in range(100)])
    served = {got.queue for _ in range(90) for got in await claim(queue, 1)}
    assert served == {"x", "y", "z"}


async def test_the_better_priority_goes_first_over_all_queues(queue):
    await queue.enqueue(
        [job("low", queue="x"), job("high", queue="y", priority=3), job("middle", queue="z", priority=2)]
    )
    assert await names(queue) == ["high", "middle", "low"]


async def test_a_queue_is_not_starved_by_another_of_better_priority(queue):
    """One start per second is all it gets while the other has work."""
    await queue.enqueue([job(f"slow{n}", queue="slow") for n in range(50)])
    served: Counter[str] = Counter()

    async def one_more():
        await queue.enqueue([job(f"urgent{served.total()}", queue="urgent", priority=9)])
        (got,) = await claim(queue, 1)
        await end(queue, [got])
        served[got.queue] += 1
        return served["slow"] >= 2

    await auntil(one_more, 20, "two starts of the slow queue", pause=0.01)
    assert served["urgent"] > 20


# -- nobody in the way ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("shut", ["key", "limit"])
async def test_a_job_that_may_not_start_keeps_nobody_behind_it_waiting(queue, shut):
    if shut == "limit":
        await queue.limit("q", 3600, key="k")
    await queue.enqueue([job(f"k{n}", key="k", priority=9) for n in range(20)] + [job("free")])
    assert "free" in await names(queue, 2)


async def test_jobs_behind_ten_thousand_of_one_key_start_before_its_second(queue):
    await queue.enqueue([job(f"k{n}", key="k") for n in range(10_000)] + [job(f"free{n}") for n in range(5)])
    found: list[str] = []

    async def look():
        got = await queue.claim("w", ["*"], 10, 60)
        found.extend(each.id for each in got.jobs)
        return got.wait_seconds  # 0: there is more to look at

    await auntil(look, 20, "a claim that has seen everything", pause=0)
    assert found == ["k0", *(f"free{n}" for n in range(5))]
    (stats,) = (await queue.stats()).queues
    assert (stats.blocked, stats.waiting) == (9_999, 0)


async def test_a_worker_gets_through_a_backlog_of_one_key_and_the_rest_beside_it(queue):
    running: Counter[str] = Counter()
    most = 0

    async def note(active):
        nonlocal most
        running[active.claimed.key] += 1
        most = max(most, running["k"])
        await auntil(lambda: True)
        running[active.claimed.key] -= 1

    async with consuming(queue, note, concurrency=20):
        await queue.enqueue([job(f"k{n}", key="k") for n in range(300)] + [job(f"free{n}") for n in range(300)])
        await auntil(lambda: all_completed(queue, 600), 30, "all of them")
    assert most == 1
