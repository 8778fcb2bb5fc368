"""Finished FluidJobs go when their time is over or there are too many; what changed, runs or cannot be kept stays."""

import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import yaml

from cluster.builders import FluidJobBuilder, fluid_environment, fluid_job
from fluid_dev.cluster import Cluster
from fluid_operator.jobs.retention import RetentionSettings
from fluid_operator.jobs.view import project
from fluid_operator.kube.client import Json, Kube, connect
from fluid_operator.kube.errors import ServerError, TooManyRequests
from fluid_operator.kube.keys import FLUID_JOBS, ObjectKey
from support.retention import Clerk, Interrupted
from support.stages import Stage, work
from support.waiting import until

QUOTA = Path(__file__).parents[3] / "manifests" / "examples" / "quota" / "fluidjobs.yaml"
FLUX = "kustomize.toolkit.fluxcd.io/name"


def retained(stage: Stage, **retention: int) -> None:
    """Let the stage's environment keep finished jobs so."""
    stage.apply(fluid_environment("default").spec(image="example.org/app:1", workers=[], retention=retention))


def gone(stage: Stage, *names: str, within: float = 30.0) -> None:
    until(lambda: not set(names) & set(stage.jobs()), within, f"{', '.join(names)} have been deleted")


def deletions(stage: Stage, reason: str) -> float | None:
    return stage._operators[-1].metric(f'fluid_operator_retention_deletions_total{{reason="{reason}"}}')


# -- with everything that belongs to it -------------------------------------------------------------------------------


@pytest.mark.field("spec.ttlSecondsAfterFinished", "effect")
@pytest.mark.field("spec.ttl.succeededSeconds", "effect")
@pytest.mark.field("spec.ttl.failedSeconds", "effect")
def test_a_finished_job_goes_when_its_own_time_is_over_by_its_outcome(stage: Stage):
    bad = {"colour": "red"}
    stage.apply(
        work("any-1").spec(ttlSecondsAfterFinished=1),
        work("any-0").spec(ttlSecondsAfterFinished=0),
        work("good-1").spec(ttl={"succeededSeconds": 1, "failedSeconds": 1000}),
        work("bad-1").spec(ttl={"succeededSeconds": 1000, "failedSeconds": 1}, payload=bad),
        work("cancelled-1").spec(ttl={"failedSeconds": 1}, cancelled=True),
        work("good-stays").spec(ttl={"succeededSeconds": 1000, "failedSeconds": 1}),
        work("bad-stays").spec(ttl={"succeededSeconds": 1, "failedSeconds": 1000}, payload=bad),
        work("runs", seconds=300).spec(ttlSecondsAfterFinished=0),
    )
    gone(stage, "any-1", "any-0", "good-1", "bad-1", "cancelled-1")
    assert set(stage.jobs()) == {"good-stays", "bad-stays", "runs"}
    assert stage.reaches("good-stays", "Succeeded")["run"] == 1
    assert stage.reaches("runs", "Running")["attempts"] == 1
    assert deletions(stage, "ttl") == 5
    assert deletions(stage, "cap") == 0


@pytest.mark.field("spec.ttlSecondsAfterFinished", "after")
def test_a_time_to_live_that_is_changed_after_the_end_counts_from_the_end(stage: Stage):
    stage.apply(work("a").spec(ttlSecondsAfterFinished=1000), work("b").spec(ttlSecondsAfterFinished=1000))
    stage.all_end(2)
    stage.apply(work("a").spec(ttlSecondsAfterFinished=1))
    gone(stage, "a")
    assert set(stage.jobs()) == {"b"}


def test_the_environment_decides_for_jobs_that_say_nothing_also_afterwards(stage: Stage):
    stage.apply(work("good"), work("bad", colour="red"), work("own").spec(ttlSecondsAfterFinished=1000))
    stage.all_end(3)
    retained(stage, succeededSeconds=1)
    gone(stage, "good")
    assert set(stage.jobs()) == {"bad", "own"}
    retained(stage, succeededSeconds=1, failedSeconds=1)
    gone(stage, "bad")
    assert set(stage.jobs()) == {"own"}


def test_of_too_many_finished_jobs_those_that_ended_first_go(stage: Stage):
    retained(stage, maxFinished=2)
    stage.apply(work("runs", seconds=300))
    for number in range(4):
        stage.apply(work(f"job-{number}").spec(ttlSecondsAfterFinished=1000))
        stage.reaches(f"job-{number}", "Succeeded")  # the youngest is never one too many
    gone(stage, "job-0", "job-1")
    assert set(stage.jobs()) == {"runs", "job-2", "job-3"}
    assert deletions(stage, "cap") == 2


