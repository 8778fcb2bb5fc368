"""The Lua commands one by one, on a real Redis: what each promises in its header."""

import asyncio
import secrets
from datetime import UTC, datetime, timedelta

import pytest

from fluid_queue import WITHDRAWN, Ending, InvalidJob, LeaderFenced, NewJob, Queue, QueueFull, Settings
from support.waiting import auntil


def job(name: str, **fields) -> NewJob:
    return NewJob(**{"id": name, "type": "email", "queue": "mail"} | fields)


async def claim(queue: Queue, n: int = 10, *, queues=("*",), worker: str = "w", lease: float = 15):
    return (await queue.claim(worker, queues, n, lease)).jobs


async def record(queue: Queue, name: str):
    (found,) = await queue.inspect([name])
    return found


# -- enqueue and claim ------------------------------------------------------------------------------------------------


async def test_a_job_comes_out_as_it_went_in(queue):
    await queue.enqueue([job("a", payload={"to": "ä"}, tags={"user": "u1"}, origin={"kind": "Api", "name": "n"})])
    (got,) = await claim(queue)
    assert (got.id, got.type, got.queue, got.attempt) == ("a", "email", "mail", 1)
    assert (got.payload, got.tags, got.origin["name"]) == ({"to": "ä"}, {"user": "u1"}, "n")


async def test_enqueue_is_idempotent_by_id_in_every_state(queue):
    assert [answer.code for answer in await queue.enqueue([job("a"), job("a")])] == ["created", "exists"]
    (got,) = await claim(queue)
    (answer,) = await queue.enqueue([job("a")])
    assert (answer.code, answer.state) == ("exists", "active")
    await queue.finish([("a", got.epoch, Ending("completed", "Completed"))])
    (answer,) = await queue.enqueue([job("a")])
    assert (answer.code, answer.outcome.state, answer.outcome.attempt) == ("finished", "completed", 1)
    assert await claim(queue) == []


async def test_higher_priority_goes_first_then_order_of_arrival(queue):
    await queue.enqueue([job("a"), job("b", priority=5), job("c"), job("d", priority=-1000), job("e", priority=1000)])
    assert [got.id for got in await claim(queue)] == ["e", "b", "a", "c", "d"]


async def test_queues_of_equal_priority_share_a_claim(queue):
    await queue.enqueue([job(f"a{n}", queue="a") for n in range(10)] + [job(f"b{n}", queue="b") for n in range(10)])
    got = await claim(queue, 4)
    assert sorted(found.queue for found in got) == ["a", "a", "b", "b"]


async def test_a_worker_of_one_queue_leaves_the_others_alone(queue):
    await queue.enqueue([job("a", queue="a"), job("b", queue="b"), job("c", queue="c")])
    assert sorted(got.id for got in await claim(queue, queues=["a", "c"])) == ["a", "c"]


async def test_a_job_that_never_started_is_replaced_when_its_hash_differs(queue):
    await queue.enqueue([job("a", hash="1", payload={"v": 1})])
    answers = await queue.enqueue(
        [job("a", hash="1", replace=True), job("a", hash="2", payload={"v": 2}, replace=True)]
    )
    assert [answer.code for answer in answers] == ["exists", "replaced"]
    (got,) = await claim(queue)
    assert got.payload == {"v": 2}
    (answer,) = await queue.enqueue([job("a", hash="3", replace=True)])
    assert (answer.code, answer.state) == ("exists", "active")


async def test_a_replaced_job_may_move_to_another_queue_and_time(queue):
    await queue.enqueue([job("a", hash="1")])
    await queue.enqueue([job("a", hash="2", queue="other", delay_seconds=60, replace=True)])
    assert await claim(queue) == []
    stats = {found.queue: (found.waiting, found.delayed) for found in (await queue.stats()).queues}
    assert stats == {"mail": (0, 0), "other": (0, 1)}


