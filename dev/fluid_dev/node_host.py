"""What a node takes from the machine below it, and how all of it is given back, also after a crash.

A bridge, kernel settings, mounts, cgroups, packet filter tables, a few folders that the programs of a node insist on.
What was there before is written down before anything is changed, in `RUN`, which is the same for every node and goes
when the machine restarts, as do the things themselves. Knows nothing of a cluster.
"""

import contextlib
import fcntl
import json
import os
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from ipaddress import IPv4Network
from pathlib import Path
from typing import Any

from fluid_dev import node_config
from fluid_dev.errors import MissingTool, NodeError
from fluid_dev.node_config import CGROUP, KUBE_PROXY_TABLES, LINK, NETWORK
from fluid_dev.processes import Identity, find_program, identify
from fluid_dev.waiting import until

RUN = Path("/run/fluid-node")
_RECORD = RUN / "taken.json"
_LOCK = Path("/run/fluid-node.lock")
_REMEDY = "run 'scripts/packages node' as root"
_SETTINGS = Path("/proc/sys")
# What kubelet and kube-proxy would set for good; among them that the machine restarts after an oops of its kernel.
_KEPT_SETTINGS = (
    "net/ipv4/ip_forward",
    "net/ipv4/conf/all/route_localnet",
    "net/bridge/bridge-nf-call-iptables",
    "vm/overcommit_memory",
    "vm/panic_on_oom",
    "kernel/panic",
    "kernel/panic_on_oops",
    "kernel/keys/root_maxkeys",
    "kernel/keys/root_maxbytes",
)
_OUR_SETTINGS = {"net/ipv4/ip_forward": "1", "net/bridge/bridge-nf-call-iptables": "1"}
# Their paths are fixed in the programs. Parents before children: each is removed unless it was there before.
_FOLDERS = ("/run/containerd", "/run/runc", "/var/lib/cni", "/var/lib/kubelet", "/var/log/containers")
_CONTAINER_LOGS = Path("/var/log/containers")
_CGROUPS = Path("/sys/fs/cgroup")
_PODS_RULE = f"-A FORWARD -i {LINK} -o {LINK} -j ACCEPT"


@dataclass(frozen=True)
class Taken:
    """The record of one node: whose it is, and how the machine was before."""

    state: Path
    settings: dict[str, str]
    folders: tuple[str, ...]
    """Those that were not there."""


@contextmanager
def only_node_command() -> Iterator[None]:
    """Hold the machine's one node; NodeError if another command is just starting or stopping it, or without root."""
    require_root()
    with _LOCK.open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise NodeError("another command starts or stops this machine's node: wait, then run this again") from error
        yield


def require_root() -> None:
    if os.geteuid() != 0:
        raise NodeError("a real node needs root, for mounts, cgroups and a bridge: run this as root, or without NODE=1")


def taken() -> Taken | None:
    """The record of the node that has the machine, or had it and never gave it back."""
    try:
        record = json.loads(_RECORD.read_text())
    except FileNotFoundError:
        return None
    return Taken(Path(record["state"]), record["settings"], tuple(record["folders"]))


def take(state: Path) -> None:
    """Write down what is there, then make bridge, settings, cgroups and mounts. A second time changes nothing."""
    if taken() is None:
        _refuse_foreign_network()
        settings = {name: _read_setting(name) for name in _KEPT_SETTINGS if (_SETTINGS / name).exists()}
        folders = [folder for folder in _FOLDERS if not Path(folder).exists()]
        RUN.mkdir(mode=0o700, exist_ok=True)
        unfinished = _RECORD.with_suffix(".new")
        unfinished.write_text(json.dumps({"state": str(state), "settings": settings, "folders": folders}))
        unfinished.replace(_RECORD)
    _make_bridge()
    _let_pods_through()
    for name, value in _OUR_SETTINGS.items():
        if (_SETTINGS / name).exists():
            (_SETTINGS / name).write_text(value)
    for folder in _cgroup_folders():
        _make_cgroup(folder)
    _share_mounts(node_config.Folders(state, RUN).kubelet)


