"""A node is drained: what can be moved goes, a budget keeps the last worker but one, then all of it returns."""

import asyncio
import json
from collections.abc import Iterator

import pytest

from fluid_dev.node_config import NAME
from support.node_stage import USUAL_LEASE_SECONDS, numbered


@pytest.fixture
def cordoned(node) -> Iterator[str]:
    """The name of the node, which takes pods again after the test."""
    yield NAME
    node.cluster.kubectl("uncordon", NAME)


@pytest.mark.timeout(300)
async def test_after_a_drain_everything_comes_back_and_no_job_has_run_twice(stage, operator, cordoned):
    operator.scale(1)  # With two, the second could not go: on the only node nobody takes the place of the first.
    stage.apply(workers=[stage.pool(lease_seconds=USUAL_LEASE_SECONDS)])
    await stage.ready()
    await stage.create(*numbered(400), milliseconds=300)
    await stage.started(20)
    before = {pod["metadata"]["uid"] for pod in (*stage.pods("worker"), *stage.pods("redis"))}
    await stage.patiently(
        "drain", cordoned, "--ignore-daemonsets", "--delete-emptydir-data", "--force", "--timeout=100s"
    )
    assert not before & {pod["metadata"]["uid"] for pod in (*stage.pods("worker"), *stage.pods("redis"))}
    stage.namespace.kubectl("uncordon", cordoned)
    await asyncio.to_thread(operator.settle)
    assert await stage.all_end() == {"Succeeded": 400}
    assert stage.witness.repeats() == {}
    await stage.ready()


async def test_of_two_workers_the_second_may_not_be_evicted_before_the_first_is_replaced(stage, cordoned):
    stage.apply(workers=[stage.pool(minReplicas=2)])
    await stage.ready()

    def allowed() -> bool:
        budget = stage.namespace.get("poddisruptionbudget", "default-default")
        return budget["status"].get("disruptionsAllowed") == 1

    await stage.wait(allowed, 30, "the budget has counted two workers")
    stage.namespace.kubectl("cordon", cordoned)
    first, second = stage.pods("worker")
    assert "Success" in evict(stage, first)
    assert "Cannot evict pod as it would violate the pod's disruption budget" in evict(stage, second)
    stage.namespace.kubectl("uncordon", cordoned)
    await stage.wait(allowed, 60, "a third worker has come")
    assert "Success" in evict(stage, second)


def evict(stage, pod) -> str:
    """What the API server answers: the second is 429, Too Many Requests."""
    metadata = {"name": pod["metadata"]["name"], "namespace": stage.namespace.name}
    path = f"/api/v1/namespaces/{metadata['namespace']}/pods/{metadata['name']}/eviction"
    eviction = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": metadata}
    kubectl = stage.namespace.node.cluster.kubectl
    return kubectl("create", f"--raw={path}", "--filename=-", input=json.dumps(eviction), check=False)
