"""The scene of a soak: a namespace with an environment on a Redis, two operators and some workers, each a real process
that can be killed, frozen and replaced by its number, as Kubernetes replaces a pod.
"""

from __future__ import annotations

import contextlib
import os
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path

from fluid_dev.cluster import Cluster
from fluid_dev.errors import ProcessDied
from fluid_dev.processes import Process
from fluid_dev.redis import RedisServer
from fluid_queue import Queue
from soak.probe import FOLDER, NAME
from support.folders import fresh_folder
from support.operators import Operator
from support.stages import Stage

TESTS = Path(__file__).parents[1]


class Scene:
    """Everything that a soak runs on. What it starts dies with this process."""

    def __init__(self, cluster: Cluster, redis: RedisServer, *, workers: int, operators: int, lease: float) -> None:
        """`lease` in seconds."""
        self.namespace = f"soak-{uuid.uuid4().hex[:8]}"
        self.cluster = cluster
        self.redis = redis
        self.lease = lease
        self.witness = fresh_folder("witness")
        self._site = _site()
        self._stage = Stage(cluster, self.namespace, redis)
        self._born = 0
        self._workers: list[Process] = []
        self._operators: list[Operator] = []
        self._counts = (workers, operators)

    def start(self) -> None:
        """Everybody up, and one operator leading."""
        self.cluster.kubectl("create", "namespace", self.namespace)
        self._stage.environment()
        workers, operators = self._counts
        kubeconfig = self.cluster.kubeconfig
        self._operators = [
            Operator(kubeconfig, self.namespace, FLUID_LOG_LEVEL="warning").start() for _ in range(operators)
        ]
        self._workers = [self._worker() for _ in range(workers)]

    def stop(self) -> None:
        for process in self._everybody():
            process.stop(within=0)

    def queue(self) -> Queue:
        """A client of the key space."""
        return self._stage.queue()

    def victims(self, target: str) -> int:
        """How many of them there are."""
        return {"worker": len(self._workers), "operator": len(self._operators), "redis": 1}[target]

    def process(self, target: str, number: int) -> Process:
        """The one that has this number now."""
        if target == "worker":
            return self._workers[number]
        return self._operators[number].process if target == "operator" else self.redis.process

    def kill(self, target: str, number: int) -> None:
        """SIGKILL, and another in its place at once. A Redis has yet to load its data then."""
        process = self.process(target, number)
        process.kill()
        if target == "worker":
            self._workers[number] = self._worker()
        else:
            process.start()

    def signal(self, target: str, number: int, sig: int) -> None:
        """Send a signal."""
        self.process(target, number).signal(sig)

    def tails(self) -> list[str]:
        """The end of everybody's log."""
        return [f"-- {process.log}\n{process.tail(5)[-1500:]}" for process in self._everybody()]

    def revive(self) -> list[str]:
        """Replace those that ended although nobody struck them, and name them: that must not happen."""
        dead: list[str] = []
        for number, process in enumerate(self._workers):
            if not process.running:
                dead.append(f"{process.name} ended by itself; its log ends so:\n{process.tail(8)}")
                self._workers[number] = self._worker()
        for operator in self._operators:
            if not operator.process.running:
                dead.append(f"an operator ended by itself; its log ends so:\n{operator.process.tail(8)}")
                operator.process.start()
        return dead

    def _everybody(self) -> list[Process]:
        return [*self._workers, *(operator.process for operator in self._operators)]

    def _worker(self) -> Process:
        """A process of a new name, as a new pod has one."""
        self._born += 1
        name = f"worker-{self._born}"
        env = {
            "PYTHONPATH": os.pathsep.join([str(self._site), str(TESTS), os.environ.get("PYTHONPATH", "")]),
            FOLDER: str(self.witness),
            NAME: name,
            "FLUID_REDIS_URL": self.redis.url,
            "FLUID_KEY_PREFIX": f"{self.namespace}.default",
            "FLUID_QUEUES": "soak-a,soak-b,soak-c",
            "FLUID_CONCURRENCY": "60",
            "FLUID_LEASE_SECONDS": f"{self.lease:g}",
            "FLUID_GRACE_SECONDS": "1",
            "FLUID_HEALTH_HOST": "127.0.0.1",
            "FLUID_HEALTH_PORT": "0",
            "FLUID_LOG_LEVEL": "error",
        }
        command = [sys.executable, "-m", "fluid_processors"]
        process = Process(name, fresh_folder("worker"), command, env=env, die_with_parent=True)
        process.start()
        return process


def redis_server(durability: str) -> RedisServer:
    """A Redis with an append-only file: `always` or `everysec`."""
    return RedisServer(fresh_folder("redis"), die_with_parent=True, appendonly=True, args=("--appendfsync", durability))


@contextlib.contextmanager
def on_scene(cluster: Cluster, durability: str, *, workers: int, operators: int, lease: float) -> Iterator[Scene]:
    """A scene on a Redis of its own, with everybody up; gone after the block."""
    redis = redis_server(durability)
    try:
        redis.start()
        scene = Scene(cluster, redis, workers=workers, operators=operators, lease=lease)
        try:
            scene.start()
            yield scene
        finally:
            scene.stop()
    finally:
        with contextlib.suppress(ProcessDied):
            redis.stop(wipe=True)


def _site() -> Path:
    """A folder for PYTHONPATH in which the probe is an installed package with an entry point."""
    site = fresh_folder("site")
    metadata = site / "soak_probe-1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: soak-probe\nVersion: 1.0\n")
    (metadata / "entry_points.txt").write_text("[fluid.processors]\nsoak = soak.probe\n")
    return site
