"""Staging and production on one cluster, each with its own Redis in its own namespace: nothing crosses over."""

from fluid_queue import Queue, QueueAccessDenied, QueueError
from support.node_stage import USUAL_LEASE_SECONDS, numbered

JOBS = 100


async def test_staging_and_production_share_nothing(make_stage):
    staging, production = make_stage(), make_stage()
    witness = production.witness
    pools = [production.pool(lease_seconds=USUAL_LEASE_SECONDS)]
    staging.apply(workers=pools, outbound={"mode": "Suppress"})
    production.apply(workers=pools, outbound={"mode": "Live"})
    await staging.ready()
    await production.ready()
    theirs = {stage: set((await stage.create(*numbered(JOBS))).values()) for stage in (staging, production)}
    for stage, mode in ((staging, "Suppress"), (production, "Live")):
        assert await stage.all_end() == {"Succeeded": JOBS}
        runs = [run for run in witness.runs() if run.object in theirs[stage]]
        assert {run.outbound for run in runs} == {mode}
        assert {run.worker for run in runs} <= {pod["metadata"]["name"] for pod in stage.pods("worker")}
    assert witness.repeats() == {}
    for here, there in ((staging, production), (production, staging)):
        secrets = here.secret(), there.secret()
        assert not {secrets[0][f"{user}-password"] for user in ("operator", "worker")} & set(secrets[1].values())
        assert await refused(there.url("worker", secrets[0]["worker-password"]), prefix(there))
        assert await refused(here.url("worker"), prefix(there)), "a worker may not touch another's keys"


def prefix(stage) -> str:
    return f"{stage.namespace.name}.{stage.name}"


async def refused(url: str, key_prefix: str) -> bool:
    """Whether Redis lets nobody read these jobs under this address."""
    async with Queue.from_url(url, key_prefix) as queue:
        try:
            await queue.inspect(["any.1"])
        except QueueAccessDenied:
            return True
        except QueueError as error:
            return "NOPERM" in str(error)
        return False
