"""A bad value of each field is refused by the API server, which names the field and says what is wrong with it."""

import re
import uuid
from typing import Any

import pytest

from cluster.builders import fluid_job
from fluid_dev.cluster import Cluster
from fluid_dev.errors import ClusterError

LONGEST = 315_360_000

ONE_SOURCE = "name exactly one source: secretKeyRef or configMapKeyRef"
BAD_NAME = "should match '^[a-z0-9]([a-z0-9.-]*[a-z0-9])?$'"
BAD_WORD = "should match '^[A-Za-z0-9]([A-Za-z0-9_.-]*[A-Za-z0-9])?$'"
BAD_QUEUE = "should match '^[a-z0-9]([a-z0-9._-]*[a-z0-9])?$'"
BAD_KEY = "should match '^[-._A-Za-z0-9]+$'"


def ref(kind: str, name: Any = "n", key: Any = "k") -> dict[str, Any]:
    """A source of a payload, as the field `payloadFrom` or an entry of `itemsFrom` has it."""
    return {kind: {"name": name, "key": key}}


def backoff(**fields: Any) -> dict[str, Any]:
    return {"backoff": fields}


def policy(types: Any = ("E",), action: Any = "Count") -> dict[str, Any]:
    return {"failurePolicy": {"rules": [{"errorTypes": types, "action": action}]}}


def twin(**fields: Any) -> dict[str, Any]:
    return {"deduplication": {"key": "k"} | fields}


