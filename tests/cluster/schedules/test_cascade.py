"""A schedule is deleted: with its jobs, or without them. The garbage collector is that of a real controller manager."""

import asyncio
import json
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest

from cluster.builders import fluid_job, fluid_schedule
from fluid_dev.cluster import Cluster
from fluid_dev.redis import RedisServer
from fluid_operator.kube.client import connect
from fluid_operator.kube.keys import FLUID_JOBS, FLUID_SCHEDULES, ObjectKey
from fluid_operator.timetables.creation import job_name
from fluid_operator.timetables.manual import trigger
from fluid_queue import Queue
from support.faulty_kube import FaultyKube, Gate
from support.folders import fresh_folder
from support.schedule_witness import witnessing
from support.schedules import noon
from support.stages import Stage, stage_on
from support.waiting import auntil, until


def at(minutes):
    return job_name("s", noon(minutes=minutes))


async def gone(play):
    page = await play.kube.list_page(FLUID_SCHEDULES, play.namespace)
    return not page.items


# -- what is there ----------------------------------------------------------------------------------------------------


async def test_the_jobs_of_a_deleted_schedule_go_with_it_whether_they_have_ended_or_not(play):
    async with play.controller():
        await play.begin("s")
        await play.at(noon(), "s")
        await play.end(at(0))
        await play.at(noon(minutes=1), "s")
        assert set(await play.jobs()) == {at(0), at(1)}
        await play.kube.delete(FLUID_SCHEDULES, ObjectKey(play.namespace, "s"))
        await play.has_jobs(0)
        play.clock.set(noon(minutes=2))
        await play.begin("sign")
        await play.at(noon(minutes=3), "sign")
        assert set(await play.jobs()) == {job_name("sign", noon(minutes=3))}


@pytest.mark.parametrize("policy", ["Forbid", "Replace"])
async def test_jobs_that_are_orphaned_stay_and_the_next_schedule_of_the_name_lets_them_be(play, policy):
    async with play.controller():
        await play.begin("s", concurrencyPolicy=policy)
        await play.at(noon(), "s")
        await play.kube.delete(FLUID_SCHEDULES, ObjectKey(play.namespace, "s"), propagation="Orphan")
        await auntil(lambda: gone(play), what="the schedule is gone")
        orphan = (await play.jobs())[at(0)]
        assert "ownerReferences" not in orphan["metadata"]
        await play.begin("s", concurrencyPolicy=policy, successfulJobsHistoryLimit=0)
        status = await play.at(noon(minutes=1), "s")
        assert "missed" not in status
        status = await play.reaches("s", lambda s: s["activeCount"] == 1)
        assert [each["name"] for each in status["active"]] == [at(1)]
        assert await play.job(at(0)) == orphan
        await play.end(at(0))
        await play.end(at(1))
        await auntil(lambda: only(play, at(0)), what="no history is kept, but of the schedule's own jobs")
        assert "lastSuccessfulTime" in await play.status("s")


async def only(play, *names):
    return set(await play.jobs()) == set(names)


async def test_a_job_that_is_created_just_after_its_schedule_was_deleted_is_collected(play):
    faulty = FaultyKube(play.kube.connection)
    late = Gate()
    async with witnessing(play.kube, play.namespace) as witness, play.controller(faulty):
        await play.begin("s")
        faulty.lay("create", FLUID_JOBS, late)
        play.clock.set(noon())
        await late.reached()
        await play.kube.delete(FLUID_SCHEDULES, ObjectKey(play.namespace, "s"))
        late.open()
        await auntil(lambda: at(0) in witness.created, what="the job is created")
        await play.has_jobs(0)


async def test_a_schedule_that_waits_for_its_jobs_to_be_deleted_fires_no_more(play):
    async with play.controller():
        await play.begin("s")
        await play.at(noon(), "s")
        await play.kube.patch(
            FLUID_JOBS, ObjectKey(play.namespace, at(0)), {"metadata": {"finalizers": ["example.org/hold"]}}
        )
        held = {"metadata": {"finalizers": ["example.org/hold"]}}
        await play.kube.patch(FLUID_SCHEDULES, ObjectKey(play.namespace, "s"), held)
        await play.kube.delete(FLUID_SCHEDULES, ObjectKey(play.namespace, "s"), propagation="Foreground")
        await play.begin("sign")  # the controller has seen what came before it
        await play.at(noon(minutes=1), "sign")
        assert set(await play.jobs("s")) == {at(0)}
        free = {"metadata": {"finalizers": None}}
        await play.kube.patch(FLUID_JOBS, ObjectKey(play.namespace, at(0)), free)
        await play.kube.patch(FLUID_SCHEDULES, ObjectKey(play.namespace, "s"), free)
        await auntil(lambda: only(play, job_name("sign", noon(minutes=1))), what="the job of the schedule is gone")


# -- what runs --------------------------------------------------------------------------------------------------------


class Scene:
    """A schedule of which one job runs; `end` lets its job come to an end."""

    def __init__(self, stage: Stage) -> None:
        self.stage = stage
        self._hold = fresh_folder("hold") / "open"
        payload = {"value": "once", "hold": str(self._hold)}
        template = fluid_job("template").type("work").spec(payload=payload, ttlSecondsAfterFinished=600)
        stage.apply(fluid_schedule("s").spec(schedule="0 0 1 1 *").job(template))
        self.job = asyncio.run(self._trigger())["metadata"]["name"]
        self.job_id = stage.reaches(self.job, "Running")["jobId"]
        stage.started(1)

    async def _trigger(self) -> dict[str, Any]:
        async with connect(self.stage.cluster.kubeconfig) as kube:
            return await trigger(kube, ObjectKey(self.stage.namespace, "s"), now=datetime.now(UTC))

    def end(self) -> None:
        self._hold.touch()

    def state(self) -> str:
        """Of the job in the queue."""

        async def ask(queue: Queue) -> str:
            try:
                (record,) = await queue.inspect([self.job_id])
                return record.state if record else "gone"
            finally:
                await queue.aclose()

        return asyncio.run(ask(self.stage.queue()))


@pytest.fixture
def scene(cluster: Cluster, namespace: str, redis_server: RedisServer) -> Iterator[Scene]:
    with stage_on(cluster, namespace, redis_server) as stage:
        stage.environment()
        stage.worker()
        stage.operator().leading()
        yield Scene(stage)


def test_a_job_that_runs_is_stopped_when_its_schedule_is_deleted(scene: Scene):
    scene.stage.kubectl("delete", "fluidschedule", "s")
    until(lambda: not scene.stage.jobs(), 30, "the job is collected")
    until(lambda: scene.state() in ("cancelled", "gone"), 30, "the run is stopped")
    assert len(scene.stage.starts()) == 1


def test_a_job_that_runs_goes_on_when_its_schedule_is_deleted_without_it(scene: Scene):
    scene.stage.kubectl("delete", "fluidschedule", "s", "--cascade=orphan")
    assert json.loads(scene.stage.kubectl("get", "fluidschedules", "-o", "json"))["items"] == []
    scene.end()
    scene.stage.reaches(scene.job, "Succeeded")
    assert len(scene.stage.starts()) == 1