async def test_a_job_that_starts_later_is_delayed_and_then_claimed(queue):
    await queue.enqueue([job("a", delay_seconds=0.2), job("b", start_after=datetime.now(UTC) + timedelta(hours=1))])
    first = await queue.claim("w", ["*"], 10, 15)
    assert first.jobs == []
    assert 0 < first.wait_seconds <= 0.2
    assert (await record(queue, "a")).state == "delayed"
    got = await auntil(lambda: claim(queue), 5, "the delayed job")
    assert [found.id for found in got] == ["a"]


async def test_a_claim_with_nothing_to_do_says_how_long_to_sleep(queue):
    assert (await queue.claim("w", ["*"], 10, 15)).wait_seconds == 5


async def test_the_number_of_a_lost_job_goes_on(queue):
    await queue.enqueue([job("a", seed_attempt=3, seed_failures=2)])
    (got,) = await claim(queue)
    assert (got.attempt, got.failures) == (4, 2)


# -- leases and epochs ------------------------------------------------------------------------------------------------


async def test_an_expired_lease_gives_the_job_to_the_next_worker_with_a_larger_epoch(queue):
    await queue.enqueue([job("a")])
    (first,) = await claim(queue, worker="one", lease=0.05)
    (second,) = await auntil(lambda: claim(queue, worker="two"), 5, "the stalled job")
    assert second.epoch > first.epoch
    assert second.attempt == 2
    found = await record(queue, "a")
    assert (found.stalls, found.worker, found.attempts[0].outcome) == (1, "two", "Stalled")


async def test_an_old_epoch_can_neither_finish_nor_renew_nor_tell(queue):
    await queue.enqueue([job("a")])
    (old,) = await claim(queue, worker="one", lease=0.05)
    (new,) = await auntil(lambda: claim(queue, worker="two"), 5, "the stalled job")
    assert await queue.finish([("a", old.epoch, Ending("completed", "Completed"))]) == ["stale"]
    assert await queue.progress("a", old.epoch, 50) == "stale"
    assert await queue.log("a", old.epoch, ["no"]) == "stale"
    assert (await record(queue, "a")).state == "active"
    assert await queue.finish([("a", new.epoch, Ending("completed", "Completed"))]) == ["done"]


async def test_an_epoch_is_never_below_the_clock_even_for_a_new_record(queue):
    """A Redis that lost its last second must not give out an epoch twice."""
    before = datetime.now(UTC).timestamp() * 1_000_000
    await queue.enqueue([job("a")])
    (got,) = await claim(queue)
    assert got.epoch >= before


async def test_the_same_ending_twice_is_done_once(queue):
    await queue.enqueue([job("a"), job("b")])
    one, two = await claim(queue)
    endings = [("a", one.epoch, Ending("completed", "Completed")), ("b", two.epoch, Ending("retry", "Failed", 60))]
    assert await queue.finish(endings) == ["done", "done"]
    assert await queue.finish(endings) == ["again", "again"]
    assert (await record(queue, "b")).failures == 1
    assert await queue.finish([("nobody", 1, Ending("completed"))]) == ["gone"]


async def test_the_third_stall_fails_the_job(queue):
    await queue.enqueue([job("poison")])
    for stall in range(3):
        got = await auntil(lambda: claim(queue, lease=0.02), 5, f"claim {stall}")
        assert got[0].attempt == stall + 1
    await asyncio.sleep(0.03)
    assert await claim(queue) == []
    found = await record(queue, "poison")
    assert (found.state, found.reason, found.error["type"]) == ("failed", "Stalled", "Stalled")


async def test_a_stalled_job_keeps_its_place(queue):
    await queue.enqueue([job("a"), job("b"), job("c")])
    await claim(queue, 1, lease=0.02)
    await asyncio.sleep(0.03)
    assert [got.id for got in await claim(queue)] == ["a", "b", "c"]


# -- endings ----------------------------------------------------------------------------------------------------------


