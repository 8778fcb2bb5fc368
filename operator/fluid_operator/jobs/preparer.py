"""From an object to the job for the queue: reads what the spec refers to, holds it against the processor's schema.

Everything that stands in the way is a Problem, which says whether waiting can help.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from fluid_operator.api.conditions import Reason
from fluid_operator.api.fluidjob import FluidJobSpec
from fluid_operator.api.fluidjob_status import Phase
from fluid_operator.environments.link import EnvironmentLink
from fluid_operator.environments.types import KnownType
from fluid_operator.jobs import payloads, preparation
from fluid_operator.jobs.preparation import Order
from fluid_operator.jobs.problems import NothingToRun, ending, waiting
from fluid_operator.jobs.runs import Target, goes_on, holds, retries
from fluid_operator.jobs.sources import read_items, read_object
from fluid_operator.jobs.view import MAX_DEPTH, JobView
from fluid_operator.jobs.writer import StatusWriter
from fluid_operator.kube.client import Kube
from fluid_operator.kube.keys import ObjectKey
from fluid_queue import JobRecord, NewJob


class Preparer:
    """Reads through `kube`; remembers only since when a type is missing."""

    def __init__(
        self,
        kube: Kube,
        writer: StatusWriter,
        *,
        unknown_type_grace: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`unknown_type_grace`: seconds for which a type may be missing from what the workers published."""
        self._kube = kube
        self._writer = writer
        self._grace = unknown_type_grace
        self._clock = clock
        self._missing: dict[ObjectKey, tuple[str, float]] = {}

    def forget(self, key: ObjectKey) -> None:
        """The object has ended or is gone."""
        self._missing.pop(key, None)

    async def prepare(
        self, key: ObjectKey, view: JobView, wanted: Target, link: EnvironmentLink, old: JobRecord | None
    ) -> NewJob:
        """The job for the queue; `old` waits there for an outdated spec. Raises a Problem, or
        NothingToRun."""
        if view.too_deep:
            raise ending(Reason.INVALID_PAYLOAD, f"spec: nested in more than {MAX_DEPTH} levels")
        spec = preparation.read_spec(view.spec or {})
        known = self._known(key, spec.type, link)
        payload, items = await self._work(key, spec, known)
        if not items and (field := _asks_for_none(spec)):
            raise NothingToRun(field)
        effective = preparation.resolve(spec, link.spec, known, once=view.once, fired=view.fired)
        order = Order(
            payload,
            items,
            completed=preparation.within(
                await self._completed(view, wanted, spec, link, old), len(items) or spec.completions or 0
            ),
            seed=_seed(view) if wanted.known and goes_on(view, wanted) and old is None else (0, 0),
            start_by=None if preparation.has_started(view, wanted) else _start_by(view, wanted, spec, old),
            held=holds(view, wanted),
        )
        return preparation.new_job(key, view, wanted, link.key.name, spec, effective, order)

    async def _work(
        self, key: ObjectKey, spec: FluidJobSpec, known: KnownType
    ) -> tuple[Mapping[str, Any], Sequence[Mapping[str, Any]]]:
        """The payload and the items, both checked."""
        payload: Mapping[str, Any] = dict(spec.payload or {})
        payloads.check_size(payload, payloads.MAX_BYTES, "spec.payload")
        if spec.payload_from:
            payload = {**payload, **await read_object(self._kube, key.namespace, spec.payload_from)}
            payloads.check_size(payload, payloads.MAX_MERGED_BYTES, "spec.payloadFrom")
        items: Sequence[Mapping[str, Any]] = spec.items or ()
        payloads.check_size(items, payloads.MAX_ITEMS_BYTES, "spec.items")
        if spec.items_from:
            items = await read_items(self._kube, key.namespace, spec.items_from)
        secret = spec.payload_from is not None or spec.items_from is not None
        if items:
            field = "spec.items" if spec.items else "spec.itemsFrom"
            await payloads.check_items(items, payload, known, secret=secret, at=field)
        else:
            payloads.check_payload(payload, known, secret=secret)
        return payload, items

    async def _completed(
        self, view: JobView, wanted: Target, spec: FluidJobSpec, link: EnvironmentLink, old: JobRecord | None
    ) -> str:
        """Indexes that the run that is retried, or this very work before its record was lost, has completed. When only
        the status is left of it, it may tell a part of them; the others run again."""
        if old is not None and old.hash == wanted.hash:
            return ""  # the queue knows better, and keeps also what has failed
        has_indexes = spec.completions or spec.items or spec.items_from
        if not has_indexes or not goes_on(view, wanted):
            return ""
        if view.job_id and retries(view, wanted):
            return (await link.queue.indexes(view.job_id, limit=None)).completed or view.completed
        return view.completed

    def _known(self, key: ObjectKey, kind: str, link: EnvironmentLink) -> KnownType:
        """What the workers told about the type. Raises a Problem."""
        if found := link.types.get(kind):
            self._missing.pop(key, None)
            return found
        if link.types_since is None:
            message = f"spec.type: not every image of environment {link.key.name} has told yet which types it can run"
            raise waiting(Reason.TYPE_NOT_YET_KNOWN, message)
        now = self._clock()
        missing, noticed = self._missing.get(key, (kind, now))
        if missing != kind:
            noticed = now
        self._missing[key] = kind, noticed
        left = max(link.types_since, noticed) + self._grace - now
        known = ", ".join(sorted(link.types)) or "none yet"
        message = f"spec.type: no worker of environment {link.key.name} can run {kind}; known: {known}"
        if left > 0:
            raise waiting(Reason.TYPE_NOT_YET_KNOWN, message, again=left)
        raise ending(Reason.UNKNOWN_TYPE, message)


def _asks_for_none(spec: FluidJobSpec) -> str:
    """The field by which a job without items says that it has no index; empty for a plain job."""
    if spec.completions == 0:
        return "spec.completions"
    if spec.items is not None:
        return "spec.items"
    return "spec.itemsFrom" if spec.items_from is not None else ""


def _start_by(view: JobView, wanted: Target, spec: FluidJobSpec, old: JobRecord | None) -> datetime | None:
    asked = preparation.asked_at(view, wanted, datetime.now(UTC))
    if old:
        asked = min(asked, datetime.fromtimestamp(old.created_at / 1000, UTC))
    return preparation.starts_by(view, wanted, spec, asked)


def _seed(view: JobView) -> tuple[int, int]:
    """Where a run goes on whose record was lost: its attempts, and how many of them are known to have failed."""
    failed = view.attempts if view.phase == Phase.RETRYING.value else view.attempts - 1
    return view.attempts, max(0, failed)
