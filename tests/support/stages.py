"""Everything that a FluidJob needs to run, as real processes: API server, Redis, operator, worker; each to be broken
by a test."""

import contextlib
import json
import os
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple, Self, TypeVar

from cluster.builders import Builder, FluidJobBuilder, fluid_environment, fluid_job
from fluid_dev.cluster import Cluster
from fluid_dev.errors import DevError, TimedOut
from fluid_dev.processes import Process
from fluid_dev.redis import RedisServer
from fluid_operator.api.meta import REQUEST_ANNOTATION
from fluid_queue import Queue
from support.folders import fresh_folder
from support.ledger_probe import LEDGER
from support.operators import Operator
from support.waiting import until

T = TypeVar("T")

TESTS = Path(__file__).parents[1]
ENDED = ("Succeeded", "Failed", "Cancelled")


class Start(NamedTuple):
    """One line of the ledger: an attempt that was started."""

    job_id: str
    attempt: int
    value: str


def work(name: str, **payload: Any) -> FluidJobBuilder:
    """A FluidJob of the type that the stage's workers can run."""
    return fluid_job(name).type("work").spec(payload=payload) if payload else fluid_job(name).type("work")


class Worker:
    """One `fluid-worker` process."""

    def __init__(self, stage: "Stage", **settings: str) -> None:
        site = fresh_folder("site")
        metadata = site / "ledger_probe-1.0.dist-info"
        metadata.mkdir()
        (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: ledger-probe\nVersion: 1.0\n")
        (metadata / "entry_points.txt").write_text("[fluid.processors]\nledger = support.ledger_probe\n")
        env = {
            "PYTHONPATH": os.pathsep.join([str(site), str(TESTS)]),
            LEDGER: str(stage.ledger),
            "FLUID_REDIS_URL": stage.redis.url,
            "FLUID_KEY_PREFIX": stage.key_prefix,
            "FLUID_HEALTH_HOST": "127.0.0.1",
            "FLUID_HEALTH_PORT": "0",
            "FLUID_LEASE_SECONDS": "2",
            **settings,
        }
        command = [sys.executable, "-m", "fluid_processors"]
        self.process = Process("worker", fresh_folder("worker"), command, env=env, die_with_parent=True)

    def start(self) -> Self:
        self.process.start()
        return self

    def kill(self, number: int) -> None:
        """Send a signal."""
        self.process.signal(number)


class Stage:
    """A namespace with an environment, and whoever serves it."""

    def __init__(self, cluster: Cluster, namespace: str, redis: RedisServer) -> None:
        self.cluster = cluster
        self.namespace = namespace
        self.redis = redis
        self.key_prefix = f"{namespace}.default"
        self.ledger = fresh_folder("ledger") / "starts"
        self.ledger.touch()
        self._operators: list[Operator] = []
        self._workers: list[Worker] = []

    # -- parts --------------------------------------------------------------------------------------------------------

    def environment(self, name: str = "default", **spec: Any) -> None:
        """A FluidEnvironment on the stage's Redis; others than `default` have their own key prefix. `spec` sets
        further fields."""
        secret = {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {"name": "redis"},
            "stringData": {"url": self.redis.url},
        }
        self.kubectl("apply", "-f", "-", input=json.dumps(secret))
        self.apply(fluid_environment(name).spec(image="example.org/app:1", workers=[], **spec))

    def operator(self, **settings: str) -> Operator:
        """One more replica; does not wait until it leads."""
        operator = Operator(self.cluster.kubeconfig, self.namespace, **settings).start()
        self._operators.append(operator)
        return operator

    def worker(self, **settings: str) -> Worker:
        """One more worker; does not wait until it claims."""
        worker = Worker(self, **settings).start()
        self._workers.append(worker)
        return worker

    def queue(self) -> Queue:
        """A client of the environment's key space."""
        return Queue.from_url(self.redis.url, self.key_prefix)

    def close(self) -> None:
        """End every process that this stage started."""
        for each in (*self._workers, *self._operators):
            each.process.stop(within=1)

    # -- objects ------------------------------------------------------------------------------------------------------

    def kubectl(self, *arguments: str, input: str | None = None, check: bool = True) -> str:  # noqa: A002 - as in subprocess
        return self.cluster.kubectl(f"--namespace={self.namespace}", *arguments, input=input, check=check)

    def apply(self, *objects: Builder, server_side: bool = False) -> None:
        """kubectl apply, all in one go."""
        listed = {"apiVersion": "v1", "kind": "List", "items": [each.manifest() for each in objects]}
        extra = ("--server-side",) if server_side else ()
        self.kubectl("apply", *extra, "-f", "-", input=json.dumps(listed))

    def jobs(self) -> dict[str, dict[str, Any]]:
        """Every FluidJob of the namespace by name."""
        items = json.loads(self.kubectl("get", "fluidjobs", "-o", "json"))["items"]
        return {item["metadata"]["name"]: item for item in items}

    def job(self, name: str) -> dict[str, Any]:
        """One FluidJob."""
        found: dict[str, Any] = json.loads(self.kubectl("get", "fluidjob", name, "-o", "json"))
        return found

    def status(self, name: str) -> dict[str, Any]:
        found: dict[str, Any] = self.job(name).get("status", {})
        return found

    def ask(self, what: str, verb: str) -> None:
        """Make a request by annotation, of `fj/name` or `fe/name`."""
        moment = datetime.now(UTC).isoformat().replace("+00:00", "Z")
        self.kubectl("annotate", "--overwrite", what, f"{REQUEST_ANNOTATION}={verb}@{moment}")

    def condition(self, name: str, kind: str = "Ready") -> dict[str, Any]:
        """One condition of a job, {} where it is not there."""
        conditions = self.status(name).get("conditions", [])
        return next((each for each in conditions if each["type"] == kind), {})

    # -- waiting ------------------------------------------------------------------------------------------------------

    def reaches(self, name: str, *phases: str, within: float = 30.0, run: int | None = None) -> dict[str, Any]:
        """Wait until a job is in one of these phases (of this run), and answer its status."""

        def look() -> dict[str, Any] | None:
            status = self.status(name)
            return status if status.get("phase") in phases and run in (None, status.get("run")) else None

        return self._wait(look, within, f"{name} is {' or '.join(phases)}")

    def reason(self, name: str, reason: str, within: float = 30.0) -> dict[str, Any]:
        """Wait until the Ready condition of a job has this reason, and answer the condition."""

        def look() -> dict[str, Any] | None:
            found = self.condition(name)
            return found if found.get("reason") == reason else None

        return self._wait(look, within, f"{name} is not ready because of {reason}")

    def all_end(self, count: int, within: float = 60.0) -> Counter[str]:
        """Wait until so many jobs have ended and none is under way; answer how many are in which phase."""

        def look() -> Counter[str] | None:
            phases = Counter(job["status"]["phase"] for job in self.jobs().values())
            return phases if phases.total() == count and set(phases) <= set(ENDED) else None

        return self._wait(look, within, f"{count} jobs have ended", pause=0.3)

    def _wait(self, look: Callable[[], T], within: float, what: str, *, pause: float = 0.05) -> T:
        """As `until`; if it takes too long, the error tells what operators and workers said last, and what they have
        to do."""
        try:
            return until(look, within, what, pause=pause)
        except TimedOut as error:
            for each in (*self._operators, *self._workers):
                error.add_note(each.process.tail()[-1500:])
            error.add_note(self._queues())
            raise

    def _queues(self) -> str:
        """What the operators' work queues hold, as far as they answer."""
        told = ""
        for each in self._operators:
            with contextlib.suppress(OSError, DevError):
                told += each.http("/metrics").body if each.process.running else ""
        return "\n".join(line for line in told.splitlines() if line.startswith("fluid_operator_workqueue_depth"))

    # -- what happened ------------------------------------------------------------------------------------------------

    def starts(self, job_id: str | None = None) -> list[Start]:
        """Every attempt that was ever started, in order."""
        lines = [line.split(" ", 2) for line in self.ledger.read_text().splitlines()]
        found = [Start(job, int(attempt), value) for job, attempt, value in lines]
        return [start for start in found if job_id in (None, start.job_id)]

    def started(self, count: int, within: float = 30.0) -> list[Start]:
        """Wait until so many attempts were started."""
        return self._wait(lambda: len(self.starts()) >= count and self.starts(), within, f"{count} starts")


@contextmanager
def stage_on(cluster: Cluster, namespace: str, redis: RedisServer) -> Iterator[Stage]:
    """A stage without operator and worker; what it starts ends with it."""
    stage = Stage(cluster, namespace, redis)
    try:
        yield stage
    finally:
        stage.close()
