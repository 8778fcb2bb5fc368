"""FluidEnvironment: one Redis, the pools of workers on it, and the settings of its queues.

Each of the three has a module of its own: `redis_settings`, `pools`, `queues`. Here is what holds them together.
"""

from enum import StrEnum
from typing import Annotated

from pydantic import Field, Strict

from fluid_operator.api.fields import (
    SET,
    Count,
    Flag,
    Generation,
    LongCount,
    Seconds,
    ShortText,
    Word,
    checked_by,
    doc,
    map_by,
    rule,
)
from fluid_operator.api.meta import ApiModel, Column, Condition, KeyRef, Kind
from fluid_operator.api.pods import Image
from fluid_operator.api.pools import WorkerPool
from fluid_operator.api.queues import QueueSettings
from fluid_operator.api.redis_settings import KeyPrefix, Redis


class Database(ApiModel):
    """The application's database, for processors."""

    url_secret_ref: Annotated[KeyRef, doc("Key of a Secret that holds the URL of the PostgreSQL database.")]


class OutboundMode(StrEnum):
    """What leaves the environment."""

    LIVE = "Live"
    REDIRECT = "Redirect"
    SUPPRESS = "Suppress"


class Outbound(ApiModel):
    """What processors may send outside; it keeps a staging environment from writing to real people."""

    model_config = checked_by(
        rule(
            "!has(self.mode) || self.mode != 'Redirect' || (has(self.redirectTo) && self.redirectTo != '')",
            "redirectTo is required with mode Redirect: name the address that gets all mail",
            ".redirectTo",
        )
    )

    mode: Annotated[
        OutboundMode | None,
        doc(
            "Live sends. Redirect sends everything to redirectTo. Suppress sends nothing and changes nothing outside.",
            unset="Live.",
        ),
    ] = None
    redirect_to: Annotated[
        Annotated[str, Field(max_length=254)] | None,
        doc("The address that gets all mail with Redirect.", unset="none."),
    ] = None
    allow: Annotated[
        list[Annotated[str, Field(min_length=1, max_length=254)]] | None,
        Field(max_length=100),
        SET,
        doc(
            "Addresses, or domains such as @example.com, that are reached as in Live whatever the mode.",
            unset="none.",
        ),
    ] = None


class Retention(ApiModel):
    """How long finished FluidJobs stay when they do not say so themselves."""

    succeeded_seconds: Annotated[Seconds | None, doc("How long a succeeded job stays.", unset="3600.")] = None
    failed_seconds: Annotated[
        Seconds | None, doc("How long a failed or cancelled job stays.", unset="604800 (7 days).")
    ] = None
    max_finished: Annotated[
        Annotated[int, Strict(), Field(ge=0, le=10_000)] | None,
        doc("Finished jobs that stay at most in the namespace; the oldest go first.", unset="1000."),
    ] = None


class Encryption(ApiModel):
    """Encryption of payloads and results in Redis."""

    key_secret_ref: Annotated[KeyRef, doc("Key of a Secret that holds the key.")]


class DeletionPolicy(StrEnum):
    """What happens to the data when the environment is deleted."""

    RETAIN = "Retain"
    DELETE = "Delete"


class FluidEnvironmentSpec(ApiModel):
    """One Redis, the pools of workers on it, and the settings of its queues."""

    model_config = checked_by(
        rule(
            "has(self.image) || !has(self.workers) || self.workers.all(pool, has(pool.image))",
            "image is required, unless every pool of workers names its own",
            ".image",
        )
    )

    image: Annotated[Image | None, doc("Image of the workers.", unset="each pool must name its own.")] = None
    suspend: Annotated[Flag | None, doc("Stops all claims: running jobs finish, no other starts.", unset="false.")] = (
        None
    )
    redis: Annotated[Redis, doc("Where the queue lives.")]
    workers: Annotated[
        list[WorkerPool] | None,
        Field(max_length=50),
        map_by("name"),
        doc("Pools of workers. With none, workers are run by hand outside the cluster.", unset="none."),
    ] = None
    queues: Annotated[
        list[QueueSettings] | None,
        Field(max_length=500),
        map_by("name"),
        doc("Settings of single queues; a queue needs no entry to be used.", unset="none."),
    ] = None
    database: Annotated[
        Database | None,
        doc("The application's database, for processors that need one.", unset="processors have none."),
    ] = None
    outbound: Annotated[
        Outbound | None, doc("What processors may send to the world outside.", unset="everything (Live).")
    ] = None
    retention: Annotated[
        Retention | None,
        doc(
            "How long finished FluidJobs stay when they do not say so themselves.",
            unset="1 h after success, 7 days after failure, at most 1000.",
        ),
    ] = None
    encryption: Annotated[
        Encryption | None,
        doc("Encryption of payloads and results in Redis.", unset="they are not encrypted."),
    ] = None
    deletion_policy: Annotated[
        DeletionPolicy | None,
        doc(
            "Whether the volume of a managed Redis stays (Retain) or goes (Delete) with the environment.",
            unset="Retain.",
        ),
    ] = None


