"""Kubernetes Events about one FluidJob, as far as the caller may read them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from fluid_cli.job import Job
from fluid_cli.session import Session
from fluid_cli.times import parse_time
from fluid_operator.kube.errors import Forbidden
from fluid_operator.kube.keys import Resource

EVENTS: Final = Resource("events.k8s.io", "v1", "events", "Event")


@dataclass(frozen=True, slots=True)
class Event:
    """One event, or a series of the same; `when` is its last time."""

    when: datetime | None
    type: str
    reason: str
    note: str
    count: int


async def events_of(session: Session, job: Job) -> list[Event]:
    """The events about this very object, oldest first; none when the caller may not read events, which are a help
    and no fact that an answer depends on."""
    selectors = {"fieldSelector": f"regarding.kind=FluidJob,regarding.name={job.name},regarding.uid={job.uid}"}
    try:
        page = await session.kube.list_page(EVENTS, session.namespace, selectors=selectors)
    except Forbidden:
        return []
    found = [read_event(item) for item in page.items]
    return sorted(found, key=lambda event: event.when.timestamp() if event.when else 0.0)


def read_event(raw: Mapping[str, Any]) -> Event:
    """One Event of either API: older clients leave eventTime empty and count for themselves."""
    series = raw.get("series") or {}
    times = (series.get("lastObservedTime"), raw.get("deprecatedLastTimestamp"), raw.get("eventTime"))
    return Event(
        when=next(filter(None, map(parse_time, times)), None),
        type=str(raw.get("type", "")),
        reason=str(raw.get("reason", "")),
        note=str(raw.get("note", "")),
        count=int(series.get("count") or raw.get("deprecatedCount") or 1),
    )
