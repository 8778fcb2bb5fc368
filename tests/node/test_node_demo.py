"""The demo on a node as `make demo NODE=1` runs it: the examples keep their promises on pods, a second start repairs,
the end leaves nothing."""

import json
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from fluid_dev import node_host
from fluid_dev.image_build import Image
from fluid_dev.node_demo import NAMESPACE, SYSTEM, NodeDemo
from fluid_dev.processes import Identity
from support.clusters import find_binaries
from support.folders import fresh_folder
from support.nodes import CHECKOUT, find_node_binaries


@pytest.fixture(scope="module")
def demo(image: Image, machine) -> Iterator[NodeDemo]:
    machine.stop()  # its node is the only one
    find_binaries()
    find_node_binaries()
    demo = NodeDemo(CHECKOUT, fresh_folder("node-demo"), die_with_parent=True)
    try:
        demo.up()
        yield demo
    finally:
        demo.down()


def processes(folder: Path) -> dict[str, Identity]:
    records = {file.stem: json.loads(file.read_text()) for file in folder.rglob("run/*.json")}
    return {name: Identity(record["pid"], record["start_time"]) for name, record in records.items()}


def test_the_examples_keep_their_promises_on_pods_that_the_operator_made(demo, capsys):
    demo.check(within=120)
    found = json.loads(demo.kubectl(NAMESPACE, "get", "pods", "--output=json"))["items"]
    components = sorted(pod["metadata"]["labels"]["app.kubernetes.io/component"] for pod in found)
    assert components == ["redis", "worker", "worker"]
    (environment,) = json.loads(demo.kubectl(NAMESPACE, "get", "fluidenvironments", "--output=json"))["items"]
    (operator,) = json.loads(demo.kubectl(SYSTEM, "get", "deployments", "--output=json"))["items"]
    (container,) = operator["spec"]["template"]["spec"]["containers"]
    assert environment["spec"]["image"] == container["image"]
    assert "as promised" in capsys.readouterr().out


def test_a_second_start_repairs_what_was_broken_and_leaves_the_rest(demo):
    smtp = processes(demo.state)["smtp"]
    os.kill(smtp.pid, signal.SIGKILL)
    demo.kubectl(SYSTEM, "delete", "deployment", "fluid-operator")
    demo.kubectl(NAMESPACE, "delete", "fluidjob", "flaky")
    redis = demo.kubectl(NAMESPACE, "get", "pod", "default-redis-0", "--output=jsonpath={.metadata.uid}")
    demo.up()
    demo.check(within=120)
    assert processes(demo.state)["smtp"].alive
    assert demo.kubectl(NAMESPACE, "get", "pod", "default-redis-0", "--output=jsonpath={.metadata.uid}") == redis


def test_the_end_leaves_no_process_no_folder_and_nothing_of_the_machine_taken(demo):
    running = processes(demo.state)
    demo.down()
    assert running
    assert not any(identity.alive for identity in running.values())
    assert not demo.state.exists()
    assert node_host.taken() is None
    demo.down()