async def test_a_retry_waits_and_counts_and_is_remembered(queue):
    await queue.enqueue([job("a")])
    (got,) = await claim(queue)
    await queue.finish(
        [("a", got.epoch, Ending("retry", "Failed", 0.05, error=b'{"type":"ValueError","message":"no"}'))]
    )
    found = await record(queue, "a")
    assert (found.state, found.failures, found.due_at > 0) == ("delayed", 1, True)
    assert found.attempts[0].error == {"type": "ValueError", "message": "no"}
    (again,) = await auntil(lambda: claim(queue), 5, "the retry")
    assert (again.attempt, again.failures) == (2, 1)


async def test_only_the_last_five_attempts_are_kept(queue):
    await queue.enqueue([job("a")])
    for _ in range(7):
        (got,) = await auntil(lambda: claim(queue), 5, "the retry")
        await queue.finish([("a", got.epoch, Ending("retry", "Failed"))])
    assert [attempt.attempt for attempt in (await record(queue, "a")).attempts] == [3, 4, 5, 6, 7]


async def test_a_postponed_job_waits_and_does_not_count(queue):
    await queue.enqueue([job("a")])
    (got,) = await claim(queue)
    await queue.finish([("a", got.epoch, Ending("postponed", "RateLimited", 60))])
    found = await record(queue, "a")
    assert (found.state, found.failures) == ("delayed", 0)


async def test_a_released_job_goes_back_as_if_it_had_not_started(queue):
    await queue.enqueue([job("a"), job("b")])
    (got,) = await claim(queue, 1)
    await queue.finish([("a", got.epoch, Ending("released", "Released"))])
    again = await claim(queue)
    assert [(found.id, found.attempt) for found in again] == [("a", 1), ("b", 1)]
    assert again[0].epoch > got.epoch


async def test_a_job_past_its_active_deadline_is_not_started_again(queue):
    await queue.enqueue([job("a", active_deadline_seconds=0.05)])
    (got,) = await claim(queue)
    await queue.finish([("a", got.epoch, Ending("retry", "Failed", 0.06))])
    await auntil(lambda: _ended(queue, "a"), 5, "the deadline")
    assert (await record(queue, "a")).reason == "DeadlineExceeded"


async def _ended(queue, name):
    assert await claim(queue) == []
    return (await record(queue, name)).ended


async def test_the_deadline_of_an_attempt_is_the_earlier_of_both(queue):
    await queue.enqueue(
        [job("a", attempt_deadline_seconds=10, active_deadline_seconds=5), job("b", attempt_deadline_seconds=0)]
    )
    both, none = await claim(queue)
    assert both.deadline_at - both.started_at == 5000
    assert none.deadline_at == 0


async def test_result_and_error_are_read_back(queue):
    await queue.enqueue([job("a"), job("b")])
    one, two = await claim(queue)
    await queue.finish(
        [
            ("a", one.epoch, Ending("completed", "Completed", result=b'{"n":1}')),
            ("b", two.epoch, Ending("failed", "PermanentError", error=b'{"type":"X","message":"m","attempt":1}')),
        ]
    )
    done, broken = await queue.inspect(["a", "b"])
    assert (done.result, done.state) == (b'{"n":1}', "completed")
    assert (broken.error["type"], broken.reason, broken.state) == ("X", "PermanentError", "failed")


# -- cancel -----------------------------------------------------------------------------------------------------------


async def test_a_waiting_job_is_cancelled_at_once_and_a_delayed_one_too(queue):
    await queue.enqueue([job("a"), job("b", delay_seconds=60)])
    assert await queue.cancel(["a", "b", "c"]) == ["cancelled", "cancelled", "gone"]
    assert await claim(queue) == []
    assert await queue.cancel(["a"]) == ["finished cancelled"]
    assert (await record(queue, "a")).reason == "Cancelled"


