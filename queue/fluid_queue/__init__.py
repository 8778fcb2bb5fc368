"""The Redis queue of Fluid Jobs: Lua commands, a typed client, a consumer. Needs no Kubernetes.

Producers use `Queue.add` or `Queue.enqueue`, or `BlockingQueue` where no event loop runs; workers hand a
handler to `Consumer`; whoever follows the jobs of others reads `HintReader` and `Queue.inspect`.
"""

from fluid_queue.active import ActiveJob
from fluid_queue.addresses import Address, Tls
from fluid_queue.administration import IndexRanges, Leader, Page
from fluid_queue.blocking import BlockingQueue
from fluid_queue.client import WITHDRAWN, KeySpaceInfo, Queue
from fluid_queue.codec import Codec
from fluid_queue.consumer import Consumer, Handler, Observer
from fluid_queue.errors import (
    CorruptValue,
    DecryptionFailed,
    InvalidAddress,
    InvalidJob,
    InvalidKeyRing,
    JobNotFound,
    KeySpaceInUse,
    LayoutMismatch,
    LeaderFenced,
    MissingExtra,
    NotEncrypted,
    PermanentError,
    Postponed,
    ProcessorError,
    QueueAccessDenied,
    QueueError,
    QueueFull,
    QueueLimited,
    QueueUnavailable,
    RateLimited,
    RetryLater,
    ScriptError,
    StaleAttempt,
    UnknownKey,
    UnreadableValue,
)
from fluid_queue.failures import FailureRule
from fluid_queue.hints import HintReader, Hints
from fluid_queue.jobs import Deduplication, Indexes, NewJob, Parent
from fluid_queue.keyring import KeyRing
from fluid_queue.outcomes import Ending, StopReason
from fluid_queue.records import Attempt, Claim, ClaimedJob, Enqueued, JobRecord, Outcome
from fluid_queue.retries import BACKOFF_LIMIT, Backoff
from fluid_queue.server_state import ServerState
from fluid_queue.settings import CircuitBreaker, CreationLimit, Fairness, QueueSettings, RateLimit, Settings
from fluid_queue.stats import Durations, Histogram, QueueStats, Stats, TypeStats

__all__ = [
    "BACKOFF_LIMIT",
    "WITHDRAWN",
    "ActiveJob",
    "Address",
    "Attempt",
    "Backoff",
    "BlockingQueue",
    "CircuitBreaker",
    "Claim",
    "ClaimedJob",
    "Codec",
    "Consumer",
    "CorruptValue",
    "CreationLimit",
    "DecryptionFailed",
    "Deduplication",
    "Durations",
    "Ending",
    "Enqueued",
    "FailureRule",
    "Fairness",
    "Handler",
    "HintReader",
    "Hints",
    "Histogram",
    "IndexRanges",
    "Indexes",
    "InvalidAddress",
    "InvalidJob",
    "InvalidKeyRing",
    "JobNotFound",
    "JobRecord",
    "KeyRing",
    "KeySpaceInUse",
    "KeySpaceInfo",
    "LayoutMismatch",
    "Leader",
    "LeaderFenced",
    "MissingExtra",
    "NewJob",
    "NotEncrypted",
    "Observer",
    "Outcome",
    "Page",
    "Parent",
    "PermanentError",
    "Postponed",
    "ProcessorError",
    "Queue",
    "QueueAccessDenied",
    "QueueError",
    "QueueFull",
    "QueueLimited",
    "QueueSettings",
    "QueueStats",
    "QueueUnavailable",
    "RateLimit",
    "RateLimited",
    "RetryLater",
    "ScriptError",
    "ServerState",
    "Settings",
    "StaleAttempt",
    "Stats",
    "StopReason",
    "Tls",
    "TypeStats",
    "UnknownKey",
    "UnreadableValue",
]
