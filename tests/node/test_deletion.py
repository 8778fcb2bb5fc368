"""What is deleted goes, in whatever order, and never hangs; what was running gets its time, and is told."""

import pytest

from fluid_dev.errors import ClusterError
from support.node_stage import numbered


def gone(stage, *what: str) -> bool:
    """Whether there is no such thing any more."""
    return not stage.namespace.kubectl("get", *what, "--output=name", "--ignore-not-found").strip()


@pytest.mark.timeout(240)
async def test_running_jobs_of_a_deleted_environment_may_finish_and_the_others_wait_for_another(stage):
    stage.apply(workers=[stage.pool(concurrency=4, terminationGracePeriodSeconds=16)])
    await stage.ready()
    for gate in ("soon", "never"):
        stage.witness.close(gate)
    finishing = await stage.create(*numbered(2, "finishing"), gate="soon")
    endless = await stage.create(*numbered(2, "endless"), gate="never")
    await stage.started(4)
    waiting = await stage.create(*numbered(3, "waiting"))
    for name in waiting:
        await stage.reaches(name, "Queued")

    stage.namespace.kubectl("delete", "fluidenvironment", stage.name)
    stage.witness.open("soon")
    for name in finishing:
        await stage.reaches(name, "Succeeded", within=60)
    for name in (*endless, *waiting):
        await stage.reaches(name, "Pending", within=150)
        await stage.wait(lambda name=name: _reason(stage, name), 30, f"{name} says that its environment is gone")
    await stage.wait(lambda: gone(stage, "statefulsets,deployments,pods"), 90, "nothing of it is left", pause=0.5)

    stage.witness.open("never")
    stage.apply()
    assert await stage.all_end() == {"Succeeded": 7}
    for uid in (*finishing.values(), *waiting.values()):
        assert len(stage.witness.runs(uid)) == 1
    for uid in endless.values():
        assert [bool(run.broken) for run in stage.witness.runs(uid)] == [True, False]


async def _reason(stage, name: str) -> bool:
    conditions = (await stage.job(name))["status"]["conditions"]
    return any(each["reason"] == "EnvironmentNotFound" for each in conditions if each["type"] == "Ready")


async def whole_namespace(stage) -> None:
    """Everything at once."""


async def environment_first(stage) -> None:
    stage.namespace.kubectl("delete", "fluidenvironment", stage.name)


async def redis_first(stage) -> None:
    stage.namespace.kubectl("delete", "statefulset", "default-redis", "--wait=false")


async def operators_rights_first(stage) -> None:
    """From then on it can neither put right nor read anything here."""
    stage.namespace.kubectl("delete", "rolebindings", "--all")


@pytest.mark.timeout(240)
@pytest.mark.parametrize("first", [whole_namespace, environment_first, redis_first, operators_rights_first])
async def test_a_namespace_with_a_running_job_never_hangs_whatever_is_deleted_first(first, stage):
    stage.apply(workers=[stage.pool(terminationGracePeriodSeconds=4)])
    await stage.ready()
    stage.witness.close("never")
    await stage.create("endless", gate="never")
    await stage.started(1)
    await first(stage)
    stage.namespace.kubectl("delete", "namespace", stage.namespace.name, "--wait=false")

    def all_gone() -> bool:
        try:
            stage.namespace.kubectl("get", "namespace", stage.namespace.name)
        except ClusterError as error:
            return "not found" in str(error)
        return False

    await stage.wait(all_gone, 150, "the namespace is gone", pause=0.5)
