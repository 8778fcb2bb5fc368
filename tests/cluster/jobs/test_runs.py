"""How often a spec runs: once, whatever a newer CRD makes of it, whenever it is patched, and whoever applies it again
each second."""

import asyncio
import json
import os
import random
import threading
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from cluster.builders import Builder, fluid_environment
from fluid_dev.cluster import Cluster
from fluid_operator.api.meta import GROUP, REQUEST_ANNOTATION
from fluid_operator.api.spechash import spec_hash
from fluid_operator.kube.client import connect
from fluid_operator.kube.keys import FLUID_JOBS, ObjectKey
from fluid_queue import WITHDRAWN
from support.stages import Stage, Start, work
from support.waiting import until

pytestmark = pytest.mark.timeout(300)

# -- a newer CRD ------------------------------------------------------------------------------------------------------

CRD = f"fluidjobs.{GROUP}"

DEFAULTS: dict[str, dict[str, Any]] = {
    "priority": {"default": 7},
    "newcomer": {"type": "string", "default": "new"},
    "queue": {"default": "elsewhere"},
}
"""A known field that defines no run, a field that the operator does not know, and one that defines the run."""


def test_a_newer_crd_with_new_defaults_runs_none_of_100_finished_jobs_again(lonely_stage: Stage):
    stage = lonely_stage
    stage.worker(FLUID_CONCURRENCY="100")
    operator = stage.operator().leading()
    stage.apply(*(work(f"done-{n}") for n in range(100)), server_side=True)
    assert stage.all_end(100) == {"Succeeded": 100}
    finished = {start.job_id for start in stage.starts()}
    for field, schema in DEFAULTS.items():
        give_default(stage.cluster, field, schema)
        until(lambda field=field: field in stage.job("done-0")["spec"], 30, f"the default of {field} is served")
        touch(stage, field)
        witness(stage, f"upgraded-{field.lower()}")
        operator.process.kill()
        operator = stage.operator().leading()
        witness(stage, f"restarted-{field.lower()}")
    ran = [start.job_id for start in stage.starts()]
    assert len(ran) == len(set(ran)) == 100 + 2 * len(DEFAULTS)
    assert finished <= set(ran)
    assert {job["status"]["run"] for job in stage.jobs().values()} == {1}


def give_default(cluster: Cluster, field: str, schema: dict[str, Any]) -> None:
    """What an upgrade of the CRD does to one field of the spec."""
    path = f"/spec/versions/0/schema/openAPIV3Schema/properties/spec/properties/{field}"
    crd = json.loads(cluster.kubectl("get", "crd", CRD, "-o", "json"))
    spec = crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]["properties"]
    patch = [{"op": "add", "path": path, "value": spec.get(field, {}) | schema}]
    cluster.kubectl("patch", "crd", CRD, "--type=json", "-p", json.dumps(patch))


def touch(stage: Stage, word: str) -> None:
    """Write every object, and the statuses of some, so that the defaults are stored with them."""
    stage.kubectl("label", "fluidjobs", "--all", "--overwrite", f"upgrade={word}")
    for n in range(3):
        patch = json.dumps({"status": {"worker": f"touched-{word}"}})
        stage.kubectl("patch", "fluidjob", f"done-{n}", "--subresource=status", "--type=merge", "-p", patch)


def witness(stage: Stage, name: str) -> None:
    """A job that was created after all that came before has been seen."""
    stage.apply(work(name).spec(queue="work"))
    stage.reaches(name, "Succeeded")


# -- patches at random moments ----------------------------------------------------------------------------------------

OBJECTS = int(os.environ.get("FLUID_PATCHED_OBJECTS", "300"))
SEED = int(os.environ.get("FLUID_PATCH_SEED") or random.SystemRandom().randrange(10**6))
PATCHING_SECONDS = 3.0


