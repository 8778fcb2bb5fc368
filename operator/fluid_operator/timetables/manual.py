"""What people do with a schedule by hand: run its job now (trigger), or create the jobs of times that have passed
(backfill). A library under the command and the dashboard; whoever calls it lends it a client with the caller's rights.

A backfilled job has the name of its time, so that nothing is created twice: not by a second call after the first was
interrupted, and not where the clock was there before.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final, NamedTuple
from zoneinfo import ZoneInfo

from fluid_operator.kube.errors import AlreadyExists, NotFound
from fluid_operator.kube.keys import FLUID_JOBS, FLUID_SCHEDULES, ObjectKey
from fluid_operator.timetables.creation import BACKFILL, MANUAL, check_template, job_for, manual_name
from fluid_operator.timetables.cron import Timetable
from fluid_operator.timetables.errors import BadRange, TooManyTimes
from fluid_operator.timetables.zones import zone_named

if TYPE_CHECKING:
    from fluid_operator.kube.client import Json, Kube

LIMIT: Final = 1000
"""Times that one backfill creates jobs for, unless more are asked for."""

MOST: Final = 10_000
"""More than this are not created in one go: a namespace of so many jobs is slow for everybody."""

_TRIES: Final = 5
_EARLIEST: Final = datetime(1970, 1, 1, tzinfo=UTC)
_NEXT_NAME: Final = timedelta(milliseconds=1)
_JUST_BEFORE: Final = timedelta(microseconds=1)


class Outcome(StrEnum):
    """What became of one time of a backfill."""

    CREATED = "created"
    EXISTS = "exists"
    """The schedule has a job for this time."""
    FOREIGN = "foreign"
    """A FluidJob that is not the schedule's has the name."""
    WOULD_CREATE = "would create"


class Backfilled(NamedTuple):
    """One time of the schedule, UTC, the name of its job, and what became of it."""

    time: datetime
    name: str
    outcome: Outcome


@dataclass(frozen=True, slots=True)
class Plan:
    """The times of a schedule that a backfill goes through, in order."""

    schedule: Mapping[str, Any]
    zone: ZoneInfo
    times: Sequence[datetime]

    @property
    def name(self) -> str:
        """The schedule's name."""
        return str(self.schedule["metadata"]["name"])

    @property
    def namespace(self) -> str:
        return str(self.schedule["metadata"]["namespace"])


def timetable_of(schedule: Mapping[str, Any]) -> Timetable:
    """When a FluidSchedule, as the API server sent it, comes. Raises CronError, UnknownTimeZone."""
    meta, spec = schedule["metadata"], schedule["spec"]
    expressions = spec.get("schedules") or [spec["schedule"]]
    return Timetable.of(expressions, spec.get("timeZone"), seed=f"{meta['namespace']}/{meta['name']}")


def zone_of(schedule: Mapping[str, Any]) -> ZoneInfo:
    """The zone in which a FluidSchedule counts its days. Raises UnknownTimeZone."""
    return zone_named(schedule["spec"].get("timeZone") or "UTC")


async def trigger(kube: Kube, key: ObjectKey, *, now: datetime, counted: bool = False, dry_run: bool = False) -> Json:
    """Create a job of the schedule for this moment, also while it is suspended, and return it as the API server has it.

    It is marked as manual: concurrencyPolicy neither counts it nor holds it up, unless it is `counted`. With `dry_run`
    the API server checks it and creates nothing, and what was sent is returned. Raises NotFound where there is no such
    schedule, TimetableError where its zone or its template cannot be used, and what the client raises."""
    schedule = await kube.get(FLUID_SCHEDULES, key)
    zone = zone_of(schedule)
    check_template(schedule["spec"])
    for number in range(_TRIES):
        # Two people in one millisecond are possible where the dashboard and scripts do this too.
        name = manual_name(key.name, now + number * _NEXT_NAME)
        body = job_for(schedule, now, zone, name=name, instantiate=MANUAL, counted=counted)
        try:
            created = await _create(kube, body, dry_run=dry_run)
            return body if dry_run else created
        except AlreadyExists:
            if number == _TRIES - 1:
                raise
    raise AssertionError("the last try returns or raises")


