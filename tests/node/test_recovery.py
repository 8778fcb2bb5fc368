"""The whole node fails at once, as when its power goes: Redis, all workers and the operator, with nobody left to see
it. Then it comes back."""

import asyncio
import json
import time
from typing import Any

import pytest

from fluid_dev.node import Node
from support.node_stage import LEASE_SECONDS, numbered
from support.nodes import Namespace, kill_containers
from support.operator_pods import SYSTEM

_LOST_SECONDS = 2.0
"""Of writes, at most, when Redis is killed that writes to disk every second."""
_REPORT_SECONDS = 1.0


def operators(node: Node) -> list[dict[str, Any]]:
    """The operator's pods that run."""
    found: list[dict[str, Any]] = json.loads(Namespace(node, SYSTEM).kubectl("get", "pods", "--output=json"))["items"]
    return [pod for pod in found if pod["status"]["phase"] == "Running" and "deletionTimestamp" not in pod["metadata"]]


@pytest.mark.timeout(300)
async def test_after_a_power_failure_every_job_ends_and_only_those_of_the_last_moments_run_again(stage, node, measured):
    stage.apply(workers=[stage.pool(minReplicas=2, concurrency=5)])
    await stage.ready()
    await stage.create(*numbered(200), milliseconds=400)
    await stage.started(60)

    kubelet = node.processes["kubelet"]
    everything = (*stage.pods("redis"), *stage.pods("worker"), *operators(node))
    await asyncio.to_thread(kubelet.kill)  # first, so that it starts nothing again
    failed = time.time()
    for pod in everything:
        kill_containers(pod)
    await asyncio.sleep(LEASE_SECONDS)
    assert stage.witness.running() == []
    # Here and not in a thread: the node's programs die with the thread that started them.
    node.restart_kubelet()
    back = time.time()

    count = len(stage.witness.runs())
    await stage.started(count + 1, within=120)
    measured("the kubelet is back after a power failure -> a job runs", stage.witness.runs()[count].started - back)
    assert await stage.all_end() == {"Succeeded": 200}
    for runs in stage.witness.repeats().values():
        assert (runs[0].ended or runs[0].broken) > failed - _LOST_SECONDS - _REPORT_SECONDS
    await stage.ready()
