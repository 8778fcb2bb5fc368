"""A FluidSchedule creates one FluidJob at each of its times."""

from datetime import datetime, timedelta

from fluid_operator.timetables.creation import SCHEDULE_LABEL, TIME_ANNOTATION, job_name
from support.schedules import playing


def next_minute(now: datetime) -> datetime:
    return now.replace(second=0, microsecond=0) + timedelta(minutes=1)


async def test_at_each_time_a_job_is_created_that_belongs_to_the_schedule(cluster, namespace):
    async with playing(cluster, namespace) as play, play.controller():
        made = await play.create("every", payload={"day": "{{ date }}"})
        status = await play.reaches("every", lambda s: s.get("observedGeneration") == 1)
        time = datetime.fromisoformat(status["nextScheduleTime"])
        assert "lastScheduleTime" not in status
        play.clock.set(time)
        jobs = await play.has_jobs(1)
        ((name, job),) = jobs.items()
        assert name == job_name("every", time)
        meta = job["metadata"]
        assert meta["labels"][SCHEDULE_LABEL] == "every"
        assert datetime.fromisoformat(meta["annotations"][TIME_ANNOTATION]) == time
        assert [(o["uid"], o["controller"]) for o in meta["ownerReferences"]] == [(made["metadata"]["uid"], True)]
        assert job["spec"]["payload"] == {"day": time.date().isoformat()}
        status = await play.reaches("every", lambda s: s.get("lastScheduleTime") is not None)
        assert datetime.fromisoformat(status["lastScheduleTime"]) == time
        assert datetime.fromisoformat(status["nextScheduleTime"]) == time + timedelta(minutes=1)
        assert len(status["upcoming"]) == 5
        assert status["active"] == [{"name": name, "uid": meta["uid"]}]
        assert status["activeCount"] == 1
        await play.end(name)
        status = await play.reaches("every", lambda s: s["activeCount"] == 0)
        assert "active" not in status
        assert "lastSuccessfulTime" in status
        play.clock.advance(minutes=1)
        assert len(await play.has_jobs(2)) == 2
