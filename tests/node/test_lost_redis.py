"""The managed Redis goes away under load, also with its data: no job is lost, and what runs twice had a reason."""

import time

import pytest

from support.node_stage import add_volume, numbered
from support.nodes import kill_containers

_LOST_SECONDS = 2.0
"""Of writes, at most, when Redis is killed that writes to disk every second."""
_REPORT_SECONDS = 1.0


def kill(stage) -> None:
    (pod,) = stage.pods("redis")
    kill_containers(pod)


def delete(stage) -> None:
    """With less time than it would take for the jobs that run, as on a node that is in a hurry."""
    stage.namespace.kubectl("delete", "pod", "default-redis-0", "--grace-period=3", "--wait=false")


def incarnation(pod) -> tuple[str, int]:
    """Another one for each Redis process that was started."""
    (container,) = pod["status"].get("containerStatuses") or [{"restartCount": 0}]
    return pod["metadata"]["uid"], container["restartCount"]


async def back(stage, before: tuple[str, int]) -> float:
    """When another Redis than that one was seen to be ready."""

    def look() -> bool:
        for pod in stage.pods("redis"):
            conditions = pod["status"].get("conditions", [])
            ready = any(each["type"] == "Ready" and each["status"] == "True" for each in conditions)
            if ready and incarnation(pod) != before:
                return True
        return False

    await stage.wait(look, 60, "Redis is back")
    return time.time()


@pytest.mark.timeout(240)
@pytest.mark.parametrize("strike", [kill, delete])
async def test_no_job_is_lost_and_only_those_of_the_last_moments_run_again(strike, stage, measured):
    stage.apply(workers=[stage.pool(minReplicas=2)])
    await stage.ready()
    async with stage.load(every=0.05, milliseconds=200) as created:
        await stage.started(40)
        (pod,) = stage.pods("redis")
        lost = time.time()
        strike(stage)
        ready = await back(stage, incarnation(pod))
        count = len(stage.witness.runs())
        await stage.started(count + 40)
    first = min(run.started for run in stage.witness.runs()[count:])
    measured(f"Redis is ready again ({strike.__name__}) -> the first claim", max(0.0, first - ready))

    assert await stage.all_end() == {"Succeeded": len(created)}
    repeats = stage.witness.repeats()
    for runs in repeats.values():
        end = runs[0].ended or runs[0].broken
        assert end > lost - _LOST_SECONDS - _REPORT_SECONDS, "what had ended in good time has run again"
    assert len(repeats) < len(created)
    measured(f"jobs that ran again after Redis was gone ({strike.__name__}), a number", len(repeats))


@pytest.mark.timeout(240)
async def test_a_lost_volume_loses_no_job_that_is_an_object(stage, node):
    stage.apply()
    await stage.ready()
    stage.witness.close("later")
    done = await stage.create(*numbered(5, "done"))
    await stage.all_end()
    await stage.create(*numbered(5, "waiting"), gate="later")
    await stage.started(10)

    add_volume(node)
    stage.namespace.kubectl("delete", "pvc", "--all", "--wait=false")
    (pod,) = stage.pods("redis")
    stage.namespace.kubectl("delete", "pod", "default-redis-0", "--grace-period=1", "--wait=false")
    await back(stage, incarnation(pod))
    stage.witness.open("later")
    assert await stage.all_end() == {"Succeeded": 10}
    assert not set(done.values()) & set(stage.witness.repeats())