def test_what_was_deleted_leaves_nothing_to_do_in_redis(stage: Stage):
    stage.apply(*(work(f"job-{number}").spec(ttlSecondsAfterFinished=0) for number in range(10)))
    until(lambda: deletions(stage, "ttl") == 10, 30, "all have been deleted")
    left = f"{{fluid:{stage.key_prefix}}}:unacknowledged"
    until(lambda: stage.redis.cli("ZCARD", left).strip() == "0", 20, "all ends are acknowledged")
    assert len(stage.starts()) == 10


def test_jobs_that_ended_before_the_operator_came_go_too(bare: Stage):
    bare.environment()
    bare.worker()
    first = bare.operator().leading()
    bare.apply(work("old").spec(ttlSecondsAfterFinished=1000))
    bare.reaches("old", "Succeeded")
    first.process.kill()
    bare.apply(work("old").spec(ttlSecondsAfterFinished=1))
    bare.operator()
    gone(bare, "old")


def test_a_namespace_may_limit_its_jobs_by_a_quota(stage: Stage):
    """The quota counts objects, so it is retention that makes room again."""
    quota = yaml.safe_load(QUOTA.read_text())
    quota["spec"]["hard"]["count/fluidjobs.jobs.fluidcalendar.com"] = "2"
    stage.kubectl("apply", "-f", "-", input=json.dumps(quota))

    def counted() -> bool:
        status = json.loads(stage.kubectl("get", "quota", "fluidjobs", "-o", "json")).get("status", {})
        return bool(status.get("used"))

    until(counted, 60, "the quota counts")
    stage.apply(work("a").spec(ttlSecondsAfterFinished=1000), work("b").spec(ttlSecondsAfterFinished=1000))
    assert "exceeded quota" in stage.kubectl("create", "-f", "-", input=work("c").json(), check=False)
    stage.apply(work("a").spec(ttlSecondsAfterFinished=1))
    gone(stage, "a")

    def fits() -> bool:
        stage.kubectl("create", "-f", "-", input=work("c").json(), check=False)
        return "c" in stage.jobs()

    until(fits, 60, "there is room again", pause=0.5)


# -- one deletion, step by step ---------------------------------------------------------------------------------------


@pytest.fixture
async def kube(cluster: Cluster) -> AsyncIterator[Kube]:
    async with connect(cluster.kubeconfig) as kube:
        yield kube


def tracked(name: str) -> FluidJobBuilder:
    return fluid_job(name).label(FLUX, "shop")


async def test_only_what_is_under_once_per_spec_leaves_an_entry(kube, namespace):
    clerk = Clerk(kube, namespace)
    await clerk.finished(tracked("tracked"), fluid_job("plain"))
    assert await clerk.round() == ["ttl", "ttl"]
    assert await clerk.names() == set()
    assert await clerk.recorded() == {"tracked"}


async def test_a_job_that_is_changed_between_plan_and_deletion_survives_and_runs(bare: Stage, kube):
    bare.environment()
    bare.worker()
    bare.operator().leading()
    bare.apply(tracked("racing").type("work").spec(payload={"value": "old"}))
    recorded = bare.reaches("racing", "Succeeded")["specHash"]

    async def change(path: str) -> None:
        await kube.patch(FLUID_JOBS, ObjectKey(bare.namespace, "racing"), {"spec": {"payload": {"value": "new"}}})

    by = Interrupted(kube.connection).before_delete(change)
    clerk = Clerk(kube, bare.namespace, by=by)
    await clerk.seen("racing")
    assert await clerk.round() == ["changed"]
    bare.reaches("racing", "Succeeded", run=2)
    assert [start.value for start in bare.starts()] == ["old", "new"]
    # It was recorded, and that was taken back: a user who deletes it now gets another run.
    assert await clerk.ledger.lookup(ObjectKey(bare.namespace, "racing"), recorded) is None


async def test_a_job_that_was_created_again_in_between_survives(kube, namespace):
    async def recreate(path: str) -> None:
        key = ObjectKey(namespace, "a")
        await kube.delete(FLUID_JOBS, key)
        await kube.create(FLUID_JOBS, fluid_job("a").metadata(namespace=namespace).manifest())

    clerk = Clerk(kube, namespace, by=Interrupted(kube.connection).before_delete(recreate))
    await clerk.finished(fluid_job("a"))
    assert await clerk.round() == ["changed"]
    assert await clerk.names() == {"a"}


async def test_a_job_that_cannot_be_archived_stays_until_it_can(kube, namespace):
    kept: list[str] = []

    async def archive(raw: Json) -> None:
        if raw["metadata"]["name"] == "bad" and clerk.now < ready:
            raise OSError("the disk is full")
        kept.append(raw["metadata"]["name"])

    clerk = Clerk(kube, namespace, archive=archive)
    ready = clerk.now + 100
    await clerk.finished(fluid_job("good"), tracked("bad"))
    assert await clerk.round() == ["archive", "ttl"]
    assert await clerk.names() == {"bad"}
    assert await clerk.recorded() == set()
    assert await clerk.round(later=0.5) == []  # it is not tried all the time
    assert await clerk.round(later=1) == ["archive"]
    assert await clerk.round(later=100) == ["ttl"]
    assert await clerk.names() == set()
    assert kept == ["good", "bad"]


