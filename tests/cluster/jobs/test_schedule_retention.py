"""Retention never frees the name of a schedule's job while its schedule may create that job again."""

import logging
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from cluster.builders import fluid_job, fluid_schedule
from fluid_operator.jobs.owners import Owners
from fluid_operator.jobs.retention import RetentionSettings
from fluid_operator.jobs.view import JobView, project
from fluid_operator.kube.client import Call, Json, Kube, connect
from fluid_operator.kube.errors import ServerError
from fluid_operator.kube.keys import FLUID_JOBS, FLUID_SCHEDULES, ObjectKey
from fluid_operator.timetables.creation import BACKFILL, MANUAL, job_for, job_name, manual_name
from support.retention import Clerk

TIME = datetime(2026, 11, 24, 6, 0, tzinfo=UTC)
HOUR = timedelta(hours=1)


def stamp(time: datetime) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ")


def named(*times: datetime) -> set[str]:
    return {job_name("hourly", time) for time in times}


class Scene:
    """One schedule that nobody reconciles, and what was asked about it."""

    def __init__(self, kube: Kube, namespace: str) -> None:
        self.kube = kube
        self.namespace = namespace
        self.key = ObjectKey(namespace, "hourly")
        self.asked = 0
        """Requests for the schedule."""

    async def schedule(self, **spec: Any) -> Json:
        """Create it; its jobs have this spec and go as soon as they may."""
        template = fluid_job("template").spec(**{"ttlSecondsAfterFinished": 0} | spec)
        made = fluid_schedule("hourly").job(template).metadata(namespace=self.namespace)
        self.raw = await self.kube.create(FLUID_SCHEDULES, made.manifest())
        return self.raw

    async def records(self, **status: str) -> None:
        """What the operator would write into its status."""
        await self.kube.patch(FLUID_SCHEDULES, self.key, {"status": status}, subresource="status")

    def job(self, time: datetime = TIME, **more: Any) -> Json:
        """The job that it creates for a time."""
        return job_for(self.raw, time, ZoneInfo("UTC"), **more)

    async def view(self, made: Json) -> JobView:
        """Create a job and take what the watch would tell."""
        return project(await self.kube.create(FLUID_JOBS, made))

    def observe(self, call: Call) -> None:
        self.asked += (call.verb, call.resource) == ("get", FLUID_SCHEDULES.plural)


@pytest.fixture
async def scene(cluster, namespace) -> AsyncIterator[Scene]:
    def observe(call: Call) -> None:
        scene.observe(call)

    async with connect(cluster.kubeconfig, observe=observe) as kube:
        scene = Scene(kube, namespace)
        yield scene


# -- deletions --------------------------------------------------------------------------------------------------------


async def test_after_a_crash_between_creation_and_status_the_job_stays_until_the_status_is_written(scene: Scene):
    await scene.schedule()
    clerk = Clerk(scene.kube, scene.namespace)
    await clerk.finished(scene.job())
    assert await clerk.round() == ["schedule"]
    await scene.records(lastScheduleTime=stamp(TIME - HOUR))
    assert await clerk.round(later=1) == ["schedule"]
    assert await clerk.names() == named(TIME)
    await scene.records(lastScheduleTime=stamp(TIME))
    assert await clerk.round(later=10) == ["ttl"]
    assert await clerk.names() == set()


async def test_a_job_that_is_one_too_many_stays_as_well(scene: Scene):
    await scene.schedule(ttlSecondsAfterFinished=None)
    only_one = RetentionSettings(shards=1000)  # this shard's part of the thousand that may stay
    clerk = Clerk(scene.kube, scene.namespace, settings=only_one)
    await clerk.finished(*(scene.job(TIME - n * HOUR) for n in range(3)))
    await scene.records(lastScheduleTime=stamp(TIME - 2 * HOUR))
    assert await clerk.round() == ["cap", "schedule"]
    assert await clerk.names() == named(TIME - HOUR, TIME)
    await scene.records(lastScheduleTime=stamp(TIME))
    assert await clerk.round(later=10) == ["cap"]
    assert await clerk.names() == named(TIME)


async def test_what_a_schedule_fired_outlives_the_times_of_the_environment(scene: Scene):
    """Its history limits bound it; what was made by hand goes like any other job."""
    await scene.schedule(ttlSecondsAfterFinished=None)
    await scene.records(lastScheduleTime=stamp(TIME))
    clerk = Clerk(scene.kube, scene.namespace)
    by_hand = scene.job(name=manual_name("hourly", TIME), instantiate=MANUAL)
    await clerk.finished(scene.job(), by_hand, scene.job(TIME - HOUR, instantiate=BACKFILL), fluid_job("other"))
    assert await clerk.round() == ["ttl", "ttl", "ttl"]
    assert await clerk.names() == named(TIME)


async def test_a_job_by_hand_needs_no_record_and_one_of_a_backfill_does(scene: Scene):
    await scene.schedule()
    clerk = Clerk(scene.kube, scene.namespace)
    by_hand = scene.job(name=manual_name("hourly", TIME), instantiate=MANUAL)
    await clerk.finished(by_hand, scene.job(instantiate=BACKFILL))
    assert await clerk.round() == ["schedule", "ttl"]
    assert await clerk.names() == named(TIME)


