"""What becomes of the data of a managed Redis when its environment is deleted, as its owner has said."""

import time

import pytest

from support.node_stage import add_volume, tomorrow


def claims(stage) -> list[str]:
    return stage.namespace.kubectl("get", "pvc", "--output=name").split()


async def delete(stage) -> None:
    """Wait until its pods are gone as well."""
    stage.namespace.kubectl("delete", "fluidenvironment", stage.name)
    await stage.wait(lambda: not stage.pods("redis") + stage.pods("worker"), 90, "its pods are gone", pause=0.3)


@pytest.mark.timeout(240)
async def test_a_new_environment_goes_on_with_the_data_that_was_retained(stage, measured):
    stage.apply(deletionPolicy="Retain")
    await stage.ready()
    await stage.create("done")
    later = await stage.create("later", startAfter=tomorrow())
    await stage.reaches("done", "Succeeded")
    await stage.reaches("later", "Scheduled")
    async with stage.queue() as queue:
        before = await queue.incarnation()
    (kept,) = claims(stage)
    await delete(stage)
    await stage.reaches("later", "Pending", within=120)
    assert claims(stage) == [kept]

    since = time.time()
    stage.apply()
    await stage.ready()
    measured("an environment is made again on the data that was kept -> it is ready", time.time() - since)
    await stage.reaches("later", "Scheduled", within=60)
    async with stage.queue() as queue:
        assert await queue.incarnation() == before
        (record,) = await queue.inspect([f"{later['later']}.1"])
    assert record.state == "delayed"
    await stage.create("next")
    await stage.reaches("next", "Succeeded")
    assert stage.witness.runs(later["later"]) == []


@pytest.mark.timeout(240)
async def test_the_volume_goes_with_its_environment_when_it_is_not_to_be_kept(stage, node):
    stage.apply(deletionPolicy="Delete")
    await stage.ready()
    (claim,) = claims(stage)
    await delete(stage)
    await stage.wait(lambda: not claims(stage), 60, f"{claim} is gone", pause=0.3)
    add_volume(node)
    stage.apply()
    await stage.ready()
    await stage.create("next")
    await stage.reaches("next", "Succeeded")
