"""Whatever breaks between a time, its job and its record: the time fires once, and the record says so in the end."""

import asyncio
import signal
import uuid
from datetime import UTC, datetime

import pytest

from fluid_operator.api.meta import REQUEST_ANNOTATION
from fluid_operator.kube.client import ClientSettings, connect
from fluid_operator.kube.keys import FLUID_JOBS, FLUID_SCHEDULES, ObjectKey
from fluid_operator.timetables.creation import job_name
from support.faulty_kube import FaultyKube, Gate, answer_lost, request_lost
from support.retention import Clerk
from support.schedule_witness import witnessing
from support.schedules import Leads, noon, playing
from support.waiting import auntil

POLICIES = ["Allow", "Forbid", "Replace", "Enqueue"]


def at(minutes):
    """The name of the job of a time."""
    return job_name("s", noon(minutes=minutes))


async def tells(play, minutes, missed=0):
    """Wait until the status tells this time as the last one that fired."""

    def look(status):
        last = status.get("lastScheduleTime")
        return last is not None and datetime.fromisoformat(last) == noon(minutes=minutes)

    status = await play.reaches("s", look, "the time is told")
    assert status.get("missed", 0) == missed
    return status


async def goes_on(play, *minutes):
    """The next minute fires as well, and no other job than those of these minutes is there."""
    for name in await play.jobs():
        await play.end(name)
    await play.at(noon(minutes=max(minutes) + 1), "s")
    await tells(play, max(minutes) + 1)
    assert set(await play.jobs()) == {at(each) for each in (*minutes, max(minutes) + 1)}


@pytest.fixture
async def faulty(play):
    """The client of a controller that meets faults."""
    return FaultyKube(play.kube.connection)


# -- crashes and lost answers -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("policy", POLICIES)
async def test_a_crash_between_the_job_and_its_record_is_made_good_by_the_next_leader(play, faulty, policy):
    async with play.controller(faulty):
        await play.begin("s", concurrencyPolicy=policy)
        created = Gate(answered=True)
        faulty.lay("create", FLUID_JOBS, created)
        play.clock.set(noon())
        await created.reached()
    assert set(await play.jobs()) == {at(0)}
    assert "lastScheduleTime" not in await play.status("s")
    async with play.controller():
        status = await tells(play, 0)
        assert [each["name"] for each in status["active"]] == [at(0)]
        assert set(await play.jobs()) == {at(0)}
        await goes_on(play, 0)


async def test_a_job_that_has_ended_before_its_time_was_recorded_is_recorded_all_the_same(play, faulty):
    async with play.controller(faulty):
        await play.begin("s", concurrencyPolicy="Forbid")
        created = Gate(answered=True)
        faulty.lay("create", FLUID_JOBS, created)
        play.clock.set(noon())
        await created.reached()
    await play.end(at(0))
    async with play.controller():
        await tells(play, 0)
        assert set(await play.jobs()) == {at(0)}


async def test_a_job_whose_creation_was_not_answered_is_found(play, faulty):
    async with play.controller(faulty):
        await play.begin("s")
        faulty.lay("create", FLUID_JOBS, answer_lost)
        play.clock.set(noon())
        await tells(play, 0)
        assert faulty.clean
        await goes_on(play, 0)


async def test_a_job_whose_creation_never_arrived_is_created_again(play, faulty):
    async with play.controller(faulty):
        await play.begin("s")
        faulty.lay("create", FLUID_JOBS, request_lost, times=3)
        play.clock.set(noon())
        await tells(play, 0)
        assert faulty.clean
        await goes_on(play, 0)


@pytest.mark.parametrize("fault", [answer_lost, request_lost])
async def test_a_record_that_was_not_answered_is_written_again_and_nothing_fires_for_it(play, faulty, fault):
    async with play.controller(faulty):
        await play.begin("s")
        faulty.lay("patch", FLUID_SCHEDULES, fault)
        play.clock.set(noon())
        await tells(play, 0)
        await auntil(lambda: faulty.clean, what="the record was not answered")
        await goes_on(play, 0)


