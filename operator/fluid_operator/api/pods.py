"""The parts of a pod that a worker pool lets users choose, in Kubernetes' own names and shapes.

What is small is typed, so that a slip of the pen is refused at `kubectl apply`. What is large (affinity, the
many sources of an environment variable) is passed through as it is; the API server checks it when the
Deployment is applied.
"""

from enum import StrEnum
from typing import Annotated

from pydantic import Field, Strict

from fluid_operator.api.fields import Flag, JsonObject, ObjectName, Quantity, doc
from fluid_operator.api.meta import ApiModel

Image = Annotated[str, Field(min_length=1, max_length=500, pattern=r"^\S+$")]
"""A reference to an image; a worker is told its own, publishes its types under it, and takes no longer one."""

EnvName = Annotated[str, Field(min_length=1, max_length=256, pattern=r"^[^=\s]+$")]
LabelText = Annotated[str, Field(max_length=317)]
Quantities = Annotated[dict[str, Quantity], Field(max_length=16)]


class Resources(ApiModel):
    """What the container asks for and what it may use at most."""

    requests: Annotated[
        Quantities | None, doc("What is reserved, such as cpu: 500m, memory: 256Mi.", unset="the limits.")
    ] = None
    limits: Annotated[Quantities | None, doc("What may be used at most.", unset="no limit.")] = None


class EnvVar(ApiModel):
    """One environment variable."""

    name: Annotated[EnvName, doc("Name of the variable.")]
    value: Annotated[
        Annotated[str, Field(max_length=32768)] | None,
        doc("Its value; nothing secret.", unset="valueFrom, else the empty text."),
    ] = None
    value_from: Annotated[
        JsonObject | None,
        doc(
            "Where the value comes from, as in a pod: secretKeyRef, configMapKeyRef, fieldRef.",
            unset="`value` is used.",
        ),
    ] = None


class EnvSourceRef(ApiModel):
    """A Secret or ConfigMap as a whole."""

    name: Annotated[ObjectName, doc("Name of the object, in the same namespace.")]
    optional: Annotated[Flag | None, doc("Whether it may be missing.", unset="false.")] = None


class EnvFrom(ApiModel):
    """Environment variables from all keys of a Secret or ConfigMap."""

    prefix: Annotated[EnvName | None, doc("Put before each key.", unset="nothing.")] = None
    config_map_ref: Annotated[EnvSourceRef | None, doc("The ConfigMap.", unset="secretRef is used.")] = None
    secret_ref: Annotated[EnvSourceRef | None, doc("The Secret.", unset="configMapRef is used.")] = None


class TolerationOperator(StrEnum):
    """How a toleration compares."""

    EXISTS = "Exists"
    EQUAL = "Equal"


class TaintEffect(StrEnum):
    """What a taint does."""

    NO_SCHEDULE = "NoSchedule"
    PREFER_NO_SCHEDULE = "PreferNoSchedule"
    NO_EXECUTE = "NoExecute"


class Toleration(ApiModel):
    """A taint of nodes that the pods put up with."""

    key: Annotated[LabelText | None, doc("Key of the taint.", unset="every taint; the operator must be Exists.")] = None
    operator: Annotated[
        TolerationOperator | None, doc("Equal compares the value, Exists does not.", unset="Equal.")
    ] = None
    value: Annotated[
        Annotated[str, Field(max_length=63)] | None, doc("Value of the taint.", unset="the empty text.")
    ] = None
    effect: Annotated[TaintEffect | None, doc("Effect of the taint.", unset="every effect.")] = None
    toleration_seconds: Annotated[
        Annotated[int, Strict(), Field(ge=-1, le=9_007_199_254_740_991)] | None,
        doc("How long a NoExecute taint is put up with.", unit="seconds", unset="for ever."),
    ] = None
