"""Deletes finished FluidJobs when their time is over or there are too many: planned by `keeping`, done here.

Before each deletion the object is archived, and when it is under OncePerSpec its outcome goes into the ledger. If one
of the two fails, the object stays and is tried again; so does the job of a schedule that has not recorded its time yet
(`owners` knows). Every deletion names the uid and the resourceVersion that it was
planned for, so that an object which changed meanwhile survives.

Deletions are gentle: of a backlog goes a thirtieth a second, and a server that is busy or away is left alone for a
while. What is deleted is told by the watch and not remembered here.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import math
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Final, Literal, NamedTuple, TypeAlias, get_args

from fluid_operator.environments.registry import EnvironmentRegistry
from fluid_operator.jobs.keeping import Deletion, Limits, Rules, Why, plan, removable
from fluid_operator.jobs.ledger import Ledger, entry_of
from fluid_operator.jobs.owners import Owners
from fluid_operator.jobs.view import JobView
from fluid_operator.kube.client import Json, Kube
from fluid_operator.kube.errors import ApiError, Conflict, KubeError, NotFound, NotLeader
from fluid_operator.kube.keys import FLUID_JOBS, ObjectKey

log = logging.getLogger(__name__)

Archive: TypeAlias = Callable[[Json], Awaitable[None]]
"""Keeps the raw object that is about to be deleted; whatever it raises, the object stays and is tried again."""

Obstacle = Literal["archive", "ledger", "ledger-full", "changed", "schedule", "refused", "unanswered"]
"""Why a deletion has to wait: it could not be archived; the ledger could not be written, or has no room; the object
is another by now; its schedule has not recorded its time yet; the API server said no, or nothing."""

OBSTACLES: Final = get_args(Obstacle)

_LONGEST_PAUSE = 300.0
"""Of an object whose deletion failed again and again; doubled from 1 s."""

_PATIENCE = 5
"""Failed tries, half a minute, until the log tells of a schedule: one that has just fired has yet to say so."""

_LONGEST_REST = 30.0
"""Of an API server that is busy or away; doubled from 1 s."""


@dataclass(frozen=True, slots=True)
class RetentionSettings:
    """Times in seconds."""

    pause: float = 1.0
    """Between two rounds: what is due then goes together."""
    parts: int = 30
    """In how many parts a backlog goes, one each round: what comes faster is deleted faster."""
    at_least: int = 20
    """Deletions of one round and namespace, if there are so many."""
    concurrency: int = 8
    """Deletions side by side."""
    shards: int = 1
    """Operators that share the objects."""


class RetentionObserver:
    """What metrics want to know; every method may be left as it is."""

    def deleted(self, why: Why) -> None:
        """An object was deleted."""

    def postponed(self, obstacle: Obstacle) -> None:
        """A deletion has to wait, for one of OBSTACLES."""

    def ledger_written(self, entries: int) -> None:
        """So many entries were written into a ledger."""


class _Pause(NamedTuple):
    """Of one object: no further try before this time."""

    until: float
    failures: int


@dataclass(slots=True)
class _Shelf:
    """The removable objects of one namespace by name; the views are the informer's own."""

    views: dict[str, JobView] = field(default_factory=dict)
    pauses: dict[str, _Pause] = field(default_factory=dict)
    next_at: float = math.inf
    """When to look at them, if nothing changes."""
    told: set[Obstacle] = field(default_factory=set)
    """What stands in the log already; said again only after a deletion went well."""


