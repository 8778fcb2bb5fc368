"""What an environment consists of, as real pods: Redis and workers start under the strictest profile, a job runs, Redis
keeps its data over the loss of its pod, is made anew without touching it, and learns new passwords while it runs."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import Any

import pytest

from fluid_operator.environments import passwords
from fluid_operator.environments.children import Children, Owner
from fluid_operator.environments.passwords import Credentials, Rotation, advance
from fluid_operator.environments.rendering.blueprint import Blueprint
from fluid_operator.environments.rendering.manifests import render
from fluid_operator.kube.client import connect
from fluid_queue import NewJob, Queue, QueueError, QueueUnavailable
from support.environments import THEN, blueprint
from support.nodes import Namespace
from support.queues import ended
from support.waiting import auntil

PODS = "jobs.fluidcalendar.com/environment=default"


@dataclass
class Stage:
    """One environment of a namespace; its object exists, the operator's part is played by the test."""

    namespace: Namespace
    children: Children
    plan: Blueprint

    async def apply(self, plan: Blueprint | None = None) -> None:
        """Bring the children in line, however many looks that takes."""
        self.plan = plan or self.plan
        owner = Owner(self.plan.namespace, self.plan.name, self.plan.uid)

        async def settled() -> bool:
            outcome = await self.children.apply(owner, render(self.plan))
            assert all(problem.passing for problem in outcome.problems), outcome.problems
            return outcome.settled

        await auntil(settled, 60, "the children are in line", pause=0.5)

    def ready(self, *workloads: str) -> None:
        for each in workloads:
            self.namespace.kubectl("rollout", "status", each, "--timeout=100s")

    def uid(self, component: str) -> str:
        (pod,) = self.pods(component)
        return str(pod["metadata"]["uid"])

    def pods(self, component: str) -> list[dict]:
        selector = f"--selector={PODS},app.kubernetes.io/component={component}"
        return list(json.loads(self.namespace.kubectl("get", "pods", selector, "--output=json"))["items"])

    def url(self, user: str, credentials: Credentials) -> str:
        """From outside of the cluster's network names."""
        address = self.namespace.get("service", "default-redis")["spec"]["clusterIP"]
        return f"redis://{user}:{getattr(credentials, user).current}@{address}:6379/0"

    @asynccontextmanager
    async def queue(self) -> AsyncIterator[Queue]:
        """The opened queue, as soon as the Service leads to the pod."""
        assert self.plan.credentials
        async with Queue.from_url(self.url("operator", self.plan.credentials), self.plan.key_prefix) as queue:

            async def opened() -> bool:
                try:
                    await queue.open()
                except QueueUnavailable:
                    return False
                return True

            await auntil(opened, 20, "Redis is reached", pause=0.2)
            yield queue


def environment(namespace: Namespace, image: str) -> Blueprint:
    """Create the object, and return what is to be made of it."""
    spec = {
        "image": image,
        "redis": {"managed": {"storage": "1Gi"}},
        "workers": [{"name": "default", "queues": ["demo"], "terminationGracePeriodSeconds": 10}],
    }
    kind = {"apiVersion": "jobs.fluidcalendar.com/v1alpha1", "kind": "FluidEnvironment"}
    namespace.apply({**kind, "metadata": {"name": "default", "namespace": namespace.name}, "spec": spec})
    uid = namespace.get("fluidenvironment", "default")["metadata"]["uid"]
    return blueprint(spec, namespace=namespace.name, uid=uid, credentials=passwords.create(THEN))


@pytest.fixture
async def stage(namespace, image) -> AsyncIterator[Stage]:
    plan = environment(namespace, image.tag)
    async with connect(namespace.node.cluster.kubeconfig) as kube:
        made = Stage(namespace, Children(kube), plan)
        await made.apply()
        made.ready("statefulset/default-redis")
        yield made


def job(name: str, milliseconds: int = 10, **fields: Any) -> NewJob:
    return NewJob(id=name, type="demo-sleep", queue="demo", payload={"milliseconds": milliseconds}, **fields)


async def test_redis_and_workers_become_ready_and_run_a_job(stage):
    async with stage.queue() as queue:
        stage.ready("deployment/default-default")
        await queue.enqueue([job("a")])
        record = await ended(queue, "a", 30)
    (worker,) = stage.pods("worker")
    assert record.state == "completed"
    assert record.worker == worker["metadata"]["name"]


async def test_jobs_outlive_the_pod_and_the_stateful_set_of_redis(stage):
    async with stage.queue() as queue:
        await queue.enqueue([job("later", delay_seconds=3600)])
    await stage.apply(with_storage(stage.plan, "2Gi"))
    kept = stage.uid("redis")
    made = stage.namespace.get("statefulset", "default-redis")
    assert made["spec"]["volumeClaimTemplates"][0]["spec"]["resources"]["requests"]["storage"] == "2Gi"
    stage.ready("statefulset/default-redis")
    assert stage.uid("redis") == kept, "the new StatefulSet took over the pod as it was"

    stage.namespace.kubectl("delete", "pod", "default-redis-0")
    stage.ready("statefulset/default-redis")
    assert stage.uid("redis") != kept
    async with stage.queue() as queue:
        (record,) = await queue.inspect(["later"])
    assert record.state == "delayed"


def with_storage(plan: Blueprint, size: str) -> Blueprint:
    redis = plan.spec.redis
    managed = redis.managed.model_copy(update={"storage": size})
    spec = plan.spec.model_copy(update={"redis": redis.model_copy(update={"managed": managed})})
    return replace(plan, spec=spec)


async def test_a_running_job_ends_well_when_its_whole_environment_is_deleted(stage, namespace, image):
    """Workers and Redis are told to stop in the same moment: the worker finishes, and Redis waits for it."""
    stage.ready("deployment/default-default")
    async with stage.queue() as queue:
        await queue.enqueue([job("a", milliseconds=4000)])

        async def active() -> bool:
            (record,) = await queue.inspect(["a"])
            return record is not None and record.state == "active"

        await auntil(active, 30, "the job runs")
    namespace.kubectl("delete", "fluidenvironment", "default")
    await auntil(lambda: not stage.pods("redis"), 100, "Redis is gone", pause=0.5)
    await stage.apply(environment(namespace, image.tag))
    stage.ready("statefulset/default-redis")
    async with stage.queue() as queue:
        (record,) = await queue.inspect(["a"])
    assert record is not None
    assert (record.state, record.attempt) == ("completed", 1)


async def test_redis_learns_another_password_without_a_restart(stage):
    before = stage.uid("redis")
    introducing = advance(stage.plan.credentials, Rotation(request="now"), THEN)
    await stage.apply(replace(stage.plan, credentials=introducing))
    following = replace(introducing, worker=passwords.Passwords(introducing.worker.next))

    async def accepted() -> bool:
        try:
            async with Queue.from_url(stage.url("worker", following), stage.plan.key_prefix) as queue:
                await queue.ping()
        except QueueError:
            return False
        return True

    # The kubelet renews the files of a Secret once a minute or so.
    await auntil(accepted, 110, "Redis takes the next password", pause=1)
    assert stage.uid("redis") == before
