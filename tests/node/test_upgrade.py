"""Another image of the workers, of the operator, of Redis, under load and in any order: no job is lost, and none that
had time to finish runs twice.
"""

import asyncio

import pytest

from fluid_dev.stand_ins import REDIS
from support.node_stage import USUAL_LEASE_SECONDS, numbered, tomorrow


async def upgrade_workers(stage, image: str) -> None:
    """Returns when no worker of before is left."""
    stage.apply(image=image)

    def replaced() -> bool:
        pods = stage.pods("worker")
        images = {pod["spec"]["containers"][0]["image"] for pod in pods}
        ready = [pod["status"].get("containerStatuses", [{}])[0].get("ready") for pod in pods]
        return images == {image} and all(ready)

    await stage.wait(replaced, 90, "only workers of the new image are left", pause=0.3)


@pytest.mark.timeout(240)
@pytest.mark.parametrize("first", ["workers", "operator"])
async def test_workers_and_operator_are_upgraded_under_load_whichever_comes_first(first, stage, operator, node, image):
    newer = f"{stage.image}-newer"
    node.tag(stage.image, newer)
    node.tag(image.tag, f"{image.tag}-newer")
    stage.apply(workers=[stage.pool(minReplicas=2, lease_seconds=USUAL_LEASE_SECONDS)])
    await stage.ready()
    before = {pod["metadata"]["name"] for pod in stage.pods("worker")}
    async with stage.load(every=0.05, milliseconds=500) as created:
        await stage.started(20)
        if first == "workers":
            await upgrade_workers(stage, newer)
        await asyncio.to_thread(operator.upgrade, f"{image.tag}-newer")
        if first == "operator":
            await upgrade_workers(stage, newer)
        await stage.started(len(stage.witness.runs()) + 20)
    assert await stage.all_end() == {"Succeeded": len(created)}
    assert stage.witness.repeats() == {}
    workers = {run.worker for run in stage.witness.runs()}
    assert workers & before
    assert workers - before
    await stage.ready()


@pytest.mark.timeout(240)
async def test_another_image_of_redis_keeps_its_data_and_the_jobs_in_it(stage, node):
    newer = f"{REDIS}-newer"
    node.tag(REDIS, newer)
    stage.apply(workers=[stage.pool(lease_seconds=USUAL_LEASE_SECONDS)])
    await stage.ready()
    async with stage.queue() as queue:
        before = await queue.incarnation()
    later = await stage.create("later", startAfter=tomorrow())
    await stage.reaches("later", "Scheduled")
    await stage.create(*numbered(200), milliseconds=200)
    await stage.started(20)
    stage.apply(redis={"managed": {"maxMemory": "100mb", "image": newer}})

    def upgraded() -> bool:
        (pod,) = stage.pods("redis") or [None]
        return pod is not None and pod["spec"]["containers"][0]["image"] == newer

    await stage.wait(upgraded, 120, "Redis runs in the new image", pause=0.3)
    await stage.ready()
    async with stage.queue() as queue:
        assert await queue.incarnation() == before
        (record,) = await queue.inspect([f"{later['later']}.1"])
    assert record.state == "delayed"
    stage.namespace.kubectl("delete", "fluidjob", "later")
    assert await stage.all_end() == {"Succeeded": 200}
    assert stage.witness.repeats() == {}


async def test_a_larger_volume_is_taken_on_without_touching_the_pod_that_runs(stage):
    stage.apply()
    await stage.ready()
    (before,) = stage.pods("redis")
    stage.apply(redis={"managed": {"maxMemory": "100mb", "storage": "2Gi"}})

    def made_anew() -> bool:
        found = stage.namespace.find("statefulset", "default-redis")
        claims = found["spec"]["volumeClaimTemplates"] if found else []
        return [claim["spec"]["resources"]["requests"]["storage"] for claim in claims] == ["2Gi"]

    await stage.wait(made_anew, 60, "the StatefulSet asks for the larger volume", pause=0.3)
    await stage.ready()
    (after,) = stage.pods("redis")
    assert after["metadata"]["uid"] == before["metadata"]["uid"]
    await stage.create("next")
    await stage.reaches("next", "Succeeded")
