"""The name of a job is the lock of its time: what happens when somebody else holds it, or the owner is another."""

from datetime import datetime
from zoneinfo import ZoneInfo

import pytest

from cluster.builders import fluid_job
from fluid_operator.kube.keys import FLUID_JOBS, FLUID_SCHEDULES, ObjectKey
from fluid_operator.timetables.creation import job_for, job_name
from support.faulty_kube import FaultyKube, Gate
from support.schedules import noon, playing
from support.waiting import auntil

FINALIZER = "example.org/hold"


def at(minutes):
    return job_name("s", noon(minutes=minutes))


async def foreign(play, name, **metadata):
    """Somebody else's FluidJob."""
    return await play.kube.create(
        FLUID_JOBS, fluid_job(name).metadata(name=name, namespace=play.namespace, **metadata).manifest()
    )


async def delete(play, name, resource=FLUID_JOBS):
    await play.kube.delete(resource, ObjectKey(play.namespace, name))


async def let_go(play, name):
    """Take the finalizers away."""
    await play.kube.patch(FLUID_JOBS, ObjectKey(play.namespace, name), {"metadata": {"finalizers": None}})


async def collides(play, *, words):
    """Wait until the schedule says that the name is taken; returns the condition."""

    async def look():
        found = await play.condition("s")
        return found if found.get("reason") == "NameCollision" and words in found["message"] else None

    found = await auntil(look, what=f"the schedule says that the name {words}")
    assert found["status"] == "False"
    return found


async def fires(play, minutes):
    """Wait until the job of this time is the schedule's, and the status says that all is well."""
    uid = (await play.schedule("s"))["metadata"]["uid"]
    status = await play.reaches("s", lambda s: s.get("activeCount") == 1, "the job is active")
    assert [each["name"] for each in status["active"]] == [at(minutes)]
    assert datetime.fromisoformat(status["lastScheduleTime"]) == noon(minutes=minutes)
    assert (await play.job(at(minutes)))["metadata"]["ownerReferences"][0]["uid"] == uid
    assert (await play.condition("s"))["reason"] == "OnSchedule"
    return status


async def test_a_job_of_somebody_else_with_the_name_is_told_and_left_alone_and_its_time_fires_when_it_goes(play):
    async with play.controller():
        await play.begin("s")
        theirs = await foreign(play, at(0))
        play.clock.set(noon())
        found = await collides(play, words="is not this schedule's")
        assert at(0) in found["message"]
        status = await play.status("s")
        assert "lastScheduleTime" not in status
        assert "active" not in status
        assert await play.jobs() == {at(0): theirs}
        assert "NameCollision" in [each.reason for each in play.told]
        await delete(play, at(0))
        assert "missed" not in await fires(play, 0)


async def test_a_name_that_becomes_free_too_late_is_a_missed_time(play):
    async with play.controller():
        await play.begin("s", "0 * * * *", startingDeadlineSeconds=60)
        await foreign(play, at(0))
        play.clock.set(noon())
        await collides(play, words="is not this schedule's")
        play.clock.set(noon(seconds=61))
        status = await play.reaches("s", lambda s: s.get("missed") == 1, "the time is missed")
        assert "lastScheduleTime" not in status
        await delete(play, at(0))
        await play.at(noon(hours=1), "s")
        await fires(play, 60)
        assert set(await play.jobs()) == {at(60)}


async def test_a_name_that_is_about_to_become_free_is_waited_for(play):
    async with play.controller():
        await play.begin("s")
        await foreign(play, at(0), finalizers=[FINALIZER])
        await delete(play, at(0))
        play.clock.set(noon())
        await collides(play, words="is waited for")
        await let_go(play, at(0))
        assert "missed" not in await fires(play, 0)


async def test_the_schedules_own_job_holds_its_time_also_while_it_is_being_deleted(play):
    faulty = FaultyKube(play.kube.connection)
    created = Gate(answered=True)
    held = {"metadata": {"finalizers": [FINALIZER]}}
    async with play.controller(faulty):
        await play.begin("s")
        faulty.lay("create", FLUID_JOBS, created)
        play.clock.set(noon())
        await created.reached()
    await play.kube.patch(FLUID_JOBS, ObjectKey(play.namespace, at(0)), held)
    await delete(play, at(0))
    async with play.controller():
        status = await play.looked("s")
        assert datetime.fromisoformat(status["lastScheduleTime"]) == noon()
        await let_go(play, at(0))
        await play.has_jobs(0)
        await play.at(noon(minutes=1), "s")
        assert set(await play.has_jobs(1)) == {at(1)}


async def test_a_schedule_that_is_created_again_within_the_minute_does_not_fire_its_past(cluster, namespace):
    async with playing(cluster, namespace) as play, play.controller():
        status = await play.begin("s")
        first = datetime.fromisoformat(status["nextScheduleTime"])
        play.clock.set(first)
        await play.has_jobs(1)
        await play.kube.delete(FLUID_SCHEDULES, ObjectKey(namespace, "s"), propagation="Orphan")
        await auntil(lambda: gone(play), what="the schedule is gone")
        await play.begin("s")
        assert set(await play.jobs()) == {job_name("s", first)}
        status = await play.status("s")
        assert "lastScheduleTime" not in status
        assert status["activeCount"] == 0
        play.clock.advance(minutes=1)
        jobs = await play.has_jobs(1, "s")
        assert set(await play.jobs()) == {job_name("s", first), *jobs}
        assert len(await play.jobs()) == 2
        assert "missed" not in await play.looked("s")


async def gone(play):
    page = await play.kube.list_page(FLUID_SCHEDULES, play.namespace)
    return not page.items


@pytest.mark.parametrize("policy", ["Forbid", "Replace", "Enqueue"])
async def test_a_job_of_the_schedule_that_had_the_name_before_is_nobodys(play, policy):
    """It is on its way out, held by somebody's finalizer: it neither stands in the way nor is asked to stop."""
    async with play.controller():
        await play.begin("s", concurrencyPolicy=policy)
        await play.at(noon(), "s")
        await play.kube.patch(FLUID_JOBS, ObjectKey(play.namespace, at(0)), {"metadata": {"finalizers": [FINALIZER]}})
        await delete(play, "s", FLUID_SCHEDULES)
        await auntil(lambda: gone(play), what="the schedule is gone")
        await play.begin("s", concurrencyPolicy=policy)
        await play.at(noon(minutes=1), "s")
        assert "missed" not in await fires(play, 1)
        assert "fluidcalendar.com/request" not in str((await play.job(at(0)))["metadata"]["annotations"])
        await let_go(play, at(0))
        await auntil(lambda: only(play, at(1)), what="the old job is collected")


async def only(play, *names):
    return set(await play.jobs()) == set(names)


async def test_a_lock_of_the_schedule_that_had_the_name_before_is_waited_for(play):
    async with play.controller():
        await play.begin("s")
        before = job_for(await play.schedule("s"), noon(), ZoneInfo("UTC"))
        before["metadata"]["finalizers"] = [FINALIZER]
        await play.kube.create(FLUID_JOBS, before)
        await delete(play, "s", FLUID_SCHEDULES)
        await auntil(lambda: being_deleted(play, at(0)), what="the garbage collector deletes the job")
        await play.begin("s")
        play.clock.set(noon())
        await collides(play, words="is waited for")
        await let_go(play, at(0))
        assert "missed" not in await fires(play, 0)


async def being_deleted(play, name):
    return "deletionTimestamp" in (await play.job(name))["metadata"]