class PoolStatus(ApiModel):
    """One pool of workers, as it is."""

    name: Annotated[Word, doc("Name of the pool.")]
    replicas: Annotated[Count | None, doc("Workers that there should be now.", unset="0.")] = None
    ready_replicas: Annotated[Count | None, doc("Workers that are ready.", unset="0.")] = None
    updated_replicas: Annotated[Count | None, doc("Workers that are as the spec has them now.", unset="0.")] = None


class FluidEnvironmentStatus(ApiModel):
    """What the operator has seen of the environment."""

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
        doc(
            "The state as facts: Ready (Redis answers and every pool has its minimum), RedisReady, WorkersReady, "
            "QueueHealthy (what threatens the jobs in Redis, in words), TypesDiscovered, Reconciling, Stalled.",
            unset="nobody has looked yet.",
        ),
    ] = None
    key_prefix: Annotated[KeyPrefix | None, doc("The part of the key space in use.", unset="not known yet.")] = None
    ready_workers: Annotated[Count | None, doc("Workers that are ready, of all pools.", unset="not known yet.")] = None
    workers: Annotated[
        Annotated[str, Field(max_length=32)] | None,
        doc('Workers that are ready, of those that there should be, such as "2/3".', unset="there are no pools."),
    ] = None
    pools: Annotated[
        list[PoolStatus] | None,
        Field(max_length=50),
        map_by("name"),
        doc("The pools of workers.", unset="there are none."),
    ] = None
    child_objects: Annotated[
        Count | None,
        doc("Objects that the operator keeps for the environment: Redis, workers and what they need.", unset="none."),
    ] = None
    waiting: Annotated[LongCount | None, doc("Jobs that wait in all queues.", unset="not known yet.")] = None
    paused_queues: Annotated[
        list[Word] | None,
        Field(max_length=500),
        SET,
        doc(
            "Queues that were paused by request; a queue is paused when it is named here or by the spec.",
            unset="none.",
        ),
    ] = None
    last_handled_request: Annotated[
        ShortText | None,
        doc(
            "The last value of the annotation jobs.fluidcalendar.com/request that was carried out.",
            unset="none.",
        ),
    ] = None


FLUID_ENVIRONMENT = Kind(
    kind="FluidEnvironment",
    plural="fluidenvironments",
    short_name="fe",
    description=(
        "One Redis, the pools of workers on it, and the settings of its queues. FluidJobs of "
        "the same namespace run in it."
    ),
    spec=FluidEnvironmentSpec,
    status=FluidEnvironmentStatus,
    status_default={"observedGeneration": -1},
    rules=(
        rule(
            "self.metadata.name.size() <= 63",
            "metadata.name: must be no longer than 63 characters, so that FluidJobs can name it",
        ),
    ),
    columns=(
        Column("Redis", '.status.conditions[?(@.type=="RedisReady")].status', description="Whether Redis answers"),
        Column("Workers", ".status.workers", description="Workers that are ready, of those that there should be"),
        Column("Waiting", ".status.waiting", "integer"),
        Column("Ready", '.status.conditions[?(@.type=="Ready")].status'),
        Column("Age", ".metadata.creationTimestamp", "date"),
        Column("Message", '.status.conditions[?(@.type=="Ready")].message', wide=True),
    ),
)
