"""What the benchmark tells the two processes that create jobs and watch them: one JSON argument in, JSON lines out.

Out come `{"ready": true}` once, `{"progress": 120}` twice a second, and at the end `{"failed": text}` or
`{"moments": {name: ns}, "cpu": seconds}`. Both clocks are the machine's monotonic one: moments of the two compare.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import Callable, Coroutine
from dataclasses import asdict, dataclass
from typing import Any

import uvloop

from fluid_operator.kube.client import ClientSettings
from fluid_operator.kube.errors import ApiError, Unreachable

_PROGRESS_SECONDS = 0.5

PATIENT = ClientSettings(request_timeout=120.0, connect_timeout=30.0)
"""A server that is slow because of the load is what we are here to see."""


@dataclass(frozen=True, slots=True)
class Creation:
    """Create `<prefix>-<n>` for each n below `count`, at most `concurrency` at a time."""

    kubeconfig: str
    side: str
    namespace: str
    prefix: str
    count: int
    concurrency: int
    per_second: float = 0.0
    """Spread evenly over time; 0: as fast as it goes."""
    completions: int = 0
    """Of each job; 0: a plain one."""
    status: dict[str, Any] | None = None
    """Written onto each object after its creation."""

    def to_argument(self) -> str:
        return json.dumps(asdict(self))


@dataclass(frozen=True, slots=True)
class Watching:
    """Note when each of `count` jobs whose name begins with `prefix` is first seen Complete."""

    kubeconfig: str
    side: str
    namespace: str
    prefix: str
    count: int

    def to_argument(self) -> str:
        return json.dumps(asdict(self))


def say(**line: Any) -> None:
    """One line to whoever gave the order."""
    sys.stdout.write(json.dumps(line) + "\n")
    sys.stdout.flush()


def obey(work: Coroutine[Any, Any, dict[str, int]], progress: Callable[[], int]) -> None:
    """Do the work, tell how far it is meanwhile, and what came of it."""

    async def tell() -> None:
        while True:
            await asyncio.sleep(_PROGRESS_SECONDS)
            say(progress=progress())

    async def both() -> dict[str, int]:
        telling = asyncio.create_task(tell())
        try:
            return await work
        finally:
            telling.cancel()

    began = time.process_time()
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        try:
            moments = runner.run(both())
            say(progress=progress())
            say(moments=moments, cpu=time.process_time() - began)
        except (ApiError, Unreachable, JobFailed) as error:
            say(failed=str(error))


class JobFailed(Exception):
    """A job ended in another way than it should have."""
