"""A burst in one namespace does not hold up the job of another: by the order of the enqueues, not by a clock."""

import asyncio
from collections.abc import Sequence

import pytest

from fluid_operator.kube.client import connect
from fluid_operator.kube.keys import FLUID_JOBS
from support.stages import Stage, stage_on, work
from support.waiting import until

BURST = 3_000
MAY_COME_FIRST = 300
"""What is being looked at when the other's job comes, and what one call to Redis gathers; a line would be 3,000."""


async def create(stage: Stage, names: Sequence[str]) -> list[str]:
    """Create FluidJobs, many at a time; answers the ids of their first runs."""
    several = asyncio.Semaphore(16)

    async with connect(stage.cluster.kubeconfig) as kube:

        async def one(name: str) -> str:
            body = work(name).spec(queue="idle").manifest()
            body["metadata"]["namespace"] = stage.namespace
            async with several:
                made = await kube.create(FLUID_JOBS, body)
            return f"{made['metadata']['uid']}.1"

        return await asyncio.gather(*map(one, names))


async def enqueued_at(stage: Stage, job_ids: Sequence[str]) -> list[int]:
    """When these jobs came into the queue, by the clock of Redis, those that have come."""
    queue = stage.queue()
    try:
        records = [record for n in range(0, len(job_ids), 500) for record in await queue.inspect(job_ids[n : n + 500])]
    finally:
        await queue.aclose()
    return [record.created_at for record in records if record is not None]


def published(stage: Stage) -> None:
    """Wait until the types of the stage's worker are known in Redis."""
    types = f"{{fluid:{stage.key_prefix}}}:types:local"
    until(lambda: stage.redis.cli("HEXISTS", types, "work").strip() == "1", 30, "the types are published")


@pytest.fixture
def other(lonely_stage: Stage) -> Stage:
    """A namespace that comes last in every list, on the same cluster and Redis."""
    name = f"zz-{lonely_stage.namespace}"
    lonely_stage.cluster.kubectl("create", "namespace", name)
    with stage_on(lonely_stage.cluster, name, lonely_stage.redis) as stage:
        stage.environment()
        yield stage


def test_one_job_beside_a_burst_is_enqueued_among_the_first(lonely_stage: Stage, other: Stage):
    for stage in (lonely_stage, other):
        stage.worker(FLUID_QUEUES="elsewhere")
        published(stage)
    burst = asyncio.run(create(lonely_stage, [f"burst-{n:04d}" for n in range(BURST)]))
    single = asyncio.run(create(other, ["single"]))
    lonely_stage.operator(FLUID_NAMESPACES="").leading()
    other.reaches("single", "Queued", within=90)
    until(lambda: len(asyncio.run(enqueued_at(lonely_stage, burst))) == BURST, 90, "the burst is enqueued", pause=0.5)
    (mine,) = asyncio.run(enqueued_at(other, single))
    before = [at for at in asyncio.run(enqueued_at(lonely_stage, burst)) if at < mine]
    assert len(before) <= MAY_COME_FIRST
