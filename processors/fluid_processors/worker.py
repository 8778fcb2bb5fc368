"""One worker: a queue, a consumer, the processors, the health server, wired together and taken down in the
right order.

    start    health server, then types published (as often as Redis needs), then claims
    SIGTERM  no more claims; running jobs finish, or are handed back after the grace; then the process ends
    leak     a thread that ignores its stop keeps its lease while the worker drains, and dies with the process
"""

import asyncio
import logging
import os
import platform
import time
from contextlib import AsyncExitStack, suppress
from typing import Any

from fluid_processors.context import Context
from fluid_processors.execution import Threads
from fluid_processors.handler import JobHandler
from fluid_processors.health import Snapshot, serving
from fluid_processors.metrics import Metrics
from fluid_processors.registry import Registry
from fluid_processors.resources import ResourcePool
from fluid_processors.settings import WorkerSettings
from fluid_queue import Consumer, Queue, QueueUnavailable

_log = logging.getLogger(__name__)

PUBLISH_SECONDS = 5.0
"""How often the worker looks whether its types are still known: a Redis that lost its data forgets them."""

_UNAVAILABLE_SECONDS = 1.0
_LEAK_LOOK_SECONDS = 0.25


class Worker:
    """Runs until `drain` is called. `leaked`: a job was left behind that only the end of the process stops."""

    def __init__(self, settings: WorkerSettings, registry: Registry) -> None:
        """Needs a running loop; opens nothing yet."""
        self.leaked = False
        self.port = 0
        """The health server's port, once it serves."""
        self._settings = settings
        self._registry = registry
        self._started = time.monotonic()
        self._draining = asyncio.Event()
        self._metrics = Metrics(each.job_type for each in registry)
        self._threads = Threads(
            settings.concurrency, stop_grace_seconds=settings.stop_grace_seconds, on_leak=self._leak
        )
        self._resources = ResourcePool()
        self._queue = Queue.from_url(settings.redis_url.get_secret_value(), settings.key_prefix)
        self._consumer = Consumer(
            self._queue,
            JobHandler(registry, threads=self._threads, resources=self._resources),
            worker=settings.worker_name,
            queues=settings.queues,
            concurrency=settings.concurrency,
            lease_seconds=settings.lease_seconds,
            observer=self._metrics,
        )
        self._metrics.watch(lambda: self._consumer.running, lambda: self._consumer.last_claim)

    async def run(self) -> None:
        """Returns when drained, or when only leaked threads are left. Raises HealthServerError."""
        settings = self._settings
        async with AsyncExitStack() as stack:
            stack.callback(self._threads.close)
            await stack.enter_async_context(self._queue)
            await stack.enter_async_context(self._resources)
            self.port = await stack.enter_async_context(
                serving(
                    settings.health_host,
                    settings.health_port,
                    snapshot=self._snapshot,
                    liveness_seconds=settings.liveness_seconds,
                    metrics=self._metrics.render,
                )
            )
            _log.info("worker started", extra={"fields": self._info()})
            await self._work()
            _log.info("worker stopped", extra={"fields": {"leaked": self.leaked}})

    def drain(self) -> None:
        """Stop claiming and let run() come to its end; a second call changes nothing."""
        if not self._consumer.draining:
            _log.info("draining", extra={"fields": {"running": self._consumer.running}})
            self._consumer.drain(self._settings.grace_seconds)
            self._draining.set()

    async def _work(self) -> None:
        """Claims and publishes until the consumer has drained, or what is left after a drain will not end."""
        consuming = asyncio.create_task(self._consumer.run(), name="fluid-consume")
        publishing = asyncio.create_task(self._keep_published(), name="fluid-publish")
        draining = asyncio.create_task(self._draining.wait(), name="fluid-drain")
        try:
            await asyncio.wait({consuming, publishing, draining}, return_when=asyncio.FIRST_COMPLETED)
            if publishing.done():
                await publishing
            await self._drained(consuming)
        finally:
            await _ended(draining)
            await _ended(publishing)

    async def _drained(self, consuming: "asyncio.Task[None]") -> None:
        """Waits until all jobs have ended, or all but leaked ones, or until every grace is over."""
        settings = self._settings
        limit = settings.grace_seconds + settings.stop_grace_seconds + settings.lease_seconds
        ends = time.monotonic() + limit
        while not consuming.done() and time.monotonic() < ends:
            await asyncio.wait({consuming}, timeout=_LEAK_LOOK_SECONDS)
            if 0 < self._consumer.running <= self._threads.leaked:
                break
        self.leaked = not consuming.done()
        if consuming.done():
            await consuming

    async def _keep_published(self) -> None:
        """Publishes types and settings, again whenever Redis has lost them; waits for a Redis that is away."""
        types = self._registry.published()
        published = False
        while True:
            try:
                if not published or not await self._queue.types(self._settings.image):
                    await self._publish(types)
                    published = True
                pause = PUBLISH_SECONDS
            except QueueUnavailable as error:
                _log.warning("types not published, Redis is unavailable", extra={"fields": {"error": str(error)}})
                pause = _UNAVAILABLE_SECONDS
            await asyncio.sleep(pause)

    async def _publish(self, types: dict[str, dict[str, Any]]) -> None:
        settings = self._settings
        await self._queue.register(settings.worker_name, self._info(), types, settings.image, queues=settings.queues)
        _log.info("types published", extra={"fields": {"types": sorted(types), "image": settings.image}})

    def _info(self) -> dict[str, Any]:
        return {
            "host": platform.node(),
            "pid": os.getpid(),
            "concurrency": self._settings.concurrency,
            "queues": list(self._settings.queues),
            "healthPort": self.port,
        }

    def _snapshot(self) -> Snapshot:
        return Snapshot(
            now=time.monotonic(),
            started=self._started,
            last_claim=self._consumer.last_claim,
            last_finished=self._metrics.last_finished,
            free_slots=self._settings.concurrency - self._consumer.running,
            draining=self._consumer.draining,
        )

    def _leak(self, context: Context) -> None:
        self._metrics.leaked()
        context.logger.error("a thread ignores its stop; the worker drains and exits")
        self.drain()


async def _ended(task: "asyncio.Task[Any]") -> None:
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task
