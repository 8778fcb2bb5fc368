"""Looking at a key space: jobs by state, counts that a recount confirms, ages, durations, settings and the ledger."""

import asyncio
import random
from collections import Counter
from typing import get_args

import pytest

from fluid_queue import (
    ActiveJob,
    CircuitBreaker,
    CreationLimit,
    Fairness,
    InvalidJob,
    Queue,
    QueueSettings,
    RateLimit,
    Settings,
)
from fluid_queue.records import ENDED, State
from support.claims import DONE, RELEASED, STOPPED, claim, end, failing, names, states
from support.queues import consuming, ended, job
from support.waiting import auntil

REFUSED = failing("Error", final="PermanentError")

# -- listing ----------------------------------------------------------------------------------------------------------


async def listed(queue: Queue, state: State, **options) -> list[str]:
    return [found.id for found in (await queue.list_jobs("q", state, **options)).records]


async def test_jobs_are_listed_by_state_in_the_order_that_matters(queue):
    await queue.enqueue([job("runs", key="k"), job("done"), job("bad")])
    runs, done, bad = await claim(queue)
    await end(queue, [done])
    await end(queue, [bad], REFUSED)
    await queue.enqueue([job("w1"), job("w2", priority=3), job("b1", key="k"), job("b2", key="k", priority=3)])
    await queue.enqueue([job("later", delay_seconds=900), job("soon", delay_seconds=90), job("off"), job("held")])
    await queue.cancel(["off"])
    await queue.suspend(["held"])
    want = {
        "waiting": ["w2", "w1"],
        "blocked": ["b2", "b1"],
        "delayed": ["soon", "later"],
        "active": [runs.id],
        "completed": ["done"],
        "failed": ["bad"],
        "cancelled": ["off"],
        "suspended": ["held"],
        "waiting-children": [],
    }
    assert {state: await listed(queue, state) for state in get_args(State)} == want


async def test_a_page_is_part_of_the_whole_and_says_how_long_that_is(queue):
    await queue.enqueue([job(f"j{n:03}") for n in range(250)])
    pages = [await queue.list_jobs("q", "waiting", offset=offset, limit=100) for offset in (0, 100, 200, 300)]
    assert [(page.total, len(page.records)) for page in pages] == [(250, 100), (250, 100), (250, 50), (250, 0)]
    assert [found.id for page in pages for found in page.records] == [f"j{n:03}" for n in range(250)]


async def test_ended_jobs_are_listed_while_their_records_are_kept(queue):
    await queue.enqueue([job("short", keep_seconds=0.05), job("long")])
    await end(queue, await claim(queue))
    await auntil(lambda: only(queue, "long"), 10, "the record to expire")


async def only(queue: Queue, name: str) -> bool:
    return await listed(queue, "completed") == [name]


async def test_a_queue_that_nobody_knows_is_empty(queue):
    page = await queue.list_jobs("nowhere", "failed")
    assert (page.total, page.records) == (0, [])


@pytest.mark.parametrize(
    ("options", "field"), [({"limit": 0}, "limit"), ({"limit": 1001}, "limit"), ({"offset": -1}, "offset")]
)
async def test_a_page_has_bounds(queue, options, field):
    with pytest.raises(InvalidJob, match=field):
        await queue.list_jobs("q", "waiting", **options)


# -- counts -----------------------------------------------------------------------------------------------------------


async def some_step(queue: Queue, dice: random.Random, number: int) -> None:
    """One thing that may happen to a few jobs."""
    some = [f"j{dice.randrange(number * 3 + 1)}" for _ in range(3)]
    choice = dice.randrange(10)
    if choice < 3:
        fields = {"key": dice.choice(["", "", "k"]), "delay_seconds": dice.choice([0, 0, 3600])}
        kinds = [{"queue": dice.choice("xy"), "type": dice.choice("tu")} | fields for _ in range(3)]
        await queue.enqueue([job(f"j{number * 3 + n}", **kind) for n, kind in enumerate(kinds)])
    elif choice < 6:
        endings = [DONE, RELEASED, STOPPED, REFUSED, failing("Error"), failing("Error", after=3600)]
        got = await claim(queue, dice.randrange(1, 5))
        await end(queue, got[: dice.randrange(5)], dice.choice(endings))
    elif choice == 6:
        await queue.cancel(some)
    elif choice == 7:
        await queue.suspend(some)
    elif choice == 8:
        await queue.resume(some)
        await queue.promote(some)
    elif dice.random() < 0.1:
        assert all([step async for step in queue.drain("x", states=["waiting", "delayed"])])
    await queue.reprioritize(some, dice.randrange(-5, 5))


