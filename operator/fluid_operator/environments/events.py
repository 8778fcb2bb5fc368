"""What of a FluidEnvironment's status is worth an event: it has become ready or healthy, or is so no more. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from fluid_operator.api.conditions import ConditionType, find_condition
from fluid_operator.api.fluidenvironment import FLUID_ENVIRONMENT, FluidEnvironmentStatus
from fluid_operator.api.meta import API_VERSION, ConditionStatus
from fluid_operator.kube.events import EventType, Happening, Regarding
from fluid_operator.kube.keys import ObjectKey

_TOLD: Final = (ConditionType.READY, ConditionType.QUEUE_HEALTHY)


def events_of(key: ObjectKey, uid: str, before: Mapping[str, Any], after: FluidEnvironmentStatus) -> list[Happening]:
    """What is to be told of a status that was written over `before`, the raw one."""
    told = [_event(key, uid, kind, before, after) for kind in _TOLD]
    return [each for each in told if each is not None]


def rotated(key: ObjectKey, uid: str) -> Happening:
    """Other passwords are given out from now on."""
    note = "Redis has new passwords; the old ones are valid until no worker is left that began with them."
    return Happening(regarding(key, uid), "Normal", "PasswordsRotated", "RotatePasswords", note)


def scaled(key: ObjectKey, uid: str, note: str) -> Happening:
    """A pool has got another number of workers."""
    return Happening(regarding(key, uid), "Normal", "Scaled", "Scale", note)


def regarding(key: ObjectKey, uid: str) -> Regarding:
    """The environment, as what an event is about."""
    return Regarding(API_VERSION, FLUID_ENVIRONMENT.kind, key, uid)


def _event(
    key: ObjectKey, uid: str, kind: ConditionType, before: Mapping[str, Any], after: FluidEnvironmentStatus
) -> Happening | None:
    now = find_condition(after.conditions or (), kind)
    then = _raw(before, kind)
    if now is None or (now.status.value, now.reason) == then:
        return None
    good = now.status is ConditionStatus.TRUE
    if good and then is None and kind is not ConditionType.READY:
        return None  # well from the beginning
    type_: EventType = "Normal" if good else "Warning"
    return Happening(regarding(key, uid), type_, now.reason if not good else _praise(kind), "Reconcile", now.message)


def _praise(kind: ConditionType) -> str:
    return "Available" if kind is ConditionType.READY else kind.value


def _raw(status: Mapping[str, Any], kind: ConditionType) -> tuple[str, str] | None:
    conditions = status.get("conditions") or ()
    return next(((each["status"], each["reason"]) for each in conditions if each["type"] == kind), None)
