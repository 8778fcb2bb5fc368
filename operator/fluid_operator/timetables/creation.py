"""The FluidJob that a schedule creates for one of its times: its name, its owner, its marks, its payload. Pure.

The name is a function of schedule and time, and the API server takes a name only once: that is what keeps two operators
from creating two jobs for one time.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from zoneinfo import ZoneInfo

from fluid_operator.api.meta import GROUP
from fluid_operator.kube.keys import FLUID_JOBS, FLUID_SCHEDULES
from fluid_operator.timetables.errors import TemplateError
from fluid_operator.timetables.placeholders import Facts, check, fill, refuse

SCHEDULE_LABEL: Final = f"{GROUP}/schedule"
"""Label of every job of a schedule: the schedule's name."""

TIME_ANNOTATION: Final = f"{GROUP}/scheduled-time"
"""The time that a job stands for: RFC 3339, UTC."""

INSTANTIATE_ANNOTATION: Final = f"{GROUP}/instantiate"
"""`manual` or `backfill` where a person created the job; absent where the clock did."""

COUNTED_ANNOTATION: Final = f"{GROUP}/counted"
"""`true` where concurrencyPolicy counts a job although a person created it."""

MANUAL: Final = "manual"
BACKFILL: Final = "backfill"

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_DIGITS: Final = "0123456789abcdefghijklmnopqrstuvwxyz"
_SPEC: Final = "spec.jobTemplate.spec"
_FILLED: Final = ("payload", "items")
_OURS: Final = {
    "labels": (SCHEDULE_LABEL,),
    "annotations": (TIME_ANNOTATION, INSTANTIATE_ANNOTATION, COUNTED_ANNOTATION),
}

Json = Mapping[str, Any]


def job_name(schedule: str, time: datetime) -> str:
    """The name of the job for a time: `<schedule>-<minutes since 1970, base 36>`. Seconds do not count."""
    return f"{schedule}-{_base36((time - _EPOCH) // timedelta(minutes=1))}"


def manual_name(schedule: str, now: datetime) -> str:
    """The name of a job that somebody asks for: `<schedule>-m<milliseconds since 1970, base 36>`."""
    return f"{schedule}-m{_base36((now - _EPOCH) // timedelta(milliseconds=1))}"


def job_for(
    schedule: Json,
    time: datetime,
    zone: ZoneInfo,
    *,
    name: str | None = None,
    instantiate: str | None = None,
    counted: bool = False,
) -> dict[str, Any]:
    """The whole FluidJob for a time of the schedule, as it is sent to the API server.

    `schedule` is the FluidSchedule as the API server sent it; parts of it that hold no placeholder are shared with it,
    so change neither. `name` replaces that of the time; `instantiate` says who asked, where it was not the clock;
    `counted`: concurrencyPolicy counts the job all the same. Raises TemplateError, of placeholders PlaceholderError."""
    meta, template = schedule["metadata"], schedule["spec"]["jobTemplate"]
    marks = {TIME_ANNOTATION: time.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")}
    if instantiate is not None:
        marks[INSTANTIATE_ANNOTATION] = instantiate
    if counted:
        marks[COUNTED_ANNOTATION] = "true"
    return {
        "apiVersion": FLUID_JOBS.api_version,
        "kind": FLUID_JOBS.kind,
        "metadata": {
            "namespace": meta["namespace"],
            "name": name or job_name(meta["name"], time),
            "labels": _marked(template, "labels", {SCHEDULE_LABEL: meta["name"]}),
            "annotations": _marked(template, "annotations", marks),
            "ownerReferences": [_owner(meta)],
        },
        "spec": _filled(template["spec"], Facts(time, zone, meta["name"])),
    }


def check_template(schedule_spec: Json) -> None:
    """Raise what `job_for` would raise for a schedule with this spec, whatever the time; also TemplateError for labels
    and annotations that the schedule sets itself, and PlaceholderError for placeholders where none are replaced."""
    template = schedule_spec["jobTemplate"]
    for part, ours in _OURS.items():
        for key in ours:
            if key in ((template.get("metadata") or {}).get(part) or ()):
                message = f"{key} is set by the schedule itself: take it out of the template"
                raise TemplateError(f"spec.jobTemplate.metadata.{part}", message)
    for field, value in template["spec"].items():
        (check if field in _FILLED else refuse)(value, f"{_SPEC}.{field}")


def _owner(meta: Json) -> dict[str, Any]:
    return {
        "apiVersion": FLUID_SCHEDULES.api_version,
        "kind": FLUID_SCHEDULES.kind,
        "name": meta["name"],
        "uid": meta["uid"],
        "controller": True,
        # Jobs go with their schedule, but a job that is slow to go holds up nobody who deletes it in the foreground.
        "blockOwnerDeletion": False,
    }


def _marked(template: Json, part: str, marks: Mapping[str, str]) -> dict[str, str]:
    """The template's labels or annotations with ours over them: a job that is not marked as the schedule's, or is
    marked as somebody else's doing, would escape the schedule's limits."""
    own = (template.get("metadata") or {}).get(part) or {}
    return {**{key: value for key, value in own.items() if key not in _OURS[part]}, **marks}


def _filled(spec: Json, facts: Facts) -> dict[str, Any]:
    filled = {field: fill(spec[field], facts, f"{_SPEC}.{field}") for field in _FILLED if field in spec}
    return {**spec, **filled}


def _base36(number: int) -> str:
    """Raises ValueError for a negative number: nothing is scheduled for before 1970."""
    if number < 0:
        raise ValueError(f"{number} is before 1970")
    digits = ""
    while True:
        number, digit = divmod(number, len(_DIGITS))
        digits = _DIGITS[digit] + digits
        if not number:
            return digits