@pytest.mark.parametrize("fault", [answer_lost, request_lost])
async def test_a_skipped_time_is_counted_once_whatever_becomes_of_the_record(play, faulty, fault):
    async with play.controller(faulty):
        await play.begin("s", concurrencyPolicy="Forbid")
        await play.at(noon(), "s")
        await play.has_jobs(1)
        faulty.lay("patch", FLUID_SCHEDULES, fault)
        status = await play.at(noon(minutes=1), "s")
        await auntil(lambda: faulty.clean, what="the record was not answered")
        assert status["missed"] == 1
        await play.end(at(0))
        await play.at(noon(minutes=2), "s")
        await tells(play, 2, missed=1)
        assert set(await play.jobs()) == {at(0), at(2)}


# -- edits at the wrong moment ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("policy", POLICIES)
async def test_an_edit_between_the_job_and_its_record_loses_neither(play, faulty, policy):
    async def edited(send):
        await play.change("s", startingDeadlineSeconds=600)
        return await send()

    async with play.controller(faulty):
        await play.begin("s", concurrencyPolicy=policy)
        faulty.lay("patch", FLUID_SCHEDULES, edited)
        play.clock.set(noon())
        await tells(play, 0)
        assert faulty.clean
        assert (await play.schedule("s"))["spec"]["startingDeadlineSeconds"] == 600
        await goes_on(play, 0)


@pytest.mark.parametrize("policy", ["Replace", "Enqueue"])
async def test_a_job_that_has_waited_is_not_taken_for_one_in_its_own_way(play, faulty, policy):
    """Its creation went through, its record did not: to whoever looks next it is an active job."""

    async def edited(send):
        await play.change("s", startingDeadlineSeconds=600)
        return await send()

    async with play.controller(faulty):
        await play.begin("s", concurrencyPolicy=policy)
        await play.at(noon(), "s")
        await play.reaches("s", lambda status: status.get("activeCount") == 1)
        await play.at(noon(minutes=1), "s")
        await play.reaches("s", lambda status: "waitingTime" in status)
        faulty.lay("patch", FLUID_SCHEDULES, edited)
        await play.end(at(0), "Cancelled")
        await tells(play, 1)
        assert faulty.clean
        status = await play.reaches("s", lambda status: "waitingTime" not in status)
        assert [each["name"] for each in status["active"]] == [at(1)]
    assert REQUEST_ANNOTATION not in (await play.job(at(1)))["metadata"]["annotations"]


# -- leadership -------------------------------------------------------------------------------------------------------


async def test_who_has_lost_the_lease_since_the_look_writes_nothing_and_the_next_leader_fires(play, faulty):
    leads = Leads()

    async def deposed(send):
        leads.leading = False
        return await send()

    async with play.controller(faulty, leads) as former:
        await play.begin("s", concurrencyPolicy="Forbid")
        before = await play.schedule("s")
        faulty.lay("list", FLUID_JOBS, deposed)
        play.clock.set(noon())
        key = ObjectKey(play.namespace, "s")
        await auntil(lambda: former.queue.failures(key) >= 2, what="the former leader has tried again")
        assert await play.jobs() == {}
        assert await play.schedule("s") == before
        async with play.controller():
            await tells(play, 0)
            assert set(await play.jobs()) == {at(0)}
            await goes_on(play, 0)


async def test_a_lease_that_is_lost_between_the_job_and_its_record_leaves_one_job(play, faulty):
    leads = Leads()

    async def deposed(send):
        answer = await send()
        leads.leading = False
        return answer

    async with play.controller(faulty, leads):
        await play.begin("s")
        faulty.lay("create", FLUID_JOBS, deposed)
        play.clock.set(noon())
        await play.has_jobs(1)
        async with play.controller():
            await tells(play, 0)
            await goes_on(play, 0)


