"""A suspended schedule creates nothing, and resumed it forgets what passed meanwhile."""

import pytest

from fluid_operator.timetables.creation import job_name
from support.schedules import noon


def name_at(**parts):
    return job_name("s", noon(**parts))


async def test_suspended_for_hours_and_resumed_it_goes_on_with_the_next_time(play):
    async with play.controller():
        await play.begin("s")
        await play.at(noon(), "s")
        status = await play.follows("s", suspend=True)
        assert "nextScheduleTime" not in status
        assert "upcoming" not in status
        assert status["lastScheduleTime"] == "2050-01-11T12:00:00Z"
        suspended, ready = await play.condition("s", "Suspended"), await play.condition("s")
        assert (suspended["status"], suspended["reason"]) == ("True", "Suspended")
        assert (ready["status"], ready["reason"]) == ("True", "Suspended")
        play.clock.set(noon(hours=5, seconds=30))
        await play.follows("s", failedJobsHistoryLimit=2)
        assert set(await play.jobs()) == {name_at()}
        status = await play.follows("s", suspend=False)
        assert await play.condition("s", "Suspended") == {}
        assert status["nextScheduleTime"] == "2050-01-11T17:01:00Z"
        assert status["notBefore"] == "2050-01-11T17:00:31Z"
        status = await play.at(noon(hours=5, minutes=1), "s")
        assert set(await play.jobs()) == {name_at(), name_at(hours=5, minutes=1)}
        assert "missed" not in status
        await play.tells()


async def test_suspended_from_the_beginning_it_creates_nothing_until_it_is_resumed(play):
    async with play.controller():
        await play.create("s", suspend=True)
        status = await play.reaches("s", lambda s: s["observedGeneration"] == 1, "it is looked at")
        assert "nextScheduleTime" not in status
        assert (await play.condition("s", "Suspended"))["status"] == "True"
        play.clock.set(noon(minutes=10))
        status = await play.follows("s", suspend=None)
        assert status["nextScheduleTime"] == "2050-01-11T12:11:00Z"
        assert await play.jobs() == {}
        await play.at(noon(minutes=11), "s")
        assert set(await play.jobs()) == {name_at(minutes=11)}


async def test_resumed_while_no_controller_was_there_it_forgets_the_past_all_the_same(play):
    async with play.controller():
        await play.begin("s")
        await play.follows("s", suspend=True)
    await play.change("s", suspend=False)
    play.clock.set(noon(minutes=30))
    async with play.controller():
        status = await play.looked("s")
        assert status["nextScheduleTime"] == "2050-01-11T12:31:00Z"
        assert "missed" not in status
        assert await play.jobs() == {}


async def test_suspended_while_no_controller_was_there_it_creates_nothing_for_the_time_before(play):
    async with play.controller():
        await play.begin("s")
    play.clock.set(noon(minutes=3))
    generation = (await play.change("s", suspend=True))["metadata"]["generation"]
    async with play.controller():
        await play.reaches("s", lambda s: s["observedGeneration"] == generation, "it is looked at")
        assert await play.jobs() == {}
        status = await play.follows("s", suspend=False)
        assert status["nextScheduleTime"] == "2050-01-11T12:04:00Z"
        assert await play.jobs() == {}


@pytest.mark.parametrize("policy", ["Replace", "Enqueue"])
async def test_suspended_while_a_time_waits_its_job_is_given_up_and_counted_as_missed(play, policy):
    async with play.controller():
        await play.begin("s", concurrencyPolicy=policy)
        await play.at(noon(), "s")
        await play.at(noon(minutes=1), "s")
        status = await play.follows("s", suspend=True)
        assert "waitingTime" not in status
        assert status["missed"] == 1
        await play.end(name_at())
        await play.reaches("s", lambda s: s["activeCount"] == 0, "its end is seen")
        status = await play.follows("s", suspend=False)
        assert set(await play.jobs()) == {name_at()}
        assert status["nextScheduleTime"] == "2050-01-11T12:02:00Z"
        assert status["missed"] == 1


async def test_the_job_that_is_active_goes_on_while_its_schedule_is_suspended(play):
    async with play.controller():
        await play.begin("s", concurrencyPolicy="Replace")
        await play.at(noon(), "s")
        status = await play.follows("s", suspend=True)
        assert status["activeCount"] == 1
        job = await play.job(name_at())
        assert job["spec"]["suspend"] is False
        assert "jobs.fluidcalendar.com/request" not in job["metadata"]["annotations"]
        await play.end(name_at())
        status = await play.reaches("s", lambda s: s["activeCount"] == 0, "its end is seen")
        assert status["lastSuccessfulTime"] == "2050-01-11T12:00:00.000000Z"


async def test_resumed_at_the_very_second_of_a_time_it_begins_with_the_next_one(play):
    async with play.controller():
        await play.begin("s")
        await play.follows("s", suspend=True)
        play.clock.set(noon())
        status = await play.follows("s", suspend=False)
        assert status["nextScheduleTime"] == "2050-01-11T12:01:00Z"
        assert await play.jobs() == {}
