"""The circuit breaker through its whole life: what opens it, what it holds back, what closes it."""

import asyncio

import pytest

from fluid_queue import CircuitBreaker, Queue, QueueSettings, Settings
from support.claims import DONE, claim, end, failing, states
from support.queues import consuming, job, record
from support.waiting import auntil

DOWN = failing("SMTPServerDisconnected")


async def breaker(queue: Queue, failures: int = 3, *, within: float = 60, probe: float = 60) -> None:
    """Sets up queue `q` with a circuit breaker, and ten jobs in it."""
    circuit = CircuitBreaker(failures, within_seconds=within, probe_seconds=probe)
    await queue.configure(Settings(queues={"q": QueueSettings(circuit_breaker=circuit)}))
    await queue.enqueue([job(f"j{n}") for n in range(10)])


async def fail(queue: Queue, times: int, ending=DOWN) -> None:
    """So many jobs start and fail, one after the other."""
    for _ in range(times):
        got = await claim(queue, 1)
        assert len(got) == 1
        assert await end(queue, got, ending) == ["done"]


async def probe(queue: Queue):
    """Waits for the circuit to let jobs through, and takes all it can get."""
    return await auntil(lambda: claim(queue), 10, "the probe")


async def held_by(queue: Queue) -> tuple[str, str]:
    (found,) = (await queue.stats()).queues
    return found.held_by, found.circuit_error


async def test_consecutive_failures_of_one_type_open_the_circuit(queue):
    await breaker(queue)
    await fail(queue, 2)
    assert await held_by(queue) == ("", "")
    await fail(queue, 1)
    assert await claim(queue) == []
    assert await held_by(queue) == ("CircuitOpen", "SMTPServerDisconnected")


async def test_an_open_circuit_stands_in_no_other_queues_way(queue):
    await breaker(queue)
    await fail(queue, 3)
    await queue.enqueue([job("free", queue="other")])
    assert [got.id for got in await claim(queue)] == ["free"]


async def test_another_type_of_error_begins_a_new_count(queue):
    await breaker(queue)
    await fail(queue, 2)
    await fail(queue, 1, failing("KeyError"))
    await fail(queue, 2)
    assert await held_by(queue) == ("", "")
    await fail(queue, 1)
    assert await claim(queue) == []


async def test_a_success_begins_a_new_count(queue):
    await breaker(queue)
    await fail(queue, 2)
    await end(queue, await claim(queue, 1))
    await fail(queue, 2)
    assert len(await claim(queue)) > 0


async def test_failures_too_far_apart_open_nothing(queue):
    await breaker(queue, within=0.1)
    await fail(queue, 2)
    await asyncio.sleep(0.15)
    await fail(queue, 2)
    assert len(await claim(queue)) > 0


async def test_failures_that_no_retry_could_mend_say_nothing_of_the_provider(queue):
    await breaker(queue)
    await fail(queue, 5, failing("BadAddress", final="PermanentError"))
    assert len(await claim(queue)) == 5


async def test_jobs_that_wait_for_the_circuit_keep_their_attempts(queue):
    await breaker(queue)
    await fail(queue, 3)
    await asyncio.sleep(0.05)
    await queue.sweep()
    assert await claim(queue) == []
    assert [found.attempt for found in await queue.inspect([f"j{n}" for n in range(3, 10)])] == [0] * 7


async def test_jobs_that_fail_while_it_is_open_are_not_counted(queue):
    """They were running when it opened."""
    await breaker(queue)
    running = await claim(queue, 6)
    await end(queue, running, DOWN)
    failures = [found.failures for found in await queue.inspect([got.id for got in running])]
    assert failures == [1, 1, 1, 0, 0, 0]


async def test_a_job_without_retries_left_outlives_an_open_circuit(queue):
    await breaker(queue)
    running = await claim(queue, 5)
    await end(queue, running[:3], DOWN)
    await end(queue, running[3:4], failing("SMTPServerDisconnected", final="BackoffLimitExceeded"))
    found = await record(queue, running[3].id)
    assert (found.state, found.failures) == ("delayed", 0)


async def test_one_job_at_a_time_tries_whether_the_circuit_can_close(queue):
    await breaker(queue, probe=0.5)
    await fail(queue, 3)
    assert len(await probe(queue)) == 1
    assert await claim(queue, worker="another") == []


async def test_a_probe_that_fails_is_not_counted_and_another_follows(queue):
    await breaker(queue, probe=0.5)
    await fail(queue, 3)
    for _ in range(3):
        (got,) = await probe(queue)
        await end(queue, [got], DOWN)
        assert (await record(queue, got.id)).failures == got.failures
        assert await claim(queue) == []


async def test_a_probe_that_succeeds_closes_the_circuit_for_all(queue):
    await breaker(queue, probe=0.5)
    await fail(queue, 3)
    await end(queue, await probe(queue))
    assert await held_by(queue) == ("", "")
    assert len(await claim(queue)) >= 6


async def test_a_probe_whose_worker_vanished_is_followed_by_another(queue):
    await breaker(queue, probe=0.5)
    await fail(queue, 3)
    await auntil(lambda: queue.claim("dead", ["*"], 1, 0.05), 10)
    assert len(await probe(queue)) == 1


@pytest.mark.parametrize("probing", [False, True])
async def test_only_a_success_closes_the_circuit(queue, probing):
    """An error of another type counts against its job, but tells nobody that the provider is back."""
    await breaker(queue, probe=0.5 if probing else 60)
    running = await claim(queue, 4)
    await end(queue, running[:3], DOWN)
    other = await probe(queue) if probing else running[3:]
    await end(queue, other, failing("KeyError"))
    assert (await record(queue, other[0].id)).failures == other[0].failures + 1
    assert await claim(queue) == []
    assert await held_by(queue) == ("CircuitOpen", "SMTPServerDisconnected")


async def test_a_success_of_a_job_that_was_running_closes_the_circuit_too(queue):
    await breaker(queue)
    running = await claim(queue, 4)
    await end(queue, running[:3], DOWN)
    await end(queue, running[3:], DONE)
    assert len(await claim(queue)) >= 6


async def test_an_open_circuit_is_forgotten_with_its_settings(queue):
    await breaker(queue)
    await fail(queue, 3)
    await queue.configure(Settings())
    assert await held_by(queue) == ("", "")
    assert len(await claim(queue)) >= 7


async def test_a_provider_that_comes_back_gets_all_jobs_done_and_none_has_failed(queue):
    """With fewer retries than the outage has failures."""
    await breaker(queue, failures=2, probe=0.1)
    await queue.enqueue([job(f"more{n}", backoff_limit=1) for n in range(10)])
    probes = 0

    async def provider(_):
        nonlocal probes
        probes += 1
        if probes < 12:
            raise ConnectionError("down")

    ids = [f"j{n}" for n in range(10)] + [f"more{n}" for n in range(10)]
    async with consuming(queue, provider, concurrency=1):

        async def done():
            return await states(queue, *ids) == ["completed"] * 20

        await auntil(done, 20, "all jobs")
    assert max(found.failures for found in await queue.inspect(ids)) <= 1