def give_back() -> None:
    """Undo whatever of `take` and of the pods is there; the node's own programs must have stopped. Safe to repeat."""
    record = taken()
    if record is None:
        return
    kill_pods()
    unmount_below(record.state, RUN)
    _delete_network()
    for folder in _cgroup_folders():
        _remove_cgroup(folder)
    for name, value in record.settings.items():
        if _read_setting(name) != value:
            (_SETTINGS / name).write_text(value)
    _remove_container_logs(record.state)
    for name in record.folders:
        shutil.rmtree(name, ignore_errors=True)
    shutil.rmtree(RUN)


# Processes ------------------------------------------------------------------------------------------------------------


def kill_pods() -> None:
    """SIGKILL to whatever runs in the pods, then to the shims that hold them."""
    until(_pods_are_dead, 20, "the processes of all pods end")
    for shim in shims():
        shim.signal(signal.SIGKILL)
    until(lambda: not any(shim.alive for shim in shims()), 10, "the containers' shims end")


def _pods_are_dead() -> bool:
    """Send the signal to all that are there; a fork may have been quicker, so ask again."""
    alive = [identity for folder in _cgroup_folders() for identity in _members(folder)]
    for identity in alive:
        identity.signal(signal.SIGKILL)
    return not alive


def _members(folder: Path) -> Iterator[Identity]:
    for path in folder.rglob("cgroup.procs"):
        with contextlib.suppress(OSError):  # the group is gone, or one of threads
            for pid in path.read_text().split():
                identity = identify(int(pid))
                if identity and identity.alive:
                    yield identity


def shims() -> list[Identity]:
    """The processes that hold our containers: they name our socket, whatever started them."""
    ours = [b"-address", os.fsencode(node_config.Folders(Path(), RUN).socket)]
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            words = (folder / "cmdline").read_bytes().split(b"\0")
        except OSError:
            continue
        identity = identify(int(folder.name))
        if identity and identity.alive and any(words[at : at + 2] == ours for at in range(len(words))):
            found.append(identity)
    return found


# Mounts ---------------------------------------------------------------------------------------------------------------


def mounts_below(*folders: Path) -> list[Path]:
    """Mount points in these folders, or the folders themselves, the innermost first."""
    points = []
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        # The kernel writes a space as \040, and so on.
        point = Path(re.sub(r"\\([0-7]{3})", lambda code: chr(int(code[1], 8)), line.split()[4]))
        if any(point.is_relative_to(folder) for folder in folders):
            points.append(point)
    return sorted(points, key=lambda point: len(point.parts), reverse=True)


def unmount_below(*folders: Path) -> None:
    """Until nothing is mounted there: files below a mount that stays would be somebody else's."""
    deadline = time.monotonic() + 20
    while points := mounts_below(*folders):
        for point in points:
            if _run("umount", str(point), check=False).returncode:
                _run("umount", "--lazy", str(point), check=False)
        if time.monotonic() > deadline:
            raise NodeError(f"{points[0]} cannot be unmounted: end what uses it, then run 'make down' again")


def _share_mounts(folder: Path) -> None:
    """What the kubelet mounts here must reach the containers, whatever the machine does with mounts elsewhere."""
    folder.mkdir(parents=True, exist_ok=True)
    if folder not in mounts_below(folder):
        _run("mount", "--bind", str(folder), str(folder))
        _run("mount", "--make-rshared", str(folder))


# Network --------------------------------------------------------------------------------------------------------------


def _refuse_foreign_network() -> None:
    wanted = IPv4Network(NETWORK)
    for route in _ip("route", "show", "table", "all"):
        with contextlib.suppress(ValueError):  # `default`, and IPv6
            if wanted.overlaps(IPv4Network(route["dst"])) and route["dst"] != "0.0.0.0/0":
                owner = route.get("dev", "something else")
                raise NodeError(
                    f"{NETWORK}, the network of the node's pods, is used by {owner} of this machine: "
                    "end that (another cluster?), then run this again"
                )