REFUSED: list[tuple[str, dict[str, Any], str]] = [
    ("spec.environment", {"environment": "Not_A_Name"}, BAD_NAME),
    ("spec.environment", {"environment": "e" * 64}, "may not be more than 63"),
    ("spec.type", {"type": None}, "Required value"),
    ("spec.type", {"type": ""}, "should be at least 1 chars long"),
    ("spec.type", {"type": "no spaces"}, BAD_WORD),
    ("spec.queue", {"queue": "Upper"}, BAD_QUEUE),
    ("spec.queue", {"queue": "q" * 64}, "may not be more than 63"),
    ("spec.payload", {"payload": [1]}, 'must be of type object: "array"'),
    ("spec.payload", {"payload": "text"}, 'must be of type object: "string"'),
    ("spec.payloadFrom", {"payloadFrom": {}}, ONE_SOURCE),
    ("spec.payloadFrom", {"payloadFrom": ref("secretKeyRef") | ref("configMapKeyRef")}, ONE_SOURCE),
    ("spec.payloadFrom.secretKeyRef.name", {"payloadFrom": ref("secretKeyRef", name="Not_A_Name")}, BAD_NAME),
    ("spec.payloadFrom.secretKeyRef.name", {"payloadFrom": ref("secretKeyRef", name=None)}, "Required value"),
    ("spec.payloadFrom.secretKeyRef.key", {"payloadFrom": ref("secretKeyRef", key="a/b")}, BAD_KEY),
    ("spec.payloadFrom.secretKeyRef.key", {"payloadFrom": ref("secretKeyRef", key=None)}, "Required value"),
    ("spec.payloadFrom.configMapKeyRef.name", {"payloadFrom": ref("configMapKeyRef", name="")}, "at least 1 chars"),
    ("spec.payloadFrom.configMapKeyRef.key", {"payloadFrom": ref("configMapKeyRef", key="a b")}, BAD_KEY),
    ("spec.tags", {"tags": {f"t{n}": "v" for n in range(9)}}, "must have at most 8 items"),
    ("spec.tags.user", {"tags": {"user": "v" * 129}}, "may not be more than 128"),
    ("spec.tags", {"tags": {"k" * 64: "v"}}, "no key may be longer than 63 characters"),
    ("spec.tags.user", {"tags": {"user": 7}}, 'must be of type string: "integer"'),
    ("spec.priority", {"priority": 1001}, "should be less than or equal to 1000"),
    ("spec.priority", {"priority": -1001}, "should be greater than or equal to -1000"),
    ("spec.priority", {"priority": "high"}, 'must be of type integer: "string"'),
    ("spec.startAfter", {"startAfter": "2026-12-01T07:00:00"}, "must be of type date-time"),
    ("spec.startAfter", {"startAfter": "tomorrow"}, "must be of type date-time"),
    ("spec.startingDeadlineSeconds", {"startingDeadlineSeconds": 0}, "should be greater than or equal to 1"),
    (
        "spec.startingDeadlineSeconds",
        {"startingDeadlineSeconds": LONGEST + 1},
        f"should be less than or equal to {LONGEST}",
    ),
    ("spec.suspend", {"suspend": "yes"}, 'must be of type boolean: "string"'),
    ("spec.cancelled", {"cancelled": 1}, 'must be of type boolean: "integer"'),
    ("spec.backoffLimit", {"backoffLimit": -1}, "should be greater than or equal to 0"),
    ("spec.backoffLimit", {"backoffLimit": 1001}, "should be less than or equal to 1000"),
    ("spec.backoff.type", backoff(type="Linear"), 'supported values: "Exponential", "Fixed"'),
    ("spec.backoff.delaySeconds", backoff(delaySeconds=-1), "should be greater than or equal to 0"),
    ("spec.backoff.factor", backoff(factor=1.5), 'must be of type integer: "number"'),
    ("spec.backoff.factor", backoff(factor=0), "should be greater than or equal to 1"),
    ("spec.backoff.factor", backoff(factor=11), "should be less than or equal to 10"),
    ("spec.backoff.maxDelaySeconds", backoff(maxDelaySeconds=0), "should be greater than or equal to 1"),
    ("spec.backoff.jitterPercent", backoff(jitterPercent=101), "should be less than or equal to 100"),
    ("spec.failurePolicy.rules", {"failurePolicy": {"rules": []}}, "should have at least 1 items"),
    ("spec.failurePolicy.rules[0].errorTypes", policy(types=[]), "should have at least 1 items"),
    ("spec.failurePolicy.rules[0].errorTypes", policy(types=["E"] * 33), "must have at most 32 items"),
    ("spec.failurePolicy.rules[0].errorTypes[0]", policy(types=[""]), "should be at least 1 chars long"),
    ("spec.failurePolicy.rules[0].action", policy(action="Retry"), 'supported values: "FailJob", "Ignore", "Count"'),
    ("spec.failurePolicy.rules[0].action", policy(action=None), "Required value"),
    ("spec.attemptDeadlineSeconds", {"attemptDeadlineSeconds": 0}, "should be greater than or equal to 1"),
    ("spec.activeDeadlineSeconds", {"activeDeadlineSeconds": 0}, "should be greater than or equal to 1"),
    ("spec.concurrencyKey", {"concurrencyKey": ""}, "should be at least 1 chars long"),
    ("spec.concurrencyKey", {"concurrencyKey": "k" * 257}, "may not be more than 256"),
    ("spec.deduplication.key", twin(key=None), "Required value"),
    ("spec.deduplication.key", twin(key=""), "should be at least 1 chars long"),
    ("spec.deduplication.mode", twin(mode="Sometimes"), 'supported values: "WhileUnfinished", "Throttle", "Replace"'),
    ("spec.deduplication.ttlSeconds", twin(ttlSeconds=0), "should be greater than or equal to 1"),
    ("spec.completions", {"completions": -1}, "should be greater than or equal to 0"),
    ("spec.completions", {"completions": 100_001}, "should be less than or equal to 100000"),
    ("spec.completions", {"completions": 1, "items": [{}]}, "set at most one of completions, items and itemsFrom"),
    ("spec.items", {"items": [{}] * 1001}, "must have at most 1000 items"),
    ("spec.items[1]", {"items": [{}, "text"]}, 'must be of type object: "string"'),
    ("spec.itemsFrom", {"itemsFrom": [ref("secretKeyRef")] * 17}, "must have at most 16 items"),
    ("spec.itemsFrom[1]", {"itemsFrom": [ref("secretKeyRef"), {}]}, ONE_SOURCE),
    ("spec.itemsFrom[0].secretKeyRef.name", {"itemsFrom": [ref("secretKeyRef", name="Not_A_Name")]}, BAD_NAME),
    ("spec.itemsFrom[0].secretKeyRef.key", {"itemsFrom": [ref("secretKeyRef", key="a/b")]}, BAD_KEY),
    ("spec.itemsFrom[0].configMapKeyRef.name", {"itemsFrom": [ref("configMapKeyRef", name=None)]}, "Required value"),
    ("spec.itemsFrom[0].configMapKeyRef.key", {"itemsFrom": [ref("configMapKeyRef", key="k" * 254)]}, "more than 253"),
    ("spec.parallelism", {"parallelism": 0}, "should be greater than or equal to 1"),
    ("spec.parallelism", {"parallelism": 1001}, "should be less than or equal to 1000"),
    ("spec.maxFailedIndexes", {"maxFailedIndexes": -1}, "should be greater than or equal to 0"),
    ("spec.maxFailedIndexes", {"maxFailedIndexes": 100_001}, "should be less than or equal to 100000"),
    ("spec.runPolicy", {"runPolicy": "Sometimes"}, 'supported values: "Auto", "Always", "OncePerSpec"'),
    ("spec.runId", {"runId": "r" * 129}, "may not be more than 128"),
    ("spec.runId", {"runId": 7}, 'must be of type string: "integer"'),
    ("spec.ttlSecondsAfterFinished", {"ttlSecondsAfterFinished": -1}, "should be greater than or equal to 0"),
    ("spec.ttl.succeededSeconds", {"ttl": {"succeededSeconds": -1}}, "should be greater than or equal to 0"),
    ("spec.ttl.failedSeconds", {"ttl": {"failedSeconds": "1h"}}, 'must be of type integer: "string"'),
    (
        "spec.ttl",
        {"ttl": {"failedSeconds": 1}, "ttlSecondsAfterFinished": 1},
        "set only one of ttl and ttlSecondsAfterFinished",
    ),
]

