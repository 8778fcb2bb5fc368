"""What the operator keeps in memory of a FluidSchedule: spec and status as text, which takes a fifth of the room that
objects take, and a few numbers. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import orjson

from fluid_operator.jobs.view import MAX_DEPTH, deeper_than

_MAX_DEPTH: Final = MAX_DEPTH + 2
"""The spec of a job stands two levels below that of its schedule."""


@dataclass(frozen=True, slots=True)
class ScheduleView:
    """One FluidSchedule at one resourceVersion. Two views with the same content are equal."""

    uid: str
    resource_version: str
    generation: int
    deleting: bool
    created: datetime
    spec: bytes
    """JSON; an empty map when it is too deep."""
    too_deep: bool
    """The spec is nested so deeply that no job could be made of it."""
    status: bytes
    """JSON."""


def project(raw: Mapping[str, Any]) -> ScheduleView:
    """What is kept of a FluidSchedule as the API server sends it."""
    meta = raw["metadata"]
    spec = raw.get("spec") or {}
    too_deep = deeper_than(spec, _MAX_DEPTH)
    return ScheduleView(
        uid=meta["uid"],
        resource_version=meta["resourceVersion"],
        generation=meta["generation"],
        deleting="deletionTimestamp" in meta,
        created=datetime.fromisoformat(meta["creationTimestamp"]),
        spec=orjson.dumps({} if too_deep else spec),
        too_deep=too_deep,
        status=orjson.dumps(raw.get("status") or {}),
    )
