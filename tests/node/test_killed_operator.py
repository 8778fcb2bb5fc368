"""The operator that leads is killed without a word: the other replica takes over, and workers notice nothing."""

import time

from support.node_stage import USUAL_LEASE_SECONDS
from support.operator_pods import LEASE_SECONDS


async def test_another_replica_goes_on_when_the_lease_of_the_killed_one_is_over(stage, operator, measured):
    stage.apply(workers=[stage.pool(lease_seconds=USUAL_LEASE_SECONDS)])
    await stage.ready()
    async with stage.load(every=0.05, milliseconds=50) as created:
        await stage.started(20)
        killed = time.time()
        operator.kill_leader()
        uid = (await stage.create("after"))["after"]
        (first, *_) = await stage.wait(
            lambda: stage.witness.runs(uid), 60, "a job that was created after the kill runs"
        )
        measured(f"kill -9 of the leader -> a new job runs, with a lease of {LEASE_SECONDS} s", first.started - killed)
    assert await stage.all_end() == {"Succeeded": len(created) + 1}
    assert stage.witness.repeats() == {}
