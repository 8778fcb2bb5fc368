"""The HTTP side of every replica, leader or not: /livez, /readyz, /metrics.

Alive means that the loop answers; nothing else needs asking, because every part that comes to an end ends the process.
Ready means: serving, and not about to stop. Neither speaks of leadership or Redis: a standby must count as ready, or no
rolling update would ever end, and no restart of ours repairs a Redis. Both are metrics and conditions instead. This
module must not know what the operator does.
"""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from aiohttp import web

from fluid_operator.errors import CannotListen

_SHUTDOWN_SECONDS = 1.0


@asynccontextmanager
async def serving(
    host: str, port: int, *, not_ready: Callable[[], str | None], metrics: Callable[[], bytes]
) -> AsyncIterator[int]:
    """Answer inside the block; yields the port, which the system picks for 0. `host` "" is every address.

    `not_ready` tells why the answer of /readyz is no, None for yes. Raises CannotListen.
    """

    async def livez(_: web.Request) -> web.Response:
        return web.Response(text="ok\n")

    async def readyz(_: web.Request) -> web.Response:
        problem = not_ready()
        return web.Response(status=503 if problem else 200, text=f"{problem or 'ok'}\n")

    async def measured(_: web.Request) -> web.Response:
        return web.Response(body=metrics(), headers={"Content-Type": "text/plain; version=0.0.4; charset=utf-8"})

    application = web.Application()
    application.add_routes([web.get("/livez", livez), web.get("/readyz", readyz), web.get("/metrics", measured)])
    runner = web.AppRunner(application, access_log=None, shutdown_timeout=_SHUTDOWN_SECONDS)
    await runner.setup()
    try:
        try:
            await web.TCPSite(runner, host or None, port).start()
        except OSError as error:
            raise CannotListen(host, port, error.strerror or str(error)) from error
        yield runner.addresses[0][1]
    finally:
        await runner.cleanup()
