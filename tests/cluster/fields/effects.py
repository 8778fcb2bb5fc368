"""What each field does: jobs that set it, and what must become of them.

Data only. The jobs of EARLIER are there first, and have come as far as is said; then all others are created at once.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from cluster.fields.scene import (
    AT_ONCE,
    CLOSED,
    GONE,
    HOPELESS,
    IDLE_QUEUE,
    OTHER_ENVIRONMENT,
    OTHER_QUEUE,
    Spec,
    Want,
    fails,
    object_name,
    policy,
    source_fields,
    twin,
)


@dataclass(frozen=True)
class Effect:
    """One field, and a job by name that shows it."""

    path: str
    name: str
    spec: Spec
    want: Want


_WAITS: Final = Want("Queued", values=())
_HELD: Final[Spec] = {"payload": {"hold": CLOSED}}
_LATE: Final[Spec] = {"payload": {"seconds": 60}, "backoffLimit": 0}
_STUBBORN: Final[Spec] = {"payload": HOPELESS, "backoffLimit": 1, "backoff": AT_ONCE}
_NEEDLESS: Final = Want(reason="Deduplicated", values=())
_PAIR: Final[Spec] = {"items": [{"value": "one"}, {"value": "one"}], "parallelism": 1}

EARLIER: Final[Mapping[str, tuple[Spec, str]]] = {
    "key-first": ({**_HELD, **twin(key="first")}, "Running"),
    "waits-in-vain": ({"queue": IDLE_QUEUE, **twin(key="replaced")}, "Queued"),
    "long-ttl-first": (twin(key="long", mode="Throttle", ttlSeconds=600), "Succeeded"),
    "short-ttl-first": (twin(key="short", mode="Throttle", ttlSeconds=1), "Succeeded"),
    "lock-first": ({**_HELD, "concurrencyKey": "lock"}, "Running"),
    "once": ({"runPolicy": "OncePerSpec", "ttlSecondsAfterFinished": 0}, GONE),
    "always": ({"runPolicy": "Always", "ttlSecondsAfterFinished": 0}, GONE),
    "run-id": ({"runId": "a"}, "Succeeded"),
}
"""Jobs by name, each with the phase that it has reached when the others come."""

EFFECTS: Final[tuple[Effect, ...]] = (
    Effect(
        "spec.environment",
        "environment",
        {"environment": OTHER_ENVIRONMENT},
        Want(shows={"environment": OTHER_ENVIRONMENT}),
    ),
    Effect("spec.type", "type", {"type": "errand"}, Want(shows={"result": {"value": "one", "errand": True}})),
    Effect("spec.queue", "queue", {"queue": OTHER_QUEUE}, Want(shows={"queue": OTHER_QUEUE})),
    Effect("spec.queue", "queue-without-workers", {"queue": IDLE_QUEUE}, _WAITS),
    Effect("spec.payload", "payload", {"payload": {"value": "two"}}, Want(values=("two",))),
    *(
        Effect(f"spec.{each.path}", object_name(each.path), each.then, Want(values=("two",)))
        for name in ("payloadFrom", "itemsFrom")
        for each in source_fields(name)
    ),
    Effect("spec.startAfter", "start-after", {"startAfter": "2099-01-01T07:00:00Z"}, Want("Scheduled", values=())),
    Effect("spec.startAfter", "start-after-now", {"startAfter": "2020-01-01T07:00:00Z"}, Want()),
    Effect(
        "spec.startingDeadlineSeconds",
        "starting-deadline",
        {"queue": IDLE_QUEUE, "startingDeadlineSeconds": 1},
        fails("StartingDeadlineExceeded"),
    ),
    Effect(
        "spec.startingDeadlineSeconds",
        "starting-deadline-kept",
        {"startingDeadlineSeconds": 4, "payload": {"seconds": 5}},
        Want(),
    ),
    Effect("spec.suspend", "suspend", {"suspend": True}, Want("Suspended", run=None, values=())),
    Effect("spec.cancelled", "cancelled", {"cancelled": True}, Want("Cancelled", values=())),
    Effect(
        "spec.backoffLimit",
        "backoff-limit",
        {"payload": HOPELESS, "backoff": AT_ONCE, "backoffLimit": 2},
        fails("BackoffLimitExceeded", "one", "one", "one"),
    ),
    Effect(
        "spec.failurePolicy.rules[].errorTypes",
        "error-types",
        {**_STUBBORN, **policy(["OSError", "ValueError"], "FailJob")},
        fails("PolicyFailed", "one"),
    ),
    Effect(
        "spec.failurePolicy.rules[].errorTypes",
        "other-error-types",
        {**_STUBBORN, **policy(["OSError"], "FailJob")},
        fails("BackoffLimitExceeded", "one", "one"),
    ),
    Effect(
        "spec.failurePolicy.rules[].action",
        "action-fail-job",
        {**_STUBBORN, **policy(["ValueError"], "FailJob")},
        fails("PolicyFailed", "one"),
    ),
    Effect(
        "spec.failurePolicy.rules[].action",
        "action-ignore",
        {"payload": {"succeedAt": 3}, "backoffLimit": 0, "backoff": AT_ONCE, **policy(["ValueError"], "Ignore")},
        Want(values=("one", "one", "one")),
    ),
    Effect(
        "spec.failurePolicy.rules[].action",
        "action-count",
        {**_STUBBORN, **policy(["ValueError"], "Count")},
        fails("BackoffLimitExceeded", "one", "one"),
    ),
    Effect(
        "spec.attemptDeadlineSeconds",
        "attempt-deadline",
        {**_LATE, "attemptDeadlineSeconds": 1},
        fails("AttemptTimeout", "one"),
    ),
    Effect(
        "spec.activeDeadlineSeconds",
        "active-deadline",
        {**_LATE, "backoffLimit": 5, "activeDeadlineSeconds": 1},
        fails("DeadlineExceeded", "one"),
    ),
    Effect(
        "spec.concurrencyKey",
        "lock-second",
        {"concurrencyKey": "lock"},
        Want("Queued", reason="KeyHeld", values=()),
    ),
    Effect("spec.concurrencyKey", "other-lock", {"concurrencyKey": "other"}, Want()),
    Effect("spec.deduplication.key", "key-second", twin(key="first"), _NEEDLESS),
    Effect("spec.deduplication.key", "other-key", twin(key="other"), Want()),
    Effect(
        "spec.deduplication.mode", "replaces", {"queue": IDLE_QUEUE, **twin(key="replaced", mode="Replace")}, _WAITS
    ),
    Effect("spec.deduplication.mode", "waits-in-vain", EARLIER["waits-in-vain"][0], _NEEDLESS),
    Effect("spec.deduplication.ttlSeconds", "long-ttl", twin(key="long", mode="Throttle", ttlSeconds=600), _NEEDLESS),
    Effect("spec.deduplication.ttlSeconds", "short-ttl", twin(key="short", mode="Throttle", ttlSeconds=1), Want()),
    Effect(
        "spec.completions",
        "completions",
        {"completions": 3},
        Want(values=("one", "one", "one"), shows={"succeeded": 3, "completedIndexes": "0-2"}),
    ),
    Effect(
        "spec.items",
        "items",
        {"items": [{"value": "one"}, {"value": "two"}], "parallelism": 1},
        Want(values=("one", "two"), shows={"succeeded": 2, "completedIndexes": "0-1"}),
    ),
    Effect("spec.parallelism", "parallelism", {**_PAIR, **_HELD}, Want("Running", shows={"active": 1})),
    Effect(
        "spec.maxFailedIndexes",
        "max-failed-indexes",
        {**_PAIR, "payload": HOPELESS, "backoffLimit": 0, "maxFailedIndexes": 0},
        fails("MaxFailedIndexesExceeded", "one", failed=1),
    ),
    Effect("spec.runPolicy", "once", EARLIER["once"][0], Want(reason="AlreadySucceeded", values=())),
    Effect("spec.runPolicy", "always", EARLIER["always"][0], Want(GONE)),
    Effect("spec.runId", "run-id", {"runId": "b"}, Want(run=2, values=("one", "one"), observed=2)),
    Effect("spec.ttlSecondsAfterFinished", "ttl", {"ttlSecondsAfterFinished": 0}, Want(GONE)),
    Effect("spec.ttl.succeededSeconds", "ttl-succeeded", {"ttl": {"succeededSeconds": 0}}, Want(GONE)),
    Effect("spec.ttl.succeededSeconds", "ttl-succeeded-other", {"ttl": {"failedSeconds": 0}}, Want()),
    Effect(
        "spec.ttl.failedSeconds",
        "ttl-failed",
        {"payload": HOPELESS, "backoffLimit": 0, "ttl": {"failedSeconds": 0}},
        Want(GONE),
    ),
)
