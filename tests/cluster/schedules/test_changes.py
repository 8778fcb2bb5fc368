"""A change of a schedule takes effect at once, and what was past by then is not made up for."""

from fluid_operator.timetables.creation import job_name
from support.schedules import noon


def name_at(**parts):
    return job_name("s", noon(**parts))


async def payload_of(play, **parts):
    return (await play.job(name_at(**parts)))["spec"]["payload"]


def with_payload(**payload):
    return {"spec": {"payload": payload}}


async def test_changed_to_an_earlier_time_it_comes_at_that_time(play):
    async with play.controller():
        await play.begin("s", "0 18 * * *")
        status = await play.follows("s", schedule="5 12 * * *")
        assert status["nextScheduleTime"] == "2050-01-11T12:05:00Z"
        assert status["timetable"] == "5 12 * * * UTC"
        await play.at(noon(minutes=5), "s")
        status = await play.at(noon(hours=6), "s")
        assert set(await play.jobs()) == {name_at(minutes=5)}
        assert status["nextScheduleTime"] == "2050-01-12T12:05:00Z"
        assert "missed" not in status


async def test_changed_to_a_later_time_it_does_not_come_at_the_time_before(play):
    async with play.controller():
        await play.begin("s", "0 12 * * *")
        await play.follows("s", schedule="10 12 * * *")
        status = await play.at(noon(minutes=5), "s")
        assert await play.jobs() == {}
        assert status["nextScheduleTime"] == "2050-01-11T12:10:00Z"
        await play.at(noon(minutes=10), "s")
        assert set(await play.jobs()) == {name_at(minutes=10)}


async def test_changed_to_a_time_that_has_just_passed_it_begins_tomorrow(play):
    async with play.controller():
        await play.begin("s", "0 18 * * *")
        play.clock.set(noon(minutes=10))
        status = await play.follows("s", schedule="5 12 * * *")
        assert status["nextScheduleTime"] == "2050-01-12T12:05:00Z"
        assert await play.jobs() == {}
        assert "missed" not in status


async def test_changed_while_no_controller_was_there_the_times_of_neither_are_made_up_for(play):
    async with play.controller():
        await play.begin("s", "*/10 * * * *")
    play.clock.set(noon(minutes=12))
    await play.change("s", schedule="*/5 * * * *")
    async with play.controller():
        status = await play.looked("s")
        assert status["nextScheduleTime"] == "2050-01-11T12:15:00Z"
        assert await play.jobs() == {}
        assert "missed" not in status


async def test_another_zone_is_another_time_from_now_on(play):
    async with play.controller():
        await play.begin("s", "30 13 * * *")
        status = await play.follows("s", timeZone="Europe/Berlin")
        assert status["nextScheduleTime"] == "2050-01-11T13:30:00+01:00"
        assert status["timetable"] == "30 13 * * * Europe/Berlin"
        status = await play.follows("s", timeZone="Asia/Kathmandu")
        assert status["nextScheduleTime"] == "2050-01-12T13:30:00+05:45"
        await play.at(noon(hours=4), "s")
        assert await play.jobs() == {}


async def test_one_expression_may_become_several(play):
    async with play.controller():
        await play.begin("s", "0 12 * * *")
        status = await play.follows("s", schedule=None, schedules=["0 13 * * *", "30 12 * * *"])
        assert status["upcoming"][:3] == ["2050-01-11T12:30:00Z", "2050-01-11T13:00:00Z", "2050-01-12T12:30:00Z"]


async def test_the_next_job_is_that_of_the_new_template_and_the_active_one_stays_as_it_is(play):
    async with play.controller():
        await play.begin("s", payload={"version": 1})
        await play.at(noon(), "s")
        status = await play.follows("s", jobTemplate={"metadata": {"labels": {"team": "b"}}, **with_payload(version=2)})
        assert status["nextScheduleTime"] == "2050-01-11T12:01:00Z"
        await play.at(noon(minutes=1), "s")
        assert await payload_of(play) == {"version": 1}
        assert await payload_of(play, minutes=1) == {"version": 2}
        assert (await play.job(name_at(minutes=1)))["metadata"]["labels"]["team"] == "b"


async def test_a_time_that_was_missed_is_made_up_for_with_the_template_of_now(play):
    async with play.controller():
        await play.begin("s", payload={"version": 1})
    await play.change("s", jobTemplate=with_payload(version=2))
    play.clock.set(noon())
    async with play.controller():
        await play.looked("s")
        assert await payload_of(play) == {"version": 2}


async def test_the_job_that_waits_is_that_of_the_template_at_its_creation(play):
    async with play.controller():
        await play.begin("s", concurrencyPolicy="Enqueue", payload={"version": 1, "at": "{{ hour }}"})
        await play.at(noon(), "s")
        await play.at(noon(minutes=1), "s")
        await play.follows("s", jobTemplate=with_payload(version=2))
        await play.end(name_at())
        await play.has_jobs(2)
        assert await payload_of(play, minutes=1) == {"version": 2, "at": "12"}


async def test_a_longer_starting_deadline_holds_for_a_time_that_was_missed_before(play):
    async with play.controller():
        await play.begin("s", "0 12 * * *", startingDeadlineSeconds=60)
    await play.change("s", startingDeadlineSeconds=7200)
    play.clock.set(noon(hours=2))
    async with play.controller():
        await play.looked("s")
        assert set(await play.jobs()) == {name_at()}


async def test_a_change_of_anything_else_leaves_the_times_alone(play):
    async with play.controller():
        before = await play.begin("s", "0 12 * * *")
        status = await play.follows("s", jobTemplate=with_payload(version=2), failedJobsHistoryLimit=5)
        assert {**status, "observedGeneration": 0, "conditions": []} == {
            **before,
            "observedGeneration": 0,
            "conditions": [],
        }
