"""The status of a FluidJob: what the operator tells about a run, in bounded size.

The whole status speaks of `observedGeneration`. Words that only the workers choose (outcomes, error types)
are texts and not enums: a newer worker must be able to report through an older CRD.
"""

from enum import StrEnum
from typing import Annotated, Any, Final

from pydantic import ConfigDict, Field, Strict

from fluid_operator.api.fields import (
    ATOMIC,
    MAP_TYPE,
    PRESERVE_UNKNOWN,
    Count,
    Flag,
    Generation,
    LongCount,
    LongText,
    MicroTime,
    Percent,
    PositiveSeconds,
    Retries,
    ShortText,
    doc,
    extend,
    map_by,
)
from fluid_operator.api.meta import ApiModel, Condition
from fluid_operator.api.policies import Backoff, TimeToLive

ATTEMPT_HISTORY_LIMIT: Final = 5
INDEX_TEXT_LIMIT: Final = 8192

Name = Annotated[str, Field(max_length=253)]
IndexRanges = Annotated[str, Field(max_length=INDEX_TEXT_LIMIT)]
Attempt = Annotated[int, Strict(), Field(ge=0, le=1_000_000)]


class Phase(StrEnum):
    """The state of a job in one word. Terminal phases never change within a run."""

    PENDING = "Pending"
    QUEUED = "Queued"
    SCHEDULED = "Scheduled"
    RETRYING = "Retrying"
    RUNNING = "Running"
    SUSPENDED = "Suspended"
    SUCCEEDED = "Succeeded"
    FAILED = "Failed"
    CANCELLED = "Cancelled"

    @property
    def terminal(self) -> bool:
        """Whether the run has ended."""
        return self in (Phase.SUCCEEDED, Phase.FAILED, Phase.CANCELLED)


class AttemptRecord(ApiModel):
    """One attempt that has ended."""

    attempt: Annotated[Attempt, doc("Number of the attempt, from 1.")]
    start_time: Annotated[MicroTime | None, doc("When the attempt started.", unset="it did not start.")] = None
    duration: Annotated[
        Annotated[str, Field(max_length=32)] | None,
        doc('How long it took, such as "1.24s".', unset="not known."),
    ] = None
    worker: Annotated[Name | None, doc("The worker that ran it.", unset="not known.")] = None
    outcome: Annotated[Annotated[str, Field(max_length=63)], doc("How it ended, such as Succeeded or Failed.")]
    error_type: Annotated[
        Annotated[str, Field(max_length=128)] | None, doc("Class of the error.", unset="there was none.")
    ] = None
    message: Annotated[ShortText | None, doc("The error in a sentence.", unset="there was none.")] = None


class Progress(ApiModel):
    """What the processor last said about how far it is."""

    percent: Annotated[Percent | None, doc("Done so far.", unset="the processor did not say.")] = None
    message: Annotated[ShortText | None, doc("What it is doing.", unset="the processor did not say.")] = None


class JobError(ApiModel):
    """The last error of a run."""

    type: Annotated[
        Annotated[str, Field(max_length=128)],
        doc("Class of the error, the word that failurePolicy compares."),
    ]
    message: Annotated[LongText, doc("The error in a sentence; sensitive fields of the payload never stand in it.")]
    attempt: Annotated[Attempt | None, doc("The attempt that raised it.", unset="no attempt was made.")] = None


class Children(ApiModel):
    """Jobs that this job has enqueued itself."""

    total: Annotated[Count, doc("All children.")]
    succeeded: Annotated[Count, doc("Those that have succeeded.")]
    failed: Annotated[Count, doc("Those that have failed.")]


class EffectiveSettings(ApiModel):
    """The settings of this run, after job, queue, processor and built-in defaults were combined."""

    priority: Annotated[
        Annotated[int, Strict(), Field(ge=-1000, le=1000)] | None,
        doc("Priority in the queue.", unset="not resolved yet."),
    ] = None
    backoff_limit: Annotated[Retries | None, doc("Retries after the first attempt.", unset="not resolved yet.")] = None
    backoff: Annotated[Backoff | None, doc("Waiting before a retry.", unset="not resolved yet.")] = None
    attempt_deadline_seconds: Annotated[
        PositiveSeconds | None, doc("How long one attempt may take.", unset="not resolved yet.")
    ] = None
    active_deadline_seconds: Annotated[
        PositiveSeconds | None, doc("How long the whole run may take.", unset="no limit.")
    ] = None
    run_policy: Annotated[
        Annotated[str, Field(max_length=63)] | None,
        doc("Always or OncePerSpec, after Auto was decided.", unset="not resolved yet."),
    ] = None
    ttl: Annotated[TimeToLive | None, doc("How long the finished job stays.", unset="not resolved yet.")] = None


