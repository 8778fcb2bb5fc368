"""The benchmark's own processes, seen from the command that started them: given one order, heard until they answer.

One that ends, falls silent or takes too long fails the side that it works for; so does a component of the stage that
dies meanwhile, which is looked at whenever a line arrives.
"""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any, NamedTuple, Self

from benchmarks.common.errors import SideFailed
from benchmarks.common.places import CHECKOUT
from benchmarks.jobs.measures import Moments
from benchmarks.jobs.processes.orders import Creation, Watching

_SILENCE_SECONDS = 60.0
_TAIL_LINES = 15
_MODULES = {Creation: "creator", Watching: "watcher"}


class Answer(NamedTuple):
    """`cpu_seconds` is what its process took for the order, without its start."""

    moments: Moments
    cpu_seconds: float


class Helper:
    """One process with one order; a context, after which it is gone."""

    def __init__(self, order: Creation | Watching, log: Path, check: Callable[[], None]) -> None:
        """`check` raises when a component of the stage has died."""
        self._order = order
        self._log = log
        self._check = check
        self._lines: SimpleQueue[str] = SimpleQueue()
        module = f"benchmarks.jobs.processes.{_MODULES[type(order)]}"
        with log.open("ab") as errors:
            self._process = subprocess.Popen(
                # Of a killed command nothing may stay that goes on writing to the API server.
                ["setpriv", "--pdeathsig", "KILL", "--", sys.executable, "-m", module, order.to_argument()],
                cwd=CHECKOUT,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
            )
        self._hearing = threading.Thread(target=self._hear, name=module, daemon=True)
        self._hearing.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.wait()
        self._hearing.join()

    def ready(self) -> None:
        """Until it has begun."""
        while "ready" not in self._next():
            pass

    def answer(self, within: float, progress: Callable[[int], None] = lambda count: None) -> Answer:
        """What it tells at its end, within so many seconds. `progress` hears how many jobs are done so far."""
        deadline = time.monotonic() + within
        while time.monotonic() < deadline:
            line = self._next()
            if "progress" in line:
                progress(line["progress"])
            if "moments" in line:
                return Answer(line["moments"], line["cpu"])
        raise self._failed(f"not ready within {within:g} s")

    def _next(self) -> dict[str, Any]:
        try:
            text = self._lines.get(timeout=_SILENCE_SECONDS)
        except Empty:
            raise self._failed(f"silent for {_SILENCE_SECONDS:g} s") from None
        if not text:
            raise self._failed(f"ended with {self._process.wait()}")
        line: dict[str, Any] = json.loads(text)
        if "failed" in line:
            raise self._failed(line["failed"])
        self._check()
        return line

    def _hear(self) -> None:
        assert self._process.stdout
        with self._process.stdout as lines:
            for line in lines:
                self._lines.put(line)
        self._lines.put("")

    def _failed(self, problem: str) -> SideFailed:
        tail = "\n".join(self._log.read_text(errors="replace").splitlines()[-_TAIL_LINES:])
        return SideFailed(self._order.side, f"{_MODULES[type(self._order)]}: {problem}", tail)
