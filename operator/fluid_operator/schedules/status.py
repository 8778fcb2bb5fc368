"""The status of a FluidSchedule as long as schedules create no jobs. Pure: no request, no clock."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

from fluid_operator.api.conditions import ConditionType, Reason, set_condition
from fluid_operator.api.fluidschedule import FLUID_SCHEDULE, FluidScheduleStatus
from fluid_operator.api.not_yet import unsupported_fields

OWNED: Final = ("conditions", "observedGeneration")

MESSAGE: Final = (
    "Schedules create no jobs yet; until a release does, create the FluidJobs by other means, such as a CronJob "
    "that applies them."
)


def fold(before: FluidScheduleStatus, spec: Mapping[str, Any], generation: int, now: datetime) -> FluidScheduleStatus:
    """Return a status that says honestly: nothing will happen, and waiting does not help."""
    fields = ", ".join(each.field for each in unsupported_fields(FLUID_SCHEDULE.kind, spec))
    messages = {
        ConditionType.READY: MESSAGE,
        ConditionType.STALLED: MESSAGE,
        ConditionType.NOT_YET_SUPPORTED: f"{fields}: {MESSAGE}",
    }
    conditions = tuple(before.conditions or ())
    for kind, message in messages.items():
        conditions = set_condition(
            conditions,
            kind,
            kind is not ConditionType.READY,
            reason=Reason.NOT_YET_SUPPORTED,
            message=message,
            generation=generation,
            now=now,
        )
    return before.model_copy(update={"observed_generation": generation, "conditions": list(conditions)})
