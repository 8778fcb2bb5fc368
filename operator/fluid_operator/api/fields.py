"""The vocabulary in which fields are declared: descriptions, units, list types, rules, and the shared value
types.

A field's declaration carries everything that is generated from it, so that nothing about a field stands in a
second place:

    backoff_limit: Annotated[Retries | None, doc("Retries after the first attempt.", unset="...")] = None

`doc` feeds `kubectl explain` and the reference pages. Keys that begin with DOC_PREFIX are ours and never
reach a CRD; the others are Kubernetes' own extensions of OpenAPI.
"""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Annotated, Any, Final

from pydantic import AwareDatetime, ConfigDict, Field, PlainSerializer, Strict, WithJsonSchema
from pydantic.fields import FieldInfo

DOC_PREFIX: Final = "x-doc-"
DOC_UNIT: Final = "x-doc-unit"
DOC_UNSET: Final = "x-doc-unset"
DOC_LIMIT: Final = "x-doc-limit"
WITHOUT_DEFAULTS: Final = "x-doc-without-defaults"

LIST_TYPE: Final = "x-kubernetes-list-type"
MAP_TYPE: Final = "x-kubernetes-map-type"
LIST_KEYS: Final = "x-kubernetes-list-map-keys"
PRESERVE_UNKNOWN: Final = "x-kubernetes-preserve-unknown-fields"
INT_OR_STRING: Final = "x-kubernetes-int-or-string"
RULES: Final = "x-kubernetes-validations"

TEN_YEARS: Final = 315_360_000
LABEL: Final = r"^[A-Za-z0-9]([A-Za-z0-9_.-]*[A-Za-z0-9])?$"
QUEUE: Final = r"^[a-z0-9]([a-z0-9._-]*[a-z0-9])?$"
DNS_NAME: Final = r"^[a-z0-9]([a-z0-9.-]*[a-z0-9])?$"


def doc(text: str, *, unit: str | None = None, unset: str | None = None, limit: str | None = None) -> FieldInfo:
    """Describe a field.

    `unit` is a word such as `seconds`; `unset` tells who decides when the user does not; `limit` is a size that
    somebody else than the API server checks, such as `32 KiB`.
    """
    notes = {DOC_UNIT: unit, DOC_UNSET: unset, DOC_LIMIT: limit}
    extra: dict[str, Any] = {key: note for key, note in notes.items() if note is not None}
    described: FieldInfo = Field(description=text, json_schema_extra=extra)
    return described


def extend(**keywords: Any) -> FieldInfo:
    """Add raw schema keywords to a field."""
    extended: FieldInfo = Field(json_schema_extra=keywords)
    return extended


def rule(expression: str, message: str, field_path: str | None = None) -> dict[str, str]:
    """A CEL rule for the API server. `field_path` (relative, such as `.runId`) is the field that its answer names."""
    checked = {"rule": expression, "message": message}
    return checked if field_path is None else checked | {"fieldPath": field_path}


def holds(*checks: dict[str, str]) -> FieldInfo:
    """CEL rules for the value of one field; for a whole model there is `checked_by`."""
    return extend(**{RULES: list(checks)})


def checked_by(*checks: dict[str, str]) -> ConfigDict:
    """The configuration of a model whose objects must obey these CEL rules."""
    return ConfigDict(json_schema_extra={RULES: [dict[str, Any](check) for check in checks]})


def map_by(*keys: str) -> FieldInfo:
    """A list whose entries are told apart by these keys: server-side apply merges entry by entry."""
    return extend(**{LIST_TYPE: "map", LIST_KEYS: list(keys)})


ATOMIC: Final = extend(**{LIST_TYPE: "atomic"})
"""A list that one writer owns as a whole."""

SET: Final = extend(**{LIST_TYPE: "set"})
"""A list of distinct values: server-side apply merges value by value."""


def at_most_one_of(*names: str) -> str:
    """The CEL expression for: at most one of these fields is set."""
    return f"{_count(names)} <= 1"


def exactly_one_of(*names: str) -> str:
    """The CEL expression for: one of these fields is set, and only one."""
    return f"{_count(names)} == 1"


def _count(names: Sequence[str]) -> str:
    return " + ".join(f"(has(self.{name}) ? 1 : 0)" for name in names)


def format_time(moment: datetime) -> str:
    """A moment in Kubernetes' MicroTime form: UTC, always six digits after the point."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def format_whole_time(moment: datetime) -> str:
    """A moment in Kubernetes' Time form, RFC 3339 without a fraction, in the zone that it carries."""
    return moment.isoformat(timespec="seconds").replace("+00:00", "Z")


MicroTime = Annotated[
    AwareDatetime,
    PlainSerializer(format_time, return_type=str, when_used="json"),
    WithJsonSchema({"type": "string", "format": "date-time", "maxLength": 35}),
]
"""A moment with a time zone, RFC 3339 with microseconds."""

Time = Annotated[
    AwareDatetime,
    PlainSerializer(format_whole_time, return_type=str, when_used="json"),
    WithJsonSchema({"type": "string", "format": "date-time", "maxLength": 35}),
]
"""A moment that falls on a whole second, RFC 3339 with the offset of the zone that it is told in."""

# Strict, because a program that validates a file must refuse `"5"` and `true` for a number just as the API
# server does.
Flag = Annotated[bool, Strict()]
Count = Annotated[int, Strict(), Field(ge=0, le=2_147_483_647)]
LongCount = Annotated[int, Strict(), Field(ge=0, le=9_007_199_254_740_991)]
Generation = Annotated[int, Strict(), Field(ge=-1, le=9_007_199_254_740_991)]
Percent = Annotated[int, Strict(), Field(ge=0, le=100), extend(**{DOC_UNIT: "percent"})]
Seconds = Annotated[int, Strict(), Field(ge=0, le=TEN_YEARS), extend(**{DOC_UNIT: "seconds"})]
PositiveSeconds = Annotated[int, Strict(), Field(ge=1, le=TEN_YEARS), extend(**{DOC_UNIT: "seconds"})]
Retries = Annotated[int, Strict(), Field(ge=0, le=1000)]

Word = Annotated[str, Field(min_length=1, max_length=63, pattern=LABEL)]
"""A short name that is also a valid label value, such as a type."""

QueueName = Annotated[str, Field(min_length=1, max_length=63, pattern=QUEUE)]
"""A queue: what fluid_queue takes as a name."""

ObjectName = Annotated[str, Field(min_length=1, max_length=253, pattern=DNS_NAME)]
ShortText = Annotated[str, Field(max_length=256)]
LongText = Annotated[str, Field(max_length=1024)]
JsonObject = dict[str, Any]

Quantity = Annotated[
    int | str,
    WithJsonSchema(
        {
            "anyOf": [{"type": "integer"}, {"type": "string"}],
            "maxLength": 64,
            "pattern": r"^[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([KMGTPE]i|[numkMGTPE]|[eE][+-]?[0-9]+)?$",
            INT_OR_STRING: True,
        }
    ),
]
"""An amount of a resource as Kubernetes writes it, such as `500m` or `1Gi`."""