PARENTS = ("spec.payloadFrom", "spec.itemsFrom", "spec.itemsFrom[]", "spec.failurePolicy.rules", "spec.ttl")
"""Fields whose values are checked, but which hold no value of their own: they are no rows of the matrix."""


def case(path: str, spec: dict[str, Any], sentence: str) -> Any:
    """The case, which claims the cell of the field at this path."""
    name = re.sub(r"\[\d+\]", "[]", path)
    name = {"spec.tags.user": "spec.tags", "spec.items[]": "spec.items"}.get(name, name).replace("Types[]", "Types")
    marks = [] if name in PARENTS else [pytest.mark.field(name, "bad value")]
    return pytest.param(path, spec, sentence, marks=marks, id=f"{path} {sentence[:30]}")


@pytest.fixture(scope="module")
def place(cluster: Cluster) -> str:
    """A namespace for objects that nobody stores."""
    name = f"test-{uuid.uuid4().hex[:10]}"
    cluster.kubectl("create", "namespace", name)
    return name


@pytest.mark.parametrize(("path", "spec", "sentence"), [case(*each) for each in REFUSED])
def test_a_bad_value_is_refused_and_its_field_named(cluster: Cluster, place: str, path, spec, sentence):
    with pytest.raises(ClusterError) as refusal:
        cluster.kubectl("create", "-n", place, "--dry-run=server", "-f", "-", input=fluid_job("x").spec(**spec).json())
    told = next((line for line in str(refusal.value).splitlines() if sentence in line), str(refusal.value))
    assert sentence in told
    assert f"{path}:" in told
