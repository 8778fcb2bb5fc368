"""The HTTPS endpoint of the webhook: POST /validate, with limits on everything that a caller can choose.

The API server waits three seconds, and then goes on as if we had said yes. So every answer is given within two,
whatever is away, and what cannot be answered well is answered early: too large, not JSON, too busy. Anybody who
reaches the port may ask; nobody learns more than whether a payload of their own would fit.
"""

from __future__ import annotations

import asyncio
import logging
import ssl
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Final

import orjson
from aiohttp import web

from fluid_operator.admission.errors import BadReview
from fluid_operator.admission.reviewer import Reviewer, Verdict, unchecked
from fluid_operator.admission.reviews import Heard, Review, answer, read_review
from fluid_operator.errors import CannotListen
from fluid_operator.kube.decoding import decode

log = logging.getLogger(__name__)

PATH: Final = "/validate"

MAX_BYTES: Final = 3 * 1024 * 1024
"""Of a body: the most that the API server takes from its own clients."""

_LARGE: Final = 64 * 1024
"""Bytes; larger bodies are decoded in a thread."""

_SECONDS: Final = 2.0
"""For a whole answer, the reading of the body included."""

_SIDE_BY_SIDE: Final = 32
"""Reviews at once, and so bodies in memory; the others wait their turn."""

_LARGE_SIDE_BY_SIDE: Final = 2
"""The same for large bodies, which take thirty times their size when they are decoded."""

_SHUTDOWN_SECONDS: Final = 1.0

_LINGER_SECONDS: Final = 1.0
"""For so long the rest of a body is read that was refused, so that the refusal is heard."""

_IDLE_SECONDS: Final = 120.0
"""Longer than the API server keeps an idle connection, so that it never meets one which we are just closing."""

Observe = Callable[[Heard, float], None]
"""Told of each request: what became of it, and in how many seconds."""


class Endpoint:
    """Answers reviews over HTTP."""

    def __init__(self, reviewer: Reviewer, observe: Observe, *, seconds: float = _SECONDS) -> None:
        self._reviewer = reviewer
        self._observe = observe
        self._seconds = seconds
        self._slots = asyncio.Semaphore(_SIDE_BY_SIDE)
        self._large = asyncio.Semaphore(_LARGE_SIDE_BY_SIDE)

    async def validate(self, request: web.Request) -> web.Response:
        """Answer one request, and have it counted."""
        started = time.monotonic()
        heard: Heard = "malformed"
        try:
            heard, response = await self._answer(request, started + self._seconds)
            return response
        except BadReview as error:
            return web.Response(status=error.status, text=f"{error.message}\n")
        finally:
            self._observe(heard, time.monotonic() - started)

    async def _answer(self, request: web.Request, deadline: float) -> tuple[Heard, web.Response]:
        if request.content_type != "application/json":
            raise BadReview(415, "the body must be application/json")
        length = MAX_BYTES if request.content_length is None else request.content_length
        if length > MAX_BYTES:
            raise BadReview(413, f"the body may have {MAX_BYTES} bytes at most")
        left = deadline - time.monotonic()
        try:
            async with asyncio.timeout(left), self._large if length > _LARGE else self._slots:
                review = read_review(await _body(request))
                verdict = await self._judge(review, deadline)
        except TimeoutError:
            return "late", web.Response(status=503, text="too busy to read the review in time\n")
        body = orjson.dumps(answer(review, verdict.refusal, verdict.warnings))
        return verdict.outcome, web.Response(body=body, content_type="application/json")

    async def _judge(self, review: Review, deadline: float) -> Verdict:
        """The verdict of the reviewer; in doubt, that is when it takes too long or breaks, a yes."""
        try:
            # A little earlier than the whole, so that there is time to say so.
            async with asyncio.timeout(deadline - time.monotonic() - 0.1):
                return await self._reviewer.judge(review)
        except TimeoutError:
            return unchecked("it took too long")
        except Exception:  # whatever it was, it must not stand between a user and the API server
            log.exception("A review broke, the job was let pass.", extra={"fields": {"namespace": review.namespace}})
            return unchecked("the webhook broke; its log says why")


async def _body(request: web.Request) -> object:
    """The decoded body. Raises BadReview."""
    try:
        raw = await request.read()
    except web.HTTPRequestEntityTooLarge as error:
        raise BadReview(413, f"the body may have {MAX_BYTES} bytes at most") from error
    try:
        return await asyncio.to_thread(decode, raw) if len(raw) > _LARGE else decode(raw)
    except orjson.JSONDecodeError:
        # Without the cause: its text quotes the body.
        raise BadReview(400, "the body is not JSON") from None


@asynccontextmanager
async def listening(host: str, port: int, context: ssl.SSLContext, endpoint: Endpoint) -> AsyncIterator[int]:
    """Serve inside the block; yields the port, which the system picks for 0. Raises CannotListen."""
    application = web.Application(client_max_size=MAX_BYTES)
    application.add_routes([web.post(PATH, endpoint.validate)])
    runner = web.AppRunner(
        application,
        access_log=None,
        shutdown_timeout=_SHUTDOWN_SECONDS,
        keepalive_timeout=_IDLE_SECONDS,
        lingering_time=_LINGER_SECONDS,
    )
    await runner.setup()
    try:
        try:
            await web.TCPSite(runner, host or None, port, ssl_context=context).start()
        except OSError as error:
            reason = error.strerror or str(error)
            raise CannotListen(host, port, reason, "FLUID_WEBHOOK_HOST and FLUID_WEBHOOK_PORT") from error
        yield runner.addresses[0][1]
    finally:
        await runner.cleanup()