async def test_a_request_of_a_former_leader_that_arrives_late_finds_the_name_taken(cluster, namespace):
    """Also when the job has ended meanwhile and no history is kept: it stays for longer than a request lives."""
    await auntil(lambda: datetime.now(UTC).second > 2, what="the next minute is less than a minute away")
    async with playing(cluster, namespace) as play, witnessing(play.kube, namespace) as witness:
        faulty = FaultyKube(play.kube.connection)
        late = Gate()
        async with play.controller(faulty):
            status = await play.begin("s", successfulJobsHistoryLimit=0)
            time = datetime.fromisoformat(status["nextScheduleTime"])
            faulty.lay("create", FLUID_JOBS, late)
            play.clock.set(time)
            await late.reached()
            async with play.controller() as successor:
                await play.has_jobs(1)
                await play.end(job_name("s", time))
                await play.reaches("s", lambda s: "lastSuccessfulTime" in s and s["activeCount"] == 0)
                await auntil(lambda: not successor.queue.processing, what="the successor has tidied up")
                late.open()
                await auntil(lambda: faulty.clean)
            await play.reaches("s", lambda s: datetime.fromisoformat(s["lastScheduleTime"]) == time)
            play.clock.advance(minutes=2)
            await auntil(lambda: witness.jobs.get(ObjectKey(namespace, job_name("s", time))) is None)
        assert len(witness.created[job_name("s", time)]) == 1


# -- history ----------------------------------------------------------------------------------------------------------


async def test_without_history_a_job_stays_until_its_time_is_recorded(play, faulty):
    async with witnessing(play.kube, play.namespace) as witness, play.controller(faulty):
        await play.begin("s", successfulJobsHistoryLimit=0)
        faulty.lay("patch", FLUID_SCHEDULES, request_lost, times=1000)
        play.clock.set(noon())
        await play.has_jobs(1)
        await play.end(at(0))
        tried = faulty.left
        await auntil(lambda: faulty.left <= tried - 3, what="the record was tried again")
        assert set(await play.jobs()) == {at(0)}
        faulty.clear()
        await tells(play, 0)
        await play.has_jobs(0)
        await play.at(noon(minutes=1), "s")
        await play.has_jobs(1)
        assert {name: len(views) for name, views in witness.created.items()} == {at(0): 1, at(1): 1}


async def test_a_time_to_live_of_nothing_frees_no_name_before_the_time_is_recorded(play, faulty):
    clerk = Clerk(play.kube, play.namespace)
    clerk.now = noon(days=1).timestamp()
    async with witnessing(play.kube, play.namespace) as witness:
        async with play.controller(faulty):
            await play.begin("s", jobTemplate={"spec": {"type": "noop", "ttlSecondsAfterFinished": 0}})
            created = Gate(answered=True)
            faulty.lay("create", FLUID_JOBS, created)
            play.clock.set(noon())
            await created.reached()
        await play.end(at(0))
        await clerk.seen(at(0))
        assert await clerk.round() == ["schedule"]
        async with play.controller():
            await tells(play, 0)
            assert await clerk.round(later=60) == ["ttl"]
            await play.has_jobs(0)
            await play.at(noon(minutes=1), "s")
            await play.has_jobs(1)
        assert {name: len(views) for name, views in witness.created.items()} == {at(0): 1, at(1): 1}


# -- the API server ---------------------------------------------------------------------------------------------------


async def test_an_api_server_that_hangs_or_dies_over_a_time_delays_it_and_no_more(own_cluster):
    namespace = f"test-{uuid.uuid4().hex[:10]}"
    own_cluster.kubectl("create", "namespace", namespace)
    key = ObjectKey(namespace, "s")
    async with (
        playing(own_cluster, namespace, noon(seconds=-30)) as play,
        connect(own_cluster.kubeconfig, settings=ClientSettings(request_timeout=0.5)) as kube,
        play.controller(kube) as controller,
    ):
        await play.begin("s")
        own_cluster.signal_apiserver(signal.SIGSTOP)
        try:
            play.clock.set(noon())
            await auntil(lambda: controller.queue.failures(key) >= 2, what="the creation got no answer, twice")
        finally:
            own_cluster.signal_apiserver(signal.SIGCONT)
        await tells(play, 0)
        assert set(await play.jobs()) == {at(0)}
        own_cluster.kill_apiserver()
        play.clock.set(noon(minutes=1))
        await auntil(lambda: controller.queue.failures(key) >= 1, what="the API server is gone")
        await asyncio.to_thread(own_cluster.restart_apiserver)
        await tells(play, 1)
        await goes_on(play, 0, 1)
