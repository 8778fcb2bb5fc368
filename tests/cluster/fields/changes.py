"""What a change of each field does: one row for each, with what must be so after a change before, during and after a
run.

Data, and the few words it is written in. The job of a row starts as `first`, and `then` is merged over that.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from cluster.fields.scene import (
    AT_ONCE,
    CLOSED,
    GONE,
    HOPELESS,
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
class Row:
    """One field: two specs, and what comes of the change."""

    path: str
    first: Spec
    then: Spec
    before: Want
    during: Want
    after: Want

    @property
    def name(self) -> str:
        """Of the object."""
        return object_name(self.path)

    @property
    def changed(self) -> Spec:
        payload = {**self.first.get("payload", {}), **self.then.get("payload", {})}
        return {**self.first, **self.then, "payload": payload}


def defines(path: str, first: Spec, then: Spec, *, new: tuple[str, ...] = ("one",), **shows: Any) -> Row:
    """A field that defines the run: a waiting job is replaced, a running one comes to its end and runs once more."""
    want = Want(values=new, shows=shows)
    again = Want(run=2, values=("one", *new), shows=shows)
    return Row(path, first, then, before=want, during=again, after=again)


def sets(
    path: str,
    first: Spec,
    then: Spec,
    before: Want | None = None,
    during: Want | None = None,
    after: Want | None = None,
) -> Row:
    """A field that runs nothing again. What is not said is that the job runs once; `after` is as `during`."""
    during = during or Want()
    return Row(path, first, then, before or Want(), during, after or during)


def backs_off(name: str, old: Any, new: Any) -> Row:
    """A field of the backoff: the run keeps what it was enqueued with."""
    first = {"delaySeconds": 10, "factor": 2, "maxDelaySeconds": 100, "jitterPercent": 0} | {name: old}
    shown = f"effective.backoff.{name}"
    return sets(
        f"spec.backoff.{name}",
        {"backoff": first},
        {"backoff": first | {name: new}},
        before=Want(shows={shown: new}),
        during=Want(shows={shown: old}),
    )


def sources(path: str) -> list[Row]:
    """The four fields of a reference to a Secret or ConfigMap."""
    return [defines(f"spec.{each.path}", each.first, each.then, new=("two",)) for each in source_fields(path)]


def moves() -> Row:
    """To another environment. A waiting job leaves its number behind with the one that it is taken out of."""
    row = defines("spec.environment", {}, {"environment": OTHER_ENVIRONMENT}, environment=OTHER_ENVIRONMENT)
    return replace(row, before=replace(row.before, run=None))


_STUBBORN: Final[Spec] = {"payload": HOPELESS, "backoffLimit": 1, "backoff": AT_ONCE}
_SLOW: Final[Spec] = {"payload": {"seconds": 3}, "backoffLimit": 0}
_TWICE: Final = fails("BackoffLimitExceeded", "one", "one")
_INDEXES: Final[Spec] = {"items": [{"value": "one"}] * 2}

HELPERS: Final[Mapping[str, Spec]] = {
    "holder": {"priority": 1000, "concurrencyKey": "held", "payload": {"hold": CLOSED}},
    "first-twin": {"deduplication": {"key": "taken"}, "payload": {"hold": CLOSED}},
}
"""Jobs that stand in the way of those whose change comes before their run: the first at the head of the line."""

ROWS: Final[tuple[Row, ...]] = (
    moves(),
    defines("spec.type", {}, {"type": "errand"}, result={"value": "one", "errand": True}),
    defines("spec.queue", {}, {"queue": OTHER_QUEUE}, queue=OTHER_QUEUE),
    defines("spec.payload", {}, {"payload": {"value": "two"}}, new=("two",)),
    *sources("payloadFrom"),
    sets("spec.tags", {"tags": {"user": "u1"}}, {"tags": {"user": "u2"}}),
    sets("spec.priority", {}, {"priority": 5}, before=Want(shows={"effective.priority": 5})),
    sets(
        "spec.startAfter",
        {"startAfter": "2020-01-01T07:00:00Z"},
        {"startAfter": "2099-01-01T07:00:00Z"},
        before=Want("Scheduled", values=(), shows={"nextAttemptTime": "2099-01-01T07:00:00.000000Z"}),
    ),
    sets(
        "spec.startingDeadlineSeconds",
        {},
        {"startingDeadlineSeconds": 1},
        before=replace(fails("StartingDeadlineExceeded"), run=None),
    ),
    sets(
        "spec.suspend",
        {},
        {"suspend": True},
        before=Want("Suspended", run=None, values=()),
        during=Want("Suspended", run=None, values=("one",)),
        after=Want(),
    ),
    sets(
        "spec.cancelled",
        {},
        {"cancelled": True},
        before=Want("Cancelled", values=()),
        during=Want("Cancelled", values=("one",)),
        after=Want(),
    ),
    sets(
        "spec.backoffLimit",
        _STUBBORN,
        {"backoffLimit": 0},
        before=fails("BackoffLimitExceeded", "one"),
        during=_TWICE,
    ),
    backs_off("type", "Exponential", "Fixed"),
    backs_off("delaySeconds", 10, 20),
    backs_off("factor", 2, 4),
    backs_off("maxDelaySeconds", 100, 200),
    backs_off("jitterPercent", 0, 50),
    sets(
        "spec.failurePolicy.rules[].errorTypes",
        {**_STUBBORN, **policy(["OSError"], "FailJob")},
        policy(["ValueError"], "FailJob"),
        before=fails("PolicyFailed", "one"),
        during=_TWICE,
    ),
    sets(
        "spec.failurePolicy.rules[].action",
        {**_STUBBORN, **policy(["ValueError"], "Count")},
        policy(["ValueError"], "FailJob"),
        before=fails("PolicyFailed", "one"),
        during=_TWICE,
    ),
    sets("spec.attemptDeadlineSeconds", _SLOW, {"attemptDeadlineSeconds": 1}, before=fails("AttemptTimeout", "one")),
    sets("spec.activeDeadlineSeconds", _SLOW, {"activeDeadlineSeconds": 1}, before=fails("DeadlineExceeded", "one")),
    sets(
        "spec.concurrencyKey",
        {"concurrencyKey": "free"},
        {"concurrencyKey": "held"},
        before=Want("Queued", reason="KeyHeld", values=()),
    ),
    sets(
        "spec.deduplication.key",
        twin(key="mine"),
        twin(key="taken"),
        before=Want(reason="Deduplicated", values=(), shows={"deduplicatedBy": "first-twin"}),
    ),
    sets("spec.deduplication.mode", twin(key="mode"), twin(key="mode", mode="Replace")),
    sets("spec.deduplication.ttlSeconds", twin(key="ttl", ttlSeconds=30), twin(key="ttl", ttlSeconds=60)),
    defines("spec.completions", {"completions": 1}, {"completions": 2}, new=("one", "one"), succeeded=2),
    defines("spec.items", {"items": [{"value": "one"}]}, {"items": [{"value": "two"}]}, new=("two",)),
    *sources("itemsFrom"),
    sets(
        "spec.parallelism",
        {**_INDEXES, "parallelism": 2, "payload": {"hold": CLOSED}},
        {"parallelism": 1},
        before=Want("Running", shows={"active": 1}),
        during=Want(values=("one", "one"), shows={"succeeded": 2}),
    ),
    sets(
        "spec.maxFailedIndexes",
        {**_INDEXES, "parallelism": 1, "payload": HOPELESS, "backoffLimit": 0},
        {"maxFailedIndexes": 0},
        before=fails("MaxFailedIndexesExceeded", "one", failed=1),
        during=fails("MaxFailedIndexesExceeded", "one", failed=1),
        after=fails(None, "one", "one", failed=2),
    ),
    sets("spec.runPolicy", {}, {"runPolicy": "OncePerSpec"}),
    defines("spec.runId", {}, {"runId": "again"}),
    sets(
        "spec.ttlSecondsAfterFinished",
        {"ttlSecondsAfterFinished": 3600},
        {"ttlSecondsAfterFinished": 0},
        before=Want(GONE),
        during=Want(GONE),
    ),
    sets(
        "spec.ttl.succeededSeconds",
        {"ttl": {"succeededSeconds": 3600}},
        {"ttl": {"succeededSeconds": 0}},
        before=Want(GONE),
        during=Want(GONE),
    ),
    sets(
        "spec.ttl.failedSeconds",
        {"ttl": {"failedSeconds": 3600}, "payload": HOPELESS, "backoffLimit": 0},
        {"ttl": {"failedSeconds": 0}},
        before=Want(GONE),
        during=Want(GONE),
    ),
)
