"""What the operator keeps in memory of a FluidSchedule: two short texts and a few numbers, for there may be thousands.
Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import orjson


@dataclass(frozen=True, slots=True)
class ScheduleView:
    """One FluidSchedule at one resourceVersion. Two views with the same content are equal."""

    uid: str
    resource_version: str
    generation: int
    deleting: bool
    created: datetime
    spec: bytes
    """JSON."""
    status: bytes
    """JSON."""


def project(raw: Mapping[str, Any]) -> ScheduleView:
    """What is kept of a FluidSchedule as the API server sends it."""
    meta = raw["metadata"]
    return ScheduleView(
        uid=meta["uid"],
        resource_version=meta["resourceVersion"],
        generation=meta["generation"],
        deleting="deletionTimestamp" in meta,
        created=datetime.fromisoformat(meta["creationTimestamp"]),
        spec=orjson.dumps(raw.get("spec") or {}),
        status=orjson.dumps(raw.get("status") or {}),
    )
