"""A schedule in trouble says so, loses no time that can be had, counts the others once, and holds up no other."""

import asyncio
import json

import pytest

from cluster.builders import fluid_job, fluid_schedule
from fluid_operator.kube.errors import Forbidden, ServerError
from fluid_operator.kube.keys import FLUID_JOBS
from fluid_operator.schedules.controller import SchedulesController
from fluid_operator.schedules.events import MISSED
from fluid_operator.timetables.creation import job_name
from support.faulty_kube import FaultyKube, Gate
from support.schedules import Leads, noon
from support.waiting import auntil

FOR_EVER = 10_000


def at(minutes, schedule="s"):
    """The name of the job of a time."""
    return job_name(schedule, noon(minutes=minutes))


def clock_face(minutes):
    """The time as the status writes it."""
    return noon(minutes=minutes).strftime("%Y-%m-%dT%H:%M:%SZ")


async def webhook_down(send):
    """What the API server says while somebody's webhook with failurePolicy Fail does not answer."""
    raise ServerError(500, "InternalError", "failed calling webhook: connection refused", "/test")


async def not_allowed(send):
    raise Forbidden(403, "Forbidden", "exceeded quota: few", "/test")


async def ready_because(play, reason, name="s"):
    """Wait until Ready has this reason, and answer the condition."""

    async def told():
        ready = await play.condition(name)
        return ready if ready.get("reason") == reason else None

    return await auntil(told, 30, f"Ready tells {reason}")


@pytest.fixture
async def faulty(play):
    """The client of a controller that meets faults."""
    return FaultyKube(play.kube.connection)


# -- one schedule that nobody can use ---------------------------------------------------------------------------------


async def test_a_payload_deeper_than_json_can_be_written_stops_its_own_schedule_and_no_other(cluster, play, tmp_path):
    payload = {}
    for _ in range(259):
        payload = {"a": payload}
    deep = fluid_schedule("deep").metadata(namespace=play.namespace).spec(schedule="* * * * *").manifest()
    deep["spec"]["jobTemplate"]["spec"]["payload"] = payload
    file = tmp_path / "deep.json"
    file.write_text(json.dumps(deep))
    path = f"/apis/{deep['apiVersion']}/namespaces/{play.namespace}/fluidschedules"
    async with play.controller():
        await play.begin("s")
        await asyncio.to_thread(cluster.kubectl, "create", "--raw", path, "-f", str(file))
        ready = await ready_because(play, "InvalidSpec", "deep")
        assert ready["status"] == "False"
        assert "levels" in ready["message"]
        assert (await play.condition("deep", "Stalled"))["status"] == "True"
        await play.at(noon(), "s")
        assert set(await play.jobs()) == {at(0)}
    async with play.controller():  # the next term meets it in its first list
        await play.at(noon(minutes=1), "s")
        assert set(await play.jobs()) == {at(0), at(1)}


async def test_a_namespace_whose_jobs_may_not_be_listed_holds_up_no_other(play):
    closed = f"{play.namespace}-closed"
    refusals = []

    class Shut(FaultyKube):
        async def request(self, verb, path, *, resource="", **more):
            if verb == "list" and resource == FLUID_JOBS.plural and f"/namespaces/{closed}/" in path:
                refusals.append(path)
                raise Forbidden(403, "Forbidden", "fluidjobs is forbidden", path)
            return await super().request(verb, path, resource=resource, **more)

    controller = SchedulesController(
        Shut(play.kube.connection), Leads(), namespaces=[play.namespace, closed], clock=play.clock
    )
    task = asyncio.create_task(controller.run())
    try:
        await play.begin("s")
        await play.at(noon(), "s")
        assert set(await play.jobs()) == {at(0)}
        assert refusals
        assert not task.done()
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


# -- jobs that cannot be created --------------------------------------------------------------------------------------


async def test_an_api_server_that_fails_for_jobs_alone_is_told_and_the_job_comes_when_it_is_over(play, faulty):
    async with play.controller(faulty):
        await play.begin("s", "0 * * * *")
        faulty.lay("create", FLUID_JOBS, webhook_down, times=FOR_EVER)
        play.clock.set(noon())
        ready = await ready_because(play, "JobRefused")
        assert ready["status"] == "False"
        assert "failed calling webhook" in ready["message"]
        assert (await play.condition("s", "Reconciling"))["status"] == "True"
        assert await play.jobs() == {}
        faulty.clear()
        status = await play.looked("s")
        assert set(await play.jobs()) == {at(0)}
        assert status["lastScheduleTime"] == clock_face(0)
        assert "missed" not in status
        await ready_because(play, "OnSchedule")