class FluidJobStatus(ApiModel):
    """What the operator has seen of the job."""

    # One writer writes it, and always as a whole. The API server need not keep account of each of its fields, which
    # would cost it a sixth of each write and a kilobyte in each object.
    model_config = ConfigDict(json_schema_extra={MAP_TYPE: "atomic"})

    observed_generation: Annotated[
        Generation | None,
        doc(
            "The metadata.generation that this whole status speaks of; -1 while nobody has looked at the object.",
            unset="-1.",
        ),
    ] = None
    conditions: Annotated[
        list[Condition] | None,
        Field(max_length=16),
        map_by("type"),
        doc(
            "The state as facts: Ready, Reconciling, Stalled, Complete, Failed, Suspended. `kubectl "
            "wait --for=condition=Complete` works.",
            unset="nobody has looked yet.",
        ),
    ] = None
    phase: Annotated[Phase | None, doc("The state in one word, derived from the conditions.", unset="Pending.")] = None
    run: Annotated[
        Count | None,
        doc(
            "Number of the run, from 1; a spec that is changed after it was started makes a new run.",
            unset="not enqueued yet.",
        ),
    ] = None
    spec_hash: Annotated[
        Annotated[str, Field(max_length=128)] | None,
        doc("Hash of the run-defining fields of the spec that this run is for.", unset="not enqueued yet."),
    ] = None
    job_id: Annotated[
        Annotated[str, Field(max_length=128)] | None,
        doc(
            "Id of the job in the queue: the object's uid and the run. An outcome that was taken over names the job of "
            "the earlier object of this name.",
            unset="not enqueued yet.",
        ),
    ] = None
    environment: Annotated[
        Name | None, doc("The FluidEnvironment that this run is bound to.", unset="none was found yet.")
    ] = None
    queue: Annotated[Name | None, doc("The queue that the run waits in or came from.", unset="not enqueued yet.")] = (
        None
    )
    effective: Annotated[
        EffectiveSettings | None, doc("The settings that hold for this run.", unset="not resolved yet.")
    ] = None
    start_time: Annotated[MicroTime | None, doc("When the first attempt of the run started.", unset="not started.")] = (
        None
    )
    completion_time: Annotated[
        MicroTime | None, doc("When the run ended, whatever its outcome.", unset="not ended.")
    ] = None
    duration_milliseconds: Annotated[
        LongCount | None,
        doc("From startTime to completionTime, for programs.", unit="milliseconds", unset="not ended."),
    ] = None
    duration: Annotated[
        Annotated[str, Field(max_length=32)] | None,
        doc('The same for people, such as "1.24s".', unset="not ended."),
    ] = None
    attempts: Annotated[Count | None, doc("Attempts that count, the running one included.", unset="none.")] = None
    attempt_history: Annotated[
        list[AttemptRecord] | None,
        Field(max_length=ATTEMPT_HISTORY_LIMIT),
        ATOMIC,
        doc("The last 5 attempts that have ended, oldest first.", unset="none."),
    ] = None
    progress: Annotated[Progress | None, doc("How far the running attempt is.", unset="the processor did not say.")] = (
        None
    )
    worker: Annotated[Name | None, doc("The worker of the running or last attempt.", unset="not started.")] = None
    result: Annotated[
        Any,
        extend(**{PRESERVE_UNKNOWN: True}),
        doc(
            "What the processor returned, as JSON; members that are null are left out.",
            limit="4 KiB",
            unset="nothing, or it was too large.",
        ),
    ] = None
    result_truncated: Annotated[
        Flag | None,
        doc("True when the result was larger than 4 KiB and is not shown whole.", unset="it was not."),
    ] = None
    error: Annotated[JobError | None, doc("The last error of the run.", unset="there was none.")] = None
    next_attempt_time: Annotated[
        MicroTime | None,
        doc("When the next attempt, or a job that is Scheduled, may start.", unset="no attempt is planned."),
    ] = None
    active: Annotated[Count | None, doc("Indexes that run now.", unset="the job has no indexes.")] = None
    succeeded: Annotated[Count | None, doc("Indexes that have succeeded.", unset="the job has no indexes.")] = None
    failed: Annotated[Count | None, doc("Indexes that have failed.", unset="the job has no indexes.")] = None
    completed_indexes: Annotated[
        IndexRanges | None, doc('Indexes that have succeeded, as ranges such as "0-5,7".', unset="none.")
    ] = None
    failed_indexes: Annotated[
        IndexRanges | None, doc('Indexes that have failed, as ranges such as "0-5,7".', unset="none.")
    ] = None
    indexes_truncated: Annotated[
        Flag | None, doc("True when the ranges were longer than 8 KiB and were cut.", unset="they were not.")
    ] = None
    children: Annotated[Children | None, doc("Jobs that this job has enqueued itself.", unset="none.")] = None
    deduplicated_by: Annotated[Name | None, doc("Name of the job that this one was a twin of.", unset="none.")] = None
    last_handled_request: Annotated[
        ShortText | None,
        doc(
            "The last value of the annotation jobs.fluidcalendar.com/request that was carried out.",
            unset="none.",
        ),
    ] = None
