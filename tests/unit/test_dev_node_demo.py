"""What the demo on a node makes of its inputs, and what it tells when something does not get ready."""

import pytest

from fluid_dev.node_demo import at_home, is_rolled_out
from fluid_dev.node_trouble import trouble

POOL = {"name": "default", "env": [{"name": "SMTP_URL", "value": "smtp://mail"}, {"name": "A", "value": "b"}]}


def environment(*conditions: dict) -> dict:
    metadata = {"name": "default", "namespace": "demo"}
    return {"kind": "FluidEnvironment", "metadata": metadata, "status": {"conditions": list(conditions)}}


def pod(phase: str = "Running", *, ready: str = "False", state: dict | None = None, **conditions: dict) -> dict:
    listed = [{"type": "Ready", "status": ready}, *({"type": name, **each} for name, each in conditions.items())]
    containers = [{"state": state}] if state else []
    status = {"phase": phase, "conditions": listed, "containerStatuses": containers}
    return {"kind": "Pod", "metadata": {"name": "a", "namespace": "demo"}, "status": status}


def warning(number: int, message: str) -> dict:
    return {
        "type": "Warning",
        "reason": "Failed",
        "message": message,
        "lastTimestamp": f"2026-11-24T12:00:{number:02}Z",
        "involvedObject": {"kind": "Pod", "name": "a"},
        "metadata": {"creationTimestamp": "2026-11-24T12:00:00Z"},
    }


def test_the_environment_of_the_demo_has_its_image_and_its_mail_server_and_keeps_the_rest():
    shipped = {"kind": "FluidEnvironment", "spec": {"image": "a:1", "redis": {}, "workers": [POOL]}}
    made = at_home(shipped, "localhost/b:2", "smtp://10.0.0.1:25")
    assert made["spec"]["image"] == "localhost/b:2"
    assert made["spec"]["redis"] == {}
    (pool,) = made["spec"]["workers"]
    variables = {each["name"]: each["value"] for each in pool["env"]}
    assert len(pool["env"]) == len(variables)
    assert variables["SMTP_URL"] == "smtp://10.0.0.1:25"
    assert variables["A"] == "b"
    assert shipped["spec"]["workers"][0] == POOL


@pytest.mark.parametrize(
    ("counts", "seen", "want"),
    [((2, 2, 2), 3, True), ((2, 2, 2), 2, False), ((3, 2, 2), 3, False), ((2, 1, 2), 3, False), ((2, 2, 1), 3, False)],
)
def test_a_rollout_is_over_when_all_pods_are_new_and_ready_and_no_old_one_is_left(counts, seen, want):
    replicas, updated, available = counts
    status = {"replicas": replicas, "updatedReplicas": updated, "availableReplicas": available}
    deployment = {
        "metadata": {"generation": 3},
        "spec": {"replicas": 2},
        "status": {"observedGeneration": seen, **status},
    }
    assert is_rolled_out(deployment) is want


@pytest.mark.parametrize(
    ("found", "want"),
    [
        (pod(state={"waiting": {"reason": "ErrImagePull", "message": "no such image"}}), "ErrImagePull: no such image"),
        (pod(state={"waiting": {"reason": "CrashLoopBackOff"}}), "CrashLoopBackOff"),
        (pod(state={"terminated": {"exitCode": 2, "reason": "Error"}}), "ended with exit code 2 (Error)"),
        (pod("Pending", state={"waiting": {"reason": "ContainerCreating"}}), "has not started yet"),
        (
            pod("Pending", PodScheduled={"status": "False", "reason": "Unschedulable", "message": "no room"}),
            "Unschedulable: no room",
        ),
        (pod(state={"running": {}}), "runs, but is not ready"),
    ],
)
def test_a_pod_that_is_not_ready_is_told_with_the_reason(found, want):
    assert trouble([], [found], []) == [f"Pod demo/a: {want}"]


def test_what_is_ready_or_has_done_its_work_is_not_told():
    ready = environment({"type": "Ready", "status": "True", "reason": "Available", "message": "fine"})
    assert trouble([ready], [pod(ready="True"), pod("Succeeded")], []) == []


def test_an_environment_is_told_in_its_own_words_or_as_not_looked_at():
    waiting = environment({"type": "Ready", "status": "False", "reason": "RedisUnavailable", "message": "no answer"})
    assert trouble([waiting, environment()], [], []) == [
        "FluidEnvironment demo/default: RedisUnavailable: no answer",
        "FluidEnvironment demo/default: nobody has looked at it yet",
    ]


def test_of_the_warnings_the_newest_few_are_told_each_once():
    events = [warning(number, f"message {number}") for number in (7, 1, 2, 3, 4, 5, 6)]
    again = [warning(8, "message 3"), {**warning(9, "fine"), "type": "Normal"}]
    assert trouble([], [], [*events, *again]) == [f"Pod a: Failed: message {number}" for number in (4, 5, 6, 7, 3)]
