"""One look at one FluidJob: what does it ask for, what does the queue say, what is to be done and written?

Level-triggered: everything is read again each time, and events only decide when. Whatever is written comes from the
record in the queue. What
was done twice by accident (a crash between two steps, two hints for one change) does no harm, because ids make
enqueue, cancel and acknowledge
idempotent.
"""

from __future__ import annotations

import contextlib
import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from typing import Any

from fluid_operator.api.conditions import Reason
from fluid_operator.api.fluidjob import FluidJobSpec
from fluid_operator.api.fluidjob_status import Phase
from fluid_operator.environments.link import EnvironmentLink
from fluid_operator.environments.registry import EnvironmentRegistry
from fluid_operator.jobs import preparation, status
from fluid_operator.jobs.ledger import Ledger, mirrored
from fluid_operator.jobs.line import CreationLine, Place
from fluid_operator.jobs.pacing import Pacing
from fluid_operator.jobs.placing import Placing, Telling, wish
from fluid_operator.jobs.preparer import Preparer
from fluid_operator.jobs.problems import NothingToRun, Problem, ending, waiting
from fluid_operator.jobs.runs import Target, asks_to_cancel, holds, target
from fluid_operator.jobs.states import state_of
from fluid_operator.jobs.view import JobView, digest
from fluid_operator.jobs.writer import StatusWriter
from fluid_operator.kube.client import Kube
from fluid_operator.kube.errors import Conflict
from fluid_operator.kube.keys import ObjectKey
from fluid_operator.kube.workqueue import Again
from fluid_queue import WITHDRAWN, JobRecord, NewJob, QueueFull, QueueUnavailable

log = logging.getLogger(__name__)

_RETRIES = 3
"""Looks at a fresh object after a conflict, before the work queue backs off."""

_STOPPING_SECONDS = 2.0
"""How soon to look again at a job that is being stopped, in case its worker never answers."""

_FULL_SECONDS = 5.0
"""How soon to try again while Redis is full."""