async def test_a_running_job_is_cancelled_only_when_its_worker_confirms(queue):
    await queue.enqueue([job("a")])
    (got,) = await claim(queue)
    assert await queue.cancel(["a"]) == ["stopping"]
    found = await record(queue, "a")
    assert (found.state, found.stopping) == ("active", True)
    await queue.finish([("a", got.epoch, Ending("stopped", "Cancelled"))])
    assert (await record(queue, "a")).state == "cancelled"


async def test_a_stopped_job_that_succeeds_all_the_same_has_succeeded(queue):
    await queue.enqueue([job("a")])
    (got,) = await claim(queue)
    await queue.cancel(["a"])
    await queue.finish([("a", got.epoch, Ending("completed", "Completed"))])
    assert (await record(queue, "a")).state == "completed"


async def test_a_cancelled_job_whose_worker_died_ends_when_the_lease_does(queue):
    await queue.enqueue([job("a"), job("b")])
    await claim(queue, lease=0.05)
    await queue.cancel(["a"])
    await asyncio.sleep(0.06)
    assert await queue.cancel(["b"]) == ["cancelled"]
    await queue.sweep()
    assert (await record(queue, "a")).state == "cancelled"


async def test_a_retry_is_not_granted_to_a_job_that_was_cancelled(queue):
    await queue.enqueue([job("a")])
    (got,) = await claim(queue)
    await queue.cancel(["a"])
    await queue.finish([("a", got.epoch, Ending("retry", "Failed", 1))])
    assert (await record(queue, "a")).state == "cancelled"


# -- records, tombstones, acknowledgement -----------------------------------------------------------------------------


async def test_an_unacknowledged_outcome_does_not_expire(queue):
    await queue.enqueue([job("a", acknowledged=True, keep_seconds=0.05), job("b", keep_seconds=0.05)])
    for got in await claim(queue):
        await queue.finish([(got.id, got.epoch, Ending("completed", "Completed"))])
    await auntil(lambda: _tombstone(queue, "b"), 5, "the record of b to expire")
    assert not (await record(queue, "a")).tombstone
    assert [page async for page in queue.unacknowledged()] == [["a"]]
    assert await queue.acknowledge(["a", "nobody"]) == ["done", "gone"]
    await auntil(lambda: _tombstone(queue, "a"), 5, "the record of a to expire")
    assert [page async for page in queue.unacknowledged()] == []


async def _tombstone(queue, name):
    return (await record(queue, name)).tombstone


async def test_a_tombstone_answers_for_a_job_whose_record_has_gone(queue):
    await queue.enqueue([job("a", keep_seconds=0)])
    (got,) = await claim(queue)
    await queue.finish([("a", got.epoch, Ending("failed", "PermanentError"))])
    found = await auntil(lambda: record(queue, "a"), 5)
    assert (found.tombstone, found.state, found.reason, found.attempt) == (True, "failed", "PermanentError", 1)
    (answer,) = await queue.enqueue([job("a")])
    assert (answer.code, answer.outcome.reason) == ("finished", "PermanentError")
    assert await claim(queue) == []


async def test_an_unfinished_job_cannot_be_acknowledged(queue):
    await queue.enqueue([job("a", acknowledged=True)])
    assert await queue.acknowledge(["a"]) == ["unfinished"]
    assert [page async for page in queue.unacknowledged()] == [["a"]]


async def test_progress_and_log_are_kept(queue):
    await queue.enqueue([job("a")])
    (got,) = await claim(queue)
    assert await queue.progress("a", got.epoch, 42, "half") == "done"
    assert await queue.log("a", got.epoch, [f"line {n}" for n in range(1100)]) == "done"
    assert (await record(queue, "a")).progress == {"percent": 42, "message": "half"}
    lines = await queue.log_lines("a")
    assert (len(lines), lines[-1]) == (1000, "line 1099")


