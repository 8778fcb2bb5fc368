"""Worker processes for tests: `fluid-worker` as it is installed, with the probes as an installed package."""

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp

from fluid_queue import Queue
from support.waiting import auntil

TESTS = Path(__file__).parents[1]


def install_probes(folder: Path, *modules: str) -> str:
    """A value for PYTHONPATH under which these modules of `support` have entry points, one each."""
    metadata = folder / "site" / "worker_probes-1.0.dist-info"
    metadata.mkdir(parents=True)
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: worker-probes\nVersion: 1.0\n")
    points = "".join(f"{module} = support.{module}\n" for module in modules)
    (metadata / "entry_points.txt").write_text(f"[fluid.processors]\n{points}")
    return os.pathsep.join([str(metadata.parent), str(TESTS)])


@dataclass
class Running:
    """A worker process and what it has logged."""

    process: asyncio.subprocess.Process
    log: Path

    def entries(self, message: str) -> list[dict[str, Any]]:
        """Log records with this message."""
        written = [json.loads(line) for line in self.log.read_text().splitlines() if line.startswith("{")]
        return [entry for entry in written if entry["message"] == message]

    async def get(self, path: str) -> tuple[int, str]:
        """Status and text; status 0 while nothing listens yet."""
        started = self.entries("worker started")
        if not started:
            return 0, ""
        async with aiohttp.ClientSession() as session:
            try:
                async with session.get(f"http://127.0.0.1:{started[0]['healthPort']}{path}") as answer:
                    return answer.status, await answer.text()
            except aiohttp.ClientConnectionError:
                return 0, ""

    async def ready(self) -> "Running":
        """Waits until the worker has claimed for the first time."""

        async def look() -> bool:
            return (await self.get("/readyz"))[0] == 200

        await auntil(look, 20, f"the worker is ready; {self.log.read_text()}")
        return self

    async def exited(self, within: float = 20) -> int:
        """Waits for its end and gives the exit code."""
        return await asyncio.wait_for(self.process.wait(), within)


@asynccontextmanager
async def worker_process(queue: Queue, folder: Path, pythonpath: str, **settings: str) -> AsyncIterator[Running]:
    """A worker process on the key space of `queue`; killed at the end if it still runs. It logs into `folder`."""
    usual = {
        "FLUID_REDIS_URL": queue.url,
        "FLUID_KEY_PREFIX": queue.keys.name,
        "FLUID_HEALTH_HOST": "127.0.0.1",
        "FLUID_HEALTH_PORT": "0",
        "FLUID_LEASE_SECONDS": "2",
        "FLUID_GRACE_SECONDS": "10",
        "FLUID_STOP_GRACE_SECONDS": "1",
        "PYTHONPATH": pythonpath,
    }
    kept = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    command = [sys.executable, "-m", "fluid_processors"]
    log = _next_log(folder)
    with log.open("wb") as stream:
        process = await asyncio.create_subprocess_exec(*command, stderr=stream, env={**kept, **usual, **settings})
    try:
        yield Running(process, log)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


def _next_log(folder: Path) -> Path:
    return folder / f"worker-{len(list(folder.glob('worker-*.log')))}.log"
