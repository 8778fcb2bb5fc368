"""What happens when it is time and a job of the schedule has not ended."""

import asyncio

import pytest

from fluid_operator.api.meta import REQUEST_ANNOTATION
from fluid_operator.schedules.events import MISSED, REPLACED, SKIPPED
from fluid_operator.timetables.creation import TIME_ANNOTATION, job_name
from support.schedules import noon

ALL = ["Allow", "Forbid", "Replace", "Enqueue"]
EXCLUSIVE = ["Forbid", "Replace", "Enqueue"]


def name_at(minutes, schedule="s"):
    return job_name(schedule, noon(minutes=minutes))


def names_at(*minutes):
    return {name_at(each) for each in minutes}


def clock_face(minutes):
    """The time as the status writes it."""
    return noon(minutes=minutes).strftime("%Y-%m-%dT%H:%M:%SZ")


async def request_of(play, job):
    return (await play.job(job))["metadata"].get("annotations", {}).get(REQUEST_ANNOTATION, "")


async def test_allow_runs_the_jobs_of_all_times_side_by_side(play):
    async with play.controller():
        await play.begin("s", concurrencyPolicy="Allow")
        for minute in range(3):
            status = await play.at(noon(minutes=minute), "s")
        assert set(await play.jobs()) == names_at(0, 1, 2)
        assert status["activeCount"] == 3
        assert {each["name"] for each in status["active"]} == names_at(0, 1, 2)
        assert status["lastScheduleTime"] == clock_face(2)
        assert "missed" not in status
        await play.tells()


@pytest.mark.parametrize("policy", ALL)
async def test_a_job_that_has_ended_is_in_nobodys_way(play, policy):
    async with play.controller():
        await play.begin("s", concurrencyPolicy=policy)
        for minute in range(2):
            status = await play.at(noon(minutes=minute), "s")
            await play.end(name_at(minute))
        assert set(await play.jobs()) == names_at(0, 1)
        assert status["lastScheduleTime"] == clock_face(1)
        assert "missed" not in status
        assert "waitingTime" not in status
        await play.tells()


async def test_forbid_skips_each_time_while_a_job_is_active_and_counts_it(play):
    async with play.controller():
        await play.begin("s", concurrencyPolicy="Forbid")
        await play.at(noon(), "s")
        await play.at(noon(minutes=1), "s")
        status = await play.at(noon(minutes=2), "s")
        assert set(await play.jobs()) == names_at(0)
        assert status["missed"] == 2
        assert status["lastScheduleTime"] == clock_face(0)
        assert status["nextScheduleTime"] == clock_face(3)
        assert status["activeCount"] == 1
        ready = await play.condition("s")
        assert (ready["status"], ready["reason"]) == ("True", "OnSchedule")
        await play.tells(SKIPPED.reason, SKIPPED.reason)


async def test_forbid_does_not_make_up_for_what_it_skipped_once_the_job_has_ended(play):
    async with play.controller():
        await play.begin("s", concurrencyPolicy="Forbid")
        await play.at(noon(), "s")
        await play.at(noon(minutes=1), "s")
        await play.end(name_at(0))
        await play.reaches("s", lambda s: s["activeCount"] == 0, "its end is seen")
        status = await play.at(noon(minutes=2), "s")
        assert set(await play.jobs()) == names_at(0, 2)
        assert status["lastScheduleTime"] == clock_face(2)
        assert status["missed"] == 1


async def test_replace_asks_the_active_job_once_to_stop_and_waits_for_its_end(play):
    async with play.controller():
        await play.begin("s", concurrencyPolicy="Replace")
        await play.at(noon(), "s")
        status = await play.at(noon(minutes=1), "s")
        assert status["waitingTime"] == clock_face(1)
        assert status["lastScheduleTime"] == clock_face(0)
        ready = await play.condition("s")
        assert (ready["status"], ready["reason"]) == ("True", "WaitingForActiveJob")
        assert clock_face(1) in ready["message"]
        asked = await request_of(play, name_at(0))
        assert asked == "cancel@2050-01-11T12:01:00.000Z"
        play.clock.advance(seconds=20)
        await play.follows("s", failedJobsHistoryLimit=2)
        assert await request_of(play, name_at(0)) == asked
        assert set(await play.jobs()) == names_at(0)
        await play.end(name_at(0), "Cancelled")
        status = await play.reaches("s", lambda s: "waitingTime" not in s, "nothing waits any more")
        jobs = await play.jobs()
        assert set(jobs) == names_at(0, 1)
        assert jobs[name_at(1)]["metadata"]["annotations"][TIME_ANNOTATION] == clock_face(1)
        assert status["lastScheduleTime"] == clock_face(1)
        assert status["activeCount"] == 1
        assert "missed" not in status
        await play.tells(REPLACED.reason)


