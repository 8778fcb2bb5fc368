"""Somebody deletes the definitions of our kinds, and with them every object: what was in the queue is stopped, and what
is created again is new."""

from support.clusters import CRDS
from support.idle_jobs import alive, idle
from support.sites import managed
from support.stages import Stage, work
from support.waiting import until


def redis_of_other(stage: Stage) -> str:
    return stage.kubectl("get", "statefulset", "other-redis", "--ignore-not-found", "--output=name")


def test_deleted_kinds_take_every_object_along_and_what_is_created_again_runs_again(own_stage: Stage):
    stage = own_stage
    stage.environment()
    stage.worker(FLUID_QUEUES="work")
    first = stage.operator().leading()
    stage.apply(managed("other"), work("done"), work("running", seconds=300), idle("queued"))
    until(lambda: redis_of_other(stage), 30, "the other environment gets a Redis")
    stage.reaches("done", "Succeeded")
    stage.reaches("running", "Running")
    stage.reaches("queued", "Queued")
    stage.cluster.kubectl("delete", f"--filename={CRDS}", "--timeout=60s")
    until(lambda: not redis_of_other(stage), 60, "what environments consist of is gone")
    until(lambda: alive(stage) == [], 60, "what has no object any more is stopped")
    until(lambda: not first.process.running, 30, "the operator ends; in its Deployment it is started again")
    second = stage.operator().leading()

    stage.cluster.apply_crds(CRDS)
    stage.environment()
    stage.apply(work("done"))
    stage.reaches("done", "Succeeded")
    assert second.leads
    assert len(stage.starts()) == 3
