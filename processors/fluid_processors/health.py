"""Whether a worker lives and is ready, and the HTTP routes that say so: /livez, /readyz, /metrics.

A worker that has stopped claiming looks alive from outside; so life is tied to the last claim that Redis
answered, not to the process. The verdicts are pure functions of a snapshot.
"""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

from aiohttp import web

from fluid_processors.errors import HealthServerError


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What the verdicts look at. All moments are on the clock of `time.monotonic()`, 0.0 meaning "not yet"."""

    now: float
    started: float
    last_claim: float
    last_finished: float
    free_slots: int
    draining: bool


def not_live(state: Snapshot, limit_seconds: float) -> str | None:
    """Why the process should be restarted, or None.

    With every slot taken nothing is claimed, and nothing is wrong; a slot that gets free starts the clock again.
    """
    if state.draining or state.free_slots <= 0:
        return None
    age = state.now - max(state.started, state.last_claim, state.last_finished)
    if age <= limit_seconds:
        return None
    return f"no successful claim for {age:.0f} s (limit {limit_seconds:.0f} s)"


def not_ready(state: Snapshot) -> str | None:
    """Why no work should be expected of this worker, or None."""
    if state.draining:
        return "draining"
    if not state.last_claim:
        return "no claim has been answered by Redis yet"
    return None


@asynccontextmanager
async def serving(
    host: str,
    port: int,
    *,
    snapshot: Callable[[], Snapshot],
    liveness_seconds: float,
    metrics: Callable[[], bytes],
) -> AsyncIterator[int]:
    """Serves the three routes while the context is open; gives the port, which the system picks for 0.
    Raises HealthServerError.
    """

    async def livez(_: web.Request) -> web.Response:
        return _verdict(not_live(snapshot(), liveness_seconds))

    async def readyz(_: web.Request) -> web.Response:
        return _verdict(not_ready(snapshot()))

    async def measured(_: web.Request) -> web.Response:
        return web.Response(body=metrics(), headers={"Content-Type": "text/plain; version=0.0.4; charset=utf-8"})

    application = web.Application()
    application.add_routes([web.get("/livez", livez), web.get("/readyz", readyz), web.get("/metrics", measured)])
    runner = web.AppRunner(application, access_log=None, shutdown_timeout=1)
    await runner.setup()
    try:
        site = web.TCPSite(runner, host, port)
        try:
            await site.start()
        except OSError as error:
            raise HealthServerError(host, port, error.strerror or "error") from error
        yield runner.addresses[0][1]
    finally:
        await runner.cleanup()


def _verdict(problem: str | None) -> web.Response:
    return web.Response(status=503 if problem else 200, text=(problem or "ok") + "\n")
