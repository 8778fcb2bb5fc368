"""Real objects in every state, made once: a FluidJob for each phase, environments that are well and that are not."""

import json
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import pytest

from cluster.builders import fluid_environment, fluid_job
from fluid_dev.cluster import Cluster
from fluid_dev.redis import RedisServer
from support.stages import Stage, stage_on, work
from support.waiting import until

UNTOUCHED = "untouched"
"""Objects that no operator has looked at."""


@dataclass(frozen=True)
class States:
    """Objects as the API server has them: jobs by phase, environments by what is the matter with them."""

    stage: Stage
    elsewhere: str
    """A namespace that no operator serves."""
    jobs: Mapping[str, Any]
    environments: Mapping[str, Any]

    def every(self) -> dict[str, Any]:
        """All of them, by a name for people."""
        jobs = {f"job {name}": job for name, job in self.jobs.items()}
        return jobs | {f"environment {name}": environment for name, environment in self.environments.items()}


@pytest.fixture(scope="session")
def states(cluster: Cluster, redis_server: RedisServer) -> Iterator[States]:
    name, elsewhere = (f"test-{uuid.uuid4().hex[:10]}" for _ in range(2))
    for each in (name, elsewhere):
        cluster.kubectl("create", "namespace", each)
    for builder in (fluid_job(UNTOUCHED), fluid_environment(UNTOUCHED)):
        cluster.kubectl(f"--namespace={elsewhere}", "apply", "-f", "-", input=builder.json())
    untouched = json.loads(cluster.kubectl(f"--namespace={elsewhere}", "get", "fj", UNTOUCHED, "-o", "json"))
    with stage_on(cluster, name, redis_server) as stage:
        stage.environment()
        stage.worker(FLUID_CONCURRENCY="1")
        stage.operator().leading()
        _make_jobs(stage)
        environments = _make_environments(stage)
        jobs = {job["status"]["phase"]: job for job in stage.jobs().values()}
        yield States(stage, elsewhere, jobs | {UNTOUCHED: untouched}, environments)


def _make_jobs(stage: Stage) -> None:
    stage.apply(
        work("succeeded"),
        work("failed", succeedAt=99).retries(0),
        work("retrying", succeedAt=99).retries(3, delay_seconds=3600),
        work("cancelled").spec(cancelled=True),
        work("suspended").spec(suspend=True),
        work("scheduled").spec(startAfter="2099-01-01T07:00:00Z"),
        work("pending").environment("nowhere"),
    )
    for name in ("succeeded", "failed", "retrying", "cancelled", "suspended", "scheduled"):
        stage.reaches(name, name.capitalize())
    stage.reason("pending", "EnvironmentNotFound")
    stage.apply(work("running", seconds=600))
    stage.reaches("running", "Running")
    stage.apply(work("queued"))  # the only worker has room for one
    stage.reaches("queued", "Queued")


def _make_environments(stage: Stage) -> dict[str, Any]:
    stage.kubectl("create", "secret", "generic", "unusable", "--from-literal=url=http://nowhere")
    stage.apply(
        fluid_environment("trying").external_redis("missing"),
        fluid_environment("suspended").spec(suspend=True),
        fluid_environment("stalled").external_redis("unusable"),
    )
    want = {"default": "Ready", "suspended": "Ready", "trying": "Reconciling", "stalled": "Stalled"}

    def settled() -> dict[str, Any] | None:
        items = json.loads(stage.kubectl("get", "fe", "-o", "json"))["items"]
        found = {each["metadata"]["name"]: each for each in items}
        return found if all(_holds(found[name], kind) for name, kind in want.items()) else None

    return until(settled, 30, f"environments are {want}")


def _holds(raw: Mapping[str, Any], kind: str) -> bool:
    conditions = raw.get("status", {}).get("conditions", [])
    return any(each["type"] == kind and each["status"] == "True" for each in conditions)
