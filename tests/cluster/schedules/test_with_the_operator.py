"""Schedules under real operator processes and the real clock: one full minute passes, and three namespaces have
something to tell about it. In the first all is well, and two shards share the work; in the second the leader is killed
just before the minute; in the third it sleeps through it. `--log-cli-level=info` shows how late the jobs came."""

import json
import logging
import signal
import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

import pytest

from cluster.builders import fluid_schedule
from fluid_dev.cluster import Cluster
from fluid_dev.redis import RedisServer
from fluid_operator.kube.keys import ObjectKey
from fluid_operator.sharding import Shard
from fluid_operator.timetables.creation import TIME_ANNOTATION, job_name
from support.operators import Operator
from support.stages import Stage, stage_on, work
from support.waiting import until

log = logging.getLogger(__name__)

pytestmark = pytest.mark.timeout(200)

TICKS = [f"tick-{n}" for n in range(10)]
DELAYS = "fluid_operator_schedule_delay_seconds"


class Scene(NamedTuple):
    """One namespace and its operators, in the order of their start."""

    stage: Stage
    operators: list[Operator]

    def schedule(self, name: str) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.stage.kubectl("get", "fluidschedule", name, "-o", "json"))
        return found["status"] | {"created": found["metadata"]["creationTimestamp"]}

    def fired(self) -> float:
        """How often, as all operators that live tell together."""
        alive = [each for each in self.operators if each.process.running]
        return sum(each.metric(f"{DELAYS}_count") or 0 for each in alive)


class Minute(NamedTuple):
    """What has passed, and who was there."""

    time: datetime
    well: Scene
    killed: Scene
    asleep: Scene


@contextmanager
def scene(cluster: Cluster, redis: RedisServer, schedules: list[str], *operators: dict[str, str]) -> Iterator[Scene]:
    """Every-minute schedules that the operators know; the first of them leads."""
    namespace = f"test-{uuid.uuid4().hex[:10]}"
    cluster.kubectl("create", "namespace", namespace)
    with stage_on(cluster, namespace, redis) as stage:
        stage.environment()
        template = work("template")
        stage.apply(*(fluid_schedule(name).spec(schedule="* * * * *").job(template) for name in schedules))
        started = [stage.operator(**operators[0]).leading()]
        started += [stage.operator(**settings) for settings in operators[1:]]
        for each in started:
            until(lambda each=each: each.said("Serving."), 30, "the operator is there")
        made = Scene(stage, started)
        for name in schedules:
            until(lambda name=name: "nextScheduleTime" in made.schedule(name), 30, "the schedule is known")
        yield made


@pytest.fixture(scope="module")
def minute(cluster: Cluster, redis_server: RedisServer) -> Iterator[Minute]:
    with ExitStack() as stack:
        well = stack.enter_context(scene(cluster, redis_server, TICKS, {"FLUID_SHARD": "1/2"}, {"FLUID_SHARD": "2/2"}))
        well.operators[1].leading()
        well.stage.worker()
        killed = stack.enter_context(scene(cluster, redis_server, ["tick"], {}, {}))
        asleep = stack.enter_context(scene(cluster, redis_server, ["tick"], {}, {}))
        until(lambda: datetime.now(UTC).second < 55, 10, "no minute is about to begin")
        full = datetime.now(UTC).replace(second=0, microsecond=0) + timedelta(minutes=1)
        shortly_before = full - timedelta(seconds=1)
        until(lambda: datetime.now(UTC) >= shortly_before, 61, "the minute is about to begin", pause=0.01)
        killed.operators[0].process.kill()
        asleep.operators[0].process.signal(signal.SIGSTOP)
        yield Minute(full, well, killed, asleep)


def the_job(minute: Minute, scene: Scene, schedule: str) -> dict[str, Any]:
    """Wait for the job of the minute, and see that it is the only one and told."""
    name = job_name(schedule, minute.time)
    job = until(lambda: scene.stage.jobs().get(name), 30, f"{schedule} has fired")
    assert datetime.fromisoformat(job["metadata"]["annotations"][TIME_ANNOTATION]) == minute.time
    of_the_minute = [
        each["metadata"]["name"]
        for each in scene.stage.jobs().values()
        if each["metadata"]["ownerReferences"][0]["name"] == schedule
        and datetime.fromisoformat(each["metadata"]["annotations"][TIME_ANNOTATION]) == minute.time
    ]
    assert of_the_minute == [name]
    until(told_since(minute, scene, schedule), 30, "the minute is told")
    assert "missed" not in scene.schedule(schedule)
    return job


def told_since(minute: Minute, scene: Scene, schedule: str) -> Callable[[], bool]:
    def look() -> bool:
        last = scene.schedule(schedule).get("lastScheduleTime")
        return last is not None and datetime.fromisoformat(last) >= minute.time

    return look


def test_jobs_are_created_in_the_minute_that_they_are_for(minute: Minute):
    for name in TICKS:
        job = the_job(minute, minute.well, name)
        created = datetime.fromisoformat(job["metadata"]["creationTimestamp"])
        assert created.replace(second=0) == minute.time
    first = minute.well.operators[0]
    fired, seconds = first.metric(f"{DELAYS}_count"), first.metric(f"{DELAYS}_sum")
    assert fired
    assert seconds
    log.info("%d jobs, %d ms after their time on the average", fired, 1000 * seconds / fired)


def test_schedules_belong_to_the_first_shard_and_their_jobs_to_all(minute: Minute):
    stage = minute.well.stage
    names = [job_name(each, minute.time) for each in TICKS]
    assert {Shard(1, 2).owns(ObjectKey(stage.namespace, name)) for name in names} == {True, False}
    for each in TICKS:
        the_job(minute, minute.well, each)
    job_ids = [stage.reaches(name, "Succeeded")["jobId"] for name in names]
    assert all(len(stage.starts(each)) == 1 for each in job_ids)
    first, second = minute.well.operators
    assert first.metric(f"{DELAYS}_count") >= len(TICKS)
    assert second.metric(f"{DELAYS}_count") == 0
    served = [each.metric('fluid_operator_fluidjobs{phase="Succeeded"}') for each in (first, second)]
    assert all(served)


def test_a_minute_whose_leader_was_killed_just_before_it_is_fired_by_the_next_one(minute: Minute):
    the_job(minute, minute.killed, "tick")
    assert minute.killed.operators[1].leads
    assert minute.killed.fired() >= 1


def test_a_leader_that_sleeps_through_a_minute_does_not_fire_it_again_when_it_wakes(minute: Minute):
    former, successor = minute.asleep.operators
    the_job(minute, minute.asleep, "tick")
    assert successor.leads
    former.process.signal(signal.SIGCONT)
    until(lambda: former.metric("fluid_operator_leader") == 0, 30, "the former leader knows")
    assert former.metric(f"{DELAYS}_count") == 0
    the_job(minute, minute.asleep, "tick")
