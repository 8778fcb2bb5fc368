"""The times of a backfill and what became of them, for people and for programs. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, tzinfo
from typing import Any

from rich.text import Text

from fluid_cli.columns import Row
from fluid_operator.timetables.manual import Backfilled, Outcome, Plan

_STYLES = {Outcome.CREATED: "green", Outcome.WOULD_CREATE: "cyan", Outcome.EXISTS: "", Outcome.FOREIGN: "bold red"}
_TOLD = {
    Outcome.CREATED: "created",
    Outcome.WOULD_CREATE: "would be created",
    Outcome.EXISTS: "there already",
    Outcome.FOREIGN: "not created, because another FluidJob has the name",
}


def header(zone: str, *, wide: bool) -> Row:
    """The names of the columns; times are in the zone that stands there."""
    names = [f"TIME ({zone})", *(["UTC"] if wide else []), "JOB", "OUTCOME"]
    return [Text(name, style="bold") for name in names]


def row(done: Backfilled, zone: tzinfo, *, wide: bool) -> Row:
    """One time."""
    cells = [Text(local_text(done.time, zone))]
    if wide:
        cells.append(Text(_utc_text(done.time)))
    return [*cells, Text(done.name), Text(done.outcome, style=_STYLES[done.outcome])]


def local_text(moment: datetime, zone: tzinfo) -> str:
    """A moment on the wall clock of the zone, with the distance from UTC, which tells the two apart that a clock may
    show twice."""
    return moment.astimezone(zone).isoformat(" ", "minutes")


def summary(done: Sequence[Backfilled]) -> str:
    """How many of what, such as `23 created, 2 there already`."""
    counts = Counter(each.outcome for each in done)
    return ", ".join(f"{counts[outcome]} {told}" for outcome, told in _TOLD.items() if counts[outcome]) or "no times"


def report(planned: Plan, done: Iterable[Backfilled]) -> dict[str, Any]:
    """The same as one JSON value."""
    return {
        "schedule": planned.name,
        "namespace": planned.namespace,
        "timeZone": planned.zone.key,
        "times": [{"time": _utc_text(each.time), "job": each.name, "outcome": each.outcome.value} for each in done],
    }


def _utc_text(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
