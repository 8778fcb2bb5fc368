"""A pool that sleeps without work: it wakes for the first job, grows with thousands, and goes to sleep again."""

import time

import pytest

from fluid_operator.kube.keys import ObjectKey, Resource
from support.node_stage import USUAL_LEASE_SECONDS, numbered

DEPLOYMENTS = Resource("apps", "v1", "deployments", "Deployment")
JOBS = 5000


async def workers(stage) -> int:
    """How many the pool is to have."""
    found = await stage.kube.get(DEPLOYMENTS, ObjectKey(stage.namespace.name, "default-default"))
    return found["spec"]["replicas"]


async def asleep(stage) -> None:
    """Wait until nothing of the pool runs."""

    async def look() -> bool:
        return await workers(stage) == 0 and not stage.pods("worker")

    await stage.wait(look, 120, "the pool sleeps", pause=0.5)


@pytest.mark.timeout(600)
async def test_from_no_worker_to_three_and_back_no_job_is_lost_and_none_repeated_without_a_reason(stage, measured):
    scaling = {"targetLatencySeconds": 2, "stabilizationWindowSeconds": 10}
    pool = stage.pool(minReplicas=0, maxReplicas=3, autoscaling=scaling, lease_seconds=USUAL_LEASE_SECONDS)
    stage.apply(workers=[pool], retention={"maxFinished": 2 * JOBS})
    await stage.ready()
    await stage.wait(lambda: stage.condition("TypesDiscovered")["status"] == "True", 60, "a worker told its types")
    await asleep(stage)

    created = time.time()
    await stage.create("first")
    (first,) = await stage.started(1)
    measured("a job for a pool without workers is created -> it runs", first.started - created)
    await stage.reaches("first", "Succeeded")
    await asleep(stage)

    began = time.time()
    await stage.create(*numbered(JOBS), milliseconds=300)
    measured(f"{JOBS} FluidJobs are created", time.time() - began)
    assert await stage.all_end(within=300) == {"Succeeded": JOBS + 1}
    measured(f"{JOBS} FluidJobs are created and succeed, from no worker to three", time.time() - began)
    assert len({run.worker for run in stage.witness.runs()} - {first.worker}) == 3
    await asleep(stage)

    runs = stage.witness.runs()
    assert {run.object for run in runs} == {job["metadata"]["uid"] for job in (await stage.jobs()).values()}
    repeats = stage.witness.repeats()
    for again in repeats.values():
        assert all(run.broken for run in again[:-1]), "a job that had ended has run again"
    assert len(runs) == JOBS + 1 + sum(len(again) - 1 for again in repeats.values())
    measured(f"of {JOBS + 1} jobs ran more than once, a number", len(repeats))