@pytest.mark.parametrize("seed", range(5))
async def test_the_counts_are_what_a_recount_says_whatever_has_happened(queue, seed):
    dice = random.Random(seed)
    for number in range(120):
        await some_step(queue, dice, number)
    counted = {
        (found.queue, kind, state): getattr(numbers, state.replace("-", "_"))
        for found in (await queue.stats()).queues
        for kind, numbers in found.types.items()
        for state in get_args(State)
    }
    recount: Counter[tuple[str, str, str]] = Counter()
    for name in "xy":
        for state in get_args(State):
            page = await queue.list_jobs(name, state, limit=1000)
            assert page.total == len(page.records)
            recount.update((name, found.type, state) for found in page.records)
    assert {key: value for key, value in counted.items() if value} == recount
    for found in (await queue.stats()).queues:
        for state in get_args(State):
            attribute = state.replace("-", "_")
            assert getattr(found, attribute) == sum(getattr(numbers, attribute) for numbers in found.types.values())


async def test_a_job_that_was_run_again_has_ended_twice(queue):
    await queue.enqueue([job("a")])
    await end(queue, await claim(queue), REFUSED)
    await queue.retry(["a"])
    await end(queue, await claim(queue))
    (found,) = (await queue.stats()).queues
    assert (found.failed, found.completed, found.waiting, found.active) == (1, 1, 0, 0)


# -- ages and durations -----------------------------------------------------------------------------------------------


async def oldest(queue: Queue) -> float:
    (found,) = (await queue.stats()).queues
    return found.oldest_seconds


async def test_the_age_of_a_queue_is_that_of_the_job_that_waits_longest(queue):
    await queue.enqueue([job("old", priority=-5)])
    await asyncio.sleep(0.1)
    await queue.enqueue([job("new", priority=5)])
    assert 0.1 <= await oldest(queue) < 5
    assert await names(queue, 1) == ["new"]
    assert await oldest(queue) >= 0.1
    await claim(queue)
    assert await oldest(queue) == 0


async def test_a_delayed_job_grows_old_only_from_when_it_is_due(queue):
    await queue.enqueue([job("a", delay_seconds=0.2)])
    await asyncio.sleep(0.1)
    assert await oldest(queue) == 0

    async def due():
        await queue.sweep()
        return await states(queue, "a") == ["waiting"]

    await auntil(due, 10)
    (found,) = await queue.inspect(["a"])
    assert found.ready_at >= found.created_at + 200
    assert await oldest(queue) < 0.2 + (found.ready_at - found.created_at - 200) / 1000


async def test_every_start_and_every_end_of_an_attempt_is_in_the_histograms(queue):
    await queue.enqueue([job("a"), job("b"), job("other", type="u")])
    await end(queue, await claim(queue, 2), failing("Error"))
    await queue.sweep()
    await end(queue, await claim(queue))
    found = await queue.durations("q")
    assert {kind: (each.wait.count, each.run.count) for kind, each in found.items()} == {"t": (4, 4), "u": (1, 1)}


async def test_durations_are_told_within_a_factor_of_two(queue):
    await queue.enqueue([job("a")])
    await asyncio.sleep(0.05)
    got = await claim(queue)
    await asyncio.sleep(0.1)
    await end(queue, got)
    (record,) = await queue.inspect(["a"])
    found = (await queue.durations("q"))["t"]
    for each, truth in (
        (found.wait, record.claimed_at - record.ready_at),
        (found.run, record.finished_at - record.claimed_at),
    ):
        assert each.sum_seconds == truth / 1000
        assert truth <= each.quantile(0.5) * 1000 < 2 * truth


# -- settings ---------------------------------------------------------------------------------------------------------

WHOLE = Settings(
    suspend=True,
    queues={
        "q": QueueSettings(
            paused=True,
            concurrency=5,
            concurrency_per_key=2,
            rate_limit=RateLimit(10, 0.5),
            creation_limit=CreationLimit(600),
            circuit_breaker=CircuitBreaker(20),
            fairness=Fairness("user"),
        ),
        "plain": QueueSettings(),
    },
    outbound={"mode": "Redirect", "allow": ["a@example.com"]},
)


