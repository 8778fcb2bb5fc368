"""One environment's open key space, as long as this replica leads: queue client, leader token, hints, known types.

A link never raises because Redis is away: `available` and `problem` tell it, and its tasks go on trying. It touches
nothing before the key space is its environment's own. It knows nothing of FluidJobs; whoever listens gets hints (ids
whose records changed) and is told when everything must be read again.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from typing import Literal

from fluid_operator.api.fluidenvironment import FluidEnvironmentSpec
from fluid_operator.environments.batching import Calm
from fluid_operator.environments.commands import Commands
from fluid_operator.environments.ownership import Ownership
from fluid_operator.environments.surroundings import Obstacles, Surroundings
from fluid_operator.environments.types import KnownType, awaits_news, images_of, read_types
from fluid_operator.kube.errors import NotLeader
from fluid_operator.kube.keys import ObjectKey
from fluid_operator.kube.lease import Leadership
from fluid_queue import (
    HintReader,
    Hints,
    Queue,
    QueueAccessDenied,
    QueueError,
    QueueFull,
    QueueUnavailable,
    Settings,
    Stats,
)

log = logging.getLogger(__name__)

Source = Literal["own", "check", "hints", "sweep", "data", "settings"]

_LOOK_SECONDS = 5.0
"""How soon a worker's types, or an obstacle in a queue, are known without a hint."""

_LEAST_SECONDS = 0.2
"""Between two sweeps. Workers sweep whenever they claim; the operator does it for times when there are none."""

_HINT_LINGER = 0.01
"""Seconds for which hints are gathered before anybody looks at a record, while there are many."""

_PAUSE = 1.0
"""Seconds between two tries while Redis is away."""

_COMPARE_SECONDS = 25.0
"""How long what another owner has left may wait to be compared with the cluster; the look after that opens it, so 30 s
at most."""

_STRANGER_SECONDS = 3.0
"""How long another address is tried, of which nobody knows where it leads."""


