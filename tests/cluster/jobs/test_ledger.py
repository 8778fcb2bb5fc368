"""The ledger in its ConfigMap, and what it is for: GitOps creates again what we delete, and nothing runs twice."""

import asyncio
import json
import os
import threading
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from typing import Any

import pytest

from cluster.builders import FluidJobBuilder
from fluid_dev.cluster import Cluster
from fluid_dev.errors import ClusterError
from fluid_operator.api.meta import GROUP
from fluid_operator.jobs.ledger import MAX_BYTES, NAME, Entry, Ledger, read_entry, write_entry
from fluid_operator.kube.client import Kube, connect
from fluid_operator.kube.errors import Forbidden, Invalid, NotFound
from fluid_operator.kube.keys import CONFIG_MAPS, ObjectKey
from support.stages import Stage, work
from support.waiting import auntil, until

ENTRY = Entry("v1:a", "Succeeded", 1_800_000_000.0, 1_800_000_100.0, "u0.1", "default")
GITOPS_SECONDS = float(os.environ.get("FLUID_GITOPS_SECONDS") or 25)
"""How long the appliers go on; two minutes make a thorough run."""


@pytest.fixture
async def kube(cluster: Cluster) -> AsyncIterator[Kube]:
    async with connect(cluster.kubeconfig) as kube:
        yield kube


@asynccontextmanager
async def flushing(ledger: Ledger) -> AsyncIterator[None]:
    """Take spent entries out meanwhile."""
    task = asyncio.create_task(ledger.run())
    try:
        yield
    finally:
        task.cancel()


async def entries(kube: Kube, namespace: str) -> dict[str, Entry | None]:
    found = await kube.get(CONFIG_MAPS, ObjectKey(namespace, NAME))
    return {name: read_entry(text) for name, text in (found.get("data") or {}).items()}


def config_map(namespace: str, **more):
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"namespace": namespace, "name": NAME}, **more}


# -- the ConfigMap ----------------------------------------------------------------------------------------------------


async def test_an_outcome_is_found_by_name_and_spec_also_by_the_next_leader(kube, namespace):
    ledger = Ledger(kube)
    assert await ledger.lookup(ObjectKey(namespace, "a"), "v1:a") is None
    assert await ledger.record(namespace, {"a": ENTRY, "b": ENTRY._replace(outcome="Failed")}) == {"a", "b"}
    for each in (ledger, Ledger(kube)):
        assert await each.lookup(ObjectKey(namespace, "a"), "v1:a") == ENTRY
        assert (await each.lookup(ObjectKey(namespace, "b"), "v1:a")).outcome == "Failed"
        assert await each.lookup(ObjectKey(namespace, "a"), "v1:other") is None
        assert await each.lookup(ObjectKey(namespace, "c"), "v1:a") is None


async def test_two_writers_lose_nothing_of_each_other(kube, namespace):
    """Shards keep the outcomes of one namespace in the same ConfigMap."""
    ledgers = [Ledger(kube) for _ in range(3)]
    for start in (0, 100):
        await asyncio.gather(
            *(ledger.record(namespace, {f"job-{start + n}": ENTRY}) for n, ledger in enumerate(ledgers))
        )
    assert set(await entries(kube, namespace)) == {f"job-{n}" for n in (0, 1, 2, 100, 101, 102)}


async def test_an_entry_is_spent_by_the_next_object_of_its_name_and_not_by_its_own(kube, namespace):
    ledger = Ledger(kube)
    await ledger.record(namespace, {"a": ENTRY, "b": ENTRY, "c": ENTRY})
    async with flushing(ledger):
        ledger.spend(ObjectKey(namespace, "a"), "u1")
        ledger.spend(ObjectKey(namespace, "b"), "u0")
        ledger.void(ObjectKey(namespace, "c"))
        assert await ledger.lookup(ObjectKey(namespace, "a"), "v1:a") is None
        assert await ledger.lookup(ObjectKey(namespace, "b"), "v1:a") == ENTRY
        assert await ledger.lookup(ObjectKey(namespace, "c"), "v1:a") is None

        async def left():
            return set(await entries(kube, namespace)) == {"b"}

        await auntil(left, 20, "the spent entries are out of the ConfigMap")


async def test_a_leader_that_has_not_read_the_ledger_yet_takes_a_spent_entry_out_all_the_same(kube, namespace):
    await Ledger(kube).record(namespace, {"a": ENTRY, "b": ENTRY})
    ledger = Ledger(kube)
    ledger.spend(ObjectKey(namespace, "a"), "u1")
    ledger.spend(ObjectKey(namespace, "b"), "u0")
    assert await ledger.lookup(ObjectKey(namespace, "a"), "v1:a") is None
    async with flushing(ledger):

        async def left():
            return set(await entries(kube, namespace)) == {"b"}

        await auntil(left, 20, "the spent entry is out of the ConfigMap")


