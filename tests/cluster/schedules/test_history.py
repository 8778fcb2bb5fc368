"""How many ended jobs of a schedule are kept, and which."""

from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from fluid_operator.kube.keys import FLUID_JOBS, ObjectKey
from fluid_operator.timetables.creation import BACKFILL, INSTANTIATE_ANNOTATION, job_for, job_name
from support.schedules import noon, playing
from support.waiting import auntil


def name_at(minutes):
    return job_name("s", noon(minutes=minutes))


def names_at(*minutes):
    return {name_at(each) for each in minutes}


async def run_through(play, minutes, phase="Succeeded"):
    """Let a job be created at each of these minutes, and end."""
    for minute in minutes:
        await play.at(noon(minutes=minute), "s")
        await play.end(name_at(minute), phase)


async def keeps(play, names):
    """Wait until exactly these jobs are there."""

    async def there():
        return set(await play.jobs()) == names

    await auntil(there, 30, f"only {names} are left")


async def settled(play, mark):
    """Wait until every end is seen and one more look has found nothing to do."""
    await play.reaches("s", lambda s: s["activeCount"] == 0, "every end is seen")
    await play.follows("s", startingDeadlineSeconds=mark)
    return set(await play.jobs())


async def test_three_succeeded_jobs_and_one_failed_are_kept_those_of_the_latest_times(play):
    async with play.controller():
        await play.begin("s")
        await run_through(play, range(4))
        await run_through(play, range(4, 7), "Failed")
        await run_through(play, [7])
        await keeps(play, names_at(2, 3, 7, 6))
        assert await settled(play, 99) == names_at(2, 3, 7, 6)


async def test_a_cancelled_job_counts_as_a_failed_one(play):
    async with play.controller():
        await play.begin("s", failedJobsHistoryLimit=2)
        await run_through(play, [0, 1], "Cancelled")
        await run_through(play, [2], "Failed")
        await keeps(play, names_at(1, 2))


async def test_the_oldest_times_go_first_whatever_ended_first(play):
    async with play.controller():
        await play.begin("s", successfulJobsHistoryLimit=2)
        for minute in range(3):
            await play.at(noon(minutes=minute), "s")
        for minute in (2, 1, 0):
            play.clock.advance(seconds=1)
            await play.end(name_at(minute))
        await keeps(play, names_at(1, 2))


@pytest.mark.parametrize("phase", ["Succeeded", "Failed"])
async def test_a_limit_of_nothing_keeps_nothing_and_never_what_is_active(play, phase):
    async with play.controller():
        await play.begin("s", successfulJobsHistoryLimit=0, failedJobsHistoryLimit=0)
        await run_through(play, [0, 1], phase)
        await play.at(noon(minutes=2), "s")
        await keeps(play, names_at(2))
        status = await play.status("s")
        assert [each["name"] for each in status["active"]] == [name_at(2)]
        assert status["lastScheduleTime"] == "2050-01-11T12:02:00Z"


async def test_a_job_that_was_deleted_does_not_come_again(play):
    async with play.controller():
        await play.begin("s", successfulJobsHistoryLimit=0)
        await run_through(play, [0])
        await keeps(play, set())
        assert await settled(play, 99) == set()
    async with play.controller():
        assert await settled(play, 98) == set()


async def test_a_limit_that_is_lowered_takes_effect_at_once(play):
    async with play.controller():
        await play.begin("s", successfulJobsHistoryLimit=10)
        await run_through(play, range(5))
        assert await settled(play, 99) == names_at(*range(5))
        await play.follows("s", successfulJobsHistoryLimit=1)
        await keeps(play, names_at(4))


async def test_the_limits_hold_while_the_schedule_is_suspended(play):
    async with play.controller():
        await play.begin("s", successfulJobsHistoryLimit=1)
        await play.at(noon(), "s")
        await play.at(noon(minutes=1), "s")
        await play.follows("s", suspend=True)
        await play.end(name_at(0))
        await play.end(name_at(1))
        await keeps(play, names_at(1))


async def test_jobs_that_somebody_asked_for_are_neither_counted_nor_deleted(play):
    async with play.controller():
        await play.begin("s", successfulJobsHistoryLimit=1)
        await play.by_hand("s", "s-mine")
        await play.by_hand("s", "s-counted", counted=True)
        await play.end("s-mine")
        await play.end("s-counted")
        await run_through(play, range(3))
        await keeps(play, {"s-mine", "s-counted"} | names_at(2))
        assert await settled(play, 99) == {"s-mine", "s-counted"} | names_at(2)


async def test_backfilled_jobs_are_neither_counted_nor_deleted(play):
    async with play.controller():
        await play.begin("s", successfulJobsHistoryLimit=1)
        await play.by_hand("s", name_at(-60))
        annotations = {INSTANTIATE_ANNOTATION: BACKFILL}
        key = ObjectKey(play.namespace, name_at(-60))
        await play.kube.patch(FLUID_JOBS, key, {"metadata": {"annotations": annotations}})
        await play.end(name_at(-60))
        await run_through(play, range(2))
        await keeps(play, names_at(-60, 1))


async def test_a_job_is_kept_for_a_minute_whatever_the_limit_says(cluster, namespace):
    # The API server dates the creation of a job, so the clock shows the present here.
    async with playing(cluster, namespace) as play, play.controller():
        soon = play.clock.now() + timedelta(minutes=1)
        status = await play.begin("s", f"{soon.minute} * * * *", successfulJobsHistoryLimit=0)
        await play.at(datetime.fromisoformat(status["nextScheduleTime"]), "s")
        ((name, job),) = (await play.jobs()).items()
        created = datetime.fromisoformat(job["metadata"]["creationTimestamp"])
        play.clock.set(created + timedelta(seconds=59))
        await play.end(name)
        assert await settled(play, 99) == {name}
        play.clock.set(created + timedelta(seconds=60))
        assert await settled(play, 98) == set()


async def test_a_job_is_kept_until_the_status_tells_its_time(play):
    """Somebody was faster, and has not written the status yet: the name must stay taken."""
    async with play.controller():
        await play.begin("s", "0 * * * *", successfulJobsHistoryLimit=0)
        body = job_for(await play.schedule("s"), noon(), ZoneInfo("UTC"))
        await play.kube.create(FLUID_JOBS, body)
        await play.end(name_at(0))
        await play.reaches("s", lambda s: "lastSuccessfulTime" in s, "its end is seen")
        assert await settled(play, 99) == names_at(0)
        status = await play.at(noon(), "s")
        assert status["lastScheduleTime"] == "2050-01-11T12:00:00Z"
        await keeps(play, set())
        assert await settled(play, 98) == set()


async def test_a_job_that_is_being_deleted_already_is_left_alone(play):
    async with play.controller():
        await play.begin("s", successfulJobsHistoryLimit=1)
        await play.at(noon(), "s")
        key = ObjectKey(play.namespace, name_at(0))
        await play.kube.patch(FLUID_JOBS, key, {"metadata": {"finalizers": ["example.com/slow"]}})
        await play.end(name_at(0))
        await play.kube.delete(FLUID_JOBS, key)
        await run_through(play, [1, 2])
        await keeps(play, names_at(0, 2))
        await play.kube.patch(FLUID_JOBS, key, {"metadata": {"finalizers": None}})
        await keeps(play, names_at(2))
