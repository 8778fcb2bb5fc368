"""One worker: a queue, a consumer, the processors, the health server, wired together and taken down in the
right order.

    start    health server, child processes, then types published (as often as Redis needs) and claims
    SIGTERM  no more claims; running jobs finish, or are handed back after the grace; then the process ends
    leak     a thread that ignores its stop keeps its lease while the worker drains, and dies with the process;
             the lease is let go with it, and the job runs elsewhere
"""

import asyncio
import logging
import os
import platform
import time
from contextlib import AsyncExitStack, suppress
from typing import Any

from fluid_processors.context import Context
from fluid_processors.definitions import Isolation
from fluid_processors.execution import Threads
from fluid_processors.handler import JobHandler
from fluid_processors.health import Snapshot, serving
from fluid_processors.metrics import Metrics
from fluid_processors.outbound import Outbound
from fluid_processors.processes.limits import Limits
from fluid_processors.processes.pool import Children
from fluid_processors.registry import Registry
from fluid_processors.resources import ResourcePool
from fluid_processors.settings import WorkerSettings
from fluid_queue import Consumer, Queue, QueueUnavailable, Settings

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
        limits = Limits(settings.kill_grace_seconds, settings.max_jobs_per_child, settings.memory_limit_megabytes)
        self._children = Children(
            settings.concurrency, limits, idle_seconds=settings.child_idle_seconds, on_crash=self._metrics.crashed
        )
        self._queue = Queue.from_url(settings.redis_url.get_secret_value(), settings.key_prefix, codec=settings.codec())
        self._handler = JobHandler(registry, threads=self._threads, resources=self._resources, children=self._children)
        self._consumer = Consumer(
            self._queue,
            self._handler,
            worker=settings.worker_name,
            queues=settings.queues,
            concurrency=settings.concurrency,
            lease_seconds=settings.lease_seconds,
            observer=self._metrics,
            settings_changed=self._obey,
        )
        self._metrics.watch(
            lambda: self._consumer.running, lambda: self._consumer.last_claim, lambda: len(self._children)
        )

    async def run(self) -> None:
        """Returns when drained, or when only leaked threads are left. Raises HealthServerError."""
        settings = self._settings
        async with AsyncExitStack() as stack:
            stack.callback(self._threads.close)
            await stack.enter_async_context(self._queue)
            await stack.enter_async_context(self._resources)
            await stack.enter_async_context(self._children)
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
            await self._warm_up()
            await self._work()
            _log.info("worker stopped", extra={"fields": {"leaked": self.leaked}})

    def drain(self) -> None:
        """Stop claiming and let run() come to its end; a second call changes nothing."""
        if not self._consumer.draining:
            _log.info("draining", extra={"fields": {"running": self._consumer.running}})
            self._consumer.drain(self._settings.grace_seconds)
            self._draining.set()

    def _obey(self, settings: Settings) -> None:
        self._handler.outbound = Outbound.from_settings(settings.outbound)

    async def _warm_up(self) -> None:
        """Starts child processes before the first claim; a drain does not wait for them."""
        isolated = [each for each in self._registry if each.isolation is Isolation.PROCESS]
        warming = asyncio.create_task(self._children.warm(isolated), name="fluid-warm")
        draining = asyncio.create_task(self._draining.wait(), name="fluid-drain")
        await asyncio.wait({warming, draining}, return_when=asyncio.FIRST_COMPLETED)
        await _ended(draining)
        await _ended(warming)

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
        stop_graces = [each.stop_grace for each in self._registry if each.stop_grace is not None]
        stop_grace = max(settings.stop_grace_seconds, settings.kill_grace_seconds, *stop_graces)
        limit = settings.grace_seconds + stop_grace + settings.lease_seconds
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
