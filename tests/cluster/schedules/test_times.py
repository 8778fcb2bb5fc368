"""Which times a schedule comes at, as the jobs tell that are there: several expressions, H, jitter, changes of the
clock."""

import asyncio
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest

from fluid_operator.schedules.course import jitter
from fluid_operator.timetables.creation import TIME_ANNOTATION, job_name
from support.schedules import noon

QUARTER = timedelta(minutes=15)

# In Europe/Berlin, 2050: 02:00 is followed by 03:00 in March, and 03:00 by 02:00 in October.
SPRING = datetime(2050, 3, 27, 0, 15, tzinfo=UTC)
AUTUMN = datetime(2050, 10, 29, 23, 45, tzinfo=UTC)
NIGHTS = {
    "spring": (
        SPRING,
        {
            "30 2 * * *": ["03:00+02:00"],
            "30 2,4 * * *": ["03:00+02:00", "04:30+02:00"],
            "*/30 * * * *": ["01:30+01:00", "03:00+02:00", "03:30+02:00", "04:00+02:00", "04:30+02:00"],
            "30 * * * *": ["01:30+01:00", "03:30+02:00", "04:30+02:00"],
        },
    ),
    "autumn": (
        AUTUMN,
        {
            "30 2 * * *": ["02:30+02:00"],
            "0 3 * * *": ["03:00+01:00"],
            "*/30 1-2 * * *": ["02:00+02:00", "02:30+02:00", "02:00+01:00", "02:30+01:00"],
            "30 * * * *": ["02:30+02:00", "02:30+01:00"],
        },
    ),
}


def name_at(schedule="s", **parts):
    return job_name(schedule, noon(**parts))


async def served(play, schedule):
    """The times of the schedule's jobs, in their order."""
    marks = [job["metadata"]["annotations"][TIME_ANNOTATION] for job in (await play.jobs(schedule)).values()]
    return sorted(datetime.fromisoformat(mark) for mark in marks)


async def go_on(play, schedules, step, count):
    """Advance the clock so many steps; all schedules look at each."""
    for _ in range(count):
        play.clock.set(play.clock.now() + step)
        await asyncio.gather(*(play.looked(name) for name in schedules))


@pytest.mark.parametrize("night", NIGHTS)
async def test_when_clocks_are_changed_a_time_of_day_comes_once_and_an_interval_at_each_instant(play, night):
    start, expected = NIGHTS[night]
    schedules = {f"s{number}": text for number, text in enumerate(expected)}
    play.clock.set(start)
    async with play.controller():
        await asyncio.gather(
            *(
                play.begin(name, text, timeZone="Europe/Berlin", payload={"at": "{{ scheduledTime }}"})
                for name, text in schedules.items()
            )
        )
        await go_on(play, schedules, QUARTER, 9)
        for name, text in schedules.items():
            jobs = (await play.jobs(name)).values()
            told = sorted(
                (each["metadata"]["annotations"][TIME_ANNOTATION], each["spec"]["payload"]["at"]) for each in jobs
            )
            assert [at[11:16] + at[19:] for _, at in told] == expected[text], text
            assert all(datetime.fromisoformat(mark) == datetime.fromisoformat(at) for mark, at in told)
            assert "missed" not in await play.status(name)


async def test_the_status_tells_the_times_to_come_in_the_zone_of_the_schedule(play):
    play.clock.set(SPRING - timedelta(days=1))
    async with play.controller():
        status = await play.begin("s", "30 2 * * *", timeZone="Europe/Berlin")
        assert status["nextScheduleTime"] == status["upcoming"][0]
        assert status["upcoming"] == [
            "2050-03-26T02:30:00+01:00",
            "2050-03-27T03:00:00+02:00",
            "2050-03-28T02:30:00+02:00",
            "2050-03-29T02:30:00+02:00",
            "2050-03-30T02:30:00+02:00",
        ]


