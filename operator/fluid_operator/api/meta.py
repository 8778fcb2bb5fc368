"""What all kinds share: the base of the models, conditions, references, and how an object is read and
written.

**Reading is tolerant, checking is strict.** The API server refuses or prunes fields that its CRD does not
know, so an unknown field that reaches the operator was put there by a newer CRD. An older operator must then
go on with what it knows instead of failing every job. `parse` therefore ignores unknown fields, unless the
caller checks a file for a user and asks for `unknown="forbid"`. Rules across fields (CEL) are the API
server's business and are not repeated here.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated, Any, Final, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic.alias_generators import to_camel

from fluid_operator.api.errors import FieldProblem, InvalidSpec
from fluid_operator.api.fields import Generation, MicroTime, ObjectName, doc

GROUP: Final = "jobs.fluidcalendar.com"
VERSION: Final = "v1alpha1"
API_VERSION: Final = f"{GROUP}/{VERSION}"
REQUEST_ANNOTATION: Final = f"{GROUP}/request"
PAYLOAD_LABEL: Final = f"{GROUP}/payload"


class ApiModel(BaseModel):
    """A part of an object: camelCase on the wire, snake_case in Python, never changed after it was read."""

    model_config = ConfigDict(
        alias_generator=to_camel, validate_by_name=True, validate_by_alias=True, frozen=True, extra="ignore"
    )


Model = TypeVar("Model", bound=ApiModel)


def parse(
    model: type[Model],
    raw: Mapping[str, Any],
    *,
    at: str = "spec",
    unknown: Literal["ignore", "forbid"] = "ignore",
) -> Model:
    """Read one part of an object, which stands at `at` in it; raises InvalidSpec with all problems."""
    try:
        return model.model_validate(raw, extra=unknown)
    except ValidationError as error:
        first, *further = _problems(error, at)
        raise InvalidSpec(first.field, first.message, further) from error


def to_wire(model: ApiModel) -> dict[str, Any]:
    """A part of an object as JSON values for the API server; what is None is left out."""
    return model.model_dump(mode="json", by_alias=True, exclude_none=True)


def _problems(error: ValidationError, at: str) -> list[FieldProblem]:
    details = error.errors(include_url=False, include_context=False, include_input=False)
    return [FieldProblem(_path(at, detail["loc"]), detail["msg"]) for detail in details]


def _path(at: str, location: tuple[int | str, ...]) -> str:
    return at + "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in location)


class ConditionStatus(StrEnum):
    """Kubernetes' three truth values."""

    TRUE = "True"
    FALSE = "False"
    UNKNOWN = "Unknown"


class Condition(ApiModel):
    """One fact about an object, in the shape of metav1.Condition."""

    type: Annotated[
        str,
        Field(min_length=1, max_length=63),
        doc("What the condition speaks of, such as Ready, Complete or Failed."),
    ]
    status: Annotated[ConditionStatus, doc("Whether it holds: True, False or Unknown.")]
    observed_generation: Annotated[
        Generation | None,
        doc("The metadata.generation that the condition was derived from.", unset="not recorded."),
    ] = None
    last_transition_time: Annotated[
        MicroTime, doc("When `status` last changed; a new reason or message alone does not move it.")
    ]
    reason: Annotated[
        str,
        Field(min_length=1, max_length=128, pattern=r"^[A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?$"),
        doc("Why, as one word for programs."),
    ]
    message: Annotated[
        str,
        Field(max_length=1024),
        doc("Why, in a sentence for people; it says what to do where something can be done."),
    ]


class KeyRef(ApiModel):
    """One key of a Secret or ConfigMap in the object's own namespace."""

    name: Annotated[ObjectName, doc("Name of the object, in the same namespace.")]
    key: Annotated[
        str,
        Field(min_length=1, max_length=253, pattern=r"^[-._A-Za-z0-9]+$"),
        doc("The key inside the object's data."),
    ]


@dataclass(frozen=True)
class Column:
    """One column of `kubectl get`. Wide columns show only with `-o wide`."""

    name: str
    path: str
    type: Literal["string", "integer", "boolean", "date"] = "string"
    wide: bool = False
    description: str = ""


@dataclass(frozen=True)
class Kind:
    """One kind of the group: its names, its two halves, and what the API server knows beyond the fields."""

    kind: str
    plural: str
    short_name: str
    description: str
    spec: type[ApiModel]
    status: type[ApiModel]
    status_default: Mapping[str, Any]
    columns: tuple[Column, ...]
    rules: tuple[Mapping[str, str], ...] = ()
    selectable: tuple[str, ...] = ()

    @property
    def singular(self) -> str:
        """The lower-case name that kubectl accepts for one object."""
        return self.kind.lower()