async def test_settings_are_read_as_they_were_written_and_their_version_grows_with_each_change(queue):
    assert await queue.settings() == (0, Settings())
    assert [await queue.configure(WHOLE), await queue.configure(WHOLE)] == [1, 1]
    assert await queue.settings() == (1, WHOLE)
    assert await queue.configure(Settings()) == 2
    assert await queue.settings() == (2, Settings())


async def test_a_consumer_hears_of_settings_at_its_claims(queue):
    heard: list[Settings] = []
    async with consuming(queue, lambda _: asyncio.sleep(0), settings_changed=heard.append):
        await auntil(lambda: heard == [Settings()], 10, "the first claim")
        await queue.configure(WHOLE)
        await auntil(lambda: heard == [Settings(), WHOLE], 4, "the change, before the first tick")


async def test_no_job_starts_under_settings_that_its_worker_has_not_been_told(queue):
    told: list[Settings] = []
    seen: list[Settings] = []

    async def handler(_: ActiveJob):
        seen.append(told[-1])

    await queue.configure(Settings(outbound={"mode": "Suppress"}))
    await queue.enqueue([job("a")])
    async with consuming(queue, handler, settings_changed=told.append):
        await ended(queue, "a")
        await queue.configure(Settings(outbound={"mode": "Live"}))
        await queue.enqueue([job("b")])
        await ended(queue, "b")
    assert [each.outbound["mode"] for each in seen] == ["Suppress", "Live"]


async def test_a_busy_consumer_hears_of_settings_at_its_renewals(queue):
    heard: list[Settings] = []
    async with consuming(
        queue, lambda _: asyncio.sleep(60), concurrency=1, lease_seconds=0.6, settings_changed=heard.append
    ) as consumer:
        await queue.enqueue([job("a")])
        await auntil(lambda: consumer.running == 1, 10)
        await queue.configure(WHOLE)
        await auntil(lambda: heard[-1] == WHOLE, 10, "the next renewal")
        assert consumer.running == 1


# -- side effects -----------------------------------------------------------------------------------------------------


async def test_a_side_effect_is_begun_once_and_known_when_it_is_done(queue):
    assert await queue.once("mail", "a", "begin") == "begun"
    assert await queue.once("mail", "b", "begin") == "sending"
    assert await queue.once("mail", "a", "begin") == "again"
    assert await queue.once("mail", "a", "sent") == "sent"
    assert [await queue.once("mail", owner, "begin") for owner in "ab"] == ["sent", "sent"]


async def test_a_side_effect_that_certainly_did_not_happen_may_be_begun_by_anybody(queue):
    await queue.once("mail", "a", "begin")
    assert await queue.once("mail", "b", "release") == "lost"
    assert await queue.once("mail", "a", "release") == "released"
    assert await queue.once("mail", "b", "begin") == "begun"
    assert await queue.once("mail", "a", "sent") == "lost"


async def test_a_side_effect_is_remembered_for_a_time(queue):
    await queue.once("mail", "a", "begin", keep_seconds=0.05)
    await asyncio.sleep(0.06)
    assert await queue.once("mail", "b", "begin") == "begun"


async def test_every_end_is_one_of_the_states_that_end(queue):
    async with consuming(queue, lambda _: asyncio.sleep(0)):
        await queue.enqueue([job("a")])
        assert (await ended(queue, "a")).state in ENDED


async def test_the_age_of_the_oldest_waiting_job_is_told_by_type(queue):
    await queue.enqueue([job("a", type="slow"), *(job(f"b{n}", type="quick", priority=n) for n in range(3))])
    await queue._redis.hset(queue.keys.key("job:a"), "readyAt", 1)
    (stats,) = (await queue.stats()).queues
    assert stats.types["slow"].oldest_seconds == stats.oldest_seconds > 1000
    assert 0 <= stats.types["quick"].oldest_seconds < 60
    await end(queue, await claim(queue, 10))
    (stats,) = (await queue.stats()).queues
    assert (stats.oldest_seconds, stats.types["slow"].oldest_seconds) == (0, 0)
