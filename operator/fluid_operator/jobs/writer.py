"""The one place that writes the status of a FluidJob: as the leader, onto the version that was read, as a whole.

A JSON Patch, because a merge would mix the maps of this run (result, error) with those of the last, and a PUT of the
status alone would take labels and annotations away from their owners. Replacing metadata.resourceVersion makes the API
server refuse a stale write with 409; the test of the uid refuses a re-created object.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from fluid_operator.jobs import status
from fluid_operator.jobs.runs import Target
from fluid_operator.jobs.view import JobView, project
from fluid_operator.kube.client import JSON_PATCH, Json, Kube
from fluid_operator.kube.errors import Conflict, Invalid, NotFound
from fluid_operator.kube.keys import FLUID_JOBS, ObjectKey

log = logging.getLogger(__name__)

_CHOSEN_BY_WORKERS = frozenset({"effective", "attemptHistory", "progress", "result", "error", "worker"})


class StatusWriter:
    """`kube` must be guarded: it asks before each write whether this replica leads. `observe` gets each answer of
    the API
    server, so that the cache knows it before the watch does; `written` gets the object as it was and its new status."""

    def __init__(
        self,
        kube: Kube,
        observe: Callable[[Json], None],
        written: Callable[[ObjectKey, JobView, Mapping[str, Any]], None] = lambda key, before, body: None,
    ) -> None:
        self._kube = kube
        self._observe = observe
        self._written = written

    async def write(self, key: ObjectKey, view: JobView, body: Mapping[str, Any]) -> JobView:
        """Replace the status of exactly this version. Raises Conflict when the object is another by now, NotLeader,
        or a KubeError."""
        if view.terminal and body.get("run") == view.run and body["phase"] != view.phase:
            raise AssertionError(f"{key}: {view.phase} of run {view.run} never becomes {body['phase']}")
        try:
            answer = await self._send(key, view, body)
        except Invalid as error:
            await self._same(key, view)  # a failed test of the uid is refused with the same code, and without a word
            # Something that a worker chose does not fit this CRD. The end of a job must be told all the same.
            log.error("The API server refuses a status, will leave out what workers chose.", extra=_facts(key, error))
            lean = {name: value for name, value in body.items() if name not in _CHOSEN_BY_WORKERS}
            answer = await self._send(key, view, lean)
        self._observe(answer)
        self._written(key, view, body)
        return project(answer)

    async def _send(self, key: ObjectKey, view: JobView, body: Mapping[str, Any]) -> Json:
        patch = [
            {"op": "test", "path": "/metadata/uid", "value": view.uid},
            {"op": "replace", "path": "/metadata/resourceVersion", "value": view.resource_version},
            {"op": "add", "path": "/status", "value": body},
        ]
        try:
            return await self._kube.patch(
                FLUID_JOBS, key, patch, subresource="status", content_type=JSON_PATCH, wait_if_throttled=True
            )
        except NotFound as error:
            raise _another(key) from error

    async def touch(self, key: ObjectKey, view: JobView, wanted: Target, *, now: datetime) -> None:
        """Say on a finished object that its new generation and request were seen, and changed nothing."""
        raw = await self._same(key, view)
        await self.write(key, view, status.touched(raw["status"], view, wanted, now=now))

    async def read_spec(self, key: ObjectKey, view: JobView) -> Mapping[str, Any]:
        """The raw spec of exactly this version. Raises Conflict when the object is another by now."""
        raw = await self._same(key, view)
        spec: Mapping[str, Any] = raw["spec"]
        return spec

    async def read_status(self, key: ObjectKey, view: JobView) -> Mapping[str, Any]:
        """The raw status of exactly this version, for what memory does not keep. Raises Conflict when the object is
        another by now."""
        raw = await self._same(key, view)
        status: Mapping[str, Any] = raw.get("status") or {}
        return status

    async def _same(self, key: ObjectKey, view: JobView) -> Json:
        try:
            raw = await self._kube.get(FLUID_JOBS, key)
        except NotFound as error:
            raise _another(key) from error
        meta = raw["metadata"]
        if (meta["uid"], meta["resourceVersion"]) != (view.uid, view.resource_version):
            raise _another(key)
        return raw

    async def refresh(self, key: ObjectKey) -> JobView | None:
        """The object as it is now, told to the cache too; None when it is gone."""
        try:
            raw = await self._kube.get(FLUID_JOBS, key)
        except NotFound:
            return None
        self._observe(raw)
        return project(raw)


def _another(key: ObjectKey) -> Conflict:
    """The object is not the one that was read: it was changed, re-created or deleted meanwhile."""
    return Conflict(409, "Conflict", "the object has changed", FLUID_JOBS.path(*key))


def _facts(key: ObjectKey, error: Invalid) -> dict[str, Any]:
    return {"fields": {"namespace": key.namespace, "name": key.name, "error": error.message[:500]}}
