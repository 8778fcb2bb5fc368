"""What a change of each field does: one row for each, with what must be so after a change before, during and after a
run.

Data, and the few words it is written in. A job of a row starts as `first` over BASE, and `then` is merged over that.
Payloads wait for gates: OPEN is shut only while a test wants jobs to be running, CLOSED stays shut where a test needs
jobs that do not end.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final

from cluster.builders import FluidJobBuilder, fluid_job

Spec = Mapping[str, Any]

OPEN: Final = "<open>"
CLOSED: Final = "<closed>"
QUEUE: Final = "line"
OTHER_QUEUE: Final = "aside"
OTHER_ENVIRONMENT: Final = "other"
GONE: Final = "Gone"
"""The phase of an object that was deleted."""

BASE: Final[Spec] = {"type": "work", "queue": QUEUE, "environment": "default"}
PAYLOAD: Final[Spec] = {"value": "one", "hold": OPEN}


@dataclass(frozen=True)
class Want:
    """What is seen of a job in the end. `values`: what each of its attempts was given, in the order of their starts;
    `shows`: some fields of the status by their path."""

    phase: str = "Succeeded"
    run: int | None = 1
    values: tuple[str, ...] = ("one",)
    reason: str | None = None
    shows: Mapping[str, Any] = field(default_factory=dict)


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
        return self.path.removeprefix("spec.").replace("[]", "").replace(".", "-").lower()

    def job(self, changed: bool, gates: Mapping[str, str]) -> FluidJobBuilder:
        """The object, before or after the change; `gates` has the paths of the gates."""
        spec = {**BASE, **self.first, **(self.then if changed else {})}
        payload = {**PAYLOAD, **self.first.get("payload", {}), **(self.then.get("payload", {}) if changed else {})}
        return fluid_job(self.name).spec(**spec).payload(**payload | {"hold": gates[payload["hold"]]})


def defines(path: str, first: Spec, then: Spec, *, new: tuple[str, ...] = ("one",), **shows: Any) -> Row:
    """A field that defines the run: a waiting job is replaced, a running one comes to its end and runs once more."""
    want = Want(values=new, shows=shows)
    again = Want(run=2, values=("one", *new), shows=shows)
    return Row(path, first, then, before=want, during=again, after=again)


def sets(
    path: str, first: Spec, then: Spec, before: Want | None = None, during: Want | None = None, after: Want | None = None
) -> Row:
    """A field that runs nothing again. What is not said is that the job runs once."""
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


def sources(path: str, prefix: str) -> list[Row]:
    """The four fields of a reference, in the form that `prefix` has it; values come from SOURCES."""
    part = "items" if path == "itemsFrom" else "value"

    def spec(kind: str, name: str, key: str) -> Spec:
        source = {kind: {"name": name, "key": key}}
        return {path: [source] if path == "itemsFrom" else source}

    rows = []
    for kind in ("secretKeyRef", "configMapKeyRef"):
        first = spec(kind, "source-one", f"{part}-one")
        for field_name, then in (
            ("name", spec(kind, "source-two", f"{part}-one")),
            ("key", spec(kind, "source-one", f"{part}-two")),
        ):
            rows.append(defines(f"{prefix}.{kind}.{field_name}", first, then, new=("two",)))
    return rows


SOURCES: Final[Mapping[str, Mapping[str, str]]] = {
    "source-one": {
        "value-one": '{"value":"one"}',
        "value-two": '{"value":"two"}',
        "items-one": '{"value":"one"}\n',
        "items-two": '{"value":"two"}\n',
    },
    "source-two": {"value-one": '{"value":"two"}', "items-one": '{"value":"two"}\n'},
}
"""Data of a Secret and of a ConfigMap each."""

HOPELESS: Final[Spec] = {"succeedAt": 99}
AT_ONCE: Final[Spec] = {"type": "Fixed", "delaySeconds": 0, "jitterPercent": 0}


def fails(reason: str, *values: str) -> Want:
    return Want("Failed", reason=reason, values=values)


def policy(types: list[str], action: str) -> Spec:
    return {"failurePolicy": {"rules": [{"errorTypes": types, "action": action}]}}


def twin(**fields: Any) -> Spec:
    return {"deduplication": fields}


_STUBBORN: Final[Spec] = {"payload": HOPELESS, "backoffLimit": 1, "backoff": AT_ONCE}
_SLOW: Final[Spec] = {"payload": {"seconds": 3}, "backoffLimit": 0}
_TWICE = fails("BackoffLimitExceeded", "one", "one")

_INDEXES: Final[Spec] = {"items": [{"value": "one"}] * 2}

HELPERS: Final[Mapping[str, Spec]] = {
    "holder": {"priority": 1000, "concurrencyKey": "held", "payload": {"hold": CLOSED}},
    "first-twin": {"deduplication": {"key": "taken"}, "payload": {"hold": CLOSED}},
}
"""Jobs that stand in the way of those whose change comes before their run: the first at the head of the line."""

ROWS: Final[tuple[Row, ...]] = (
    defines("spec.environment", {}, {"environment": OTHER_ENVIRONMENT}, environment=OTHER_ENVIRONMENT),
    defines("spec.type", {}, {"type": "errand"}, result={"value": "one", "errand": True}),
    defines("spec.queue", {}, {"queue": OTHER_QUEUE}, queue=OTHER_QUEUE),
    defines("spec.payload", {}, {"payload": {"value": "two"}}, new=("two",)),
    *sources("payloadFrom", "spec.payloadFrom"),
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
        before=fails("StartingDeadlineExceeded"),
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
    *sources("itemsFrom", "spec.itemsFrom[]"),
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
        before=replace(fails("ChildFailed", "one"), reason=None, shows={"failed": 1}),
        during=replace(fails("ChildFailed", "one", "one"), reason=None, shows={"failed": 2}),
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
