"""Small groups of settings that a FluidJob and the queues of a FluidEnvironment share: backoff, time to live,
failure rules.

They stand in a room of their own because the same words must mean the same in both kinds.
"""

from enum import StrEnum
from typing import Annotated

from pydantic import Field, Strict

from fluid_operator.api.fields import (
    ATOMIC,
    Percent,
    PositiveSeconds,
    Seconds,
    at_most_one_of,
    checked_by,
    doc,
    exactly_one_of,
    rule,
)
from fluid_operator.api.meta import ApiModel, KeyRef


class BackoffType(StrEnum):
    """How the delay before a retry grows."""

    EXPONENTIAL = "Exponential"
    FIXED = "Fixed"


class Backoff(ApiModel):
    """How long a failed job waits before its next attempt."""

    type: Annotated[
        BackoffType | None,
        doc(
            "Exponential multiplies the delay by `factor` after each attempt; Fixed keeps it.",
            unset="Exponential.",
        ),
    ] = None
    delay_seconds: Annotated[Seconds | None, doc("Delay before the first retry.", unset="10.")] = None
    factor: Annotated[
        Annotated[int, Strict(), Field(ge=1, le=10)] | None,
        doc("What each further delay is multiplied by; only for Exponential.", unset="3."),
    ] = None
    max_delay_seconds: Annotated[
        PositiveSeconds | None, doc("No delay grows beyond this; only for Exponential.", unset="3600.")
    ] = None
    jitter_percent: Annotated[
        Percent | None,
        doc(
            "Each delay is changed at random by up to this share, so that jobs that failed together "
            "do not retry together.",
            unset="10.",
        ),
    ] = None


class FailureAction(StrEnum):
    """What to do when an attempt failed with a certain error."""

    FAIL_JOB = "FailJob"
    IGNORE = "Ignore"
    COUNT = "Count"


class FailureRule(ApiModel):
    """One rule of a failure policy."""

    error_types: Annotated[
        list[Annotated[str, Field(min_length=1, max_length=128)]],
        Field(min_length=1, max_length=32),
        ATOMIC,
        doc("Names of exception classes as they appear in status.error.type. The rule applies to any of them."),
    ]
    action: Annotated[
        FailureAction,
        doc(
            "FailJob ends the job at once, without retries. Ignore retries without counting the "
            "attempt. Count counts it, as without a rule."
        ),
    ]


class FailurePolicy(ApiModel):
    """What the type of an error says about retrying."""

    rules: Annotated[
        list[FailureRule],
        Field(min_length=1, max_length=20),
        ATOMIC,
        doc("The first rule that names the error decides; an error that no rule names counts as an attempt."),
    ]


class TimeToLive(ApiModel):
    """How long a finished job stays before it is deleted, by its outcome."""

    succeeded_seconds: Annotated[
        Seconds | None,
        doc("How long a succeeded job stays.", unset="the environment's retention, else 3600."),
    ] = None
    failed_seconds: Annotated[
        Seconds | None,
        doc(
            "How long a failed or cancelled job stays.",
            unset="the environment's retention, else 604800 (7 days).",
        ),
    ] = None


class PayloadSource(ApiModel):
    """Where the payload, or a part of it, is read from: one key of a Secret or of a ConfigMap."""

    model_config = checked_by(
        rule(
            exactly_one_of("secretKeyRef", "configMapKeyRef"),
            "name exactly one source: secretKeyRef or configMapKeyRef",
        )
    )

    secret_key_ref: Annotated[
        KeyRef | None,
        doc(
            "A key of a Secret. The Secret must carry the label jobs.fluidcalendar.com/payload: "
            '"true"; its value appears in no status, event or log.',
            unset="configMapKeyRef is used.",
        ),
    ] = None
    config_map_key_ref: Annotated[KeyRef | None, doc("A key of a ConfigMap.", unset="secretKeyRef is used.")] = None


TTL_RULE = rule(
    at_most_one_of("ttl", "ttlSecondsAfterFinished"),
    "set only one of ttl and ttlSecondsAfterFinished",
    ".ttl",
)
