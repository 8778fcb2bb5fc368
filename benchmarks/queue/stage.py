"""One Redis, and the processes of the sides around it: producers that take orders, workers that keep a ledger.

Everything lies in one folder and ends with the context that started it. A worker is a process group of its own, because
some sides start more than one process, and `kill -9` means all of them.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import signal
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self

from benchmarks.common.errors import SideFailed
from benchmarks.common.places import CHECKOUT
from benchmarks.queue.catalogue import Side
from benchmarks.queue.measures import Starts
from fluid_dev.errors import TimedOut
from fluid_dev.redis import RedisServer
from fluid_dev.waiting import until

DURABILITY = ("--appendfsync", "everysec", "--auto-aof-rewrite-percentage", "0")
"""No rewrite in the middle of a run: it would hit one side and spare another. There is one before each run instead."""

_TAIL_LINES = 15
_DIES_WITH_US = ("setpriv", "--pdeathsig", "KILL", "--")


class Worker:
    """One worker of a side: as many processes as that takes, each command in a process group of its own."""

    def __init__(self, side: Side, commands: Sequence[Sequence[str]], env: dict[str, str], log: Path) -> None:
        self._side = side
        self._log = log
        self._ledger = Path(env["BENCH_LEDGER"])
        with log.open("ab") as output:
            self._processes = [
                subprocess.Popen(
                    [*_DIES_WITH_US, *command],
                    env=env,
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=output,
                    start_new_session=True,
                )
                for command in commands
            ]

    def kill(self, number: int) -> None:
        """Send a signal to every process."""
        for process in self._processes:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, number)

    def check(self) -> None:
        """Raise SideFailed unless all run."""
        for process in self._processes:
            if process.poll() is not None:
                raise SideFailed(self._side.name, f"its worker ended with {process.returncode}", _tail(self._log))

    def end(self) -> None:
        """SIGTERM, and SIGKILL if that takes long."""
        self.kill(signal.SIGTERM)
        for process in self._processes:
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(2)
        self.kill(signal.SIGKILL)
        for process in self._processes:
            process.wait()

    def starts(self) -> Starts:
        """What it has started so far, by process."""
        return {file.name: _read(file) for file in self._ledger.glob("*.starts")}

    def wait_for(self, count: int, within: float, *, pause: float = 0.1) -> None:
        """Until so many starts are in the ledger. Raises SideFailed."""

        def enough() -> bool:
            self.check()
            return sum(file.read_bytes().count(b"\n") for file in self._ledger.glob("*.starts")) >= count

        try:
            until(enough, within, f"{count} jobs started", pause=pause)
        except TimedOut as error:
            raise SideFailed(self._side.name, str(error), _tail(self._log)) from error


class Orders:
    """A producer's process; `seconds`, `at` and versions are what its side measured and told."""

    def __init__(self, side: Side, env: dict[str, str], log: Path) -> None:
        self._side = side
        self._log = log
        with log.open("ab") as errors:
            self._process = subprocess.Popen(
                [*_DIES_WITH_US, *side.producer],
                env=env,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
            )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        with contextlib.suppress(subprocess.TimeoutExpired, BrokenPipeError):
            self._process.communicate(timeout=5)
        self._process.kill()
        self._process.wait()

    def versions(self) -> dict[str, str]:
        return self._order({"do": "versions"})

    def enqueue(self, count: int, *, first: int = 0, how: str = "bulk") -> float:
        """Seconds that the side took for `job-<first>` and the following ones; `how`: bulk or one_by_one."""
        return float(self._order({"do": how, "first": first, "count": count})["seconds"])

    def single(self, job_id: str, *, delay_ms: int = 0) -> int:
        """The moment, in monotonic ns, at which the side began to enqueue this job."""
        return int(self._order({"do": "single", "id": job_id, "delay_ms": delay_ms})["at"])

    def _order(self, order: dict[str, Any]) -> dict[str, Any]:
        assert self._process.stdin
        assert self._process.stdout
        try:
            self._process.stdin.write(json.dumps(order) + "\n")
            self._process.stdin.flush()
            answer = self._process.stdout.readline()
        except BrokenPipeError:
            answer = ""
        if not answer:
            raise SideFailed(self._side.name, "its producer ended", _tail(self._log))
        found: dict[str, Any] = json.loads(answer)
        return found


class Stage:
    """The one Redis of a run. `folder` is emptied by whoever made it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.redis = RedisServer(folder / "redis", appendonly=True, die_with_parent=True, args=DURABILITY)
        self._numbers = itertools.count()

    def __enter__(self) -> Self:
        self.redis.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.redis.stop(wipe=True)

    def empty(self) -> None:
        """Start over: no data, and a file to append to that is as short as at the beginning."""
        self.redis.cli("FLUSHALL")
        self.redis.cli("BGREWRITEAOF")
        until(self._rewritten, 30, "Redis has rewritten its file")

    def producer(self, side: Side, namespace: str = "bench") -> Orders:
        """A producer of this side; a context."""
        return Orders(side, self._environment(namespace, self._fresh("unused")), self._log(side))

    @contextmanager
    def worker(
        self, side: Side, *, concurrency: int, processes: int = 1, hold: float = 0, namespace: str = "bench"
    ) -> Iterator[Worker]:
        """A worker of this side, whose handlers hold each job for so many seconds."""
        env = self._environment(namespace, self._fresh("ledger"), concurrency, hold)
        worker = Worker(side, side.worker(concurrency, processes), env, self._log(side))
        try:
            yield worker
        finally:
            worker.end()

    def _log(self, side: Side) -> Path:
        return self.folder / f"{side.key}.log"

    def _fresh(self, name: str) -> Path:
        folder = self.folder / f"{name}-{next(self._numbers)}"
        folder.mkdir(parents=True)
        return folder

    def _environment(self, namespace: str, ledger: Path, concurrency: int = 1, hold: float = 0) -> dict[str, str]:
        return {
            **os.environ,
            "PYTHONPATH": str(CHECKOUT),
            "BENCH_REDIS": self.redis.url,
            "BENCH_NAMESPACE": namespace,
            "BENCH_LEDGER": str(ledger),
            "BENCH_CONCURRENCY": str(concurrency),
            "BENCH_HOLD": str(hold),
        }

    def _rewritten(self) -> bool:
        info = self.redis.cli("INFO", "persistence")
        return "aof_rewrite_in_progress:0" in info and "aof_rewrite_scheduled:0" in info


def _tail(log: Path) -> str:
    return "\n".join(log.read_text(errors="replace").splitlines()[-_TAIL_LINES:])


def _read(file: Path) -> list[tuple[str, int]]:
    starts = []
    whole, _, _ = file.read_text().rpartition("\n")  # the last line may still be on its way
    for line in whole.splitlines():
        job_id, at = line.split()
        starts.append((job_id, int(at)))
    return starts
