"""One look at one FluidSchedule: create what is due, write down how far it has come, tidy up.

The order is what makes it safe. First the job, whose name is the lock; then the status, which moves the cursor on; only
then may old jobs go, because a name must not be free again while its time could still be thought due. A look that ends
anywhere in between is repeated, by this operator or another, and finds the name taken.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import orjson

from fluid_operator.api.conditions import ConditionType, Reason, find_condition
from fluid_operator.api.fields import format_whole_time
from fluid_operator.api.fluidschedule import ConcurrencyPolicy, FluidScheduleStatus
from fluid_operator.api.meta import REQUEST_ANNOTATION, parse
from fluid_operator.kube.client import Json, Kube
from fluid_operator.kube.errors import Conflict, Invalid, NotFound
from fluid_operator.kube.events import Happening
from fluid_operator.kube.keys import FLUID_JOBS, FLUID_SCHEDULES, ObjectKey
from fluid_operator.patches import status_changes
from fluid_operator.schedules import events
from fluid_operator.schedules.course import Course, begun, due
from fluid_operator.schedules.creation import NotCreated, create
from fluid_operator.schedules.history import History
from fluid_operator.schedules.jobs import Jobs, ScheduleJobs, counted, unfinished
from fluid_operator.schedules.rules import Misunderstood, Rules, understand
from fluid_operator.schedules.status import OWNED, UPCOMING, Problem, Seen, course_of, fold, was_suspended
from fluid_operator.schedules.view import ScheduleView
from fluid_operator.timetables.creation import job_for, job_name

log = logging.getLogger(__name__)

_FIRST_RETRY: Final = 2.0
_LONGEST_RETRY: Final = 60.0
_CLOCK_SKEW: Final = timedelta(minutes=1)
"""Between the clocks of API server and operator: by so much a new schedule may begin in the future."""

_LAGGING: Final = 1.0
"""Seconds after which a list is asked again that knows more than the cache."""


class SchedulesObserver:
    """What metrics want to know; every method may be left as it is."""

    def fired(self, late: timedelta) -> None:
        """A job was created, so long after its time."""

    def missed(self, times: int) -> None:
        """So many times passed without a job."""


@dataclass(slots=True)
class _Known:
    """What was made of a spec; a new version of it is read anew."""

    uid: str
    generation: int
    rules: Rules | Problem
    failures: int = 0
    """Looks in a row at whose end there was no job for a time."""


@dataclass(slots=True)
class _Look:
    """One look under way."""

    key: ObjectKey
    view: ScheduleView
    rules: Rules
    course: Course
    now: datetime
    told: list[events.Told] = field(default_factory=list)
    problem: Problem | None = None

    @contextmanager
    def trying(self) -> Iterator[None]:
        """What cannot be created inside is the problem that is told, and keeps nothing else from being done."""
        try:
            yield
        except NotCreated as error:
            self.problem = error.problem

    @property
    def raw(self) -> Json:
        """As much of the FluidSchedule as its jobs are made of."""
        meta = {"namespace": self.key.namespace, "name": self.key.name, "uid": self.view.uid}
        return {"metadata": meta, "spec": orjson.loads(self.view.spec)}


@dataclass(frozen=True, slots=True)
class Next:
    """When to look again: at a time of the clock, and in so many seconds."""

    at: datetime | None = None
    after: float | None = None


class ScheduleReconciler:
    """`kube` must be guarded: it asks before each write whether this replica leads. `observe` gets what the API server
    answers about a schedule, so that the cache knows it before the watch does."""

    def __init__(
        self,
        kube: Kube,
        jobs: ScheduleJobs,
        *,
        now: Callable[[], datetime],
        observe: Callable[[Json], object],
        observer: SchedulesObserver,
        record: Callable[[Happening], None],
        history: History,
    ) -> None:
        self._kube = kube
        self._jobs = jobs
        self._now = now
        self._observe = observe
        self._observer = observer
        self._record = record
        self._history = history
        self._known: dict[ObjectKey, _Known] = {}

    def forget(self, key: ObjectKey) -> None:
        """The schedule is gone."""
        self._known.pop(key, None)

    async def reconcile(self, key: ObjectKey, view: ScheduleView) -> Next:
        """Do what is due. Raises a KubeError when the API server is in trouble, Conflict when the schedule changed."""
        known = self._understand(key, view)
        before = orjson.loads(view.status)
        status = parse(FluidScheduleStatus, before, at="status")
        now = self._now()
        course = course_of(status, begun(view.created))
        if isinstance(known.rules, Problem):
            jobs = self._jobs.of(key.namespace, view.uid)
            # When a template is mended, what was missed meanwhile is not forgotten; other expressions begin anew.
            timetable = status.timetable if known.rules.reason is Reason.INVALID_SPEC else None
            seen = Seen(view.generation, course, jobs, timetable=timetable, problem=known.rules)
            await self._write(key, view, before, fold(status, seen, now))
            self._tell(key, view.uid, status, known.rules)
            return Next()
        look = _Look(key, view, known.rules, _resumed(course, status, known.rules, now), now)
        wake = await self._advance(look)
        await self._write(key, view, before, fold(status, _seen(look, self._jobs_of(look), status), now))
        self._observer.missed(look.course.missed - course.missed)
        self._tell(key, view.uid, status, look.problem, look.told)
        tidy = await self._history.tidy(key, self._jobs_of(look), known.rules, look.course, now)
        return Next(wake, self._soon(known, look, tidy))

    def _understand(self, key: ObjectKey, view: ScheduleView) -> _Known:
        known = self._known.get(key)
        if known is None or (known.uid, known.generation) != (view.uid, view.generation):
            rules: Rules | Problem
            try:
                rules = understand(key, view)
            except Misunderstood as error:
                rules = Problem(error.reason, str(error), stalled=True)
            known = self._known[key] = _Known(view.uid, view.generation, rules)
        return known

    # -- what is due --------------------------------------------------------------------------------------------------

    async def _advance(self, look: _Look) -> datetime | None:
        """Bring the course up to now; returns when the next time comes."""
        rules = look.rules
        if rules.suspended:
            look.course = look.course.put_off()
            return None
        found = due(rules.times, look.course, look.now, rules.window, rules.delay)
        if found.missed and found.until is not None:
            self._pass(look, found.until if found.time is None else found.time - timedelta(minutes=1), found.missed)
        if look.course.waiting is not None and not self._superseded(look, look.course.waiting, found.time):
            with look.trying():
                await self._release(look, look.course.waiting)
        if found.time is not None and found.ripe is not None:
            with look.trying():
                await self._meet(look, found.time, found.ripe)
        return found.wake

    def _pass(self, look: _Look, until: datetime, times: int) -> None:
        """So many times up to this one are past, and nobody makes up for them. Those that have a job all the same, of a
        look that could not record it or of a backfill, are not missed."""
        cursor = look.course.cursor.timestamp()
        there = {
            view.scheduled for view in self._jobs_of(look).values() if cursor < view.scheduled <= until.timestamp()
        }
        missed = max(0, times - len(there))
        look.course = look.course.dealt_with(until, missed=missed)
        if there:
            look.course = look.course.fired(datetime.fromtimestamp(max(there), UTC))
        if missed:
            look.told.append(events.MISSED)

    def _jobs_of(self, look: _Look) -> Jobs:
        return self._jobs.of(look.key.namespace, look.view.uid)

    async def _meet(self, look: _Look, time: datetime, ripe: datetime) -> None:
        """A time has come: create its job, unless another one stands in the way."""
        policy = look.rules.policy
        if job_name(look.key.name, time) in self._jobs_of(look):
            look.course = look.course.fired(time)
            return
        if policy is not ConcurrencyPolicy.ALLOW:
            active = await self._in_the_way(look, time)
            if active is None:
                look.course = look.course.fired(time)
                return
            if active:
                await self._yield(look, time, active)
                return
        if await self._create(look, time):
            self._observer.fired(self._now() - ripe)

    async def _in_the_way(self, look: _Look, time: datetime) -> Jobs | None:
        """The active jobs that concurrencyPolicy counts, as of now; None: the job for this very time is one of them."""
        active = counted(await self._jobs.active(look.key.namespace, look.view.uid))
        return None if job_name(look.key.name, time) in active else active

    async def _yield(self, look: _Look, time: datetime, active: Jobs) -> None:
        """Skip, wait or replace."""
        policy, course = look.rules.policy, look.course
        waits_already = course.waiting is not None and policy is ConcurrencyPolicy.ENQUEUE
        if policy is ConcurrencyPolicy.FORBID or waits_already:
            look.course = course.dealt_with(time, missed=1)
        else:
            look.course = course.waits(time)
        if policy is ConcurrencyPolicy.REPLACE:
            await self._cancel(look, active)
        if look.course.missed > course.missed:
            look.told.append(events.SKIPPED)

    def _superseded(self, look: _Look, waiting: datetime, newer: datetime | None) -> bool:
        """Whether what waits is given up for a newer time: Replace must not create a job only to stop it again."""
        if newer is None or look.rules.policy is not ConcurrencyPolicy.REPLACE:
            return False
        if job_name(look.key.name, waiting) in self._jobs_of(look):
            return False
        look.course = look.course.put_off()
        look.told.append(events.SKIPPED)
        return True

    async def _release(self, look: _Look, time: datetime) -> None:
        """Create the job that waits, when nothing stands in its way any more."""
        if look.rules.policy is not ConcurrencyPolicy.ALLOW:
            known = unfinished(counted(self._jobs_of(look)))
            # The job that waits may be there already: created by a look that could not record it.
            already = known.pop(job_name(look.key.name, time), None)
            if look.rules.policy is ConcurrencyPolicy.REPLACE:
                await self._cancel(look, known)
            if known and already is None:
                return
            active = await self._in_the_way(look, time)
            if active is None:
                look.course = look.course.fired(time)
                return
            if active:
                return
        await self._create(look, time)

    async def _create(self, look: _Look, time: datetime) -> bool:
        """Whether the job is new. Raises NotCreated."""
        answer, new = await create(self._kube, job_for(look.raw, time, look.rules.timetable.zone))
        self._jobs.observe(answer)
        look.course = look.course.fired(time)
        return new

    async def _cancel(self, look: _Look, active: Jobs) -> None:
        """Ask these jobs to stop, each once; their end wakes us."""
        moment = look.now.isoformat(timespec="milliseconds").replace("+00:00", "Z")
        for name, view in active.items():
            if view.request.startswith("cancel@"):
                continue
            body = {"metadata": {"uid": view.uid, "annotations": {REQUEST_ANNOTATION: f"cancel@{moment}"}}}
            try:
                self._jobs.observe(await self._kube.patch(FLUID_JOBS, ObjectKey(look.key.namespace, name), body))
            except (NotFound, Conflict, Invalid):
                continue  # it is gone, or another object by now, whose uid cannot be changed
            look.told.append(events.REPLACED)

    # -- what is written ----------------------------------------------------------------------------------------------

    async def _write(
        self, key: ObjectKey, view: ScheduleView, before: Mapping[str, Any], after: FluidScheduleStatus
    ) -> None:
        """Write the status, if it does not say so already."""
        changes = status_changes(before, after, OWNED)
        if not changes:
            return
        self._observe(
            await self._kube.patch_status(
                FLUID_SCHEDULES, key, changes, uid=view.uid, resource_version=view.resource_version
            )
        )

    def _tell(
        self,
        key: ObjectKey,
        uid: str,
        before: FluidScheduleStatus,
        problem: Problem | None,
        told: Sequence[events.Told] = (),
    ) -> None:
        """Record events; of a problem, when it is new."""
        for each in told:
            self._record(events.about(key, uid, each))
        ready = find_condition(before.conditions or (), ConditionType.READY)
        if problem is not None and (ready is None or ready.reason != problem.reason):
            self._record(events.about(key, uid, events.in_trouble(problem)))

    def _soon(self, known: _Known, look: _Look, tidy: float | None) -> float | None:
        """Seconds until a look that no time of the clock asks for."""
        known.failures = known.failures + 1 if look.problem else 0
        waits = [tidy] if tidy is not None else []
        if look.problem:
            waits.append(min(_LONGEST_RETRY, _FIRST_RETRY * 2.0 ** min(known.failures - 1, 10)))
        elif look.course.waiting is not None and not unfinished(counted(self._jobs_of(look))):
            waits.append(_LAGGING)
        return min(waits, default=None)


def _resumed(course: Course, status: FluidScheduleStatus, rules: Rules, now: datetime) -> Course:
    """Resumed, or with other times than before, a schedule begins anew: what is past is not made up for."""
    if status.not_before is None:
        return course
    resumed = was_suspended(status) and not rules.suspended
    return course.afresh(now) if resumed or status.timetable != rules.told else course


def _clock_went_back(course: Course, now: datetime) -> Problem | None:
    if course.cursor <= now + _CLOCK_SKEW:
        return None
    message = (
        f"Times up to {format_whole_time(course.cursor)} are dealt with already, so the operator's clock was ahead, or "
        "is behind. No time is served twice: the next job comes at nextScheduleTime. To begin earlier, delete the "
        "schedule and create it again."
    )
    return Problem(Reason.CLOCK_WENT_BACK, message)


def _still_refused(look: _Look, before: FluidScheduleStatus) -> Problem | None:
    """The last job could not be created and its time is over: that stays told until one is created, or the schedule is
    changed."""
    ready = find_condition(before.conditions or (), ConditionType.READY)
    if ready is None or ready.reason not in (Reason.JOB_REFUSED, Reason.NAME_COLLISION):
        return None
    if look.course.last != before.last_schedule_time or ready.observed_generation != look.view.generation:
        return None
    return Problem(Reason(ready.reason), ready.message)


def _seen(look: _Look, jobs: Jobs, before: FluidScheduleStatus) -> Seen:
    rules, course = look.rules, look.course
    problem = look.problem or _clock_went_back(course, look.now)
    if problem is None and not rules.suspended:
        problem = _still_refused(look, before)
    return Seen(
        generation=look.view.generation,
        course=course,
        jobs=jobs,
        zone=rules.timetable.zone,
        timetable=rules.told,
        suspended=rules.suspended,
        upcoming=() if rules.suspended else rules.times.upcoming(course.cursor, UPCOMING),
        problem=problem,
    )