async def test_replace_goes_on_with_the_latest_time_when_several_come_before_the_job_has_stopped(play):
    async with play.controller():
        await play.begin("s", concurrencyPolicy="Replace")
        for minute in range(4):
            status = await play.at(noon(minutes=minute), "s")
        assert status["waitingTime"] == clock_face(3)
        assert status["missed"] == 2
        await play.end(name_at(0), "Cancelled")
        status = await play.reaches("s", lambda s: "waitingTime" not in s, "nothing waits any more")
        assert set(await play.jobs()) == names_at(0, 3)
        assert status["lastScheduleTime"] == clock_face(3)
        assert status["missed"] == 2
        assert await request_of(play, name_at(3)) == ""
        await play.tells(REPLACED.reason, SKIPPED.reason, SKIPPED.reason)


async def test_replace_creates_the_job_of_the_newest_time_only_when_all_became_free_during_an_outage(play):
    async with play.controller():
        await play.begin("s", concurrencyPolicy="Replace")
        await play.at(noon(), "s")
        await play.at(noon(minutes=1), "s")
    await play.end(name_at(0), "Cancelled")
    play.clock.set(noon(minutes=2))
    async with play.controller():
        status = await play.looked("s")
        assert set(await play.jobs()) == names_at(0, 2)
        assert status["lastScheduleTime"] == clock_face(2)
        assert status["missed"] == 1
        assert "waitingTime" not in status


async def test_enqueue_lets_one_job_wait_and_skips_the_times_after_it(play):
    async with play.controller():
        await play.begin("s", concurrencyPolicy="Enqueue")
        await play.at(noon(), "s")
        status = await play.at(noon(minutes=1), "s")
        assert status["waitingTime"] == clock_face(1)
        assert "missed" not in status
        ready = await play.condition("s")
        assert (ready["status"], ready["reason"]) == ("True", "WaitingForActiveJob")
        await play.at(noon(minutes=2), "s")
        status = await play.at(noon(minutes=3), "s")
        assert status["waitingTime"] == clock_face(1)
        assert status["missed"] == 2
        assert set(await play.jobs()) == names_at(0)
        assert await request_of(play, name_at(0)) == ""
        await play.end(name_at(0))
        status = await play.reaches("s", lambda s: "waitingTime" not in s, "nothing waits any more")
        assert set(await play.jobs()) == names_at(0, 1)
        assert status["lastScheduleTime"] == clock_face(1)
        assert status["nextScheduleTime"] == clock_face(4)
        assert (await play.condition("s"))["reason"] == "OnSchedule"
        status = await play.at(noon(minutes=4), "s")
        assert status["waitingTime"] == clock_face(4)
        await play.end(name_at(1))
        await play.has_jobs(3)
        assert set(await play.jobs()) == names_at(0, 1, 4)
        await play.tells(SKIPPED.reason, SKIPPED.reason)


@pytest.mark.parametrize("policy", ["Replace", "Enqueue"])
async def test_what_waits_survives_a_restart_of_the_controller(play, policy):
    async with play.controller():
        await play.begin("s", concurrencyPolicy=policy)
        await play.at(noon(), "s")
        await play.at(noon(minutes=1), "s")
    async with play.controller():
        await play.follows("s", failedJobsHistoryLimit=2)
        assert set(await play.jobs()) == names_at(0)
        await play.end(name_at(0))
        status = await play.reaches("s", lambda s: "waitingTime" not in s, "nothing waits any more")
        assert set(await play.jobs()) == names_at(0, 1)
        assert status["lastScheduleTime"] == clock_face(1)


async def test_what_waits_runs_after_a_restart_during_which_the_active_job_ended(play):
    async with play.controller():
        await play.begin("s", concurrencyPolicy="Enqueue")
        await play.at(noon(), "s")
        await play.at(noon(minutes=1), "s")
    await play.end(name_at(0))
    # Longer than any missed time is made up for: what waits was not missed.
    play.clock.set(noon(hours=3, seconds=30))
    async with play.controller():
        status = await play.looked("s")
        assert set(await play.jobs()) == names_at(0, 1)
        assert status["waitingTime"] == clock_face(180)
        assert status["missed"] == 178
        await play.tells(MISSED.reason)


async def test_a_job_waits_until_every_active_one_has_ended(play):
    async with play.controller():
        await play.begin("s", concurrencyPolicy="Allow")
        await play.at(noon(), "s")
        await play.at(noon(minutes=1), "s")
        await play.follows("s", concurrencyPolicy="Enqueue")
        await play.at(noon(minutes=2), "s")
        await play.end(name_at(1))
        status = await play.reaches("s", lambda s: s["activeCount"] == 1, "its end is seen")
        assert status["waitingTime"] == clock_face(2)
        assert set(await play.jobs()) == names_at(0, 1)
        await play.end(name_at(0), "Failed")
        await play.has_jobs(3)