async def test_what_waits_for_its_schedule_holds_up_no_other_job(scene: Scene):
    await scene.schedule()
    await scene.records(lastScheduleTime=stamp(TIME - HOUR))
    clerk = Clerk(scene.kube, scene.namespace)
    await clerk.finished(scene.job(), scene.job(TIME - HOUR), fluid_job("other"))
    assert await clerk.round() == ["schedule", "ttl", "ttl"]
    assert await clerk.names() == named(TIME)


async def test_many_jobs_of_a_schedule_cost_one_question(scene: Scene):
    await scene.schedule()
    await scene.records(lastScheduleTime=stamp(TIME))
    clerk = Clerk(scene.kube, scene.namespace)
    await clerk.finished(*(scene.job(TIME - n * HOUR) for n in range(5)))
    assert await clerk.round() == ["ttl"] * 5
    await clerk.finished(scene.job(TIME - 9 * HOUR))
    assert await clerk.round(later=1) == ["ttl"]
    assert scene.asked == 1


async def test_a_schedule_that_cannot_be_read_keeps_its_jobs(cluster, scene: Scene):
    await scene.schedule()
    await scene.records(lastScheduleTime=stamp(TIME))
    user = f"retention-{scene.namespace}"
    verbs = ("--verb=get,delete", "--resource=fluidjobs.jobs.fluidcalendar.com")
    for rest in (("role", user, *verbs), ("rolebinding", user, f"--role={user}", f"--user={user}")):
        cluster.kubectl(f"--namespace={scene.namespace}", "create", *rest)
    async with connect(cluster.client_kubeconfig(user)) as by:
        clerk = Clerk(scene.kube, scene.namespace, by=by)
        await clerk.finished(scene.job(), scene.job(TIME - HOUR))
        assert await clerk.round() == ["refused", "refused"]
    assert await clerk.names() == named(TIME, TIME - HOUR)


class Away(Kube):
    """Answers nothing about schedules for so many requests."""

    left = 1

    async def request(self, verb, path, **more):
        if "/fluidschedules/" in path and self.left:
            self.left -= 1
            raise ServerError(503, "ServiceUnavailable", "later", path)
        return await super().request(verb, path, **more)


async def test_an_api_server_that_does_not_answer_about_a_schedule_is_asked_again(scene: Scene):
    await scene.schedule()
    await scene.records(lastScheduleTime=stamp(TIME))
    clerk = Clerk(scene.kube, scene.namespace, by=Away(scene.kube.connection))
    await clerk.finished(scene.job())
    assert await clerk.round() == ["unanswered"]
    assert await clerk.round(later=10) == ["ttl"]


async def test_only_a_schedule_that_stays_behind_is_told_in_the_log(scene: Scene, caplog: pytest.LogCaptureFixture):
    """Between the end of a short job and the status of its schedule nothing is wrong."""
    caplog.set_level(logging.WARNING, "fluid_operator.jobs.retention")
    await scene.schedule()
    clerk = Clerk(scene.kube, scene.namespace)
    await clerk.finished(scene.job())
    for _ in range(5):
        assert await clerk.round(later=20) == ["schedule"]
    assert caplog.records == []
    for _ in range(3):
        assert await clerk.round(later=300) == ["schedule"]
    (record,) = caplog.records
    assert f"FluidSchedule {scene.namespace}/hourly" in record.__dict__["fields"]["error"]


# -- the question by itself -------------------------------------------------------------------------------------------


async def test_a_job_may_go_when_its_schedule_is_gone_or_another_has_its_name(scene: Scene):
    await scene.schedule()
    view = await scene.view(scene.job())
    assert not await Owners(scene.kube).may_go(scene.namespace, view)
    await scene.kube.delete(FLUID_SCHEDULES, scene.key)
    assert await Owners(scene.kube).may_go(scene.namespace, view)
    await scene.schedule()
    assert await Owners(scene.kube).may_go(scene.namespace, view)


async def test_the_time_whose_job_waits_for_another_is_not_recorded_yet(scene: Scene):
    await scene.schedule()
    view = await scene.view(scene.job())
    later = stamp(TIME + timedelta(seconds=1))
    await scene.records(lastScheduleTime=stamp(TIME - HOUR), notBefore=later, waitingTime=stamp(TIME))
    assert not await Owners(scene.kube).may_go(scene.namespace, view)
    await scene.kube.patch(FLUID_SCHEDULES, scene.key, {"status": {"waitingTime": None}}, subresource="status")
    assert await Owners(scene.kube).may_go(scene.namespace, view)


async def test_whoever_has_written_a_status_can_save_others_the_question(scene: Scene):
    raw = await scene.schedule()
    owners = Owners(scene.kube)
    view = await scene.view(scene.job())
    owners.learn(raw["metadata"]["uid"], {"lastScheduleTime": stamp(TIME)})
    assert await owners.may_go(scene.namespace, view)
    owners.learn(raw["metadata"]["uid"], {"lastScheduleTime": stamp(TIME - HOUR)})  # told late
    assert await owners.may_go(scene.namespace, view)
    assert scene.asked == 0