class Patched:
    """One object, and the specs that it was given so far. Every value of a payload is another one."""

    def __init__(self, name: str, seed: int) -> None:
        self.name = name
        self.values = ["0"]
        self._chances = random.Random(seed)
        self._held = False

    def manifest(self) -> Builder:
        return work(self.name, value="0", seconds=self._seconds())

    async def live(self, patch: Callable[[str, dict[str, Any]], Awaitable[None]]) -> None:
        """Change it now and then; in the end nothing holds it back."""
        now = 0.0
        for moment in sorted(self._chances.uniform(0, PATCHING_SECONDS) for _ in range(self._chances.randint(1, 5))):
            await asyncio.sleep(moment - now)
            now = moment
            await patch(self.name, self._change())
        if self._held:
            await patch(self.name, {"suspend": False})

    def _change(self) -> dict[str, Any]:
        """Of what defines the run, mostly, else of something that does not."""
        kind = self._chances.random()
        if kind < 0.2:
            return {"priority": self._chances.randint(-9, 9)}
        if kind < 0.4:
            self._held = not self._held
            return {"suspend": self._held}
        self.values.append(str(len(self.values)))
        return {"payload": {"value": self.values[-1], "seconds": self._seconds()}}

    def _seconds(self) -> float:
        return self._chances.choice([0, 0, 0.1, 0.5])


async def test_objects_that_are_patched_at_random_moments_run_each_spec_that_was_enqueued_once(stage: Stage):
    """Which of the specs are enqueued is a matter of chance; the last one always is."""
    keep_all = fluid_environment("default").spec(
        image="example.org/app:1", workers=[], retention={"maxFinished": 10_000}
    )
    stage.apply(keep_all)
    objects = [Patched(f"patched-{n}", SEED + n) for n in range(OBJECTS)]
    stage.apply(*(each.manifest() for each in objects), server_side=True)
    turns = asyncio.Semaphore(20)
    async with connect(stage.cluster.kubeconfig) as kube:

        async def patch(name: str, spec: dict[str, Any]) -> None:
            async with turns:
                await kube.patch(FLUID_JOBS, ObjectKey(stage.namespace, name), {"spec": spec})

        await asyncio.gather(*(each.live(patch) for each in objects))
    jobs = await asyncio.to_thread(all_settled, stage, OBJECTS)
    starts: dict[str, list[Start]] = defaultdict(list)
    for start in stage.starts():
        starts[start.job_id.rpartition(".")[0]].append(start)
    for each in objects:
        job = jobs[each.name]
        assert_runs(each, job, starts.pop(job["metadata"]["uid"]))
    assert not starts, f"seed {SEED}"
    await assert_each_run_has_its_outcome(stage, jobs)


def all_settled(stage: Stage, count: int) -> dict[str, dict[str, Any]]:
    """The jobs, when each has ended and its status speaks of its newest spec."""
    jobs: dict[str, dict[str, Any]] = {}

    def settled() -> bool:
        jobs.update(stage.jobs())
        return all(newest_has_succeeded(job) for job in jobs.values())

    until(settled, 90, f"{count} jobs are settled (seed {SEED})", pause=0.5)
    return jobs


def newest_has_succeeded(job: dict[str, Any]) -> bool:
    status = job["status"]
    return bool(status["phase"] == "Succeeded" and status["observedGeneration"] == job["metadata"]["generation"])


def assert_runs(patched: Patched, job: dict[str, Any], starts: list[Start]) -> None:
    """Runs are counted without a gap, each with one spec, ever newer ones, the newest at the end. Only an attempt that
    was stopped, for a suspend, is followed by another one of the same run."""
    told = f"seed {SEED}, {patched.name}: {starts} of {patched.values}"
    uid, status = job["metadata"]["uid"], job["status"]
    runs = list(dict.fromkeys((start.job_id, start.value) for start in starts))
    assert [job_id for job_id, _ in runs] == [f"{uid}.{run}" for run in range(1, status["run"] + 1)], told
    order = [patched.values.index(value) for _, value in runs]
    assert order == sorted(set(order)), told
    assert status["result"]["value"] == runs[-1][1] == patched.values[-1], told
    assert status["specHash"] == spec_hash(job["spec"]), told


async def assert_each_run_has_its_outcome(stage: Stage, jobs: dict[str, dict[str, Any]]) -> None:
    """As Redis knows it. A run that was stopped for a suspend, and then got another spec, was taken back."""
    ids = [f"{job['metadata']['uid']}.{run}" for job in jobs.values() for run in range(1, job["status"]["run"] + 1)]
    async with stage.queue() as queue:
        records = await queue.inspect(ids)
    outcomes = {"unknown" if r is None else r.reason if r.reason == WITHDRAWN else r.state for r in records}
    assert outcomes <= {"completed", WITHDRAWN}


# -- somebody who applies the state of Git each second ----------------------------------------------------------------

