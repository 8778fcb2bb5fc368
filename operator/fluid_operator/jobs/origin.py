"""Which schedule does a FluidJob belong to, and which of its times does the job stand for? Pure, and read from the
metadata alone.

The owner reference tells the schedule, and the name tells the time: a name cannot be changed, and it is the name that
keeps a time from firing twice. What annotations say about the time is for people.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, NamedTuple

from fluid_operator.api.fluidschedule import FLUID_SCHEDULE
from fluid_operator.api.meta import GROUP
from fluid_operator.timetables.creation import COUNTED_ANNOTATION, INSTANTIATE_ANNOTATION, job_name


class Origin(NamedTuple):
    """Of a job that no schedule controls, all is empty."""

    schedule: str = ""
    uid: str = ""
    """The schedule's."""
    by_hand: bool = False
    """Somebody asked for the job, alone or in a backfill; it was not the clock."""
    counted: bool = False
    """Somebody asked for it and wants the concurrencyPolicy to count it."""
    scheduled: float = 0.0
    """The time that the name of the job locks, in seconds since the epoch; 0 for a name that locks none."""


_NOBODY = Origin()


def origin(meta: Mapping[str, Any]) -> Origin:
    """Read it from the metadata. The strings are interned: the jobs of a schedule share them."""
    owners = meta.get("ownerReferences")
    owner = next((each for each in owners if each.get("controller")), None) if owners else None
    if owner is None or not _is_schedule(owner):
        return _NOBODY
    schedule = sys.intern(owner["name"])
    annotations = meta.get("annotations") or {}
    return Origin(
        schedule,
        sys.intern(owner["uid"]),
        by_hand=INSTANTIATE_ANNOTATION in annotations,
        counted=annotations.get(COUNTED_ANNOTATION) == "true",
        scheduled=locked_time(schedule, meta["name"]),
    )


def _is_schedule(owner: Mapping[str, Any]) -> bool:
    group, _, _ = owner["apiVersion"].partition("/")
    return bool(group == GROUP and owner["kind"] == FLUID_SCHEDULE.kind)


def locked_time(schedule: str, name: str) -> float:
    """The time, in seconds since the epoch, whose only job of this schedule has this name; 0: none has."""
    try:
        time = datetime.fromtimestamp(60 * int(name.rpartition("-")[2], 36), UTC)
    except (ValueError, OverflowError, OSError):
        return 0.0  # no number, or one beyond all times: a job that was started by hand
    return time.timestamp() if job_name(schedule, time) == name else 0.0
