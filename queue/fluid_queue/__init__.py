"""The Redis queue of Fluid Jobs: Lua commands, a typed client, a consumer. Needs no Kubernetes.

Producers use `Queue.enqueue`; workers hand a handler to `Consumer`; whoever follows the jobs of others reads
`HintReader` and `Queue.inspect`.
"""

from fluid_queue.client import WITHDRAWN, KeySpaceInfo, Leader, Queue, QueueStats, Stats
from fluid_queue.consumer import ActiveJob, Consumer, Handler, Observer
from fluid_queue.errors import (
    InvalidJob,
    LayoutMismatch,
    LeaderFenced,
    PermanentError,
    Postponed,
    ProcessorError,
    QueueError,
    QueueFull,
    QueueUnavailable,
    RateLimited,
    RetryLater,
    ScriptError,
)
from fluid_queue.hints import HintReader, Hints
from fluid_queue.jobs import Attempt, Claim, ClaimedJob, Enqueued, JobRecord, NewJob, Outcome
from fluid_queue.outcomes import Ending, StopReason
from fluid_queue.retries import BACKOFF_LIMIT, Backoff

__all__ = [
    "BACKOFF_LIMIT",
    "WITHDRAWN",
    "ActiveJob",
    "Attempt",
    "Backoff",
    "Claim",
    "ClaimedJob",
    "Consumer",
    "Ending",
    "Enqueued",
    "Handler",
    "HintReader",
    "Hints",
    "InvalidJob",
    "JobRecord",
    "KeySpaceInfo",
    "LayoutMismatch",
    "Leader",
    "LeaderFenced",
    "NewJob",
    "Observer",
    "Outcome",
    "PermanentError",
    "Postponed",
    "ProcessorError",
    "Queue",
    "QueueError",
    "QueueFull",
    "QueueStats",
    "QueueUnavailable",
    "RateLimited",
    "RetryLater",
    "ScriptError",
    "Stats",
    "StopReason",
]