def _make_bridge() -> None:
    names = {link["ifname"] for link in _ip("link", "show")}
    if LINK in names:
        return
    _run("ip", "link", "add", LINK, "type", "bridge")
    _run("ip", "address", "add", f"{node_config.ADDRESS}/{IPv4Network(NETWORK).prefixlen}", "dev", LINK)
    _run("ip", "link", "set", LINK, "up")


def _delete_network() -> None:
    links = {link["ifname"]: link for link in _ip("link", "show")}
    # A pod's end of the cable goes with its network namespace, and that a moment after its last process.
    ours = [name for name, link in links.items() if link.get("master") == LINK]
    for name in [*ours, *([LINK] if LINK in links else [])]:
        _run("ip", "link", "delete", name, check=False)
    until(lambda: not any(link["ifname"] in {LINK, *ours} for link in _ip("link", "show")), 10, "the bridge is gone")
    while _PODS_RULE in _forward_rules():
        _run("iptables", "-D", *_PODS_RULE.split()[1:])
    for family, table in KUBE_PROXY_TABLES:
        _run("nft", "delete", "table", family, table, check=False)


def _let_pods_through() -> None:
    """Docker has this machine drop what it forwards, and what goes from pod to pod counts as that."""
    rules = _forward_rules()
    if "-P FORWARD DROP" in rules and _PODS_RULE not in rules:
        _run("iptables", "-I", *_PODS_RULE.split()[1:])


def _forward_rules() -> list[str]:
    """Of iptables, if this machine has it; asking changes nothing."""
    try:
        return _run("iptables", "-S", "FORWARD", check=False).stdout.splitlines()
    except MissingTool:
        return []


def _ip(*args: str) -> list[dict[str, Any]]:
    answer = json.loads(_run("ip", "-json", *args).stdout or "[]")
    assert isinstance(answer, list)
    return answer


# Cgroups, settings, files ---------------------------------------------------------------------------------------------


def _cgroup_folders() -> list[Path]:
    """Ours of each hierarchy, there or not: one with cgroup v2, one per controller with v1."""
    found = []
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        before, _, after = line.partition(" - ")
        point = Path(before.split()[4])
        if after.split()[0] in ("cgroup", "cgroup2") and point.is_relative_to(_CGROUPS):
            found.append(point / CGROUP)
    return found


def _make_cgroup(folder: Path) -> None:
    folder.mkdir(exist_ok=True)
    controllers = folder.parent / "cgroup.controllers"
    if folder.parent == _CGROUPS and controllers.exists():  # v2: a group has what its parent hands down
        for name in ("cpu", "cpuset", "memory", "pids"):
            if name in controllers.read_text().split():
                (folder.parent / "cgroup.subtree_control").write_text(f"+{name}")


def _remove_cgroup(folder: Path) -> None:
    def empty() -> bool:
        for group in sorted(folder.rglob("*/"), key=lambda path: len(path.parts), reverse=True):
            with contextlib.suppress(OSError):  # a process that was killed may still be leaving
                group.rmdir()
        with contextlib.suppress(OSError):
            folder.rmdir()
        return not folder.exists()

    until(empty, 10, f"{folder} is empty")


def _read_setting(name: str) -> str:
    return (_SETTINGS / name).read_text().strip()


def _remove_container_logs(state: Path) -> None:
    """Links to our pods' logs, in a folder that may be shared."""
    for link in _CONTAINER_LOGS.glob("*"):
        if link.is_symlink() and Path(os.readlink(link)).is_relative_to(state):
            link.unlink()


def _run(program: str, *args: str, check: bool = True) -> subprocess.CompletedProcess[str]:
    command = [str(find_program(program, _REMEDY)), *args]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    if check and done.returncode:
        raise NodeError(f"{program} {' '.join(args)}: {done.stderr.strip() or done.stdout.strip()}")
    return done
