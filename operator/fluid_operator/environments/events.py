"""Which status of a FluidEnvironment is worth an event: whether it is ready, or why it is not, has changed. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fluid_operator.api.conditions import ConditionType, find_condition
from fluid_operator.api.fluidenvironment import FLUID_ENVIRONMENT, FluidEnvironmentStatus
from fluid_operator.api.meta import API_VERSION, ConditionStatus
from fluid_operator.kube.events import EventType, Happening, Regarding
from fluid_operator.kube.keys import ObjectKey


def event_of(key: ObjectKey, uid: str, before: Mapping[str, Any], after: FluidEnvironmentStatus) -> Happening | None:
    """What is to be told of a status that was written over `before`, the raw one."""
    ready = find_condition(after.conditions or (), ConditionType.READY)
    if ready is None or (ready.status.value, ready.reason) == _ready(before):
        return None
    regarding = Regarding(API_VERSION, FLUID_ENVIRONMENT.kind, key, uid)
    kind: EventType = "Normal" if ready.status is ConditionStatus.TRUE else "Warning"
    return Happening(regarding, kind, ready.reason, "Reconcile", ready.message)


def _ready(status: Mapping[str, Any]) -> tuple[str, str] | None:
    conditions = status.get("conditions") or ()
    return next(((each["status"], each["reason"]) for each in conditions if each["type"] == ConditionType.READY), None)
