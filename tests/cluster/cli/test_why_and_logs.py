"""`fluid why` and `fluid logs`: facts of the API server, and of Redis with the caller's own rights."""

import json
import os
import sys
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from cluster.builders import fluid_job
from support.fluid_command import Fluid
from support.folders import fresh_folder
from support.stages import Stage, work
from support.waiting import until
from support.workers import install_probes

VIEWER = """
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: viewer}
rules:
- {apiGroups: [jobs.fluidcalendar.com], resources: [fluidjobs, fluidenvironments], verbs: [get, list, watch]}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: viewer}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: viewer}
subjects: [{apiGroup: rbac.authorization.k8s.io, kind: User, name: viewer}]
"""

# A kubectl that does what a port-forward does, without a node: it listens, says so, and relays each connection.
RELAY = """#!{python}
import asyncio, json, os, sys

async def pump(reader, writer):
    while data := await reader.read(65536):
        writer.write(data)
        await writer.drain()
    writer.close()

async def relay(reader, writer):
    there = await asyncio.open_connection("127.0.0.1", {port})
    await asyncio.gather(pump(reader, there[1]), pump(there[0], writer))

async def main():
    with open({noted!r}, "w") as file:
        json.dump({{"pid": os.getpid(), "argv": sys.argv[1:], "environment": dict(os.environ)}}, file)
    server = await asyncio.start_server(relay, "127.0.0.1", 0)
    print(f"Forwarding from 127.0.0.1:{{server.sockets[0].getsockname()[1]}} -> 6379", flush=True)
    await server.serve_forever()

asyncio.run(main())
"""


@pytest.fixture
def viewer(bare: Stage, tmp_path: Path) -> Fluid:
    """The command of somebody who may look at jobs and environments, and at no Secret."""
    bare.kubectl("apply", "-f", "-", input=VIEWER)
    kubeconfig = bare.cluster.write_kubeconfig(tmp_path / "viewer", "viewer", "viewer")
    return Fluid(kubeconfig, bare.namespace)


def test_a_failed_job_is_explained_from_its_object_alone(stage: Stage, fluid: Fluid):
    stage.apply(work("hopeless", succeedAt=9).retries(1))
    stage.reaches("hopeless", "Failed")
    told = fluid.done("why", "hopeless").out
    assert told.startswith("hopeless  Failed (BackoffLimitExceeded)\n")
    for want in ("· created", "✗ attempt 1 failed", "✗ attempt 2 failed", "ValueError: attempt 2 fails", "1 (retry)"):
        assert want in told
    assert "\nQueue\n" not in told


def test_a_waiting_job_is_explained_with_its_place(idle: Stage, fluid: Fluid):
    idle.apply(work("first"))
    idle.reaches("first", "Queued")
    idle.apply(work("second"))
    idle.reaches("second", "Queued")
    told = fluid.done("why", "second").out
    assert "place 2 of 2 in work (1 before it)" in told
    assert "1 worker alive" in told
    data = fluid.done("why", "second", "-o", "json").json()
    assert (data["queueFacts"]["place"], data["queueFacts"]["workers"]) == (2, 1)


def test_a_retrying_job_tells_when_it_goes_on(stage: Stage, fluid: Fluid):
    stage.apply(work("flaky", succeedAt=2).retries(3, delay_seconds=300))
    stage.reaches("flaky", "Retrying")
    told = fluid.done("why", "flaky").out
    assert "… next attempt  retry 1 of 3" in told
    assert "Next attempt\n  in 4m" in told


def test_without_the_right_one_line_names_it_and_the_rest_is_told(idle: Stage, viewer: Fluid):
    idle.apply(work("waits"))
    idle.reaches("waits", "Queued")
    told = viewer.done("why", "waits").out
    [line] = [line for line in told.splitlines() if "Not shown" in line]
    assert f"you need the right to get secrets/redis in namespace {idle.namespace}" in line
    assert "Waits for" in told
    refused = viewer("logs", "waits")
    assert (refused.code, "you may not get secrets/redis" in refused.err) == (1, True)
    steered = viewer("cancel", "waits")
    assert (steered.code, "cannot patch resource" in steered.err) == (1, True)


def test_an_address_of_ones_own_replaces_the_secret(idle: Stage, viewer: Fluid):
    idle.apply(work("waits"))
    idle.reaches("waits", "Queued")
    assert "place 1 of 1" in viewer.done("why", "waits", FLUID_REDIS_URL=idle.redis.url).out
    password = urlsplit(idle.redis.url).password
    away = viewer.done("why", "waits", FLUID_REDIS_URL=f"redis://:{password}@127.0.0.1:1/0")
    assert "Redis cannot be reached" in away.out
    assert password not in away.out + away.err
    assert "127.0.0.1:1" not in away.out + away.err


def test_the_log_is_printed_and_followed_to_the_end(bare: Stage, fluid: Fluid, tmp_path: Path):
    bare.worker(PYTHONPATH=install_probes(tmp_path, "talk_probe"))
    bare.operator().leading()
    bare.apply(fluid_job("talks").type("talk").payload(say=["one", "two"], seconds=4))
    bare.reaches("talks", "Running")
    with fluid.going_on("logs", "talks", "--follow") as going:
        until(lambda: going.out == "one\ntwo\n", 30, "the lines so far are printed")
        assert going.ends() == 0
    assert going.out == "one\ntwo\ndone\n"
    assert fluid.done("logs", "talks").out == "one\ntwo\ndone\n"


def test_a_job_without_a_log_says_so(stage: Stage, fluid: Fluid):
    stage.apply(work("quiet"))
    stage.reaches("quiet", "Succeeded")
    said = fluid.done("logs", "quiet")
    assert (said.out, "has logged nothing" in said.err) == ("", True)
    assert fluid("logs", "quiet", "--index=0").code == 2


def test_a_redis_inside_the_cluster_is_reached_through_a_child_that_ends_with_us(idle: Stage, fluid: Fluid):
    idle.apply(work("waits"))
    idle.reaches("waits", "Queued")
    idle.close()  # an operator would see its Redis move
    parts = urlsplit(idle.redis.url)
    inside = {"stringData": {"url": f"redis://:{parts.password}@redis.{idle.namespace}.svc:6379{parts.path}"}}
    idle.kubectl("patch", "secret", "redis", "--type=merge", "-p", json.dumps(inside))
    folder = fresh_folder("kubectl")
    noted = folder / "noted.json"
    script = folder / "kubectl"
    script.write_text(RELAY.format(python=sys.executable, port=parts.port, noted=str(noted)))
    script.chmod(0o755)
    told = fluid.done("why", "waits", PATH=f"{folder}{os.pathsep}{fluid.env['PATH']}").out
    assert "place 1 of 1 in work" in told
    child = json.loads(noted.read_text())
    assert child["argv"][-2:] == ["service/redis", ":6379"]
    assert parts.password not in json.dumps(child)
    until(lambda: not Path(f"/proc/{child['pid']}").exists(), 10, "the child is gone")
