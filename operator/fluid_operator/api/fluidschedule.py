"""FluidSchedule: FluidJobs at the times of a cron expression. Names and meanings are those of batch/v1
CronJob.
"""

from enum import StrEnum
from typing import Annotated, Final

from pydantic import Field

from fluid_operator.api.cron_fields import CRON_LONGEST, CRON_RULES, CRON_SHAPE
from fluid_operator.api.fields import (
    ATOMIC,
    WITHOUT_DEFAULTS,
    Count,
    Flag,
    Generation,
    MicroTime,
    ObjectName,
    Seconds,
    Time,
    checked_by,
    doc,
    exactly_one_of,
    extend,
    holds,
    map_by,
    rule,
)
from fluid_operator.api.fluidjob import FluidJobSpec
from fluid_operator.api.meta import ApiModel, Column, Condition, Kind

CronExpression = Annotated[str, Field(min_length=1, max_length=CRON_LONGEST, pattern=CRON_SHAPE), holds(*CRON_RULES)]
HistoryLimit = Annotated[Count, Field(le=1000)]

ACTIVE_SHOWN: Final = 100
"""Active jobs in a status; `activeCount` tells how many there are."""


class ConcurrencyPolicy(StrEnum):
    """What to do when it is time and the previous job has not finished."""

    ALLOW = "Allow"
    FORBID = "Forbid"
    REPLACE = "Replace"
    ENQUEUE = "Enqueue"


class TemplateMetadata(ApiModel):
    """Labels and annotations for the jobs of a schedule."""

    labels: Annotated[
        dict[str, Annotated[str, Field(max_length=63)]] | None,
        Field(max_length=64),
        doc("Labels of each job.", unset="none."),
    ] = None
    annotations: Annotated[
        dict[str, Annotated[str, Field(max_length=4096)]] | None,
        Field(max_length=64),
        doc("Annotations of each job.", unset="none."),
    ] = None


class JobTemplate(ApiModel):
    """The FluidJob that is created at each time of the schedule."""

    metadata: Annotated[
        TemplateMetadata | None,
        doc("Labels and annotations of each job; the schedule chooses the name.", unset="none."),
    ] = None
    # Defaults belong to the job that is created, not to the template: Git and cluster must not differ by
    # them.
    spec: Annotated[FluidJobSpec, extend(**{WITHOUT_DEFAULTS: True}), doc("The spec of each job.")]


class FluidScheduleSpec(ApiModel):
    """When to create a FluidJob, and which."""

    model_config = checked_by(
        rule(exactly_one_of("schedule", "schedules"), "set exactly one of schedule and schedules", ".schedule")
    )

    schedule: Annotated[
        CronExpression | None,
        doc(
            "A cron expression of five fields (minute, hour, day of month, month, day of week), or "
            "@hourly, @daily, @weekly, @monthly, @yearly. "
            "H in a field stands for a fixed value of its own for each schedule, so that not all fire "
            "at once.",
            unset="`schedules` is used.",
        ),
    ] = None
    schedules: Annotated[
        list[CronExpression] | None,
        Field(min_length=1, max_length=32),
        ATOMIC,
        doc(
            "Several cron expressions; a minute that more than one of them names counts once.",
            unset="`schedule` is used.",
        ),
    ] = None
    time_zone: Annotated[
        Annotated[str, Field(min_length=1, max_length=64, pattern=r"^[A-Za-z0-9_+/-]+$")] | None,
        doc(
            "The zone in which the expressions are read: a name of the IANA database, such as Europe/Berlin.",
            unset="UTC.",
        ),
    ] = None
    suspend: Annotated[
        Flag, doc("No jobs are created while true; the times missed meanwhile are not made up.", unset="false.")
    ] = False
    starting_deadline_seconds: Annotated[
        Seconds | None,
        doc(
            "After an outage the latest missed time is made up for if it is no older than this.",
            unset="3600.",
        ),
    ] = None
    concurrency_policy: Annotated[
        ConcurrencyPolicy | None,
        doc(
            "When the previous job has not finished: Allow runs both, Forbid skips the new one, "
            "Replace cancels the old one, Enqueue runs the new one afterwards (at most one waits).",
            unset="Allow.",
        ),
    ] = None
    jitter_seconds: Annotated[
        Seconds | None,
        doc(
            "Each job is created at a random moment within so long after its time, and before the next one.",
            unset="at its time.",
        ),
    ] = None
    successful_jobs_history_limit: Annotated[
        HistoryLimit | None, doc("How many succeeded jobs are kept.", unset="3.")
    ] = None
    failed_jobs_history_limit: Annotated[HistoryLimit | None, doc("How many failed jobs are kept.", unset="1.")] = None
    job_template: Annotated[JobTemplate, doc("The job to create.")]