async def test_a_schedule_whose_job_was_refused_until_too_late_is_not_ready_until_one_is_created(play, faulty):
    async with play.controller(faulty):
        await play.begin("s", "0 * * * *", startingDeadlineSeconds=60)
        faulty.lay("create", FLUID_JOBS, not_allowed, times=FOR_EVER)
        play.clock.set(noon())
        await ready_because(play, "JobRefused")
        status = await play.at(noon(seconds=61), "s")
        assert status["missed"] == 1
        refused = await play.condition("s")
        assert (refused["status"], refused["reason"]) == ("False", "JobRefused")
        await play.by_hand("s", "by-hand")  # one more look, at which nothing is due
        await play.reaches("s", lambda s: s["activeCount"] == 1, "it is looked at again")
        assert await play.condition("s") == refused
        faulty.clear()
        status = await play.at(noon(hours=1), "s")
        assert set(await play.jobs()) == {"by-hand", at(60)}
        assert status["missed"] == 1
        ready = await ready_because(play, "OnSchedule")
        assert ready["status"] == "True"


async def test_a_waiting_time_whose_name_is_taken_keeps_no_later_time_from_its_job(play):
    async with play.controller():
        await play.begin("s", concurrencyPolicy="Enqueue")
        await play.at(noon(), "s")
        await play.at(noon(minutes=1), "s")
        await play.reaches("s", lambda s: s.get("waitingTime") == clock_face(1), "the next time waits")
        await play.kube.create(FLUID_JOBS, fluid_job(at(1)).metadata(namespace=play.namespace).manifest())
        await play.end(at(0))
        assert at(1) in (await ready_because(play, "NameCollision"))["message"]
        status = await play.at(noon(minutes=2), "s")
        assert set(await play.jobs("s")) == {at(0), at(2)}
        assert status["lastScheduleTime"] == clock_face(2)
        assert "missed" not in status


# -- what is counted --------------------------------------------------------------------------------------------------


async def test_a_time_that_has_its_job_is_recorded_and_not_missed_however_late_that_is_seen(play, faulty):
    async with play.controller(faulty):
        await play.begin("s", "0 * * * *", startingDeadlineSeconds=30)
        created = Gate(answered=True)
        faulty.lay("create", FLUID_JOBS, created)
        play.clock.set(noon())
        await created.reached()
    assert "lastScheduleTime" not in await play.status("s")
    play.clock.set(noon(minutes=10))
    async with play.controller():
        status = await play.looked("s")
        assert status["lastScheduleTime"] == clock_face(0)
        assert "missed" not in status
        assert set(await play.jobs()) == {at(0)}
        assert MISSED.reason not in [each.reason for each in play.told]


async def test_a_job_that_somebody_asked_for_is_no_time_of_the_timetable(play):
    """It has a time, too, namely the one at which it was asked for."""
    async with play.controller():
        await play.begin("s", "0 * * * *", startingDeadlineSeconds=30)
    play.clock.set(noon(minutes=5))
    await play.by_hand("s", "by-hand")
    play.clock.set(noon(minutes=70))
    async with play.controller():
        status = await play.looked("s")
        assert status["missed"] == 2
        assert "lastScheduleTime" not in status
        assert set(await play.jobs()) == {"by-hand"}


async def test_while_a_template_is_broken_its_times_are_missed_and_the_latest_is_made_up_for(play):
    async with play.controller():
        await play.begin("s")
        await play.follows("s", jobTemplate={"spec": {"payload": {"day": "{{ dat }}"}}})
        assert (await play.condition("s"))["reason"] == "InvalidSpec"
        play.clock.set(noon(minutes=1))
        status = await play.follows("s", jobTemplate={"spec": {"payload": {"day": "{{ date }}"}}})
        jobs = await play.jobs()
        assert set(jobs) == {at(1)}
        assert jobs[at(1)]["spec"]["payload"] == {"day": "2050-01-11"}
        assert status["missed"] == 1
        assert status["lastScheduleTime"] == clock_face(1)
        assert (await play.condition("s"))["reason"] == "OnSchedule"
