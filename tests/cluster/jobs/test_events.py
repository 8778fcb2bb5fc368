"""What `kubectl get events` and `kubectl describe` tell of FluidJobs, and what that costs."""

import asyncio
import json
from collections import Counter

from cluster.builders import FluidJobBuilder
from fluid_operator.kube.client import connect
from fluid_operator.kube.events import EventRecorder, EventSettings, Happening, Regarding
from fluid_operator.kube.keys import FLUID_JOBS, ObjectKey
from fluid_operator.kube.throttle import Throttle, ThrottleSettings
from support.operators import Operator
from support.stages import Stage, work
from support.waiting import auntil, until

BUDGET = EventSettings()

PATIENT = {
    "FLUID_LEASE_DURATION_SECONDS": "15",
    "FLUID_LEASE_RENEW_DEADLINE_SECONDS": "10",
    "FLUID_LEASE_RETRY_SECONDS": "2",
}
"""The times of an election as they are outside of tests: a burst on a busy machine must not change the leader."""


def events(stage: Stage, name: str = "") -> list[dict]:
    items = json.loads(stage.kubectl("get", "events.events.k8s.io", "-o", "json"))["items"]
    return [each for each in items if each["regarding"]["kind"] == "FluidJob" and name in each["regarding"]["name"]]


def told(stage: Stage, name: str, reason: str) -> dict:
    """Wait for the event with this reason below an object."""

    def look() -> dict | None:
        return next((each for each in events(stage, name) if each["reason"] == reason), None)

    return until(look, 30, f"an event {reason} of {name}")


def test_retries_and_the_end_of_a_job_are_shown_by_kubectl(stage: Stage):
    stage.apply(work("hopeless", succeedAt=99).retries(1, delay_seconds=1))
    end = told(stage, "hopeless", "BackoffLimitExceeded")
    assert (end["type"], end["action"]) == ("Warning", "Fail")
    assert end["regarding"]["uid"] == stage.job("hopeless")["metadata"]["uid"]
    assert end["note"] == stage.condition("hopeless", "Failed")["message"]
    assert told(stage, "hopeless", "Retrying")["note"] == "ValueError: attempt 1 fails"
    shown = stage.kubectl("describe", "fj", "hopeless").rpartition("Events:")[2]
    assert "BackoffLimitExceeded" in shown
    assert "jobs.fluidcalendar.com/operator" in shown
    listed = stage.kubectl("get", "events", "--field-selector=involvedObject.kind=FluidJob")
    assert "fluidjob/hopeless" in listed


def test_a_job_that_waits_for_an_environment_says_so_below_it(bare: Stage):
    bare.operator().leading()
    bare.apply(work("early"))
    found = told(bare, "early", "EnvironmentNotFound")
    assert found["note"] == bare.condition("early")["message"]


def test_a_job_that_succeeds_at_once_has_no_event(stage: Stage):
    stage.apply(work("easy"), work("wrong").spec(payload={"seconds": "many"}))
    stage.reaches("easy", "Succeeded")
    told(stage, "wrong", "InvalidPayload")
    assert events(stage, "easy") == []


def test_an_environment_tells_that_it_is_ready_and_that_its_redis_is_gone(own_stage: Stage):
    def shown() -> str:
        return own_stage.kubectl("describe", "fe", "default").rpartition("Events:")[2]

    until(lambda: "Available" in shown(), 20, "that it is ready is an event")
    assert "Warning" not in shown()
    own_stage.redis.stop()
    until(lambda: "RedisUnavailable" in shown(), 30, "the loss is an event")
    assert "Warning" in shown()


def test_a_value_from_a_secret_comes_into_no_event(stage: Stage):
    secret = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": "hidden", "labels": {"jobs.fluidcalendar.com/payload": "true"}},
        "stringData": {"payload": json.dumps({"seconds": "hunter2"})},
    }
    stage.kubectl("apply", "-f", "-", input=json.dumps(secret))
    stage.apply(work("sly").spec(payloadFrom={"secretKeyRef": {"name": "hidden", "key": "payload"}}))
    assert "seconds" in told(stage, "sly", "InvalidPayload")["note"]
    assert "hunter2" not in json.dumps(events(stage))


async def create(stage: Stage, *jobs: FluidJobBuilder) -> None:
    """Some at a time: kubectl makes one after the other, and takes minutes on a busy machine."""
    bodies = [job.metadata(namespace=stage.namespace).manifest() for job in jobs]
    async with connect(stage.cluster.kubeconfig, throttle=Throttle(ThrottleSettings(in_flight=20))) as kube:
        await asyncio.gather(*(kube.create(FLUID_JOBS, body) for body in bodies))


def written(operator: Operator, series: str) -> float:
    """The sum of a counter over its labels."""
    lines = operator.http("/metrics").body.splitlines()
    return sum(float(line.rpartition(" ")[2]) for line in lines if line.startswith(series))


def test_500_jobs_that_fail_write_few_events_and_each_says_something(bare: Stage):
    bare.environment()
    bare.worker()
    operator = bare.operator(**PATIENT).leading()
    asyncio.run(create(bare, *(work(f"bad-{number:03}", succeedAt=99).retries(0) for number in range(500))))
    assert bare.all_end(500) == {"Failed": 500}  # so there were 500 status writes at least
    until(lambda: written(operator, "fluid_operator_events_lost_total") > 0, 10, "the budget ends")
    found = events(bare)
    assert BUDGET.namespace_burst <= len(found) <= 500 / 4
    assert written(operator, "fluid_operator_events_written_total") <= 500 / 4
    assert Counter(each["note"] for each in found).most_common(1)[0][0].startswith("failed after 1 attempt")


class Ignored:
    def event_written(self) -> None:
        pass

    def event_lost(self, why: str) -> None:
        raise AssertionError(why)


async def test_the_api_server_and_kubectl_understand_a_series(bare: Stage):
    bare.apply(work("again"))
    uid = bare.job("again")["metadata"]["uid"]
    regarding = Regarding("jobs.fluidcalendar.com/v1alpha1", "FluidJob", ObjectKey(bare.namespace, "again"), uid)
    async with connect(bare.cluster.kubeconfig) as kube:
        recorder = EventRecorder(kube, "replica-1", Ignored(), settings=EventSettings(series_seconds=0.2))
        task = asyncio.create_task(recorder.run())
        for _ in range(7):
            recorder.record(Happening(regarding, "Warning", "Retrying", "Retry", "ä" * 2000))

        def counted() -> bool:
            return [each.get("series", {}).get("count") for each in events(bare)] == [7]

        await auntil(counted, 20, "the series counts")
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    assert "(x7 over" in bare.kubectl("describe", "fj", "again")
