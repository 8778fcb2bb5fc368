"""Who is measured: the command lines of each side, and what it takes to have them here.

How a side is set up, and why so, stands in its own module below `sides/`. The Python peers live in `.venv-bench`, which
`make bench-queue` fills from requirements-bench.lock; BullMQ for Node in the user's cache.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.common.errors import BenchmarkError
from benchmarks.common.places import CHECKOUT

_PACKAGE = "benchmarks.queue.sides"
_PEERS = CHECKOUT / ".venv-bench" / "bin"
_NODE_SIDE = Path(__file__).parent / "sides" / "node"

US = "fluid jobs"


@dataclass(frozen=True, slots=True)
class Side:
    """One queue under measurement."""

    name: str
    key: str
    """Its name in file names and key prefixes."""
    producer: Sequence[str]
    worker: Callable[[int, int], Sequence[Sequence[str]]]
    """From concurrency and number of worker processes to the commands to start."""
    factor: int = 1
    """How many times the usual number of jobs it is given, so that a fast side does not end before it has warmed up."""
    delays: bool = True
    only: frozenset[str] | None = None
    """The loads that it takes part in; None: all."""


def fluid() -> Side:
    """Ours, in the environment of whoever calls."""
    program = (sys.executable, "-m", f"{_PACKAGE}.fluid_side")
    return Side(US, "fluid", (*program, "produce"), lambda _, processes: [(*program, "work")] * processes, factor=4)


def peers() -> list[Side]:
    """Everybody else that is installed here."""
    if not _PEERS.exists():
        raise BenchmarkError("the peers are not installed: run this as 'make bench-queue'")
    found = [_dramatiq(), _dramatiq_as_it_comes(), _taskiq(), _bullmq()]
    return [*found, node] if (node := _bullmq_on_node()) else found


def _dramatiq(name: str = "dramatiq", threads: int = 0, only: frozenset[str] | None = None) -> Side:
    program = f"{_PACKAGE}.dramatiq_side"

    def worker(concurrency: int, processes: int) -> list[list[str]]:
        options = ["--processes", str(processes), "--threads", str(threads or concurrency)]
        return [[str(_PEERS / "dramatiq"), *options, program]]

    return Side(
        name, name.replace(", ", "-").replace(" ", "-"), (str(_PEERS / "python"), "-m", program), worker, only=only
    )


def _dramatiq_as_it_comes() -> Side:
    return _dramatiq("dramatiq, 8 threads", 8, frozenset({"noop_concurrency_100", "noop_two_processes"}))


def _taskiq() -> Side:
    program = f"{_PACKAGE}.taskiq_side"

    def worker(concurrency: int, processes: int) -> list[list[str]]:
        options = ["--workers", str(processes), "--max-async-tasks", str(concurrency), "--log-level", "WARNING"]
        return [[str(_PEERS / "taskiq"), "worker", f"{program}:broker", *options]]

    return Side("taskiq streams", "taskiq", (str(_PEERS / "python"), "-m", program), worker, delays=False)


def _bullmq() -> Side:
    program = (str(_PEERS / "python"), "-m", f"{_PACKAGE}.bullmq_side")
    return Side("bullmq", "bullmq", (*program, "produce"), lambda _, processes: [(*program, "work")] * processes)


def _bullmq_on_node() -> Side | None:
    """None where Node is not installed; BenchmarkError when it is and its packages cannot be had."""
    node, npm = shutil.which("node"), shutil.which("npm")
    if not node or not npm:
        return None
    folder = _install(npm)
    worker = (node, str(folder / "worker.mjs"))
    producer = (node, str(folder / "producer.mjs"))
    return Side("bullmq on Node", "node", producer, lambda _, processes: [worker] * processes, factor=4)


def _install(npm: str) -> Path:
    """The Node side with its pinned packages, in the user's cache: never beside the sources."""
    base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    lock = (_NODE_SIDE / "package-lock.json").read_bytes()
    folder = base / "fluid-jobs" / "bench-node" / hashlib.sha256(lock).hexdigest()[:16]
    shutil.copytree(_NODE_SIDE, folder, dirs_exist_ok=True)
    ready = folder / "installed"
    if not ready.exists():
        # Not `ci`: that insists on the packages of every other platform too.
        command = [npm, "install", "--no-save", "--ignore-scripts", "--no-audit", "--no-fund"]
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
        if done.returncode:
            raise BenchmarkError(f"BullMQ for Node could not be installed into {folder}: {done.stderr.strip()[-500:]}")
        ready.touch()
    return folder
