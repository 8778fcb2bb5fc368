"""Pools of workers of a FluidEnvironment: how many, on which queues, in what kind of pod."""

from enum import StrEnum
from typing import Annotated, Final

from pydantic import Field, Strict

from fluid_operator.api.fields import (
    ATOMIC,
    SET,
    JsonObject,
    ObjectName,
    PositiveSeconds,
    Seconds,
    Word,
    checked_by,
    doc,
    map_by,
    rule,
)
from fluid_operator.api.meta import ApiModel
from fluid_operator.api.pods import EnvFrom, EnvVar, Image, Resources, Toleration

Replicas = Annotated[int, Strict(), Field(ge=0, le=1000)]
QueueSelector = Annotated[
    str, Field(min_length=1, max_length=63, pattern=r"^(\*|[A-Za-z0-9]([A-Za-z0-9_.-]*[A-Za-z0-9])?)$")
]
StabilizationSeconds = Annotated[Seconds, Field(le=3600)]

CONCURRENCY: Final = 50
TARGET_LATENCY_SECONDS: Final = 5
STABILIZATION_SECONDS: Final = 300
"""What holds where a pool does not say."""


class AutoscalingProvider(StrEnum):
    """Who sets the number of workers."""

    BUILT_IN = "BuiltIn"
    KEDA = "KEDA"


class Autoscaling(ApiModel):
    """How the number of workers follows the work."""

    provider: Annotated[
        AutoscalingProvider | None,
        doc(
            "Who sets the number of workers: BuiltIn, the operator itself; KEDA, a ScaledObject on what the operator "
            "recommends as a metric (KEDA has to be in the cluster).",
            unset="BuiltIn.",
        ),
    ] = None
    target_latency_seconds: Annotated[
        PositiveSeconds | None,
        doc("The longest that the oldest job should wait; when it waits longer, workers are added.", unset="5."),
    ] = None
    stabilization_window_seconds: Annotated[
        StabilizationSeconds | None,
        doc(
            "Workers go only when fewer would have been enough for so long, as in a HorizontalPodAutoscaler; after a "
            "restart of the operator the time begins anew.",
            unset="300.",
        ),
    ] = None


class WorkerPool(ApiModel):
    """Workers that are alike: one Deployment."""

    model_config = checked_by(
        rule(
            "!has(self.minReplicas) || !has(self.maxReplicas) || self.minReplicas <= self.maxReplicas",
            "minReplicas must not be larger than maxReplicas",
            ".minReplicas",
        )
    )

    name: Annotated[Word, doc("Name of the pool, part of the Deployment's name.")]
    queues: Annotated[
        list[QueueSelector] | None,
        Field(max_length=100),
        SET,
        doc('Queues that the pool works on; "*" means all.', unset="all."),
    ] = None
    concurrency: Annotated[
        Annotated[int, Strict(), Field(ge=1, le=1000)] | None,
        doc("Jobs that one worker runs at once.", unset="50."),
    ] = None
    min_replicas: Annotated[
        Replicas | None, doc("Workers that run even without work; 0 lets the pool sleep.", unset="1.")
    ] = None
    max_replicas: Annotated[Replicas | None, doc("Workers that run at most.", unset="minReplicas: no scaling.")] = None
    autoscaling: Annotated[
        Autoscaling | None,
        doc("How to scale between minReplicas and maxReplicas.", unset="to keep the oldest job below 5 s."),
    ] = None
    image: Annotated[Image | None, doc("Image of the workers.", unset="the environment's.")] = None
    resources: Annotated[Resources | None, doc("Resources of a worker.", unset="none are asked for.")] = None
    env: Annotated[
        list[EnvVar] | None,
        Field(max_length=200),
        map_by("name"),
        doc("Environment variables of the workers.", unset="none."),
    ] = None
    env_from: Annotated[
        list[EnvFrom] | None,
        Field(max_length=50),
        ATOMIC,
        doc("Secrets and ConfigMaps whose keys become environment variables.", unset="none."),
    ] = None
    node_selector: Annotated[
        dict[str, Annotated[str, Field(max_length=63)]] | None,
        Field(max_length=32),
        doc("Labels that a node must have.", unset="any node."),
    ] = None
    tolerations: Annotated[
        list[Toleration] | None,
        Field(max_length=50),
        ATOMIC,
        doc("Taints that the workers put up with.", unset="none."),
    ] = None
    affinity: Annotated[JsonObject | None, doc("Affinity as in a pod.", unset="workers are spread over nodes.")] = None
    service_account_name: Annotated[
        ObjectName | None,
        doc("ServiceAccount of the workers.", unset="one of the pool's own, without rights."),
    ] = None
    termination_grace_period_seconds: Annotated[
        Seconds | None,
        doc("How long a stopping worker may go on with its jobs before it hands them back.", unset="60."),
    ] = None