async def test_a_minute_that_several_expressions_name_comes_once(play):
    async with play.controller():
        status = await play.begin("s", None, schedules=["0 12 * * *", "*/30 * * * *", "15 12 * * TUE"])
        assert status["timetable"] == "0 12 * * *; */30 * * * *; 15 12 * * TUE UTC"
        await go_on(play, ["s"], QUARTER, 4)
        assert await served(play, "s") == [noon(), noon(minutes=15), noon(minutes=30)]


async def test_at_hourly_means_each_full_hour_and_at_daily_midnight_in_the_zone(play):
    async with play.controller():
        hourly = await play.begin("s", "@hourly")
        daily = await play.begin("d", "@daily", timeZone="Asia/Kathmandu")
        assert hourly["upcoming"][:2] == ["2050-01-11T12:00:00Z", "2050-01-11T13:00:00Z"]
        assert daily["nextScheduleTime"] == "2050-01-12T00:00:00+05:45"
        await go_on(play, ["s", "d"], timedelta(hours=1), 8)
        assert await served(play, "s") == [noon(hours=hour) for hour in range(8)]
        assert await served(play, "d") == [noon(hours=6, minutes=15)]


async def test_h_is_a_minute_of_its_own_for_each_schedule_and_always_the_same(play):
    names = [f"s{number}" for number in range(8)]
    async with play.controller():
        found = await asyncio.gather(*(play.begin(name, "H * * * *") for name in names))
        minutes = [int(status["timetable"].split()[0]) for status in found]
        assert len(set(minutes)) > 1
        play.clock.set(noon(hours=1, seconds=-30))
        await asyncio.gather(*(play.looked(name) for name in names))
        for name, minute in zip(names, minutes, strict=True):
            assert await served(play, name) == [noon(minutes=minute)]
    for name in names:
        await play.change(name, failedJobsHistoryLimit=2)
    async with play.controller():
        found = await asyncio.gather(*(play.follows(name, failedJobsHistoryLimit=3) for name in names))
        assert [int(status["timetable"].split()[0]) for status in found] == minutes


async def test_h_may_be_bounded_and_stepped(play):
    async with play.controller():
        status = await play.begin("s", "H(10-19) H/6 * * *")
        times = [datetime.fromisoformat(time) for time in status["upcoming"]]
        assert all(10 <= time.minute <= 19 for time in times)
        assert {later - earlier for earlier, later in pairwise(times)} == {timedelta(hours=6)}


async def test_jitter_delays_the_job_by_the_same_time_whoever_creates_it(play):
    async with play.controller():
        await play.begin("s", "0 * * * *", jitterSeconds=1800)
        uid = (await play.schedule("s"))["metadata"]["uid"]
        delay = jitter(uid, noon(), 1800, noon(hours=1))
        play.clock.set(noon() + delay / 2)
        status = await play.follows("s", failedJobsHistoryLimit=2)
        assert await play.jobs() == {}
        assert status["nextScheduleTime"] == "2050-01-11T12:00:00Z"
    async with play.controller():
        play.clock.set(noon() + delay * 0.99)
        await play.follows("s", failedJobsHistoryLimit=3)
        assert await play.jobs() == {}
        status = await play.at(noon() + delay, "s")
        assert set(await play.jobs()) == {name_at()}
        assert status["lastScheduleTime"] == "2050-01-11T12:00:00Z"
        assert "missed" not in status


async def test_jitter_never_delays_a_job_beyond_the_next_time(play):
    async with play.controller():
        await play.begin("s", "* * * * *", jitterSeconds=86_400)
        for minute in range(5):
            await play.at(noon(minutes=minute, seconds=59), "s")
            assert await served(play, "s") == [noon(minutes=each) for each in range(minute + 1)]
        assert "missed" not in await play.status("s")


async def test_a_starting_deadline_is_counted_from_the_end_of_the_jitter(play):
    async with play.controller():
        await play.begin("s", "0 * * * *", jitterSeconds=1800, startingDeadlineSeconds=60)
        uid = (await play.schedule("s"))["metadata"]["uid"]
    play.clock.set(noon() + jitter(uid, noon(), 1800, noon(hours=1)) + timedelta(seconds=60))
    async with play.controller():
        await play.looked("s")
        assert set(await play.jobs()) == {name_at()}