async def test_stats_count_by_queue_and_state(queue):
    await queue.enqueue([job("a"), job("b"), job("c", delay_seconds=60), job("d", queue="other")])
    (got,) = await claim(queue, 1, queues=["mail"])
    await queue.finish([(got.id, got.epoch, Ending("failed", "PermanentError"))])
    stats = await queue.stats()
    mail, other = stats.queues
    assert (mail.queue, mail.waiting, mail.active, mail.delayed, mail.failed) == ("mail", 1, 0, 1, 1)
    assert (other.queue, other.waiting) == ("other", 1)
    assert stats.workers == 1


async def test_types_are_replaced_by_the_next_worker_of_the_image(queue):
    await queue.register("w1", {}, {"email": {"schema": {}}, "old": {"schema": {}}}, "app:1")
    await queue.register("w2", {}, {"email": {"schema": {"type": "object"}}}, "app:1")
    assert await queue.types("app:1") == {"email": {"schema": {"type": "object"}}}
    assert await queue.types("app:2") == {}


# -- leaders ----------------------------------------------------------------------------------------------------------


async def test_an_older_leader_can_write_no_more(queue):
    old = await queue.lead(0, "one")
    await queue.enqueue([job("a")], leader=old)
    new = await queue.lead(0, "two")
    for write in (
        queue.enqueue([job("b")], leader=old),
        queue.cancel(["a"], leader=old),
        queue.acknowledge(["a"], leader=old),
    ):
        with pytest.raises(LeaderFenced):
            await write
    assert await record(queue, "b") is None
    assert (await record(queue, "a")).state == "waiting"
    await queue.enqueue([job("b")], leader=new)


async def test_leaders_of_other_shards_are_not_in_each_others_way(queue):
    zero, one = await queue.lead(0, "x"), await queue.lead(1, "y")
    await queue.enqueue([job("a")], leader=zero)
    await queue.enqueue([job("b")], leader=one)


async def test_a_later_leader_has_a_larger_epoch(queue):
    epochs = [int((await queue.lead(0, "x")).partition(":")[2]) for _ in range(20)]
    assert epochs == sorted(set(epochs))


# -- bounds, and what a full Redis still does -------------------------------------------------------------------------


async def test_a_claim_of_thousands_leaves_no_job_without_a_lease(queue):
    await queue.enqueue([job(f"j{n}") for n in range(4500)])
    got = await claim(queue, 10_000)
    assert len(got) == 1000
    assert await queue._redis.zcard(queue.keys.key("leases")) == 1000


async def test_thousands_of_jobs_past_their_deadline_end_in_bounded_steps(queue):
    await queue.enqueue([job(f"j{n}", active_deadline_seconds=0.001) for n in range(500)])
    for got in await claim(queue, 500):
        await queue.finish([(got.id, got.epoch, Ending("released", "Released"))])
    await queue._redis.eval(_STARTED_LONG_AGO, 1, queue.keys.prefix, 500)
    assert await claim(queue, 50) == []
    assert 0 < (await queue.stats()).queues[0].failed <= 250
    await auntil(lambda: _failed(queue, 500), 10, "the rest to end in further claims")


_STARTED_LONG_AGO = """
for n = 0, ARGV[1] - 1 do redis.call('HSET', KEYS[1] .. 'job:j' .. n, 'startedAt', 1, 'attempt', 1) end
"""


async def _failed(queue, n):
    await claim(queue, 50)
    return (await queue.stats()).queues[0].failed == n


async def test_an_empty_queue_is_looked_at_no_more_until_it_has_work_again(queue):
    await queue.enqueue([job("a", queue="once")])
    (got,) = await claim(queue)
    await claim(queue)
    assert await queue._redis.smembers(queue.keys.key("busy")) == set()
    await queue.finish([("a", got.epoch, Ending("retry", "Failed", 0))])
    assert [found.id for found in await claim(queue)] == ["a"]
    assert [found.queue for found in (await queue.stats()).queues] == ["once"]