class Retention:
    """`changed` must hear of every change of a FluidJob, `run` be awaited while this replica leads; `kube` must be
    guarded."""

    def __init__(
        self,
        kube: Kube,
        ledger: Ledger,
        registry: EnvironmentRegistry,
        *,
        owners: Owners | None = None,
        archive: Archive | None = None,
        observer: RetentionObserver | None = None,
        settings: RetentionSettings | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._kube = kube
        self._owners = owners or Owners(kube)
        self._ledger = ledger
        self._registry = registry
        self._archive = archive
        self._observer = observer or RetentionObserver()
        self._settings = settings or RetentionSettings()
        self._clock = clock
        self._shelves: dict[str, _Shelf] = {}
        self._changed: set[str] = set()
        self._woken = asyncio.Event()
        self._slots = asyncio.Semaphore(self._settings.concurrency)
        self._outages = 0
        """Rounds in a row in which the API server did not answer, or asked to be left alone."""
        self._rest = 0.0

    # -- what is known ------------------------------------------------------------------------------------------------

    def changed(self, key: ObjectKey, old: JobView | None, new: JobView | None) -> None:
        """An object came, changed or went; None for absent."""
        if old is not None and (new is None or not removable(new)):
            self._forget(key)
        if new is None:
            if old is not None and old.once:
                self._ledger.spend(key, old.uid)
            return
        if new.once and new.run and not (old and old.run):
            self._ledger.spend(key, new.uid)
        if removable(new):
            shelf = self._shelves.setdefault(key.namespace, _Shelf())
            shelf.views[key.name] = new
            shelf.pauses.pop(key.name, None)
            self.look(key.namespace)

    def look(self, namespace: str) -> None:
        """Something has changed in this namespace, maybe its environments."""
        if namespace in self._shelves:
            self._changed.add(namespace)
            self._woken.set()

    def _forget(self, key: ObjectKey) -> None:
        shelf = self._shelves.get(key.namespace)
        if shelf is not None and key.name in shelf.views:
            del shelf.views[key.name]
            shelf.pauses.pop(key.name, None)
            if not shelf.views:
                del self._shelves[key.namespace]

    # -- rounds -------------------------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Delete what has to go, until cancelled. Raises only for a defect."""
        while True:
            await self.round()
            await asyncio.sleep(max(self._settings.pause, self._rest))
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._idle_seconds()):
                    await self._woken.wait()
            self._woken.clear()

    async def round(self) -> None:
        """Delete what has to go now, or the first of it."""
        now = self._clock()
        self._rest = 0.0
        changed, self._changed = self._changed, set()
        looks = {name: shelf for name, shelf in self._shelves.items() if name in changed or shelf.next_at <= now}
        chunks = {namespace: self._choose(namespace, shelf, now) for namespace, shelf in looks.items()}
        await asyncio.gather(*(self._delete(namespace, chunk) for namespace, chunk in chunks.items() if chunk))
        self._outages = self._outages + 1 if self._rest else 0

    def _idle_seconds(self) -> float:
        """Until the next object is due; a minute at most, should the clock be set."""
        next_at = min((shelf.next_at for shelf in self._shelves.values()), default=math.inf)
        return min(60.0, max(0.0, next_at - self._clock()))

    def _choose(self, namespace: str, shelf: _Shelf, now: float) -> list[Deletion]:
        """What to delete in this round; leaves behind when to look again."""
        waiting = {name: pause.until for name, pause in shelf.pauses.items() if pause.until > now}
        free = {name: view for name, view in shelf.views.items() if name not in waiting} if waiting else shelf.views
        deletions, next_at = plan(free, self._rules(namespace), now)
        most = max(self._settings.at_least, math.ceil(len(deletions) / self._settings.parts))
        shelf.next_at = min(now if len(deletions) > most else next_at, *waiting.values(), math.inf)
        return deletions[:most]

    def _rules(self, namespace: str) -> Rules:
        names = self._registry.names(namespace)
        links = {name: self._registry.get(ObjectKey(namespace, name)) for name in names}
        environments = {name: Limits.of(link.spec.retention) if link else None for name, link in links.items()}
        return Rules(environments, self._registry.choose(namespace, None), self._settings.shards)

    # -- one deletion -------------------------------------------------------------------------------------------------

    async def _delete(self, namespace: str, chunk: list[Deletion]) -> None:
        chunk = await self._released(namespace, chunk)
        archived = await asyncio.gather(*(self._archived(ObjectKey(namespace, each.name), each) for each in chunk))
        ready = [each for each, done in zip(chunk, archived, strict=True) if done]
        ready = await self._recorded(namespace, ready)
        await asyncio.gather(*(self._remove(ObjectKey(namespace, each.name), each) for each in ready))

    async def _released(self, namespace: str, chunk: list[Deletion]) -> list[Deletion]:
        """Those of the chunk whose names no schedule needs any more."""
        by_schedule: dict[str, list[Deletion]] = {}
        for each in chunk:
            if each.view.scheduled:
                by_schedule.setdefault(each.view.schedule_uid, []).append(each)
        needed = await asyncio.gather(*(self._needed(namespace, jobs) for jobs in by_schedule.values()))
        held = set().union(*needed)
        return [each for each in chunk if each.name not in held]

    async def _needed(self, namespace: str, jobs: list[Deletion]) -> set[str]:
        """Which of these jobs of one schedule have to stay; asks at most once."""
        schedule = ObjectKey(namespace, jobs[0].view.schedule)
        latest = max(each.view.scheduled for each in jobs)
        try:
            async with self._slots:
                recorded = await self._owners.recorded(schedule, jobs[0].view.schedule_uid, at_least=latest)
        except KubeError as error:
            for each in jobs:
                self._failed(ObjectKey(namespace, each.name), error)
            return {each.name for each in jobs}
        needed = {each.name for each in jobs if each.view.scheduled > recorded}
        for name in needed:
            problem = f"the status of FluidSchedule {schedule} has not recorded the time of this job"
            self._postpone(ObjectKey(namespace, name), "schedule", problem)
        return needed

    async def _archived(self, key: ObjectKey, deletion: Deletion) -> bool:
        if self._archive is None:
            return True
        view = deletion.view
        try:
            async with self._slots:
                raw = await self._kube.get(FLUID_JOBS, key)
                meta = raw["metadata"]
                if (meta["uid"], meta["resourceVersion"]) != (view.uid, view.resource_version):
                    self._postpone(key, "changed", None)
                    return False
                await self._archive(raw)
        except KubeError as error:
            self._failed(key, error)
        except Exception as error:  # noqa: BLE001 - whatever the archive raises, the object was not archived
            self._postpone(key, "archive", error)
        else:
            return True
        return False

    async def _recorded(self, namespace: str, chunk: list[Deletion]) -> list[Deletion]:
        """Those of the chunk whose outcome stands in the ledger, or need not."""
        now = self._clock()
        entries = {each.name: entry_of(each.view, now) for each in chunk if each.view.once}
        if not entries:
            return chunk
        names = frozenset[str]()
        try:
            names = await self._ledger.record(namespace, entries)
        except KubeError as error:
            self._rest_if_away(error)
            for name in entries:
                self._postpone(ObjectKey(namespace, name), "ledger", error)
        else:
            for name in entries.keys() - names:
                self._postpone(ObjectKey(namespace, name), "ledger-full", None)
        return [each for each in chunk if not each.view.once or each.name in names]

    async def _remove(self, key: ObjectKey, deletion: Deletion) -> None:
        view = deletion.view
        try:
            async with self._slots:
                await self._kube.delete(FLUID_JOBS, key, uid=view.uid, resource_version=view.resource_version)
        except NotFound:
            self._drop(key, view)  # the watch is late, or somebody was faster
        except KubeError as error:
            self._failed(key, error)
            if isinstance(error, Conflict) and view.once:
                await self._take_back(key, view)
        else:
            self._drop(key, view)
            self._observer.deleted(deletion.why)

    def _drop(self, key: ObjectKey, view: JobView) -> None:
        """The object is gone, which the watch may tell later."""
        shelf = self._shelves.get(key.namespace)
        if shelf is not None:
            shelf.told.clear()
            if shelf.views.get(key.name) is view:
                self._forget(key)

    async def _take_back(self, key: ObjectKey, view: JobView) -> None:
        """An entry was written for an object that lives on. Where it does not (an earlier try went through, and its
        answer was lost), the entry holds."""
        try:
            raw = await self._kube.get(FLUID_JOBS, key)
        except KubeError:
            return
        if raw["metadata"]["uid"] == view.uid:
            self._ledger.void(key)

    # -- obstacles ----------------------------------------------------------------------------------------------------

    def _failed(self, key: ObjectKey, error: KubeError) -> None:
        """A request about an object has failed."""
        away = self._rest_if_away(error)
        self._postpone(key, "changed" if isinstance(error, Conflict) else "unanswered" if away else "refused", error)

    def _rest_if_away(self, error: KubeError) -> bool:
        """Whether the API server is busy or away, or not ours to write to; then leave it alone for a while."""
        if not error.retryable and not isinstance(error, NotLeader):
            return False
        wanted = error.retry_after if isinstance(error, ApiError) else None
        self._rest = max(self._rest, wanted or min(_LONGEST_REST, 2.0 ** min(self._outages, 10)))
        return True

    def _postpone(self, key: ObjectKey, obstacle: Obstacle, error: Exception | str | None) -> None:
        """Try again later; a change of the object ends the wait."""
        self._observer.postponed(obstacle)
        shelf = self._shelves.get(key.namespace)
        if shelf is None or key.name not in shelf.views:
            return
        failures = shelf.pauses[key.name].failures + 1 if key.name in shelf.pauses else 1
        until = self._clock() + min(_LONGEST_PAUSE, 2.0 ** min(failures - 1, 10))
        shelf.pauses[key.name] = _Pause(until, failures)
        shelf.next_at = min(shelf.next_at, until)
        passes = obstacle == "changed" or (obstacle == "schedule" and failures <= _PATIENCE)
        if not passes and obstacle not in shelf.told:
            shelf.told.add(obstacle)
            facts = {"namespace": key.namespace, "name": key.name, "obstacle": obstacle, "error": str(error or "")}
            log.warning("Finished FluidJobs cannot be deleted, will try again.", extra={"fields": facts})
