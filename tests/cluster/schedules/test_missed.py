"""What happens to times that pass while nobody is there, and when the clock itself jumps."""

import pytest

from fluid_operator.schedules.events import MISSED
from fluid_operator.timetables.creation import TIME_ANNOTATION, job_name
from support.schedules import noon


def name_at(**parts):
    return job_name("s", noon(**parts))


async def begun(play, schedule, **spec):
    """A schedule that has been looked at before noon, by a controller that is gone."""
    async with play.controller():
        await play.begin("s", schedule, **spec)


async def after_an_outage(play, **parts):
    """The status after a controller has come back so long after noon and gone again."""
    play.clock.set(noon(**parts))
    async with play.controller():
        return await play.looked("s")


async def test_a_time_missed_within_the_starting_deadline_is_made_up_for(play):
    await begun(play, "0 * * * *", startingDeadlineSeconds=300)
    status = await after_an_outage(play, minutes=5)
    ((name, job),) = (await play.jobs()).items()
    assert name == name_at()
    assert job["metadata"]["annotations"][TIME_ANNOTATION] == "2050-01-11T12:00:00Z"
    assert status["lastScheduleTime"] == "2050-01-11T12:00:00Z"
    assert status["nextScheduleTime"] == "2050-01-11T13:00:00Z"
    assert "missed" not in status
    await play.tells()


async def test_a_time_older_than_the_starting_deadline_is_counted_as_missed(play):
    await begun(play, "0 * * * *", startingDeadlineSeconds=300)
    status = await after_an_outage(play, minutes=5, seconds=1)
    assert await play.jobs() == {}
    assert status["missed"] == 1
    assert "lastScheduleTime" not in status
    assert status["nextScheduleTime"] == "2050-01-11T13:00:00Z"
    await play.tells(MISSED.reason)


@pytest.mark.parametrize(("seconds", "fired", "missed"), [(3600, True, None), (3601, False, 1)])
async def test_without_a_starting_deadline_an_hour_counts(play, seconds, fired, missed):
    await begun(play, "0 12 * * *")
    status = await after_an_outage(play, seconds=seconds)
    assert set(await play.jobs()) == ({name_at()} if fired else set())
    assert status.get("missed") == missed
    assert status["nextScheduleTime"] == "2050-01-12T12:00:00Z"


async def test_of_several_missed_times_only_the_latest_is_made_up_for_and_the_others_are_counted(play):
    await begun(play, "*/10 * * * *")
    status = await after_an_outage(play, minutes=35)
    assert set(await play.jobs()) == {name_at(minutes=30)}
    assert status["lastScheduleTime"] == "2050-01-11T12:30:00Z"
    assert status["missed"] == 3
    assert status["notBefore"] == "2050-01-11T12:29:01Z"
    await play.tells(MISSED.reason)


async def test_missed_times_are_counted_only_once_however_often_somebody_looks(play):
    await begun(play, "*/10 * * * *")
    await after_an_outage(play, minutes=35)
    status = await after_an_outage(play, minutes=36)
    assert status["missed"] == 3
    status = await after_an_outage(play, minutes=55)
    assert set(await play.jobs()) == {name_at(minutes=30), name_at(minutes=50)}
    assert status["missed"] == 4


async def test_after_an_outage_of_weeks_one_job_is_created(play):
    await begun(play, "* * * * *")
    status = await after_an_outage(play, days=5)
    assert set(await play.jobs()) == {name_at(days=5)}
    assert status["missed"] == 5 * 24 * 60


async def test_missed_times_are_counted_up_to_ten_thousand_for_one_outage(play):
    await begun(play, "* * * * *")
    status = await after_an_outage(play, days=60)
    assert set(await play.jobs()) == {name_at(days=60)}
    assert status["missed"] == 9_999


async def test_a_starting_deadline_of_nothing_still_lets_jobs_be_created_in_time(play):
    async with play.controller():
        await play.begin("s", "0 * * * *", startingDeadlineSeconds=0)
        status = await play.at(noon(seconds=9), "s")
        assert set(await play.jobs()) == {name_at()}
        assert "missed" not in status
        status = await play.at(noon(hours=1, seconds=11), "s")
        assert set(await play.jobs()) == {name_at()}
        assert status["missed"] == 1


async def test_a_new_schedule_makes_up_for_the_time_since_its_creation_only(play):
    await play.create("s", "* * * * *", suspend=True)
    async with play.controller():
        await play.reaches("s", lambda s: "notBefore" in s, "it is looked at")
        await play.follows("s", suspend=None)
    status = await after_an_outage(play, minutes=2)
    assert set(await play.jobs()) == {name_at(minutes=2)}
    assert status["missed"] == 2


async def test_a_time_that_passes_between_creation_and_the_first_look_is_not_lost(play):
    # The API server dates the creation, which no test can set: so this schedule is old when it is first looked at.
    await play.create("s", "0 12 * * *")
    status = await after_an_outage(play, minutes=1)
    assert set(await play.jobs()) == {name_at()}
    assert status["lastScheduleTime"] == "2050-01-11T12:00:00Z"
    assert status["missed"] > 0


async def test_a_clock_that_jumps_forward_skips_the_times_between(play):
    async with play.controller():
        await play.begin("s")
        await play.at(noon(), "s")
        status = await play.at(noon(minutes=10, seconds=3), "s")
        assert set(await play.jobs()) == {name_at(), name_at(minutes=10)}
        assert status["missed"] == 9
        assert (await play.condition("s"))["reason"] == "OnSchedule"


async def test_a_clock_that_goes_back_serves_no_time_twice_and_says_so(play):
    async with play.controller():
        await play.begin("s")
        await play.at(noon(), "s")
        await play.at(noon(minutes=1), "s")
        for name in await play.jobs():
            await play.end(name)
        await play.reaches("s", lambda s: s["activeCount"] == 0, "nothing is left to do")
        play.clock.set(noon(minutes=-5))
        await play.reaches("s", lambda s: "ClockWentBack" in str(s), "the status tells it")
        ready = await play.condition("s")
        assert (ready["status"], ready["reason"]) == ("False", "ClockWentBack")
        assert "2050-01-11T12:01:00Z" in ready["message"]
        assert (await play.condition("s", "Reconciling"))["status"] == "True"
        assert await play.condition("s", "Stalled") == {}
        for minutes in range(-5, 2):
            play.clock.set(noon(minutes=minutes))
            await play.follows("s", failedJobsHistoryLimit=minutes + 10)
        assert set(await play.jobs()) == {name_at(), name_at(minutes=1)}
        status = await play.at(noon(minutes=2), "s")
        assert set(await play.jobs()) == {name_at(), name_at(minutes=1), name_at(minutes=2)}
        assert "missed" not in status
        assert (await play.condition("s"))["reason"] == "OnSchedule"
        assert await play.condition("s", "Reconciling") == {}


async def test_a_clock_that_went_back_while_nobody_was_there_serves_no_time_twice(play):
    async with play.controller():
        await play.begin("s")
        await play.at(noon(), "s")
    await play.end(name_at())
    status = await after_an_outage(play, minutes=-1)
    assert status["nextScheduleTime"] == "2050-01-11T12:01:00Z"
    status = await after_an_outage(play, seconds=1)
    assert set(await play.jobs()) == {name_at()}
    assert status["nextScheduleTime"] == "2050-01-11T12:01:00Z"