async def test_an_outcome_that_is_kept_again_is_not_taken_out_for_its_predecessor(kube, namespace):
    ledger, key, again = Ledger(kube), ObjectKey(namespace, "a"), ENTRY._replace(job="u1.1")
    await ledger.record(namespace, {"a": ENTRY})
    ledger.spend(key, "u1")
    await ledger.record(namespace, {"a": again})
    async with flushing(ledger):
        ledger.spend(ObjectKey(namespace, "other"), "u1")
        await asyncio.sleep(0)
        assert await ledger.lookup(key, "v1:a") == again
    assert await entries(kube, namespace) == {"a": again}


async def test_what_others_wrote_into_the_config_map_stays_and_says_nothing(kube, namespace):
    data = {"notes": "of the team", "a": "{}", "b": write_entry(ENTRY).replace("Succeeded", "Running")}
    labels = {"team": "mail"}
    made = config_map(namespace, data=data, binaryData={"logo": "aGVsbG8="})
    made["metadata"]["labels"] = labels
    await kube.create(CONFIG_MAPS, made)
    ledger = Ledger(kube)
    assert await ledger.lookup(ObjectKey(namespace, "a"), "v1:a") is None
    assert await ledger.lookup(ObjectKey(namespace, "b"), "v1:a") is None
    await ledger.record(namespace, {"b": ENTRY, "c": ENTRY})
    found = await kube.get(CONFIG_MAPS, ObjectKey(namespace, NAME))
    assert found["data"] == {**data, "b": write_entry(ENTRY), "c": write_entry(ENTRY)}
    assert (found["binaryData"], found["metadata"]["labels"]) == ({"logo": "aGVsbG8="}, labels)


async def test_a_ledger_that_somebody_deleted_is_begun_anew(kube, namespace):
    ledger = Ledger(kube)
    await ledger.record(namespace, {"a": ENTRY})
    await kube.delete(CONFIG_MAPS, ObjectKey(namespace, NAME))
    await ledger.record(namespace, {"b": ENTRY})
    assert await entries(kube, namespace) == {"b": ENTRY}
    assert await ledger.lookup(ObjectKey(namespace, "a"), "v1:a") is None


async def test_a_full_ledger_fits_into_a_config_map(kube, namespace):
    job = "00000000-0000-0000-0000-000000000000.1"
    long = ENTRY._replace(hash=f"v1:{'a' * 64}", job=job, environment="e" * 63, recorded=time.time())
    ledger = Ledger(kube)
    admitted = await ledger.record(namespace, {f"{n:063d}": long for n in range(4000)})
    found = await entries(kube, namespace)
    assert set(found) == admitted
    assert MAX_BYTES * 0.99 < sum(len(name) + len(write_entry(long)) for name in found) <= MAX_BYTES
    assert await ledger.record(namespace, {"one-more": long}) == frozenset()


async def test_what_the_api_server_refuses_is_told(cluster, kube, namespace):
    await kube.create(CONFIG_MAPS, config_map(namespace, immutable=True))
    with pytest.raises(Invalid, match="immutable"):
        await Ledger(kube).record(namespace, {"a": ENTRY})
    with pytest.raises(NotFound):
        await Ledger(kube).record("no-such-namespace", {"a": ENTRY})
    async with connect(cluster.client_kubeconfig("nobody-in-particular")) as stranger:
        ledger = Ledger(stranger)
        assert await ledger.lookup(ObjectKey(namespace, "a"), "v1:a") is None
        with pytest.raises(Forbidden):
            await ledger.record(namespace, {"a": ENTRY})


# -- GitOps -----------------------------------------------------------------------------------------------------------


def by_argo(namespace: str, job: FluidJobBuilder, name: str) -> FluidJobBuilder:
    """The object as Argo CD applies it."""
    return job.annotation("argocd.argoproj.io/tracking-id", f"shop:{GROUP}/FluidJob:{namespace}/{name}")


def by_flux(job: FluidJobBuilder) -> FluidJobBuilder:
    """The object as Flux applies it."""
    labels = ("kustomize.toolkit.fluxcd.io/name", "kustomize.toolkit.fluxcd.io/namespace")
    return job.label(labels[0], "shop").label(labels[1], "flux-system")


@contextmanager
def applying(stage: Stage, manager: str, *jobs: FluidJobBuilder) -> Iterator[None]:
    """Somebody who brings the cluster back to what Git says, every second, meanwhile."""
    listed = json.dumps({"apiVersion": "v1", "kind": "List", "items": [job.manifest() for job in jobs]})
    stop = threading.Event()

    def apply() -> None:
        while not stop.wait(1):
            # An object may go at this very moment; they all try again.
            with suppress(ClusterError):
                stage.kubectl(
                    "apply", "--server-side", "--force-conflicts", f"--field-manager={manager}", "-f", "-", input=listed
                )

    applier = threading.Thread(target=apply)
    applier.start()
    try:
        yield
    finally:
        stop.set()
        applier.join()


def told(stage: Stage, name: str, reason: str, within: float = 60.0) -> dict[str, Any]:
    """Wait until a job that comes and goes has a condition with this reason, and answer the condition."""

    def look() -> dict[str, Any] | None:
        conditions = stage.jobs().get(name, {}).get("status", {}).get("conditions", [])
        return next((each for each in conditions if each["reason"] == reason), None)

    return stage._wait(look, within, f"{name} tells {reason}")


