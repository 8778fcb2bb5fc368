"""What a schedule says of itself: what is wrong with it, where, and what kubectl prints."""

import asyncio
import re
from datetime import timedelta

import pytest

from fluid_operator.api.fields import format_whole_time
from fluid_operator.kube.keys import FLUID_SCHEDULES, ObjectKey
from fluid_operator.schedules.events import MISSED
from fluid_operator.timetables.creation import job_name
from support.schedules import noon, playing
from support.waiting import auntil

QUOTA = "count/fluidjobs.jobs.fluidcalendar.com"


def name_at(**parts):
    return job_name("s", noon(**parts))


def template(**payload):
    return {"spec": {"type": "noop", "payload": payload}}


# name: what is wrong, the reason, how the message begins, what makes it right
WRONG = {
    "a day that no month has": (
        {"schedule": "0 12 30 2 *"},
        "InvalidSchedule",
        "spec.schedule: '0 12 30 2 *', column 6: never comes: FEB has no day 30",
        {"schedule": "0 12 28 2 *"},
    ),
    "a range that runs backwards, the second of two": (
        {"schedule": None, "schedules": ["0 12 * * *", "0 17-9 * * *"]},
        "InvalidSchedule",
        "spec.schedules[1]: '0 17-9 * * *', column 3: the range 17-9 runs backwards: write 17-23,0-9",
        {"schedules": ["0 12 * * *", "0 9-17 * * *"]},
    ),
    "an unknown zone": (
        {"timeZone": "Europe/Berln"},
        "InvalidTimeZone",
        "spec.timeZone: 'Europe/Berln' is no time zone of the IANA database; did you mean Europe/Berlin",
        {"timeZone": "Europe/Berlin"},
    ),
    "an unknown placeholder": (
        {"jobTemplate": template(to=["a", "for {{ dat }}"])},
        "InvalidSpec",
        "spec.jobTemplate.spec.payload.to[1]: at character 5: {{ dat }} is no placeholder: did you mean date?",
        {"jobTemplate": template(to=["a", "for {{ date }}"])},
    ),
    "a label that the schedule sets itself": (
        {"jobTemplate": {"metadata": {"labels": {"jobs.fluidcalendar.com/schedule": "t"}}, **template()}},
        "InvalidSpec",
        "spec.jobTemplate.metadata.labels: jobs.fluidcalendar.com/schedule is set by the schedule itself",
        {"jobTemplate": {"metadata": {"labels": None}}},
    ),
}


@pytest.mark.parametrize(("wrong", "reason", "message", "right"), WRONG.values(), ids=WRONG.keys())
async def test_what_cannot_be_understood_is_told_with_its_place_and_nothing_is_created(
    play, wrong, reason, message, right
):
    async with play.controller():
        await play.create(
            "s", wrong.get("schedule", "* * * * *"), **{k: v for k, v in wrong.items() if k != "schedule"}
        )
        status = await play.reaches("s", lambda s: "conditions" in s, "it is looked at")
        ready, stalled = await play.condition("s"), await play.condition("s", "Stalled")
        assert (ready["status"], ready["reason"]) == ("False", reason)
        assert ready["message"].startswith(message)
        assert (stalled["status"], stalled["reason"], stalled["message"]) == ("True", reason, ready["message"])
        assert await play.condition("s", "Reconciling") == {}
        assert "nextScheduleTime" not in status
        assert "timetable" not in status
        play.clock.set(noon(minutes=5))
        await play.follows("s", failedJobsHistoryLimit=2)
        assert await play.jobs() == {}
        await play.tells(reason)
        status = await play.follows("s", **right)
        assert (await play.condition("s"))["reason"] == "OnSchedule"
        assert await play.condition("s", "Stalled") == {}
        assert "nextScheduleTime" in status
        assert "missed" not in status
        assert await play.jobs() == {}


async def test_a_schedule_that_is_changed_for_the_worse_stops_and_its_active_jobs_are_still_told(play):
    async with play.controller():
        await play.begin("s", concurrencyPolicy="Enqueue")
        await play.at(noon(), "s")
        status = await play.follows("s", schedule="0 0 31 4 *")
        assert (status["activeCount"], status["lastScheduleTime"]) == (1, "2050-01-11T12:00:00Z")
        assert "nextScheduleTime" not in status
        assert "upcoming" not in status
        play.clock.set(noon(minutes=3))
        await play.end(name_at())
        await play.reaches("s", lambda s: s["activeCount"] == 0, "its end is seen")
        status = await play.follows("s", schedule="* * * * *")
        assert status["nextScheduleTime"] == "2050-01-11T12:04:00Z"
        assert set(await play.jobs()) == {name_at()}


