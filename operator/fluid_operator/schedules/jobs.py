"""The FluidJobs of schedules: a cache of all of them, by owner, and a question to the API server where a cache will not
do.

An informer of its own, because one shard looks after the schedules and every shard has some of their jobs. What a
cache knows is always a little old; whoever is about to run two jobs at once, or to skip one, asks for a list that
begins after the question.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Final

from fluid_operator.jobs.view import TERMINAL, JobView, project
from fluid_operator.kube.client import Json, Kube
from fluid_operator.kube.informer import Informer
from fluid_operator.kube.keys import FLUID_JOBS, ObjectKey
from fluid_operator.timetables.creation import SCHEDULE_LABEL

_ACTIVE: Final = {
    "labelSelector": SCHEDULE_LABEL,
    "fieldSelector": ",".join(f"status.phase!={phase}" for phase in sorted(TERMINAL)),
}
_PAGE: Final = 500

Jobs = Mapping[str, JobView]
"""By name."""

_NONE: Final[Jobs] = {}


class ScheduleJobs:
    """`run` must be awaited. `wake` is called with the key of a schedule when one of its jobs came, ended or went."""

    def __init__(self, kube: Kube, wake: Callable[[ObjectKey], None], *, namespaces: Sequence[str] = ()) -> None:
        """Follow the jobs of these namespaces, or of all when none is given."""
        self._kube = kube
        self._wake = wake
        self._by_owner: dict[tuple[str, str], dict[str, JobView]] = {}
        """By namespace and uid: an owner elsewhere is none, whatever a reference says."""
        self._informer: Informer[JobView] = Informer(
            kube,
            FLUID_JOBS,
            project=_project,
            on_change=self._changed,
            namespaces=namespaces,
            selectors={"labelSelector": SCHEDULE_LABEL},
        )
        self._silent = False
        self._asked: dict[str, asyncio.Task[dict[str, dict[str, JobView]]]] = {}
        """Lists that have not begun, by namespace."""
        self._lists: set[asyncio.Task[dict[str, dict[str, JobView]]]] = set()
        """Lists that have not ended. They are shared, so nobody who waits for one may cancel it."""
        self._reading: dict[str, asyncio.Lock] = {}

    async def run(self) -> None:
        """Follow until cancelled."""
        try:
            await self._informer.run()
        finally:
            for task in self._lists:
                task.cancel()

    def knows(self, namespace: str) -> bool:
        """Whether every job of this namespace is known."""
        return self._informer.knows(namespace)

    def of(self, namespace: str, uid: str) -> Jobs:
        """What is known of the jobs of a schedule."""
        return self._by_owner.get((namespace, uid), _NONE)

    async def active(self, namespace: str, uid: str) -> Jobs:
        """The jobs of a schedule that have not ended, as the API server has them now. Raises a KubeError."""
        task = self._asked.get(namespace)
        if task is None:
            task = self._asked[namespace] = asyncio.create_task(self._read(namespace))
            self._lists.add(task)
            task.add_done_callback(self._listed)
        return (await asyncio.shield(task)).get(uid, _NONE)

    def observe(self, raw: Json) -> None:
        """Take the answer to a write of our own, and wake nobody for it."""
        self._silent = True
        try:
            self._informer.observe(raw)
        finally:
            self._silent = False

    async def _read(self, namespace: str) -> dict[str, dict[str, JobView]]:
        """List the active jobs of a namespace, after the list that is under way: all who ask meanwhile share this one,
        so that a thousand schedules that are due together cost two lists."""
        async with self._reading.setdefault(namespace, asyncio.Lock()):
            del self._asked[namespace]
            found: dict[str, dict[str, JobView]] = {}
            token = ""
            while True:
                page = await self._kube.list_page(
                    FLUID_JOBS, namespace, limit=_PAGE, continue_token=token, selectors=_ACTIVE
                )
                for raw in page.items:
                    view = _project(raw)
                    found.setdefault(view.schedule_uid, {})[raw["metadata"]["name"]] = view
                token = page.continue_token
                if not token:
                    return found

    def _listed(self, task: asyncio.Task[dict[str, dict[str, JobView]]]) -> None:
        self._lists.discard(task)
        if not task.cancelled():
            task.exception()  # whoever waits for it is told; at the end of a term nobody does

    def _changed(self, key: ObjectKey, old: JobView | None, new: JobView | None) -> None:
        if old is not None and (new is None or new.schedule_uid != old.schedule_uid):
            self._forget(key, old)
        if new is not None and new.schedule_uid:
            self._by_owner.setdefault((key.namespace, new.schedule_uid), {})[key.name] = new
        if not self._silent and (old is None or new is None or old.terminal != new.terminal):
            view = new or old
            if view is not None and view.schedule:
                self._wake(ObjectKey(key.namespace, view.schedule))

    def _forget(self, key: ObjectKey, view: JobView) -> None:
        owner = key.namespace, view.schedule_uid
        jobs = self._by_owner.get(owner)
        if jobs is not None:
            jobs.pop(key.name, None)
            if not jobs:
                del self._by_owner[owner]


def _project(raw: Json) -> JobView:
    """A view without the spec, which nobody here looks at."""
    return project({**raw, "spec": {}})


def unfinished(jobs: Jobs) -> dict[str, JobView]:
    """Those that have not ended."""
    return {name: view for name, view in jobs.items() if not view.terminal}


def counted(jobs: Jobs) -> dict[str, JobView]:
    """Those that stand in the way of another: not the ones that somebody created by hand, unless he asked for it."""
    return {name: view for name, view in jobs.items() if not view.by_hand or view.counted}