class EnvironmentLink(Commands):
    """See the module. Create it inside the loop; `run` must be awaited for hints to flow."""

    def __init__(
        self,
        key: ObjectKey,
        uid: str,
        spec: FluidEnvironmentSpec,
        queue: Queue,
        leadership: Leadership,
        listener: Callable[[EnvironmentLink, Hints], None],
        changed: Callable[[EnvironmentLink], None] = lambda link: None,
        *,
        settings: Settings | None = None,
        shard: int = 0,
    ) -> None:
        """`settings` are what queue and workers are to obey; None: another operator sees to that. Of the operators
        that share the FluidJobs among them, this is the one with the index `shard`; each has epochs of its own."""
        super().__init__(queue, Ownership(queue, uid, str(key)), leadership, shard)
        self.key = key
        self.uid = uid
        self.spec = spec
        self.settings = settings
        self.adopted = False
        """What another owner may have left here was compared with the cluster; until then nothing of it starts."""
        self._compared = False
        self._closed_at: float | None = None
        """time.monotonic() of when something was found that has to be compared."""
        self.incarnation: str | None = None
        """Which data this is; None before the first time."""
        self.available: bool | None = None
        """Whether everything that asks Redis was answered the last time; None before the first time."""
        self.types: Mapping[str, KnownType] = {}
        self.known_images: frozenset[str] = frozenset()
        """Images of which at least one worker has introduced itself."""
        self.types_since: float | None = None
        """time.monotonic() of when the types of every image were known; None: they are not."""
        self.lost_at: float | None = None
        """time.monotonic() of when the data was found to be another; jobs of before may still be running."""
        self.around = Surroundings(workers=0)
        """What a job that waits here meets."""
        self._problems: dict[Source, QueueError] = {}
        """By whoever met one, until the same asks with success: a server that answers a PING may still refuse more."""
        self._obstacles = Obstacles()
        self._next_sweep = 0.0
        """Seconds until the next sweep is due."""
        self._due = asyncio.Event()
        """Redis has just come back, or the settings have changed: what is done from time to time is due now."""
        self._listener = listener
        self._changed = changed

    def configure(self, spec: FluidEnvironmentSpec, settings: Settings | None) -> bool:
        """Take what the environment has come to say; whether that is news."""
        if (spec, settings) == (self.spec, self.settings):
            return False
        self.spec, self.settings = spec, settings
        self._due.set()
        return True

    def hold(self, reason: str) -> None:
        """Enqueue nothing new for this reason, a sentence; "" lets it go on."""
        if reason != self.held:
            self.held = reason
            self._changed(self)

    def leave(self) -> None:
        """The environment is gone; see `leaving`."""
        self.leaving = True
        self._due.set()
        self._changed(self)

    def compared(self) -> None:
        """Whatever this shard does not want to run has been taken out of the key space, or is held there."""
        self._compared = True
        self._due.set()

    async def disown(self) -> None:
        """Let another environment have the key space. Raises QueueError while Redis is away."""
        await self._ownership.give_up()

    @property
    def in_use_by(self) -> str:
        """The environment that owns the key space, when it is another one."""
        return self._ownership.in_use_by

    @property
    def problem(self) -> str:
        """Why the environment is not available."""
        return str(self._error) if self._problems else "not reached yet"

    @property
    def denied(self) -> bool:
        """Whether Redis is there but refuses our user: waiting does not help."""
        return isinstance(self._error, QueueAccessDenied)

    @property
    def _error(self) -> QueueError | None:
        return next(iter(self._problems.values()), None)

    @property
    def images(self) -> tuple[str, ...]:
        """Where this environment's types are published: by its pools' images, or by workers run by hand."""
        return images_of(self.spec)

    # -- state --------------------------------------------------------------------------------------------------------

    async def check(self) -> None:
        """Ask Redis for an authenticated PING and open the key space, if it is ours; sets `available` and `problem`."""
        try:
            await self.queue.ping()
            await self._ownership.renew(_LOOK_SECONDS - _PAUSE)
            self.incarnation = (await self.queue.open()).incarnation
        except QueueFull:
            self._noted("check", None)  # full is not away: what runs can still end
        except QueueError as error:
            self._noted("check", error)
        else:
            self._noted("check", None)

    async def stats(self) -> Stats | None:
        """Counts of all queues, None while Redis is away, or says what cannot be read."""
        try:
            return await self.queue.stats()
        except QueueError:
            return None

    async def left_behind(self) -> int | None:
        """At least how many jobs would be lost or repeated if this Redis were left now: those that have not ended, of
        whatever origin, and those whose end nobody has written down yet. 0 is exact; None while Redis is away."""
        if self.in_use_by:
            return 0  # nothing there is ours
        try:
            stats = await self.queue.stats()
            return max(stats.unfinished, await self.queue.count_unacknowledged())
        except QueueError:
            return None

    async def same_data(self, url: str) -> bool | None:
        """Whether another address leads to the data that is open here; None: it leads nowhere that could be used.
        Changes nothing there. A copy of the data at another server is other data, as long as this one is there."""
        try:
            async with Queue.from_url(url, self.queue.keys.name, timeout=_STRANGER_SECONDS) as stranger:
                found, server = await stranger.incarnation(), await stranger.server()
            if server.role == "slave":
                return None
            if not self.available:
                return found is not None and found == self.incarnation
            ours = await self.queue.incarnation(), (await self.queue.server()).run_id
            return (found, server.run_id) == ours
        except QueueError:
            return None

    def broken(self) -> None:
        """What follows the key space has crashed, and is started again."""
        self._noted("data", QueueError("what the operator found in Redis could not be read; see the operator's log"))

    def _noted(self, source: Source, problem: QueueError | None) -> None:
        if problem is not None:
            self._problems[source] = problem
        elif self._problems.pop(source, None) is not None:
            self._due.set()
        before, self.available = self.available, not self._problems
        if before is not self.available:
            self._changed(self)

    # -- following ----------------------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Follow the key space until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._follow(), name=f"hints {self.key}")
            tasks.create_task(self._maintain(), name=f"sweep {self.key}")

    async def _follow(self) -> None:
        reader, calm = HintReader(self.queue), Calm()
        try:
            while True:
                stop_if_cancelled()
                try:
                    await self._ownership.require()
                    hints = await reader.read()
                except QueueError as error:
                    self._noted("hints", error)
                    await asyncio.sleep(_PAUSE)
                    continue
                self._noted("hints", None)
                if hints.lost:
                    self.lost_at = time.monotonic()
                    self.adopted = self._compared = False
                    self._due.set()
                    log.warning("Redis holds other data than before", extra={"environment": str(self.key)})
                if hints.types or hints.resync:
                    await self._refresh()
                if hints.ids or hints.resync or hints.types:
                    self._listener(self, hints)
                    if not calm.after(len(hints.ids), time.monotonic()):
                        await asyncio.sleep(_HINT_LINGER)
        finally:
            await reader.aclose()

    async def _maintain(self) -> None:
        """Sweep whenever something is due, and look around from time to time, or when told to."""
        looked = 0.0
        while True:
            stop_if_cancelled()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(min(self._next_sweep, _LOOK_SECONDS)):
                    await self._due.wait()
            told = self._due.is_set()
            self._due.clear()
            if "check" in self._problems:
                await self.check()
            around = told or time.monotonic() - looked >= _LOOK_SECONDS
            if around:
                await self._try("own", self._own)
                await self._try("settings", self._configure)
            await self._try("sweep", self._sweep)
            if around and "sweep" not in self._problems:
                await self._refresh()
                looked = time.monotonic()

    async def _own(self) -> None:
        await self._ownership.renew(_LOOK_SECONDS - _PAUSE)

    async def _sweep(self) -> None:
        self._next_sweep = _LOOK_SECONDS
        await self._ownership.require()
        self._next_sweep = max(_LEAST_SECONDS, await self.queue.sweep())

    async def _try(self, source: Source, work: Callable[[], Awaitable[None]]) -> None:
        try:
            await work()
        except NotLeader:
            return  # our term is over, and about to end
        except QueueFull:
            self._noted(source, None)  # full is not away: what runs can still end
            log.warning("Redis is full.", extra={"fields": {"environment": str(self.key)}})
        except QueueError as error:
            self._noted(source, error)
        else:
            self._noted(source, None)

    async def _configure(self) -> None:
        """Redis compares, and only a difference makes a new version: saying it again mends what somebody else changed,
        or what a restored Redis has forgotten."""
        if not self.adopted:
            await self._adopt()
        if self.settings is not None:
            suspend = self.settings.suspend or self.leaving or not self.adopted
            settings = replace(self.settings, suspend=suspend)
            await self._led(lambda leader: self.queue.configure(settings, leader=leader))

    async def _adopt(self) -> None:
        """What another owner has left stays closed until every shard has compared it with the cluster: jobs may have
        ended elsewhere meanwhile, or were cancelled or deleted, and must not start again here."""
        await self._ownership.require()
        now, facts = time.monotonic(), {"environment": str(self.key)}
        done: Literal["", "mine", "all"] = "mine" if self._compared else ""
        if self._shard == 0 and self._closed_at is not None and now - self._closed_at >= _COMPARE_SECONDS:
            done = "all"
            log.warning("What was left in Redis could not be compared in time.", extra={"fields": facts})
        left = await self.queue.adopt(self.uid, self._shard, done)
        if left and self._closed_at is None:
            self._closed_at = now
            log.info("What another environment has left in Redis is compared first.", extra={"fields": facts})
        if not left:
            self.adopted, self._closed_at = True, None

    async def _refresh(self) -> None:
        """Read which types the workers of this environment can run, and what stands in the way of those that wait."""
        try:
            by_image = {image: await self.queue.types(image) for image in self.images}
            stats = await self.queue.stats()
        except QueueUnavailable as error:
            self._noted("data", error)
            return
        except (QueueError, ValueError) as error:
            self._noted("data", QueueError(f"what is known about workers and queues cannot be read: {error}"))
            return
        self._noted("data", None)
        known = frozenset(image for image, told in by_image.items() if told)
        types = read_types({name: told for published in by_image.values() for name, told in published.items()})
        if awaits_news(self.images, self.known_images, known):
            types = {**self.types, **types}
        self.known_images = known
        if known < frozenset(self.images):
            self.types_since = None  # who has not told yet may know a type that nobody else does
        elif self.types_since is None:
            self.types_since = time.monotonic()
        around = Surroundings(stats.workers, bool(self.spec.suspend), self._obstacles.held(stats))
        # What keeps jobs waiting is told by the status of each of them.
        news = types != self.types or around.like(self.around) is False
        self.types, self.around = types, around
        if news:
            self._listener(self, Hints(types=True))


def stop_if_cancelled() -> None:
    """redis-py may swallow a cancellation that meets the end of a read; whoever loops over its calls has to look."""
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        raise asyncio.CancelledError