async def test_hints_are_bounded_in_size(queue):
    await queue.enqueue([job(f"j{n}") for n in range(450)])
    entries = await queue._redis.xrange(queue.keys.key("events"))
    assert [len(fields[b"ids"].split()) for _, fields in entries] == [100, 100, 100, 100, 50]


async def test_a_cancel_meets_a_drain_and_wins(queue):
    await queue.enqueue([job("a")])
    (got,) = await claim(queue)
    await queue.cancel(["a"])
    await queue.finish([("a", got.epoch, Ending("released", "Released"))])
    assert (await record(queue, "a")).state == "cancelled"


async def test_work_that_was_done_after_its_lease_ran_out_is_not_done_again(queue):
    await queue.enqueue([job("a")])
    (got,) = await claim(queue, lease=0.02)
    await asyncio.sleep(0.03)
    await queue.sweep()
    assert (await record(queue, "a")).state == "waiting"
    assert await queue.finish([("a", got.epoch, Ending("completed", "Completed"))]) == ["done"]
    assert await claim(queue) == []


async def test_a_reason_must_be_one_word(queue):
    with pytest.raises(InvalidJob) as caught:
        await queue.cancel(["a"], reason="by request")
    assert caught.value.field == "reason"


async def test_at_maxmemory_only_new_jobs_are_refused(own_redis, key_prefix):
    """No command that ends, keeps or frees anything needs memory, in any version of Redis and for any client."""
    async with Queue.from_url(own_redis.url, key_prefix) as first:
        await first.open()
        await first.enqueue([job(name, acknowledged=True) for name in ("a", "b", "c", "d")])
        got = {found.id: found for found in await claim(first, 3)}
        await first._redis.config_set("maxmemory", "1")
    async with Queue.from_url(own_redis.url, key_prefix) as queue:
        with pytest.raises(QueueFull):
            await queue.enqueue([job("late")])
        await queue.open()
        leader = await queue.lead(0, "me")
        await queue.register("w", {}, {"email": {}}, "local")
        endings = [
            ("a", got["a"].epoch, Ending("retry", "Failed", 60, error=b'{"type":"X","message":"m","attempt":1}')),
            ("b", got["b"].epoch, Ending("failed", "PermanentError", error=b'{"type":"X","message":"m","attempt":1}')),
            ("c", got["c"].epoch, Ending("completed", "Completed", result=b'{"n":1}')),
        ]
        assert await queue.finish(endings) == ["done"] * 3
        assert [found.id for found in await claim(queue)] == ["d"]
        assert await queue.cancel(["a"], leader=leader) == ["cancelled"]
        assert await queue.acknowledge(["a", "b", "c"], leader=leader) == ["done"] * 3
        await queue.configure(Settings(suspend=True), leader=leader)
        assert (await queue.settings())[1].suspend


async def test_a_job_is_withdrawn_only_while_nobody_runs_it(queue):
    await queue.enqueue([job("a"), job("b")])
    (got,) = await claim(queue, 1)
    assert await queue.withdraw(["a", "b", "c"]) == ["active", "cancelled", "gone"]
    assert (await record(queue, "b")).reason == WITHDRAWN
    assert not (await record(queue, "a")).stopping
    assert await queue.finish([("a", got.epoch, Ending("completed", "Completed"))]) == ["done"]


async def test_a_claim_of_large_payloads_ends_in_time_and_leaves_the_rest_in_place(queue):
    noise = [secrets.token_hex(300_000) for _ in range(30)]  # what does not compress
    await queue.enqueue([job(f"big-{n:02}", payload={"x": each}) for n, each in enumerate(noise)])
    first = await queue.claim("w", ["*"], 30, 15)
    assert 5 <= len(first.jobs) < 30
    assert first.wait_seconds == 0
    taken = [got.id for got in first.jobs]
    while got := await claim(queue, 30):
        taken += [found.id for found in got]
    assert taken == [f"big-{n:02}" for n in range(30)]
