"""FluidJob: what a user asks for, and how to recognise the same request again.

The status half is in `fluidjob_status`. Fields that batch/v1 knows too have its name and its meaning.
"""

from enum import StrEnum
from typing import Annotated

from pydantic import Field, Strict

from fluid_operator.api.fields import (
    ATOMIC,
    Flag,
    JsonObject,
    MicroTime,
    ObjectName,
    PositiveSeconds,
    QueueName,
    Retries,
    Seconds,
    Word,
    at_most_one_of,
    checked_by,
    doc,
    holds,
    rule,
)
from fluid_operator.api.fluidjob_status import FluidJobStatus, Phase
from fluid_operator.api.meta import ApiModel, Column, Kind
from fluid_operator.api.policies import TTL_RULE, Backoff, FailurePolicy, PayloadSource, TimeToLive

_RESOLVED = "the environment's queue, then the processor, "

Priority = Annotated[int, Strict(), Field(ge=-1000, le=1000)]
Key = Annotated[str, Field(min_length=1, max_length=256)]


class RunPolicy(StrEnum):
    """When a spec that has already run may run again."""

    AUTO = "Auto"
    ALWAYS = "Always"
    ONCE_PER_SPEC = "OncePerSpec"


class DeduplicationMode(StrEnum):
    """What happens to a job whose deduplication key is taken."""

    WHILE_UNFINISHED = "WhileUnfinished"
    THROTTLE = "Throttle"
    REPLACE = "Replace"


class Deduplication(ApiModel):
    """Several jobs that mean the same work, of which one is enough."""

    key: Annotated[Key, doc("Jobs of one environment with the same key are the same work.")]
    mode: Annotated[
        DeduplicationMode | None,
        doc(
            "WhileUnfinished: a twin ends as Succeeded/Deduplicated while the first is not finished. "
            "Throttle: so it does for `ttlSeconds` after the first was created. "
            "Replace: the newer job takes the place of one that still waits.",
            unset="WhileUnfinished.",
        ),
    ] = None
    ttl_seconds: Annotated[
        PositiveSeconds | None,
        doc("How long the key is held at most.", unset="until the first job has finished."),
    ] = None


