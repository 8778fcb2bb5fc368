"""Condition types, reasons, and the one way to set a condition.

Types and reasons carry the names of batch/v1 and kstatus where those have one, so that `kubectl wait`, Argo
CD and Flux understand them. A type answers a question that stays the same; a reason is the present answer in
one word.
"""

from collections.abc import Sequence
from datetime import datetime
from enum import StrEnum
from typing import Final

from fluid_operator.api.meta import Condition, ConditionStatus

MESSAGE_LIMIT: Final = 1024
"""Characters of a condition's message; the CRD refuses more, so longer texts are cut here."""


class ConditionType(StrEnum):
    """What a condition speaks of."""

    COMPLETE = "Complete"
    FAILED = "Failed"
    SUSPENDED = "Suspended"
    READY = "Ready"
    RECONCILING = "Reconciling"
    STALLED = "Stalled"
    REQUEST_IGNORED = "RequestIgnored"
    REDIS_READY = "RedisReady"
    WORKERS_READY = "WorkersReady"
    QUEUE_HEALTHY = "QueueHealthy"
    TYPES_DISCOVERED = "TypesDiscovered"


class Reason(StrEnum):
    """Why a condition is as it is."""

    # Waiting before the queue: nothing is lost, the job goes on when the cause is gone.
    ENVIRONMENT_NOT_FOUND = "EnvironmentNotFound"
    QUEUE_UNAVAILABLE = "QueueUnavailable"
    CREATION_RATE_LIMITED = "CreationRateLimited"
    PAYLOAD_SOURCE_NOT_FOUND = "PayloadSourceNotFound"
    SECRET_ACCESS_DENIED = "SecretAccessDenied"  # noqa: S105 - a reason, not a password
    TYPE_NOT_YET_KNOWN = "TypeNotYetKnown"
    REDIS_CHANGING = "RedisChanging"
    # In the queue.
    QUEUED = "Queued"
    SCHEDULED = "Scheduled"
    RETRYING = "Retrying"
    QUEUE_PAUSED = "QueuePaused"
    KEY_HELD = "KeyHeld"
    RATE_LIMITED = "RateLimited"
    CIRCUIT_OPEN = "CircuitOpen"
    NO_WORKERS = "NoWorkers"
    ENVIRONMENT_SUSPENDED = "EnvironmentSuspended"
    # Running.
    RUNNING = "Running"
    STOPPING = "Stopping"
    WAITING_FOR_CHILDREN = "WaitingForChildren"
    SUSPENDED = "Suspended"
    SUSPENDED_BY_REQUEST = "SuspendedByRequest"
    # Ended.
    SUCCEEDED = "Succeeded"
    DEDUPLICATED = "Deduplicated"
    SKIPPED = "Skipped"
    ALREADY_SUCCEEDED = "AlreadySucceeded"
    ALREADY_FAILED = "AlreadyFailed"
    ALREADY_CANCELLED = "AlreadyCancelled"
    BACKOFF_LIMIT_EXCEEDED = "BackoffLimitExceeded"
    DEADLINE_EXCEEDED = "DeadlineExceeded"
    ATTEMPT_TIMEOUT = "AttemptTimeout"
    STARTING_DEADLINE_EXCEEDED = "StartingDeadlineExceeded"
    INVALID_PAYLOAD = "InvalidPayload"
    INVALID_SPEC = "InvalidSpec"
    UNKNOWN_TYPE = "UnknownType"
    POLICY_FAILED = "PolicyFailed"
    CHILD_FAILED = "ChildFailed"
    STALLED = "Stalled"
    CANCELLED = "Cancelled"
    # Beside the state.
    INVALID_REQUEST = "InvalidRequest"
    # Environments.
    AVAILABLE = "Available"
    SECRET_NOT_FOUND = "SecretNotFound"  # noqa: S105 - a reason, not a password
    INVALID_REDIS_URL = "InvalidRedisUrl"
    REDIS_UNAVAILABLE = "RedisUnavailable"
    REDIS_ACCESS_DENIED = "RedisAccessDenied"
    REDIS_CHANGE_BLOCKED = "RedisChangeBlocked"
    REDIS_DRAINING = "RedisDraining"
    KEY_PREFIX_IN_USE = "KeyPrefixInUse"
    INVALID_KEY_RING = "InvalidKeyRing"
    WORKERS_NOT_READY = "WorkersNotReady"
    ROLLING_OUT = "RollingOut"
    ROTATING_PASSWORDS = "RotatingPasswords"
    DISCOVERING = "Discovering"
    ACCESS_DENIED = "AccessDenied"
    NAME_TAKEN = "NameTaken"
    REFUSED = "Refused"
    APPLYING = "Applying"
    AUTOSCALER_MISSING = "AutoscalerMissing"
    PERSISTENCE_OFF = "PersistenceOff"
    EVICTION_ON = "EvictionOn"
    MEMORY_NEARLY_FULL = "MemoryNearlyFull"
    REDIS_TOO_OLD = "RedisTooOld"
    # Schedules.
    ON_SCHEDULE = "OnSchedule"
    NO_MORE_TIMES = "NoMoreTimes"
    WAITING_FOR_ACTIVE_JOB = "WaitingForActiveJob"
    INVALID_SCHEDULE = "InvalidSchedule"
    INVALID_TIME_ZONE = "InvalidTimeZone"
    JOB_REFUSED = "JobRefused"
    NAME_COLLISION = "NameCollision"
    CLOCK_WENT_BACK = "ClockWentBack"


def set_condition(
    conditions: Sequence[Condition],
    kind: ConditionType,
    status: bool | ConditionStatus,
    *,
    reason: Reason,
    message: str,
    generation: int,
    now: datetime,
) -> tuple[Condition, ...]:
    """The conditions with one of them set; its place and its transition time stay when its status does."""
    wanted = status if isinstance(status, ConditionStatus) else _truth(status)
    before = find_condition(conditions, kind)
    since = before.last_transition_time if before is not None and before.status == wanted else now
    new = Condition(
        type=kind.value,
        status=wanted,
        observed_generation=generation,
        last_transition_time=since,
        reason=reason.value,
        message=cut(message),
    )
    if before is None:
        return (*conditions, new)
    return tuple(new if condition.type == kind else condition for condition in conditions)


def drop_condition(conditions: Sequence[Condition], kind: ConditionType) -> tuple[Condition, ...]:
    """The conditions without one: for facts that are only worth saying while they hold."""
    return tuple(condition for condition in conditions if condition.type != kind)


def find_condition(conditions: Sequence[Condition], kind: ConditionType) -> Condition | None:
    """The condition of this type, if it was ever set."""
    return next((condition for condition in conditions if condition.type == kind), None)


def cut(message: str, limit: int = MESSAGE_LIMIT) -> str:
    """The message, shortened with an ellipsis where it is longer than `limit` characters."""
    return message if len(message) <= limit else message[: limit - 1] + "…"


def _truth(holds: bool) -> ConditionStatus:
    return ConditionStatus.TRUE if holds else ConditionStatus.FALSE