async def test_what_is_archived_is_what_is_deleted(kube, namespace):
    kept: list[Json] = []

    async def archive(raw: Json) -> None:
        kept.append(raw)

    clerk = Clerk(kube, namespace, archive=archive)
    await clerk.finished(fluid_job("a"))
    await kube.patch(FLUID_JOBS, ObjectKey(namespace, "a"), {"metadata": {"labels": {"team": "mail"}}})
    assert await clerk.round() == ["changed"]
    assert kept == []
    await clerk.seen("a")
    assert await clerk.round() == ["ttl"]
    assert kept[0]["metadata"]["labels"] == {"team": "mail"}


async def test_without_the_right_to_keep_a_ledger_what_runs_once_is_not_deleted(cluster, kube, namespace):
    """Deleted without an entry it would be created again, and run again, for ever."""
    user = f"retention-{namespace}"
    verbs = ("--verb=get,delete", "--resource=fluidjobs.jobs.fluidcalendar.com")
    for rest in (("role", user, *verbs), ("rolebinding", user, f"--role={user}", f"--user={user}")):
        cluster.kubectl(f"--namespace={namespace}", "create", *rest)
    async with connect(cluster.client_kubeconfig(user)) as by:
        clerk = Clerk(kube, namespace, by=by)
        await clerk.finished(tracked("tracked"), fluid_job("plain"))
        assert await clerk.round() == ["ledger", "ttl"]
        assert await clerk.names() == {"tracked"}
        role = ("--verb=get,create,patch", "--resource=configmaps")
        for rest in (("role", f"{user}-2", *role), ("rolebinding", f"{user}-2", f"--role={user}-2", f"--user={user}")):
            cluster.kubectl(f"--namespace={namespace}", "create", *rest)
        assert await clerk.round(later=10) == ["ttl"]
        assert await clerk.names() == set()


@pytest.mark.parametrize("refusal", [TooManyRequests, ServerError])
async def test_an_api_server_that_is_busy_or_broken_is_tried_again(kube, namespace, refusal):
    refusals = 2

    async def refuse(path: str) -> None:
        nonlocal refusals
        if refusals:
            refusals -= 1
            raise refusal(429 if refusal is TooManyRequests else 503, "Busy", "later", path, retry_after=1)

    clerk = Clerk(kube, namespace, by=Interrupted(kube.connection).before_delete(refuse))
    await clerk.finished(tracked("a"))
    assert await clerk.round() == ["unanswered"]
    assert await clerk.round(later=1) == ["unanswered"]
    assert await clerk.round(later=10) == ["ttl"]
    assert await clerk.names() == set()
    assert await clerk.recorded() == {"a"}


async def test_a_deletion_whose_answer_was_lost_leaves_its_entry(kube, namespace):
    """The object is gone by our own hand, although the next try finds that somebody was faster."""
    key = ObjectKey(namespace, "a")

    async def delete_and_lose_the_answer(path: str) -> None:
        await kube.delete(FLUID_JOBS, key)
        raise ServerError(504, "Timeout", "later", path)

    by = Interrupted(kube.connection).before_delete(delete_and_lose_the_answer)
    clerk = Clerk(kube, namespace, by=by)
    await clerk.finished(tracked("a"))
    view = project(await kube.get(FLUID_JOBS, key))
    assert await clerk.round() == ["unanswered"]
    clerk.retention.changed(key, view, None)
    assert await clerk.round(later=10) == []
    assert (await clerk.ledger.lookup(key, "v1:a")).uid == view.uid


async def test_a_backlog_is_worked_off_in_portions_the_earliest_first(kube, namespace):
    clerk = Clerk(kube, namespace, settings=RetentionSettings(at_least=2, parts=2))
    await clerk.finished(*(fluid_job(f"job-{number}") for number in range(6)))
    assert await clerk.round() == ["ttl"] * 3
    assert await clerk.names() == {"job-3", "job-4", "job-5"}
    assert await clerk.round(later=1) == ["ttl"] * 2
    assert await clerk.round(later=1) == ["ttl"]
    assert await clerk.round(later=1) == []


async def test_an_object_that_was_seen_to_change_is_not_deleted(kube, namespace):
    clerk = Clerk(kube, namespace)
    await clerk.finished(fluid_job("a"))
    key = ObjectKey(namespace, "a")
    old = project(await kube.get(FLUID_JOBS, key))
    new = project(await kube.patch(FLUID_JOBS, key, {"spec": {"runId": "2"}}))
    clerk.retention.changed(key, old, new)
    assert await clerk.round() == []
    assert await clerk.names() == {"a"}