def runs_by_value(stage: Stage) -> Counter[str]:
    return Counter(start.value for start in stage.starts())


@pytest.mark.field("spec.runPolicy", "effect")
@pytest.mark.timeout(GITOPS_SECONDS + 240)
def test_what_gitops_creates_again_after_our_deletion_ran_once(stage: Stage):
    """Argo CD and Flux apply every second; time to live is a second."""
    argo, flux = [f"argo-{n}" for n in range(5)], [f"flux-{n}" for n in range(5)]

    def short(name: str) -> FluidJobBuilder:
        return work(name, value=name).spec(ttlSecondsAfterFinished=1)

    tracked = [by_argo(stage.namespace, short(name), name) for name in argo]
    tracked.append(by_argo(stage.namespace, short("argo-bad").spec(payload={"colour": "red"}), "argo-bad"))
    hook = by_argo(stage.namespace, short("hook"), "hook").annotation("argocd.argoproj.io/hook", "Sync")
    always = by_flux(short("always")).spec(runPolicy="Always")
    began = time.monotonic()
    with (
        applying(stage, "argocd-controller", *tracked, hook),
        applying(stage, "kustomize-controller", *(by_flux(short(name)) for name in flux), always),
    ):
        for name in (*argo, *flux):
            assert "earlier object of this name" in told(stage, name, "AlreadySucceeded")["message"]
        told(stage, "argo-bad", "AlreadyFailed")
        until(lambda: runs_by_value(stage)["hook"] >= 3 and runs_by_value(stage)["always"] >= 3, 60, "hooks run again")
        mirrors = {name: stage.job(name)["metadata"]["uid"] for name in (*argo, *flux, "argo-bad")}
        until(lambda: time.monotonic() - began > GITOPS_SECONDS, GITOPS_SECONDS + 1, "the time is over")
        assert {name: stage.job(name)["metadata"]["uid"] for name in mirrors} == mirrors  # no endless loop
    found = runs_by_value(stage)
    assert {name: found[name] for name in (*argo, *flux)} == dict.fromkeys((*argo, *flux), 1)
    status = stage.status("argo-0")
    assert (status["phase"], status["run"], status["attempts"]) == ("Succeeded", 1, 0)
    assert status["jobId"] == stage.starts()[[start.value for start in stage.starts()].index("argo-0")].job_id


def test_a_mirror_runs_when_it_is_given_another_spec_or_asked_to(stage: Stage):
    def tracked(**fields):
        return by_flux(work("migrate", value="x")).spec(**{"ttlSecondsAfterFinished": 1} | fields)

    stage.apply(tracked())
    until(lambda: "migrate" not in stage.jobs(), 30, "retention has deleted the object")
    stage.apply(tracked())
    stage.reason("migrate", "AlreadySucceeded")
    stage.apply(tracked(ttlSecondsAfterFinished=300, runId="2"))
    stage.reaches("migrate", "Succeeded", run=2)
    stage.kubectl("annotate", "fj", "migrate", f"{GROUP}/request=retry@2026-12-01T07:00:00Z")
    assert stage.reaches("migrate", "Succeeded", run=3)["attempts"] == 1
    assert len(stage.starts()) == 3


def test_a_users_own_delete_and_apply_runs_again_also_after_a_mirror(stage: Stage):
    tracked = by_flux(work("migrate", value="x")).spec(ttlSecondsAfterFinished=1)
    stage.apply(tracked)
    until(lambda: "migrate" not in stage.jobs(), 30, "retention has deleted the object")
    stage.apply(tracked)
    stage.reason("migrate", "AlreadySucceeded")
    stage.kubectl("delete", "fj", "migrate")
    stage.apply(tracked)
    until(lambda: len(stage.starts()) == 2, 30, "it has run again")


def test_a_users_delete_and_apply_runs_again_although_no_operator_saw_it(stage: Stage):
    tracked = by_flux(work("migrate", value="x")).spec(ttlSecondsAfterFinished=1)
    stage.apply(tracked)
    until(lambda: "migrate" not in stage.jobs(), 30, "retention has deleted the object")
    stage.apply(tracked)
    stage.reason("migrate", "AlreadySucceeded")
    spent = "the entry is spent"
    until(lambda: not json.loads(stage.kubectl("get", "cm", NAME, "-o", "json")).get("data"), 20, spent)
    stage._operators[0].process.kill()
    stage.kubectl("delete", "fj", "migrate")
    stage.apply(tracked)
    stage.operator()
    until(lambda: len(stage.starts()) == 2, 30, "it has run again")


def test_the_next_leader_knows_what_the_last_one_deleted(stage: Stage):
    tracked = by_flux(work("migrate", value="x")).spec(ttlSecondsAfterFinished=1)
    stage.apply(tracked)
    until(lambda: "migrate" not in stage.jobs(), 30, "retention has deleted the object")
    stage._operators[0].process.kill()
    stage.apply(tracked)
    stage.operator()
    stage.reason("migrate", "AlreadySucceeded")
    assert len(stage.starts()) == 1
