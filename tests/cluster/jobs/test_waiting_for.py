"""Every waiting job says what it waits for: its queue, its environment, the jobs before it."""

import json

from cluster.builders import fluid_environment
from support.stages import Stage, work
from support.waiting import until


def test_a_creation_limit_refuses_nothing_and_lets_the_oldest_in_first(bare: Stage):
    bare.environment(queues=[{"name": "work", "creationLimit": {"max": 1, "perSeconds": 1}}])
    bare.worker(FLUID_CONCURRENCY="1")
    bare.apply(*(work(f"job-{n}", value=str(n)) for n in range(6)))
    bare.operator().leading()
    assert "oldest" in bare.reason("job-5", "CreationRateLimited")["message"]
    assert bare.status("job-5")["phase"] == "Pending"
    assert bare.all_end(6) == {"Succeeded": 6}
    # The first is let in at once, before the operator has seen the others.
    order = [start.value for start in bare.starts()]
    assert order[1:] == sorted(order[1:])


def test_whoever_waits_in_line_lets_others_pass_when_it_is_cancelled_or_deleted(bare: Stage):
    bare.environment(queues=[{"name": "work", "creationLimit": {"max": 1, "perSeconds": 3}}])
    bare.worker()
    bare.operator().leading()
    bare.apply(work("first"))
    bare.reaches("first", "Succeeded")
    bare.apply(work("a-cancelled"), work("b-deleted"), work("c-held"), work("d-last"))
    for name in ("b-deleted", "c-held", "d-last"):
        bare.reason(name, "CreationRateLimited")
    bare.ask("fj/c-held", "suspend")
    bare.ask("fj/a-cancelled", "cancel")
    bare.kubectl("delete", "fj", "b-deleted")
    bare.reaches("d-last", "Succeeded")
    assert bare.reaches("c-held", "Suspended")


def test_an_object_that_others_keep_from_going_is_in_nobodys_way(bare: Stage):
    bare.environment(queues=[{"name": "work", "creationLimit": {"max": 1, "perSeconds": 4}}])
    bare.worker()
    bare.operator().leading()
    bare.apply(work("first"))
    bare.reaches("first", "Succeeded")
    bare.apply(work("a-kept").metadata(name="a-kept", finalizers=["example.org/keep"]))
    bare.reason("a-kept", "CreationRateLimited")
    bare.apply(work("b-next"))
    bare.reason("b-next", "CreationRateLimited")
    bare.kubectl("delete", "fj", "a-kept", "--wait=false")
    try:
        bare.reaches("b-next", "Succeeded")
    finally:
        bare.kubectl("patch", "fj", "a-kept", "--type=merge", "-p", '{"metadata":{"finalizers":null}}')


def test_a_throttled_job_is_no_twin_of_its_own_earlier_run(stage: Stage):
    twin = {"key": "k", "mode": "Throttle", "ttlSeconds": 300}
    stage.apply(work("own", succeedAt=9).spec(backoffLimit=0, deduplication=twin))
    stage.reaches("own", "Failed")
    stage.ask("fj/own", "retry")
    assert stage.reaches("own", "Failed", "Succeeded", run=2)["phase"] == "Failed"


def test_a_paused_queue_is_told_and_goes_on_by_request(stage: Stage):
    stage.ask("fe/default", "pause/work")
    paused = json.loads(stage.kubectl("get", "fe", "default", "-o", "json"))

    def named() -> bool:
        nonlocal paused
        paused = json.loads(stage.kubectl("get", "fe", "default", "-o", "json"))
        return paused["status"].get("pausedQueues") == ["work"]

    until(named, 20, "the environment names the paused queue")
    assert paused["status"]["lastHandledRequest"].startswith("pause/work@")
    stage.apply(work("waits"))
    stage.reason("waits", "QueuePaused")
    stage.ask("fe/default", "resume/work")
    stage.reaches("waits", "Succeeded")


def test_a_suspended_environment_starts_nothing_and_says_so(bare: Stage):
    bare.environment(suspend=True)
    bare.worker()
    bare.operator().leading()
    bare.apply(work("waits"))
    bare.reason("waits", "EnvironmentSuspended")
    bare.apply(fluid_environment("default").spec(image="example.org/app:1", suspend=False))
    bare.reaches("waits", "Succeeded")
    assert len(bare.starts()) == 1


def test_settings_that_the_queue_does_not_take_are_named_by_the_environment(bare: Stage):
    bare.environment(queues=[{"name": "work", "rateLimit": {"max": 1000000, "perSeconds": 1}}])
    bare.operator().leading()

    def told() -> str:
        status = json.loads(bare.kubectl("get", "fe", "default", "-o", "json"))["status"]
        return next((each["message"] for each in status.get("conditions", []) if each["type"] == "Ready"), "")

    until(lambda: "spec.queues[0].rateLimit.max" in told(), 20, "the condition names the field")
