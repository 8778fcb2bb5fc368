"""A node's life on this machine: what it takes it gives back, whoever ends it and whatever befell its starter."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import uuid
from pathlib import Path

import pytest

from fluid_dev import node as node_module
from fluid_dev import node_host
from fluid_dev.errors import NodeError
from fluid_dev.node import Node
from fluid_dev.node_demo import restricted_namespace, restricted_pod
from support.folders import fresh_folder
from support.nodes import new_node, running_node
from support.waiting import until

_START_AND_WAIT = """
import sys
from pathlib import Path
from support.nodes import new_node
node = new_node(Path(sys.argv[1]))
node.start([Path(sys.argv[2])])
print("started", flush=True)
sys.stdin.read()
"""
# Where the programs of a node leave things unless they are kept from it.
_FOLDERS = ("/run", "/var/lib", "/var/log", "/etc", "/opt", "/usr/libexec", "/run/netns", "/var/lib/cni", "/etc/cni")


def machine() -> dict[str, object]:
    """What of this machine a node could change, processes left out: others start and end some meanwhile."""
    links = json.loads(subprocess.run(["ip", "-json", "link"], capture_output=True, check=True).stdout)
    tables = subprocess.run(["nft", "list", "tables"], capture_output=True, text=True, check=True).stdout
    routes = subprocess.run(["ip", "route"], capture_output=True, text=True, check=True).stdout
    settings = {name: node_host._SETTINGS / name for name in node_host._KEPT_SETTINGS}
    return {
        "mounts": sorted(line.split()[4] for line in Path("/proc/self/mountinfo").read_text().splitlines()),
        "links": sorted(link["ifname"] for link in links),
        "tables": sorted(tables.splitlines()),
        "routes": sorted(routes.splitlines()),
        "settings": {name: path.read_text() for name, path in settings.items() if path.exists()},
        "cgroups": sorted(str(folder) for folder in node_host._cgroup_folders() if folder.exists()),
        "folders": {name: sorted(os.listdir(name)) for name in _FOLDERS if Path(name).exists()},
    }


def processes_of(state: Path) -> list[str]:
    """Those that name the node's folders in their arguments, or run in its pods."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            words = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            group = (folder / "cgroup").read_text()
            if int(folder.name) != os.getpid() and (
                str(state) in words or str(node_host.RUN) in words or f"/{node_host.CGROUP}/" in group
            ):
                found.append(f"{folder.name} {words}")
    return found


def start_pod(node: Node, image: str) -> None:
    """One that ignores SIGTERM and has a child, to be as hard to end as any."""
    name = f"test-{uuid.uuid4().hex[:10]}"
    stubborn = "import os, signal, time; signal.signal(15, signal.SIG_IGN); os.fork(); time.sleep(3600)"
    pod = restricted_pod("stubborn", name, image, ["python3", "-c", stubborn])
    node.cluster.apply([restricted_namespace(name), pod])
    node.cluster.kubectl("wait", "--for=condition=Ready", "--timeout=60s", f"--namespace={name}", "pod/stubborn")


@pytest.fixture(autouse=True)
def nobody_elses(machine):
    """These tests need the machine's one node for themselves."""
    machine.stop()


@pytest.fixture
def before():
    """The machine as it was before the test's node, without what a run that was killed earlier may have left of one."""
    owner = node_host.taken()
    if owner is not None and not node_module.runs(owner.state):
        node_module.stop(owner.state)
    return machine()


def test_a_stopped_node_leaves_no_process_mount_link_cgroup_setting_or_file(before, image):
    with running_node([image.archive]) as node:
        start_pod(node, image.tag)
        assert processes_of(node.state)
        during = machine()
    assert {name for name in before if before[name] != during[name]} >= {"mounts", "links", "tables", "cgroups"}
    assert machine() == before
    assert processes_of(node.state) == []
    assert not node.state.exists()


def test_a_node_whose_starter_was_killed_is_cleared_away_by_the_next_one(before, image):
    crashed = fresh_folder("crashed")
    starter = subprocess.Popen(
        [sys.executable, "-c", _START_AND_WAIT, crashed, image.archive],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    with starter:
        assert starter.stdout.readline() == "started\n"
        start_pod(new_node(crashed), image.tag)
        starter.send_signal(signal.SIGKILL)
    until(lambda: not node_module.runs(crashed), 10, "its programs end with it")
    assert processes_of(crashed), "the pod and its shim outlive them"
    with running_node([image.archive]) as node:
        assert processes_of(crashed) == [line for line in processes_of(crashed) if str(node.state) in line]
        assert not crashed.exists()
        start_pod(node, image.tag)
    assert machine() == before


def test_what_a_start_that_was_killed_halfway_had_taken_is_given_back(before):
    halfway = fresh_folder("halfway")
    node_host.take(halfway)
    assert machine() != before
    node_module.stop(halfway)
    assert machine() == before
    assert not halfway.exists()


def test_a_second_node_is_refused_while_one_runs_and_cannot_stop_it(image):
    with running_node() as node:
        other = new_node()
        with pytest.raises(NodeError, match=f"runs already, from {node.state}"):
            other.start()
        other.stop()
        assert node_module.runs(node.state)


def test_a_second_start_keeps_what_runs_and_starts_what_died_while_pods_run_on(image):
    with running_node([image.archive]) as node:
        start_pod(node, image.tag)
        kept = {name: process.identity for name, process in node.processes.items()}
        for name in ("kubelet", "containerd"):
            os.kill(kept[name].pid, signal.SIGKILL)
            until(lambda name=name: not node.processes[name].running, 10, f"{name} is dead")
        node.start([image.archive])
        assert {name for name, process in node.processes.items() if process.identity != kept[name]} == {
            "kubelet",
            "containerd",
        }
        listed = json.loads(node.cluster.kubectl("get", "pods", "--all-namespaces", "--output=json"))["items"]
        (container,) = listed[0]["status"]["containerStatuses"]
        assert (container["ready"], container["restartCount"]) == (True, 0)


def test_two_commands_at_once_do_not_start_it_twice():
    with node_host.only_node_command(), pytest.raises(NodeError, match="another command"):
        new_node().start()