_UNDER_WAY = frozenset({"active", "waiting-children"})
"""States of a record in which work is being done."""

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
        ledger: Ledger,
        wake: Callable[[ObjectKey], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`wake` is called with the key of an object that is worth another look now."""
        self._registry = registry
        self._placing = Placing(registry)
        self._writer = writer
        self._pacing = pacing
        self._settings = settings
        self._ledger = ledger
        self._clock = clock
        self._missing: dict[ObjectKey, float] = {}
        """Since when the record of a job is gone that somebody may still run."""
        self._preparer = Preparer(kube, writer, unknown_type_grace=settings.unknown_type_grace, clock=clock)
        self._line = CreationLine(wake)

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
        self._preparer.forget(key)
        self._missing.pop(key, None)
        self._line.leave(key)

    # -- one look -----------------------------------------------------------------------------------------------------

    async def _look(self, key: ObjectKey, view: JobView) -> Again | None:
        if view.settled:
            self.forget(key)
            return None
        wanted = target(view, view.spec)
        if wanted.known and view.terminal:
            if self._placing.silent(key, view):
                return None  # what is ahead of the status cannot be asked for now; the registry wakes us
            following = await self._placing.ahead(key, view, wanted)
            if following is None:
                await self._writer.touch(key, view, wanted, now=_now())
                return None
            wanted = following
        if view.once and view.run == 0 and (entry := await self._ledger.lookup(key, wanted.hash)):
            return await self._end(key, view, mirrored(view, wanted, entry, now=_now()))
        if not wanted.known:
            view = await self._with_spec(key, view)
        bound = view.environment if wanted.known and view.job_id else ""
        name = bound or await self._placing.place(key, view, wanted)
        link = self._registry.get(ObjectKey(key.namespace, name)) if name else None
        if link is None:
            return await self._without_link(key, view, wanted, bound)
        if link.available is None:
            return None  # it tells when it knows
        if not link.available:
            if link.leaving:
                return None  # it tells when it has been left
            if view.phase not in _ENQUEUED and not (view.phase == Phase.SUSPENDED and holds(view, wanted)):
                problem = waiting(Reason.QUEUE_UNAVAILABLE, f"environment {link.key.name}: {link.problem}")
                await self._refuse(key, view, wanted, problem)
            return None
        return await self._follow(key, view, wanted, link)

    async def _without_link(self, key: ObjectKey, view: JobView, wanted: Target, bound: str) -> Again | None:
        """No environment that could be asked: the reason stands in the status, and the registry wakes us when there
        is one."""
        if asks_to_cancel(view, wanted) and bound not in self._registry.names(key.namespace):
            # A job in the Redis of an environment that is gone: should that come back, the resync cancels it there.
            return await self._end(key, view, status.cancelled_before(view, wanted, now=_now()))
        if view.phase in _ENQUEUED and bound in self._registry.names(key.namespace):
            return None  # it exists, and is just not open: what runs goes on, and its status stays
        # A job that is in a queue which cannot be asked may have started long ago.
        clears = self._registry.clears_in(ObjectKey(key.namespace, bound)) if bound else None
        if clears == 0.0:
            return await self._free(key, view, wanted)
        unbound = not bound and not self._registry.names(key.namespace)
        left = self._until_too_late(view, wanted) if unbound else None
        if left == 0.0:
            return await self._end(key, view, status.refused(view, wanted, _too_late(view), now=_now()))
        await self._refuse(key, view, wanted, self._placing.no_environment(key, bound or wish(view)))
        return _soonest(left, clears)

    async def _follow(self, key: ObjectKey, view: JobView, wanted: Target, link: EnvironmentLink) -> Again | None:
        """From the record of the run to the next step."""
        while True:
            record = await link.inspect(wanted.job_id(view.uid))
            if record is None and link.leaving:
                return await self._free(key, view, wanted)
            if record is None:
                return await self._enqueue(key, view, wanted, link, None)
            withdrawn = record.ended and record.reason == WITHDRAWN
            if not withdrawn and (wanted.known or record.hash == wanted.hash or not record.acknowledged):
                break  # also one that ended before anything could be told of it: each run has an outcome
            # We took this number back ourselves, or a past that the API server has forgotten (restored from a backup)
            # has used it.
            wanted = wanted.after()
        if record.ended:
            return await self._tell(key, view, wanted, link, record)
        if asks_to_cancel(view, wanted):
            return await self._cancel(key, view, wanted, link, record)
        if link.leaving:
            return await self._leave(key, view, wanted, link, record)
        if not record.started_at and _outdated(record, view, wanted):
            if record.hash != wanted.hash and (record.begun or record.epoch):
                return await self._take_back(link, record)
            return await self._enqueue(key, await self._with_spec(key, view), wanted, link, record)
        record = await self._adjust(view, wanted, link, record)
        return await self._tell(key, view, wanted, link, record)

    async def _leave(
        self, key: ObjectKey, view: JobView, wanted: Target, link: EnvironmentLink, record: JobRecord
    ) -> Again | None:
        """The environment is gone: what runs there comes to its end. Anything else is held there, so that it cannot
        start any more, and may go elsewhere."""
        if record.state in _UNDER_WAY:
            if holds(view, wanted) and not record.stopping:
                await link.suspend(record.id)
            return await self._tell(key, view, wanted, link, record)
        if record.state != "suspended" and await link.suspend(record.id) != "suspended":
            return Again(0.0)  # it has just started
        # An attempt that was handed back does not count in the record, but it has started.
        return await self._free(key, replace(view, attempts=max(view.attempts, record.attempt)), wanted)

    async def _free(self, key: ObjectKey, view: JobView, wanted: Target) -> Again:
        """Nothing of the run can go on where it was: it belongs to no environment, until there is one for it. It keeps
        its number, and so its idempotency key."""
        if view.attempts or view.phase == Phase.RUNNING:
            self._missing.setdefault(key, self._clock())
        view = await self._with_spec(key, view)
        if view.attempts and wanted.hash != view.spec_hash:
            wanted = wanted.after()  # what was done outside under this number was done for another spec
        told = self._placing.elsewhere(key, view)
        await self._write(key, view, told(replace(view, job_id="", environment=""), wanted, now=_now()))
        return Again(0.0)

    async def _adjust(self, view: JobView, wanted: Target, link: EnvironmentLink, record: JobRecord) -> JobRecord:
        """Make a job that may have started what the object asks for without asking for another run. Answers the record
        as it is then."""
        hold, stopped = holds(view, wanted), record.state == "suspended" or record.stopping
        if hold and not stopped:
            await link.suspend(record.id)
        elif stopped and not hold:
            await link.resume(record.id)
        elif view.spec is not None and record.hash == wanted.hash and _outdated(record, view, wanted):
            await _take_over(link, record, preparation.read_spec(view.spec))
        else:
            return record
        return await link.inspect(record.id) or record

    async def _take_back(self, link: EnvironmentLink, record: JobRecord) -> Again:
        """An attempt was made for another spec before the job came to be held. Whatever it did outside stands under
        this id, which is the job's idempotency key: so the number is spent, and the next look takes the one after it.
        """
        if await link.withdraw(record.id) == "cancelled":
            await link.acknowledge(record.id)
        return Again(0.0)

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
        # The queue knows of a job that is in it whether it started in time, before it came to be held.
        if old is None and self._until_too_late(view, wanted) == 0.0:
            told: Telling = partial(status.refused, problem=_too_late(view))
        elif (old is None or old.hash != wanted.hash) and self._placing.leaves(key, view, link):
            told = self._placing.elsewhere(key, view)
        elif old is None and holds(view, wanted):
            told = status.held
        else:
            try:
                if link.held:
                    raise waiting(Reason.REDIS_CHANGING, link.held)
                job = await self._preparer.prepare(key, view, wanted, link, old)
                return await self._send(key, view, link, job, old)
            except NothingToRun as nothing:
                told = partial(status.nothing_to_do, field=nothing.field)
            except Problem as met:
                if old is not None and old.hash == wanted.hash and not met.terminal:
                    # It is the same work, which would begin anew: it goes on until its settings can be renewed.
                    old = await self._adjust(view, wanted, link, old)
                    return await self._tell(key, view, wanted, link, old) or Again(met.again or _FULL_SECONDS)
                told = partial(status.refused, problem=met)
        problem = _problem(told)
        if problem is None or problem.reason != Reason.CREATION_RATE_LIMITED:
            self._line.leave(key)  # whatever it waits for, it is not its turn
        return await self._instead(key, view, wanted, link, old, told)

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
        if old is not None or (view.job_id and self._placing.leaves(key, view, link)):
            # The number stays with what was taken out; its tombstone answers for it.
            wanted = wanted.after()
        body = told(view, wanted, now=_now())
        if Phase(body["phase"]).terminal:
            log.info("refused", extra=_facts(key, view, reason=body["conditions"][0]["reason"]))
            return await self._end(key, view, body)
        await self._write(key, view, body)
        problem = _problem(told)
        if problem is None:
            return Again(0.0) if self._placing.leaves(key, view, link) else None
        return _soonest(problem.again, self._until_too_late(view, wanted))

    def _until_too_late(self, view: JobView, wanted: Target) -> float | None:
        """Seconds until a run that is not in a queue will not start any more; None when it may wait for ever."""
        if not (view.spec or {}).get("startingDeadlineSeconds"):
            return None  # as nearly all: no need to read the whole spec for that
        now = _now()
        if holds(view, wanted) or preparation.has_started(view, wanted):
            return None
        with contextlib.suppress(Problem):  # a spec that cannot be read has no deadline
            asked = preparation.asked_at(view, wanted, now)
            start_by = preparation.starts_by(view, wanted, preparation.read_spec(view.spec or {}), asked)
            if start_by:
                return max(0.0, (start_by - now).total_seconds())
        return None

    async def _send(
        self, key: ObjectKey, view: JobView, link: EnvironmentLink, job: NewJob, old: JobRecord | None
    ) -> Again | None:
        """Hand the job in. Raises a Problem when the queue takes none for now."""
        place = Place(link.key, job.queue)
        limited = f"queue {job.queue} takes no more new jobs for the moment; the oldest goes first"
        if old is None and not self._line.may_try(place, key, view.created):
            raise waiting(Reason.CREATION_RATE_LIMITED, limited)
        try:
            answer = await link.enqueue(job)
        except QueueFull as error:
            raise waiting(
                Reason.QUEUE_UNAVAILABLE, f"environment {link.key.name}: {error}", again=_FULL_SECONDS
            ) from error
        if answer.code == "limited":
            self._line.wait(place, key, view.created)
            raise waiting(Reason.CREATION_RATE_LIMITED, limited, again=max(0.01, answer.wait_seconds))
        self._line.admitted(key)
        self._missing.pop(key, None)
        log.debug("enqueued", extra=_facts(key, view, job=job.id, answer=answer.code))
        if answer.code in ("finished", "duplicate"):
            return Again(0.0)  # it has ended already: the next look tells
        phase = Phase.SCHEDULED if answer.state == "delayed" else Phase.QUEUED
        return Again(max(0.01, self._pacing.wait(key, phase.value, self._clock(), first=True)))

    def _still_running(self, key: ObjectKey, view: JobView, wanted: Target, link: EnvironmentLink) -> float:
        """Seconds for which a worker may still run a job whose record was lost; it learns of the loss at its next
        renewal."""
        # The attempts of indexes are not told by their parent.
        if not wanted.known or not (view.attempts or view.phase == Phase.RUNNING or key in self._missing):
            return 0.0
        now = self._clock()
        since = max(link.lost_at or 0.0, self._missing.setdefault(key, now))
        return since + self._settings.lease - now

    async def _with_spec(self, key: ObjectKey, view: JobView) -> JobView:
        """The same view with its spec, which memory does not keep for a job that is under way. Raises Conflict when the
        object changed."""
        if view.spec is not None:
            return view
        return replace(view, spec=await self._writer.read_spec(key, view))

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
        if record.completions and not record.ended:
            # Each of its indexes tells of a change; what they add up to is looked at when it may be written.
            phase = state_of(record, link.around).phase.value
            if wait := self._pacing.wait(key, phase, self._clock(), first=False):
                return Again(wait)
        told = status.fold(
            view,
            wanted,
            record,
            now=_now(),
            around=link.around,
            indexes=await link.queue.indexes(record.id) if record.completions else None,
            twin=await _twin(link, record),
        )
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


async def _twin(link: EnvironmentLink, record: JobRecord) -> str:
    """The name of the object whose job made this one needless; its id when nothing else is left of it."""
    if not record.deduplicated_by:
        return ""
    first = await link.inspect(record.deduplicated_by)
    name = str(first.origin.get("name", "") if first else "") or record.deduplicated_by
    return name[: status.NAME]  # Redis may hold anything, and the end must be told all the same


def _soonest(*waits: float | None) -> Again | None:
    """The earliest of these, as far as there are any."""
    known = [wait for wait in waits if wait is not None]
    return Again(min(known)) if known else None


def _too_late(view: JobView) -> Problem:
    """The run has not started in time, and so will not."""
    within = preparation.read_spec(view.spec or {}).starting_deadline_seconds
    return ending(Reason.STARTING_DEADLINE_EXCEEDED, f"spec.startingDeadlineSeconds: not started within {within} s")


def _problem(told: Telling) -> Problem | None:
    """What keeps the run from its queue, if it is that which is to be told."""
    return told.keywords.get("problem") if isinstance(told, partial) else None


async def _take_over(link: EnvironmentLink, record: JobRecord, spec: FluidJobSpec) -> None:
    """Those settings of a started job that take effect at once; all others are for its next run."""
    if (priority := spec.priority or 0) != record.priority:
        await link.reprioritize(record.id, priority)
    if record.completions:
        await link.resize(record.id, preparation.parallelism(spec), spec.max_failed_indexes)


def _outdated(record: JobRecord, view: JobView, wanted: Target) -> bool:
    """Whether the object has changed in any way since this job was enqueued for it."""
    return record.hash != wanted.hash or record.origin.get("generation", 0) < view.generation


def _facts(key: ObjectKey, view: JobView, **more: str) -> dict[str, Any]:
    """What a log line says of an object; under `fields`, because a plain extra may not be called `name`."""
    return {"fields": {"namespace": key.namespace, "name": key.name, "uid": view.uid, **more}}


def _now() -> datetime:
    return datetime.now(UTC)
