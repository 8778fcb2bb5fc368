"""A worker is killed without a word: what it was running runs again, and nothing else does."""

import time

from support.node_stage import numbered
from support.nodes import kill_containers

JOBS = 300
_REPORT_SECONDS = 1.0
"""The most that may lie between the end of some work and the moment when Redis knows of it."""


async def test_the_jobs_of_a_killed_worker_run_again_and_are_counted_and_nobody_elses(stage, measured):
    stage.apply(workers=[stage.pool(minReplicas=2, concurrency=10)])
    await stage.ready()
    await stage.create(*numbered(JOBS), milliseconds=400)
    await stage.started(60)
    victim = next(pod for pod in stage.pods("worker") if pod["metadata"]["name"] == stage.witness.running()[0].worker)
    killed = time.time()
    kill_containers(victim)

    assert await stage.all_end() == {"Succeeded": JOBS}
    repeats = stage.witness.repeats()
    mine = [run for run in stage.witness.runs() if run.worker == victim["metadata"]["name"] and run.started < killed]
    interrupted = {run.object for run in mine if run.broken}
    unreported = {run.object for run in mine if run.ended and run.ended > killed - _REPORT_SECONDS}
    assert interrupted
    assert interrupted <= set(repeats) <= interrupted | unreported
    assert {len(runs) for runs in repeats.values()} == {2}
    for job in (await stage.jobs()).values():
        assert job["status"]["attempts"] == len(stage.witness.runs(job["metadata"]["uid"]))
    measured("kill -9 of a worker -> the last of its jobs runs again", max(_second(repeats)) - killed)
    (again,) = [pod for pod in stage.pods("worker") if pod["metadata"]["uid"] == victim["metadata"]["uid"]]
    assert again["status"]["containerStatuses"][0]["restartCount"] == 1


def _second(repeats) -> list[float]:
    return [runs[1].started for runs in repeats.values()]