ROUNDS = int(os.environ.get("FLUID_GIT_ROUNDS", "3"))
"""How often everything is applied again after each request."""


class Reconciler:
    """Applies manifests each second, as Argo CD and Flux do: server-side, by its own name, and with force."""

    NAME = "git"

    def __init__(self, stage: Stage, manifests: list[Builder]) -> None:
        self._stage = stage
        items = [each.manifest() for each in manifests]
        self._listed = json.dumps({"apiVersion": "v1", "kind": "List", "items": items})
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self.rounds = 0
        self.failure: Exception | None = None

    def apply(self) -> None:
        options = ("--server-side", "--force-conflicts", f"--field-manager={self.NAME}")
        self._stage.kubectl("apply", *options, "-f", "-", input=self._listed)
        self.rounds += 1

    def again(self) -> None:
        """Return after everything was applied some more times."""
        wanted = self.rounds + ROUNDS
        until(lambda: self.failure or self.rounds >= wanted, 60, "the state of Git has been applied again")
        if self.failure:
            raise self.failure

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._over.set()
        self._thread.join()

    def _run(self) -> None:
        try:
            while not self._over.wait(1.0):
                self.apply()
        except Exception as error:  # noqa: BLE001 - told to the test's own thread
            self.failure = error


@contextmanager
def in_git(stage: Stage, *manifests: Builder) -> Iterator[Reconciler]:
    reconciler = Reconciler(stage, list(manifests))
    reconciler.apply()
    reconciler.start()
    try:
        yield reconciler
    finally:
        reconciler.stop()


def ask(stage: Stage, verb: str, *names: str) -> str:
    """By annotation, as `fluid` and the actions of Argo CD do."""
    request = f"{verb}@2026-12-01T07:00:00Z"
    stage.kubectl(
        "annotate", "fluidjob", *names, "--overwrite", "--field-manager=person", f"{REQUEST_ANNOTATION}={request}"
    )
    return request


def test_requests_outlive_a_reconciler_that_applies_the_state_of_git_each_second(stage: Stage):
    """But a resume does not release what Git itself holds."""
    manifests = [
        work("held", seconds=300, value="held"),
        work("stopped", seconds=300, value="stopped"),
        work("again", value="again"),
        work("kept", value="kept").spec(suspend=True),
    ]
    with in_git(stage, *manifests) as git:
        stage.reaches("held", "Running")
        stage.reaches("stopped", "Running")
        stage.reaches("again", "Succeeded")
        stage.reaches("kept", "Suspended")
        asked = {
            "held": ask(stage, "suspend", "held"),
            "stopped": ask(stage, "cancel", "stopped"),
            "again": ask(stage, "retry", "again"),
            "kept": ask(stage, "resume", "kept"),
        }
        stage.reaches("held", "Suspended")
        stage.reaches("stopped", "Cancelled")
        stage.reaches("again", "Succeeded", run=2)
        git.again()
        phases = {name: stage.status(name)["phase"] for name in asked}
        assert phases == {"held": "Suspended", "stopped": "Cancelled", "again": "Succeeded", "kept": "Suspended"}
        assert {name: stage.status(name)["lastHandledRequest"] for name in asked} == asked
        ask(stage, "resume", "held")
        stage.reaches("held", "Running")
        git.again()
        assert stage.status("held")["phase"] == "Running"
    assert {name: count(stage, name) for name in asked} == {"held": 2, "stopped": 1, "again": 2, "kept": 0}
    listed = stage.kubectl("get", "fluidjobs", "--show-managed-fields", "-o", "json")
    for job in json.loads(listed)["items"]:
        assert_each_owns_its_own(job)


def count(stage: Stage, value: str) -> int:
    return sum(start.value == value for start in stage.starts())


def assert_each_owns_its_own(job: dict[str, Any]) -> None:
    """Git owns the spec, who asked owns the request, the operator owns the status, and nobody anything else. A status
    that is written with less than the whole metadata takes labels and annotations from their owners."""
    owned = {entry["manager"]: entry["fieldsV1"] for entry in job["metadata"]["managedFields"]}
    operator = next(fields for manager, fields in owned.items() if manager.startswith("fluid-operator"))
    assert set(operator) == {"f:status"}
    assert set(owned[Reconciler.NAME]) == {"f:spec"}
    assert owned["person"]["f:metadata"]["f:annotations"].keys() - {"."} == {f"f:{REQUEST_ANNOTATION}"}