async def quota(cluster, namespace, jobs):
    """Let there be so many FluidJobs in the namespace."""
    manifest = {
        "apiVersion": "v1",
        "kind": "ResourceQuota",
        "metadata": {"name": "few", "namespace": namespace},
        "spec": {"hard": {QUOTA: str(jobs)}},
    }
    await asyncio.to_thread(cluster.apply, [manifest])
    path = "jsonpath={.status.hard}"

    def holds():
        return f'"{jobs}"' in cluster.kubectl("get", "resourcequota", "few", f"--namespace={namespace}", "-o", path)

    await auntil(lambda: asyncio.to_thread(holds), 60, "the quota holds")


async def refused(play):
    """Wait until the schedule tells that its job is refused, and answer the condition."""

    async def told():
        ready = await play.condition("s")
        return ready if ready["reason"] == "JobRefused" else None

    return await auntil(told, 30, "the refusal is told")


async def test_a_job_that_is_refused_is_tried_again_and_created_when_it_is_allowed_in_time(cluster, play):
    async with play.controller():
        await play.begin("s", "0 * * * *")
        await quota(cluster, play.namespace, 0)
        play.clock.set(noon())
        ready = await refused(play)
        assert ready["status"] == "False"
        assert "exceeded quota: few" in ready["message"]
        assert (await play.condition("s", "Reconciling"))["status"] == "True"
        assert await play.condition("s", "Stalled") == {}
        status = await play.status("s")
        assert status["nextScheduleTime"] == "2050-01-11T12:00:00Z"
        assert "missed" not in status
        play.clock.set(noon(minutes=30))
        await quota(cluster, play.namespace, 1)
        status = await play.looked("s")
        assert set(await play.jobs()) == {name_at()}
        assert status["lastScheduleTime"] == "2050-01-11T12:00:00Z"
        assert "missed" not in status
        assert (await play.condition("s"))["reason"] == "OnSchedule"
        await play.tells("JobRefused")


async def test_a_job_that_is_refused_until_it_is_too_late_is_counted_as_missed(cluster, play):
    async with play.controller():
        await play.begin("s", "0 * * * *", startingDeadlineSeconds=60)
        await quota(cluster, play.namespace, 0)
        play.clock.set(noon())
        await refused(play)
        status = await play.at(noon(seconds=61), "s")
        assert status["missed"] == 1
        assert status["nextScheduleTime"] == "2050-01-11T13:00:00Z"
        assert "lastScheduleTime" not in status
        await play.tells("JobRefused", MISSED.reason)


async def test_kubectl_prints_when_the_schedule_came_last_and_comes_next(cluster, namespace):
    # kubectl tells ages by its own clock, so the clock shows the present here, and the schedule has a past.
    async with playing(cluster, namespace) as play:
        now = play.clock.now()
        await play.create("mail", "*/10 * * * *", timeZone="Asia/Kathmandu", suspend=False)
        past = {"notBefore": format_whole_time(now - timedelta(hours=1)), "timetable": "*/10 * * * * Asia/Kathmandu"}
        key = ObjectKey(namespace, "mail")
        await play.kube.patch(FLUID_SCHEDULES, key, {"status": past}, subresource="status")
        await play.create("idle", None, schedules=["0 12 * * *", "@hourly"], suspend=True)
        async with play.controller():
            status = await play.looked("mail")
            await play.reaches("idle", lambda s: "activeCount" in s, "it is looked at")
        header, idle, mail = cells(await asyncio.to_thread(cluster.kubectl, "get", "fs", f"--namespace={namespace}"))
        assert header == ["NAME", "SCHEDULE", "TIMEZONE", "SUSPEND", "ACTIVE", "LAST", "NEXT", "AGE"]
        assert idle[:7] == ["idle", '["0 12 * * *","@hourly"]', "", "true", "0", "", ""]
        assert mail[:5] == ["mail", "*/10 * * * *", "Asia/Kathmandu", "false", "1"]
        assert re.fullmatch(r"\d+m(\d+s)?|\d+s", mail[5])
        assert mail[6] == status["nextScheduleTime"]
        assert mail[6].endswith("+05:45")


def cells(table):
    """The lines of a table of kubectl, cut where the columns begin."""
    header = table.splitlines()[0]
    begins = [found.start() for found in re.finditer(r"\S+", header)]
    return [
        [line[begin:end].strip() for begin, end in zip(begins, [*begins[1:], None], strict=True)]
        for line in table.splitlines()
    ]
