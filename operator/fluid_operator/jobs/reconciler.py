"""One look at one FluidJob: what does it ask for, what does the queue say, what is to be done and written?

Level-triggered: everything is read again each time, and events only decide when. Whatever is written comes from the
record in the queue. What
was done twice by accident (a crash between two steps, two hints for one change) does no harm, because ids make
enqueue, cancel and acknowledge
idempotent.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from typing import Any

from fluid_operator.api.conditions import Reason
from fluid_operator.api.fluidjob_status import Phase
from fluid_operator.environments.link import EnvironmentLink
from fluid_operator.environments.registry import DEFAULT, EnvironmentRegistry
from fluid_operator.jobs import payloads, preparation, status
from fluid_operator.jobs.pacing import Pacing
from fluid_operator.jobs.problems import Problem, ending, waiting
from fluid_operator.jobs.runs import Target, asks_to_cancel, target
from fluid_operator.jobs.sources import read_source
from fluid_operator.jobs.view import MAX_DEPTH, JobView, digest
from fluid_operator.jobs.writer import StatusWriter
from fluid_operator.kube.client import Kube
from fluid_operator.kube.errors import Conflict
from fluid_operator.kube.keys import ObjectKey
from fluid_operator.kube.workqueue import Again
from fluid_queue import WITHDRAWN, JobRecord, NewJob, QueueError, QueueFull, QueueUnavailable

log = logging.getLogger(__name__)

_RETRIES = 3
"""Looks at a fresh object after a conflict, before the work queue backs off."""

_STOPPING_SECONDS = 2.0
"""How soon to look again at a job that is being stopped, in case its worker never answers."""

_FULL_SECONDS = 5.0
"""How soon to try again while Redis is full."""

Telling = Callable[..., dict[str, Any]]
"""A status for (view, target, now=)."""

_ENQUEUED = frozenset({Phase.QUEUED.value, Phase.SCHEDULED.value, Phase.RETRYING.value, Phase.RUNNING.value})


@dataclass(frozen=True, slots=True)
class ReconcilerSettings:
    """Seconds."""

    unknown_type_grace: float = 600.0
    """How long a type may be missing from what the workers published, once they have published anything."""
    lease: float = 15.0
    """How long a job that was running when Redis lost its data is waited for before it is enqueued again."""


class Reconciler:
    """Holds no state of jobs; only memories of when something was first noticed."""

    def __init__(
        self,
        kube: Kube,
        registry: EnvironmentRegistry,
        writer: StatusWriter,
        pacing: Pacing,
        *,
        settings: ReconcilerSettings,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._kube = kube
        self._registry = registry
        self._writer = writer
        self._pacing = pacing
        self._settings = settings
        self._clock = clock
        self._noticed: dict[ObjectKey, dict[str, float]] = {}

    async def reconcile(self, key: ObjectKey, view: JobView) -> Again | None:
        """Bring one object and the queue into agreement, or say when to look again."""
        for _ in range(_RETRIES):
            try:
                return await self._look(key, view)
            except Conflict:
                fresh = await self._writer.refresh(key)
                if fresh is None or fresh.uid != view.uid:
                    return None
                view = fresh
            except QueueUnavailable as error:
                log.info("the queue is away; the job waits for it", extra=_facts(key, view, error=str(error)))
                return Again(1.0)
        return Again(0.5)

    def forget(self, key: ObjectKey) -> None:
        """The object has ended or is gone."""
        self._pacing.forget(key)
        self._noticed.pop(key, None)

    # -- one look -----------------------------------------------------------------------------------------------------

    async def _look(self, key: ObjectKey, view: JobView) -> Again | None:
        if view.settled:
            self.forget(key)
            return None
        wanted = target(view, view.spec)
        if wanted.known and view.terminal:
            await self._writer.touch(key, view, wanted, now=_now())
            return None
        if not wanted.known:
            view = await self._with_spec(key, view)
        bound = view.environment if wanted.known and view.job_id else ""
        name = bound or await self._place(key, view, wanted)
        link = self._registry.get(ObjectKey(key.namespace, name)) if name else None
        if link is None:
            return await self._without_link(key, view, wanted, bound)
        if link.available is None:
            return None  # it tells when it knows
        if not link.available:
            if view.phase not in _ENQUEUED:
                problem = waiting(Reason.QUEUE_UNAVAILABLE, f"environment {link.key.name}: {link.problem}")
                await self._refuse(key, view, wanted, problem)
            return None
        return await self._follow(key, view, wanted, link)

    async def _place(self, key: ObjectKey, view: JobView, wanted: Target) -> str | None:
        """The environment for a run that the status does not bind: the one that it is in all the same, because the
        object came to name another before that could be told, else the one that the object chooses."""
        chosen = self._registry.choose(key.namespace, _wish(view))
        others = [link for link in self._registry if link.key.namespace == key.namespace and link.key.name != chosen]
        for link in others:
            record = await _ask(link, wanted.job_id(view.uid))
            if record is None or record.reason == WITHDRAWN:
                continue
            if not record.ended or record.hash == wanted.hash:
                return link.key.name
        return chosen

    async def _without_link(self, key: ObjectKey, view: JobView, wanted: Target, bound: str) -> Again | None:
        """No environment that could be asked: the reason stands in the status, and the registry wakes us when there
        is one."""
        if asks_to_cancel(view, wanted) and bound not in self._registry.names(key.namespace):
            # A job in the Redis of an environment that is gone: should that come back, the resync cancels it there.
            return await self._end(key, view, status.cancelled_before(view, wanted, now=_now()))
        if view.phase in _ENQUEUED and bound in self._registry.names(key.namespace):
            return None  # it exists, and is just not open: what runs goes on, and its status stays
        await self._refuse(key, view, wanted, self._no_environment(key, bound or _wish(view)))
        return None

    def _no_environment(self, key: ObjectKey, wished: str | None) -> Problem:
        names = self._registry.names(key.namespace)
        if wished and wished in names:
            message = f"FluidEnvironment {wished} cannot be used yet; its status says why"
        elif wished:
            message = f"there is no FluidEnvironment {wished} in this namespace; the job waits for it"
        elif len(names) == 1:
            message = f"FluidEnvironment {names[0]} cannot be used yet; its status says why"
        elif names and DEFAULT in names:
            message = f"FluidEnvironment {DEFAULT} cannot be used yet; its status says why"
        elif names:
            message = f"spec.environment: name one of {', '.join(names)}; none of them is called {DEFAULT}"
        else:
            message = f"there is no FluidEnvironment in this namespace; create one called {DEFAULT}"
        return waiting(Reason.ENVIRONMENT_NOT_FOUND, message)

    async def _follow(self, key: ObjectKey, view: JobView, wanted: Target, link: EnvironmentLink) -> Again | None:
        """From the record of the run to the next step."""
        while True:
            record = await link.inspect(wanted.job_id(view.uid))
            if record is None:
                return await self._enqueue(key, view, wanted, link, None)
            withdrawn = record.ended and record.reason == WITHDRAWN
            if not withdrawn and (not record.ended or wanted.known or record.hash == wanted.hash):
                break
            # We took this number back ourselves, or a past that the API server has forgotten (restored from a backup)
            # has used it.
            wanted = wanted.after()
        if record.ended:
            return await self._tell(key, view, wanted, link, record)
        if asks_to_cancel(view, wanted):
            return await self._cancel(key, view, wanted, link, record)
        if not record.started_at and _outdated(record, view, wanted):
            return await self._enqueue(key, await self._with_spec(key, view), wanted, link, record)
        return await self._tell(key, view, wanted, link, record)

    # -- steps --------------------------------------------------------------------------------------------------------

    async def _enqueue(
        self, key: ObjectKey, view: JobView, wanted: Target, link: EnvironmentLink, old: JobRecord | None
    ) -> Again | None:
        """Put the run into the queue, unless something is in the way. `old` waits there with an outdated spec."""
        if old is None and asks_to_cancel(view, wanted):
            return await self._end(key, view, status.cancelled_before(view, wanted, now=_now()))
        view = await self._with_spec(key, view)
        if old is None and (left := self._still_running(key, view, wanted, link)) > 0:
            return Again(left)
        if self._leaves(key, view, link):
            told = self._elsewhere(key, view)
        elif view.suspend:
            told = status.held
        else:
            try:
                return await self._send(key, view, wanted, link, await self._prepare(key, view, wanted, link))
            except Problem as problem:
                told = partial(status.refused, problem=problem)
        return await self._instead(key, view, wanted, link, old, told)

    def _leaves(self, key: ObjectKey, view: JobView, link: EnvironmentLink) -> bool:
        """Whether the spec has come to name another environment than the one that the run is bound to."""
        return self._registry.choose(key.namespace, _wish(view)) != link.key.name

    def _elsewhere(self, key: ObjectKey, view: JobView) -> Telling:
        chosen = self._registry.choose(key.namespace, _wish(view))
        problem = self._no_environment(key, _wish(view))
        return partial(status.refused, problem=problem) if chosen is None else partial(status.moved, environment=chosen)

    async def _instead(
        self,
        key: ObjectKey,
        view: JobView,
        wanted: Target,
        link: EnvironmentLink,
        old: JobRecord | None,
        told: Telling,
    ) -> Again | None:
        """The spec cannot be enqueued here and now: take out what waits for an outdated one, and say why."""
        if old is not None:
            if await link.withdraw(old.id) != "cancelled":
                return Again(0.0)  # it has just started, and comes to its end first
            await link.acknowledge(old.id)
        if old is not None or (view.job_id and self._leaves(key, view, link)):
            # The number stays with what was taken out; its tombstone answers for it.
            wanted = wanted.after()
        body = told(view, wanted, now=_now())
        if Phase(body["phase"]).terminal:
            log.info("refused", extra=_facts(key, view, reason=body["conditions"][0]["reason"]))
            return await self._end(key, view, body)
        await self._write(key, view, body)
        problem = told.keywords.get("problem") if isinstance(told, partial) else None
        if problem is None:
            return Again(0.0) if self._leaves(key, view, link) else None
        return Again(problem.again) if problem.again else None

    async def _send(
        self, key: ObjectKey, view: JobView, wanted: Target, link: EnvironmentLink, job: NewJob
    ) -> Again | None:
        try:
            answer = await link.enqueue(job)
        except QueueFull as error:
            raise waiting(
                Reason.QUEUE_UNAVAILABLE, f"environment {link.key.name}: {error}", again=_FULL_SECONDS
            ) from error
        if answer.code == "limited":
            wait = max(0.1, answer.wait_seconds)
            message = f"queue {job.queue or job.type} takes no more new jobs for the moment"
            raise waiting(Reason.CREATION_RATE_LIMITED, message, again=wait)
        self._noticed.pop(key, None)
        log.info("enqueued", extra=_facts(key, view, job=job.id, answer=answer.code))
        if answer.code in ("finished", "duplicate"):
            return Again(0.0)  # it has ended already: the next look tells
        phase = Phase.SCHEDULED if answer.state == "delayed" else Phase.QUEUED
        return Again(max(0.01, self._pacing.wait(key, phase.value, self._clock(), first=True)))

    def _still_running(self, key: ObjectKey, view: JobView, wanted: Target, link: EnvironmentLink) -> float:
        """Seconds for which a worker may still run a job whose record was lost; it learns of the loss at its next
        renewal."""
        if not wanted.known or not view.attempts:
            return 0.0
        now = self._clock()
        since = max(link.lost_at or 0.0, self._notice(key, "missing", now))
        return since + self._settings.lease - now

    async def _prepare(self, key: ObjectKey, view: JobView, wanted: Target, link: EnvironmentLink) -> NewJob:
        """The job for the queue. Raises a Problem."""
        if view.too_deep:
            raise ending(Reason.INVALID_PAYLOAD, f"spec: nested in more than {MAX_DEPTH} levels")
        spec = preparation.read_spec(view.spec or {})
        known = link.types.get(spec.type)
        if known is None:
            raise self._unknown_type(key, spec.type, link)
        payload: Mapping[str, Any] = dict(spec.payload or {})
        payloads.check_size(payload, payloads.MAX_BYTES, "spec.payload")
        if spec.payload_from:
            payload = {**payload, **await read_source(self._kube, key.namespace, spec.payload_from)}
            payloads.check_size(payload, payloads.MAX_MERGED_BYTES, "spec.payloadFrom")
        payloads.check_payload(payload, known, secret=spec.payload_from is not None)
        effective = preparation.resolve(spec, link.spec, known)
        seed = _seed(view) if wanted.known else (0, 0)
        return preparation.new_job(key, view, wanted, link.key.name, spec, effective, payload, seed=seed)

    async def _with_spec(self, key: ObjectKey, view: JobView) -> JobView:
        """The same view with its spec, which memory does not keep for a job that is under way. Raises Conflict when the
        object changed."""
        if view.spec is not None:
            return view
        return replace(view, spec=await self._writer.read_spec(key, view))

    def _unknown_type(self, key: ObjectKey, kind: str, link: EnvironmentLink) -> Problem:
        known = ", ".join(sorted(link.types)) or "none yet"
        if link.types_since is None:
            message = f"spec.type: no worker of environment {link.key.name} has told yet which types it can run"
            return waiting(Reason.TYPE_NOT_YET_KNOWN, message)
        now = self._clock()
        since = max(link.types_since, self._notice(key, f"type {kind}", now))
        left = since + self._settings.unknown_type_grace - now
        message = f"spec.type: no worker of environment {link.key.name} can run {kind}; known: {known}"
        if left > 0:
            return waiting(Reason.TYPE_NOT_YET_KNOWN, message, again=left)
        return ending(Reason.UNKNOWN_TYPE, message)

    def _notice(self, key: ObjectKey, what: str, now: float) -> float:
        """When this was first noticed about the object; now, if it was not."""
        return self._noticed.setdefault(key, {}).setdefault(what, now)

    async def _cancel(
        self, key: ObjectKey, view: JobView, wanted: Target, link: EnvironmentLink, record: JobRecord
    ) -> Again | None:
        code = await link.cancel(record.id)
        after = await link.inspect(record.id)
        log.info("cancelled", extra=_facts(key, view, job=record.id, answer=code))
        if after is None:
            return Again(0.0)
        again = await self._tell(key, view, wanted, link, after)
        return again or (None if after.ended else Again(_STOPPING_SECONDS))

    async def _tell(
        self, key: ObjectKey, view: JobView, wanted: Target, link: EnvironmentLink, record: JobRecord
    ) -> Again | None:
        """Write what the record says: an end at once, anything else when it is due."""
        told = status.fold(view, wanted, record, now=_now(), workers=link.workers)
        if record.ended:
            again = await self._end(key, view, told)
            await link.acknowledge(record.id)
            return again
        if digest(told) == view.digest:
            return None
        if wait := self._pacing.wait(key, told["phase"], self._clock(), first=record.attempt <= 1):
            return Again(wait)
        await self._write(key, view, told)
        return None

    async def _refuse(self, key: ObjectKey, view: JobView, wanted: Target, problem: Problem) -> None:
        """Say what an unfinished run waits for."""
        await self._write(key, view, status.refused(view, wanted, problem, now=_now()))

    async def _end(self, key: ObjectKey, view: JobView, told: Mapping[str, Any]) -> Again | None:
        """Write a terminal status; what the object asks for beyond this run is looked at next."""
        after = await self._writer.write(key, view, told)
        self.forget(key)
        return None if after.settled else Again(0.0)

    async def _write(self, key: ObjectKey, view: JobView, told: Mapping[str, Any]) -> None:
        if digest(told) != view.digest:
            await self._writer.write(key, view, told)
            self._pacing.written(key, told["phase"], self._clock())


async def _ask(link: EnvironmentLink, job_id: str) -> JobRecord | None:
    """The record in an environment that the object does not name; whether it can be asked is no matter of the job's."""
    try:
        return await link.inspect(job_id) if link.available else None
    except QueueError:
        return None


def _seed(view: JobView) -> tuple[int, int]:
    """Where a run goes on whose record was lost: its attempts, and how many of them are known to have failed."""
    failed = view.attempts if view.phase == Phase.RETRYING.value else view.attempts - 1
    return view.attempts, max(0, failed)


def _wish(view: JobView) -> str | None:
    return (view.spec or {}).get("environment") or None


def _outdated(record: JobRecord, view: JobView, wanted: Target) -> bool:
    """Whether the object has changed in any way since this job was enqueued for it."""
    return record.hash != wanted.hash or record.origin.get("generation", 0) < view.generation


def _facts(key: ObjectKey, view: JobView, **more: str) -> dict[str, Any]:
    """What a log line says of an object; under `fields`, because a plain extra may not be called `name`."""
    return {"fields": {"namespace": key.namespace, "name": key.name, "uid": view.uid, **more}}


def _now() -> datetime:
    return datetime.now(UTC)