class FluidJobSpec(ApiModel):
    """What to run, when, and how often to try."""

    model_config = checked_by(
        rule(
            at_most_one_of("completions", "items", "itemsFrom"),
            "set at most one of completions, items and itemsFrom",
            ".completions",
        ),
        TTL_RULE,
    )

    environment: Annotated[
        Annotated[ObjectName, Field(max_length=63)] | None,
        doc(
            "The FluidEnvironment of this namespace that runs the job.",
            unset='the one named "default", else the only one.',
        ),
    ] = None
    type: Annotated[Word, doc("The processor that runs the job, such as email.")]
    queue: Annotated[
        QueueName | None, doc("The queue that the job waits in.", unset="the processor's queue, else the type.")
    ] = None
    payload: Annotated[
        JsonObject | None,
        doc(
            "What the processor gets: a JSON object that is checked against the processor's schema. "
            "Nothing secret belongs here; see payloadFrom.",
            limit="32 KiB",
            unset="an empty object.",
        ),
    ] = None
    payload_from: Annotated[
        PayloadSource | None,
        doc(
            "A JSON object in a Secret or ConfigMap that is merged over `payload` when the job is enqueued.",
            unset="nothing is merged.",
        ),
    ] = None
    tags: Annotated[
        dict[str, Annotated[str, Field(max_length=128)]] | None,
        Field(max_length=8),
        holds(rule("self.all(key, key.size() <= 63)", "no key may be longer than 63 characters")),
        doc(
            "Ids to find the job by, such as the user that it is for; ids only, no personal data. "
            "They are never labels of metrics.",
            unset="none.",
        ),
    ] = None
    priority: Annotated[Priority | None, doc("Jobs with a higher priority are started first.", unset="0.")] = None
    start_after: Annotated[
        MicroTime | None,
        doc("The job does not start before this time; until then it is Scheduled.", unset="at once."),
    ] = None
    starting_deadline_seconds: Annotated[
        PositiveSeconds | None,
        doc(
            "A job that has not started so long after it could have (its creation or startAfter) "
            "fails with StartingDeadlineExceeded. While it is suspended it does not fail, but it does when it is "
            "resumed too late.",
            unset="no limit.",
        ),
    ] = None
    suspend: Annotated[
        Flag,
        doc(
            "Holds the job back. While it runs: the attempt is stopped without being counted, and the "
            "job goes back to the start line; clearing it lets the job run with a fresh clock.",
            unset="false.",
        ),
    ] = False
    cancelled: Annotated[
        Flag,
        doc(
            "Ends the job: a waiting job does not start, a running one is stopped. It can be taken "
            "back only together with a new runId, which is a new run.",
            unset="false.",
        ),
    ] = False
    backoff_limit: Annotated[
        Retries | None,
        doc("Retries after the first attempt, before the job is Failed.", unset=_RESOLVED + "then 8."),
    ] = None
    backoff: Annotated[
        Backoff | None,
        doc(
            "How long to wait before a retry.",
            unset=_RESOLVED + "then Exponential from 10 s, times 3, up to 1 h, with 10 % jitter.",
        ),
    ] = None
    failure_policy: Annotated[
        FailurePolicy | None,
        doc("Which errors are not worth a retry, and which do not count.", unset="every error counts."),
    ] = None
    attempt_deadline_seconds: Annotated[
        PositiveSeconds | None,
        doc("How long one attempt may take. A retry starts counting anew.", unset=_RESOLVED + "then 300."),
    ] = None
    active_deadline_seconds: Annotated[
        PositiveSeconds | None,
        doc(
            "How long the whole run may take, from its first start, retries and waiting between them included.",
            unset="no limit.",
        ),
    ] = None
    concurrency_key: Annotated[
        Key | None,
        doc(
            "Of the jobs of one queue with this key, at most the queue's concurrencyPerKey (1) run at "
            "once; the others wait.",
            unset="no such limit.",
        ),
    ] = None
    deduplication: Annotated[
        Deduplication | None,
        doc("Lets one job stand for several that mean the same work.", unset="every job runs."),
    ] = None
    completions: Annotated[
        Annotated[int, Strict(), Field(ge=0, le=100_000)] | None,
        doc(
            "Runs the payload this many times, each with its own index from 0, as an Indexed batch/v1 Job does.",
            unset="one run without an index.",
        ),
    ] = None
    items: Annotated[
        list[JsonObject] | None,
        Field(max_length=1000),
        ATOMIC,
        doc(
            "One index for each entry: a JSON object that is merged over `payload`.",
            limit="256 KiB in all",
            unset="one run without an index.",
        ),
    ] = None
    items_from: Annotated[
        list[PayloadSource] | None,
        Field(max_length=16),
        ATOMIC,
        doc(
            "Like `items`, read from keys that hold one JSON object per line.",
            limit="100000 lines in all",
            unset="one run without an index.",
        ),
    ] = None
    parallelism: Annotated[
        Annotated[int, Strict(), Field(ge=1, le=1000)] | None,
        doc(
            "How many indexes of this job may run at once.",
            unset="as many as the queue and the workers allow.",
        ),
    ] = None
    max_failed_indexes: Annotated[
        Annotated[int, Strict(), Field(ge=0, le=100_000)] | None,
        doc(
            "The job fails as soon as more indexes than this have failed.",
            unset="all indexes are tried, and the job fails at the end if one has failed.",
        ),
    ] = None
    run_policy: Annotated[
        RunPolicy,
        doc(
            "Whether an object that is created again with a spec that has already run, runs again. "
            "Always: yes. OncePerSpec: no, it takes over the earlier outcome. "
            "Auto: OncePerSpec for objects that Argo CD or Flux keeps in step with Git, Always for "
            "all others.",
            unset="Auto.",
        ),
    ] = RunPolicy.AUTO
    run_id: Annotated[
        Annotated[str, Field(max_length=128)] | None,
        doc("Any text; change it to run the same spec once more.", unset="the empty text."),
    ] = None
    ttl_seconds_after_finished: Annotated[
        Seconds | None,
        doc("The finished job is deleted after this time, whatever its outcome.", unset="`ttl` decides."),
    ] = None
    ttl: Annotated[
        TimeToLive | None,
        doc(
            "Like ttlSecondsAfterFinished, by outcome.",
            unset="the environment's retention, else 1 h after success and 7 days after failure.",
        ),
    ] = None


_RUN_ID_CHANGED = "(has(self.spec.runId) ? self.spec.runId : '') != (has(oldSelf.spec.runId) ? oldSelf.spec.runId : '')"

FLUID_JOB = Kind(
    kind="FluidJob",
    plural="fluidjobs",
    short_name="fj",
    description=(
        "A background job: one piece of work for a pool of warm processors. It runs once for "
        "each spec that it is given."
    ),
    spec=FluidJobSpec,
    status=FluidJobStatus,
    # A brand-new object reads Pending without a write; -1 tells kstatus that nobody has looked at it yet.
    status_default={"phase": Phase.PENDING.value, "observedGeneration": -1},
    rules=(
        rule(
            "self.metadata.name.size() <= 63",
            "metadata.name: must be no longer than 63 characters, so that it can be a label value",
        ),
        rule(
            f"!oldSelf.spec.cancelled || self.spec.cancelled || {_RUN_ID_CHANGED}",
            "spec.cancelled: can be taken back only together with a new spec.runId, which starts a new run",
            ".spec.cancelled",
        ),
    ),
    columns=(
        Column("Type", ".spec.type", description="The processor"),
        Column("Phase", ".status.phase"),
        Column("Attempts", ".status.attempts", "integer"),
        Column("Duration", ".status.duration", description="From the first start to the end"),
        Column("Age", ".metadata.creationTimestamp", "date"),
        Column("Environment", ".status.environment", wide=True),
        Column("Queue", ".status.queue", wide=True),
        Column("Worker", ".status.worker", wide=True),
        Column("Message", '.status.conditions[?(@.type=="Ready")].message', wide=True),
    ),
    selectable=(".spec.type", ".status.environment", ".status.queue", ".status.phase"),
)