async def test_changed_to_replace_every_active_job_is_asked_to_stop(play):
    async with play.controller():
        await play.begin("s", concurrencyPolicy="Allow")
        await play.at(noon(), "s")
        await play.at(noon(minutes=1), "s")
        await play.follows("s", concurrencyPolicy="Replace")
        await play.at(noon(minutes=2), "s")
        requests = [await request_of(play, name_at(minute)) for minute in (0, 1)]
        assert requests == ["cancel@2050-01-11T12:02:00.000Z"] * 2
        assert set(await play.jobs()) == names_at(0, 1)


async def test_changed_to_allow_what_waits_is_created_at_once(play):
    async with play.controller():
        await play.begin("s", concurrencyPolicy="Enqueue")
        await play.at(noon(), "s")
        await play.at(noon(minutes=1), "s")
        status = await play.follows("s", concurrencyPolicy="Allow")
        assert "waitingTime" not in status
        assert set(await play.jobs()) == names_at(0, 1)
        assert (status["lastScheduleTime"], status["activeCount"]) == (clock_face(1), 2)
        assert "missed" not in status


async def test_changed_to_forbid_what_waits_still_comes_and_later_times_are_skipped(play):
    async with play.controller():
        await play.begin("s", concurrencyPolicy="Enqueue")
        await play.at(noon(), "s")
        await play.at(noon(minutes=1), "s")
        await play.follows("s", concurrencyPolicy="Forbid")
        status = await play.at(noon(minutes=2), "s")
        assert (status["waitingTime"], status["missed"]) == (clock_face(1), 1)
        await play.end(name_at(0))
        status = await play.reaches("s", lambda s: "waitingTime" not in s, "nothing waits any more")
        assert set(await play.jobs()) == names_at(0, 1)


async def test_changed_to_replace_what_waits_asks_the_active_job_to_stop(play):
    async with play.controller():
        await play.begin("s", concurrencyPolicy="Enqueue")
        await play.at(noon(), "s")
        await play.at(noon(minutes=1), "s")
        play.clock.advance(seconds=10)
        await play.follows("s", concurrencyPolicy="Replace")
        assert await request_of(play, name_at(0)) == "cancel@2050-01-11T12:01:10.000Z"
        await play.end(name_at(0), "Cancelled")
        await play.reaches("s", lambda s: "waitingTime" not in s, "nothing waits any more")
        assert set(await play.jobs()) == names_at(0, 1)


@pytest.mark.parametrize("policy", EXCLUSIVE)
async def test_a_job_that_somebody_asked_for_is_in_nobodys_way(play, policy):
    async with play.controller():
        await play.begin("s", concurrencyPolicy=policy)
        await play.by_hand("s", "s-mine")
        await play.reaches("s", lambda s: s["activeCount"] == 1, "it is seen")
        status = await play.at(noon(), "s")
        assert set(await play.jobs()) == {"s-mine"} | names_at(0)
        assert status["activeCount"] == 2
        assert "missed" not in status
        assert "waitingTime" not in status
        assert await request_of(play, "s-mine") == ""


async def test_a_job_that_somebody_asked_for_makes_forbid_skip_if_he_wants_it_counted(play):
    async with play.controller():
        await play.begin("s", concurrencyPolicy="Forbid")
        await play.by_hand("s", "s-mine", counted=True)
        status = await play.at(noon(), "s")
        assert set(await play.jobs()) == {"s-mine"}
        assert status["missed"] == 1
        assert "lastScheduleTime" not in status


async def test_a_job_that_somebody_asked_for_is_waited_for_if_he_wants_it_counted(play):
    async with play.controller():
        await play.begin("s", concurrencyPolicy="Enqueue")
        await play.by_hand("s", "s-mine", counted=True)
        status = await play.at(noon(), "s")
        assert status["waitingTime"] == clock_face(0)
        await play.end("s-mine")
        await play.has_jobs(2)
        assert set(await play.jobs()) == {"s-mine"} | names_at(0)


async def test_a_job_that_somebody_asked_for_is_replaced_if_he_wants_it_counted(play):
    async with play.controller():
        await play.begin("s", concurrencyPolicy="Replace")
        await play.by_hand("s", "s-mine", counted=True)
        await play.by_hand("s", "s-other")
        await play.at(noon(), "s")
        assert await request_of(play, "s-mine") == "cancel@2050-01-11T12:00:00.000Z"
        assert await request_of(play, "s-other") == ""


async def test_the_jobs_of_another_schedule_are_in_nobodys_way(play):
    async with play.controller():
        await asyncio.gather(*(play.begin(name, concurrencyPolicy="Forbid") for name in ("s", "t")))
        play.clock.set(noon())
        await asyncio.gather(play.looked("s"), play.looked("t"))
        assert set(await play.jobs()) == {name_at(0, "s"), name_at(0, "t")}
