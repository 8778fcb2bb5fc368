"""A job that kills its workers fails as Stalled at the third time, and alone: what ran beside it completes."""

import asyncio
import signal

from fluid_queue import NewJob, Queue
from fluid_queue.client import MAX_STALLED
from support.claims import claim, end, lease_runs_out, names, states
from support.queues import consuming, ended, job, record
from support.waiting import auntil
from support.workers import install_probes, worker_process


async def die_with(queue: Queue, *ids: str) -> None:
    """The worker that runs these jobs is gone, and its leases have run out."""
    for name in ids:
        await lease_runs_out(queue, name)


async def test_suspects_are_claimed_one_by_one_and_the_others_as_ever(queue):
    ids = ["bad", "good1", "good2"]
    await queue.enqueue([job(name) for name in ids])
    for _ in range(MAX_STALLED - 1):
        assert await names(queue) == ids
        await die_with(queue, *ids)
    await queue.enqueue([job("fresh1"), job("fresh2")])
    got = (await queue.claim("w", ["*"], 10, 15, suspects=1)).jobs
    assert [each.id for each in got] == ["bad", "fresh1", "fresh2"]
    assert (await queue.claim("w", ["*"], 10, 15, suspects=0)).jobs == []
    await die_with(queue, *(each.id for each in got))
    await queue.sweep()
    assert await states(queue, *ids, "fresh1") == ["failed", "waiting", "waiting", "waiting"]
    found = await record(queue, "bad")
    assert (found.reason, found.stalls, found.attempt) == ("Stalled", 3, 3)


async def test_suspects_that_wait_keep_their_places_and_wake_who_may_take_them(queue):
    ids = ["s1", "s2", "s3"]
    await queue.enqueue([job(name) for name in ids])
    for _ in range(MAX_STALLED - 1):
        await claim(queue)
        await die_with(queue, *ids)
    order = []
    for _ in ids:
        got = (await queue.claim("w", ["*"], 10, 15, suspects=1)).jobs
        order += [each.id for each in got]
        await end(queue, got)
    assert order == ids


async def test_a_consumer_runs_one_suspect_at_a_time_and_all_of_them_soon(queue):
    ids = [f"s{n}" for n in range(6)]
    await queue.enqueue([job(name) for name in ids])
    for _ in range(MAX_STALLED - 1):
        assert len(await claim(queue)) == 6
        await die_with(queue, *ids)
    running = most = 0

    async def watched(active):
        nonlocal running, most
        running += active.claimed.stalls > 0
        most = max(most, running)
        await asyncio.sleep(0.02)
        running -= active.claimed.stalls > 0

    async with consuming(queue, watched):
        await queue.enqueue([job(f"n{n}") for n in range(10)])
        for name in ids:
            await ended(queue, name, within=4)  # before the first tick
    assert most == 1
    assert await states(queue, *ids) == ["completed"] * 6


async def test_the_next_suspect_starts_when_redis_knows_the_end_of_the_one_before(queue):
    """Else it could take the success of that one along into its grave."""
    ids = [f"s{n}" for n in range(8)]
    await queue.enqueue([job(name) for name in ids])
    for _ in range(MAX_STALLED - 1):
        await claim(queue)
        await die_with(queue, *ids)
    ended_before = []

    async def look(active):
        ended_before.append((await states(queue, *ids)).count("completed"))

    async with consuming(queue, look):
        for name in ids:
            await ended(queue, name, within=4)
    assert ended_before == list(range(8))


async def test_an_end_forgives_no_stall_but_a_retry_by_hand_does(queue):
    await queue.enqueue([job("bad")])
    for _ in range(MAX_STALLED):
        await claim(queue)
        await die_with(queue, "bad")
    await queue.sweep()
    assert (await record(queue, "bad")).reason == "Stalled"
    await queue.retry(["bad"])
    (got,) = await claim(queue)
    assert got.stalls == 0


async def test_a_job_that_kills_worker_processes_fails_alone(queue, tmp_path):
    """Real processes, killed by the job itself and started again, as a Deployment does."""
    probes = install_probes(tmp_path, "poison_probes")
    good = [f"good{n}" for n in range(8)]
    await queue.enqueue([NewJob(id=name, type="neighbour", queue="probes") for name in good[:4]])
    await queue.enqueue([NewJob(id="bad", type="poison", queue="probes")])
    await queue.enqueue([NewJob(id=name, type="neighbour", queue="probes") for name in good[4:]])
    deaths = 0

    async def over() -> bool:
        return all(found.ended for found in await queue.inspect([*good, "bad"]))

    while deaths <= MAX_STALLED:
        async with worker_process(queue, tmp_path, probes) as worker:
            dead = asyncio.ensure_future(worker.process.wait())
            done = asyncio.ensure_future(auntil(over, 30, "the end of all jobs"))
            await asyncio.wait([dead, done], return_when=asyncio.FIRST_COMPLETED)
            if done.done():
                dead.cancel()
                break
            done.cancel()
            assert await dead == -signal.SIGKILL
            deaths += 1
    assert deaths == MAX_STALLED
    assert await states(queue, *good) == ["completed"] * 8
    found = await record(queue, "bad")
    assert (found.state, found.reason, found.error["type"]) == ("failed", "Stalled", "Stalled")