class ActiveJob(ApiModel):
    """A job of the schedule that has not finished."""

    name: Annotated[ObjectName, doc("Name of the FluidJob.")]
    uid: Annotated[str, Field(max_length=63), doc("Its uid.")]


class FluidScheduleStatus(ApiModel):
    """What the operator has done for the schedule."""

    observed_generation: Annotated[
        Generation | None,
        doc(
            "The metadata.generation that this status speaks of; -1 while nobody has looked at the object.",
            unset="-1.",
        ),
    ] = None
    conditions: Annotated[
        list[Condition] | None,
        Field(max_length=16),
        map_by("type"),
        doc("The state as facts: Ready, Reconciling, Stalled, Suspended.", unset="nobody has looked yet."),
    ] = None
    timetable: Annotated[
        Annotated[str, Field(max_length=16_384)] | None,
        doc(
            "The expressions as they are read, each H as a number, and the zone.",
            unset="they cannot be read.",
        ),
    ] = None
    last_schedule_time: Annotated[Time | None, doc("The latest time that a job was created for.", unset="none.")] = None
    last_successful_time: Annotated[
        MicroTime | None, doc("When a job of the schedule last succeeded.", unset="never.")
    ] = None
    next_schedule_time: Annotated[
        Time | None,
        doc("The next time of the schedule, in its zone, before any jitter.", unset="none, or suspended."),
    ] = None
    upcoming: Annotated[
        list[Time] | None,
        Field(max_length=5),
        ATOMIC,
        doc("The next 5 times, in the schedule's zone.", unset="none, or suspended."),
    ] = None
    waiting_time: Annotated[
        Time | None,
        doc("The time whose job waits until the active ones have ended (Enqueue, Replace).", unset="none waits."),
    ] = None
    active: Annotated[
        list[ActiveJob] | None,
        Field(max_length=ACTIVE_SHOWN),
        map_by("name"),
        doc("Jobs of the schedule that have not finished; the first 100.", unset="none."),
    ] = None
    active_count: Annotated[Count | None, doc("How many jobs have not finished.", unset="not known yet.")] = None
    missed: Annotated[
        Count | None,
        doc(
            "Times that passed without a job since the schedule was created: nobody was there, or an active job was "
            "in the way.",
            unset="none.",
        ),
    ] = None
    not_before: Annotated[
        Time | None,
        doc(
            "Times before this one are never made up: they are dealt with, or lie before the schedule was created, "
            "resumed or changed.",
            unset="not known yet.",
        ),
    ] = None


FLUID_SCHEDULE = Kind(
    kind="FluidSchedule",
    plural="fluidschedules",
    short_name="fs",
    description="Creates a FluidJob at each time of a cron expression; the same time never twice.",
    spec=FluidScheduleSpec,
    status=FluidScheduleStatus,
    status_default={"observedGeneration": -1},
    rules=(
        rule(
            "self.metadata.name.size() <= 52",
            "metadata.name: must be no longer than 52 characters, so that the jobs' names fit into 63",
        ),
    ),
    columns=(
        # One of the two is set; the API server prints the one that is.
        Column("Schedule", ".spec['schedule','schedules']"),
        Column("TimeZone", ".spec.timeZone"),
        Column("Suspend", ".spec.suspend", "boolean"),
        Column("Active", ".status.activeCount", "integer", description="Jobs that have not finished"),
        Column("Last", ".status.lastScheduleTime", "date"),
        # Not a date: kubectl shows those as an age, and a time to come has none.
        Column("Next", ".status.nextScheduleTime"),
        Column("Age", ".metadata.creationTimestamp", "date"),
    ),
)
