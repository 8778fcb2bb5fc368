"""A FluidJob whose processor enqueues others: it waits for them, counts them, and fails with them."""

from pathlib import Path
from typing import Any

from cluster.builders import FluidJobBuilder, fluid_job
from support.folders import fresh_folder
from support.stages import Stage, work
from support.waiting import until


def family(name: str, *children: dict[str, Any]) -> FluidJobBuilder:
    return fluid_job(name).type("family").payload(children=list(children))


def closed_door() -> Path:
    """A path at which nothing is yet."""
    return fresh_folder("door") / "open"


def test_a_job_waits_for_its_children_and_counts_them(stage: Stage):
    door = closed_door()
    stage.apply(family("parent", {"value": "a"}, {"value": "b", "hold": str(door)}))
    assert "1 of 2 children" in stage.reason("parent", "WaitingForChildren")["message"]
    assert stage.status("parent")["phase"] == "Running"
    until(lambda: stage.status("parent").get("children", {}).get("succeeded") == 1, 20, "one child has ended")
    door.touch()
    status = stage.reaches("parent", "Succeeded")
    assert status["children"] == {"total": 2, "succeeded": 2, "failed": 0}


def test_a_job_fails_with_a_child(stage: Stage):
    stage.apply(family("parent", {"value": "good"}, {"value": "bad", "succeedAt": 2}))
    status = stage.reaches("parent", "Failed")
    assert stage.condition("parent", "Failed")["reason"] == "ChildFailed"
    assert status["children"] == {"total": 2, "succeeded": 1, "failed": 1}


def test_the_children_of_a_cancelled_job_are_stopped(stage: Stage):
    stage.apply(family("parent", {"seconds": 300}))
    stage.reason("parent", "WaitingForChildren")
    stage.started(1)
    stage.ask("fj/parent", "cancel")
    stage.reaches("parent", "Cancelled")
    stage.apply(work("witness", value="witness"))
    stage.reaches("witness", "Succeeded")
    assert len(stage.starts()) == 2


def test_the_children_of_a_deleted_job_are_stopped(stage: Stage):
    stage.apply(family("parent", {"seconds": 300}))
    stage.reason("parent", "WaitingForChildren")
    child = stage.started(1)[0].job_id
    stage.kubectl("delete", "fj", "parent")

    def state() -> str:
        return stage.redis.cli("--raw", "HGET", f"{{fluid:{stage.key_prefix}}}:job:{child}", "state").strip()

    until(lambda: state() in ("", "cancelled"), 20, "the child has been stopped")