def plan(schedule: Mapping[str, Any], first: datetime, last: datetime, *, now: datetime, limit: int = LIMIT) -> Plan:
    """The times of a schedule from `first` to `last`, both included; all three moments are aware.

    Raises BadRange, TooManyTimes where there are more than `limit` (which may be up to MOST), and CronError,
    UnknownTimeZone, TemplateError where the schedule cannot be used."""
    if first > last:
        raise BadRange(first, last, "the range ends before it begins")
    if last > now:
        raise BadRange(first, last, "the range ends in the future: only times that have passed can be backfilled")
    if first < _EARLIEST:
        raise BadRange(first, last, "the range begins before 1970")
    check_template(schedule["spec"])
    timetable = timetable_of(schedule)
    after, limit = first - _JUST_BEFORE, min(limit, MOST)
    count = timetable.count(after, last, at_most=MOST + 1)
    if count > limit:
        raise TooManyTimes(count, limit)
    return Plan(schedule, timetable.zone, timetable.upcoming(after, count) if count else [])


async def carry_out(
    kube: Kube,
    planned: Plan,
    *,
    dry_run: bool = False,
    counted: bool = False,
    progress: Callable[[Backfilled], None] = lambda done: None,
) -> list[Backfilled]:
    """Create the jobs of these times, the earliest first, and tell `progress` of each; a time that has its job already
    is left alone. After an error the same call goes on where this one stopped.

    With `dry_run` the API server checks each and creates none. Raises what the client raises."""
    done = []
    for time in planned.times:
        body = job_for(planned.schedule, time, planned.zone, instantiate=BACKFILL, counted=counted)
        done.append(Backfilled(time, body["metadata"]["name"], await _backfill(kube, planned, body, dry_run=dry_run)))
        progress(done[-1])
    return done


async def backfill(
    kube: Kube,
    key: ObjectKey,
    first: datetime,
    last: datetime,
    *,
    now: datetime,
    dry_run: bool = False,
    counted: bool = False,
    limit: int = LIMIT,
    progress: Callable[[Backfilled], None] = lambda done: None,
) -> list[Backfilled]:
    """Read the schedule, `plan`, and `carry_out`. Raises what they raise, and NotFound where there is no such
    schedule."""
    planned = plan(await kube.get(FLUID_SCHEDULES, key), first, last, now=now, limit=limit)
    return await carry_out(kube, planned, dry_run=dry_run, counted=counted, progress=progress)


async def _backfill(kube: Kube, planned: Plan, body: Json, *, dry_run: bool) -> Outcome:
    for last_try in (False, True):
        try:
            await _create(kube, body, dry_run=dry_run)
            return Outcome.WOULD_CREATE if dry_run else Outcome.CREATED
        except AlreadyExists:
            if last_try:
                raise
        try:
            holder = await kube.get(FLUID_JOBS, ObjectKey(planned.namespace, body["metadata"]["name"]))
        except NotFound:
            continue  # it went between the two requests, so the name is free
        return Outcome.EXISTS if _belongs(holder, planned.schedule) else Outcome.FOREIGN
    raise AssertionError("the last try returns or raises")


def _belongs(job: Mapping[str, Any], schedule: Mapping[str, Any]) -> bool:
    owners = job["metadata"].get("ownerReferences") or ()
    return any(owner.get("controller") and owner["uid"] == schedule["metadata"]["uid"] for owner in owners)


async def _create(kube: Kube, body: Json, *, dry_run: bool) -> Json:
    query = {"fieldValidation": "Strict"}
    if dry_run:
        query["dryRun"] = "All"
    path = FLUID_JOBS.path(body["metadata"]["namespace"])
    return await kube.request(
        "create", path, resource=FLUID_JOBS.plural, query=query, body=body, wait_if_throttled=True
    )
