"""The results in rows: judged against the goals, as JSON for machines and as a table for people. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from rich.table import Column, Table

from benchmarks.common.goals import Bound, Goal
from benchmarks.common.measures import Results, Units


@dataclass(frozen=True, slots=True)
class Row:
    """One measure, ours beside a peer's, or beside nobody's where a goal is a value.

    `ratio` is ours divided by the peer's. `met` speaks of the must alone, and is true where there is none to miss.
    """

    name: str
    unit: str
    ours: float
    peer: str | None = None
    peer_value: float | None = None
    ratio: float | None = None
    must: str | None = None
    stretch: str | None = None
    met: bool = True
    stretch_met: bool | None = None

    def to_json(self) -> dict[str, Any]:
        data = asdict(self)
        del data["stretch_met"]
        return data


def rows(results: Results, goals: Sequence[Goal], us: str, units: Units) -> list[Row]:
    """Every measure that was taken of us: the goals that are values, then one row for each peer; one without peer and
    goal where there is neither."""
    found = []
    for measure in units:
        ours = results.median(measure, us)
        if ours is not None:
            found += list(_rows(measure, units[measure], ours, results, goals, us)) or [
                _row(measure, units[measure], ours)
            ]
    return found


def _rows(measure: str, unit: str, ours: float, results: Results, goals: Sequence[Goal], us: str) -> Iterator[Row]:
    for goal in goals:
        if goal.name == measure and not goal.peer:
            yield _row(measure, unit, ours, goal=goal)
    for peer in results.sides(measure):
        if peer != us:
            judged_by = next((each for each in goals if (each.name, each.peer) == (measure, peer)), None)
            yield _row(measure, unit, ours, peer, results.median(measure, peer), judged_by)


def not_judged(results: Results, goals: Sequence[Goal], us: str) -> list[Goal]:
    """Goals whose measure was taken of us, but not of the peer."""
    return [
        goal
        for goal in goals
        if goal.peer and results.median(goal.name, us) is not None and results.median(goal.name, goal.peer) is None
    ]


def _row(
    measure: str,
    unit: str,
    ours: float,
    peer: str | None = None,
    peer_value: float | None = None,
    goal: Goal | None = None,
) -> Row:
    def met(bound: Bound | None) -> bool | None:
        return bound.met(ours, peer_value) if bound else None

    return Row(
        name=measure,
        unit=unit,
        ours=_rounded(ours),
        peer=peer,
        peer_value=None if peer_value is None else _rounded(peer_value),
        ratio=round(ours / peer_value, 3) if peer_value else None,
        must=str(goal.must) if goal and goal.must else None,
        stretch=str(goal.stretch) if goal and goal.stretch else None,
        met=met(goal.must) is not False if goal else True,
        stretch_met=met(goal.stretch) if goal else None,
    )


def table(title: str, found: Sequence[Row], results: Results, us: str) -> Table:
    """One line a row; a value that a limit of time cut short has a >= before it."""
    shown = Table(
        Column("MEASURE", no_wrap=True),
        "UNIT",
        "OURS",
        "SPREAD",
        "PEER",
        "PEER'S",
        "RATIO",
        "MUST",
        "STRETCH",
        title=title,
    )
    previous = ""
    for row in found:
        first = row.name != previous
        shown.add_row(
            row.name if first else "",
            row.unit if first else "",
            _shown(row.ours, row.name, us, results) if first else "",
            _spread(results.values[row.name][us]) if first else "",
            row.peer or "",
            "" if row.peer_value is None or row.peer is None else _shown(row.peer_value, row.name, row.peer, results),
            "" if row.ratio is None else f"{row.ratio:.3g}x",
            _judged(row.must, row.met),
            _judged(row.stretch, row.stretch_met),
        )
        previous = row.name
    return shown


def amount(value: float) -> str:
    """A number for people: whole from a hundred on, else with two digits behind the point at most."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.2f}".rstrip("0").rstrip(".")


def _judged(bound: str | None, met: bool | None) -> str:
    if bound is None:
        return ""
    return f"[green]{bound} met[/]" if met else f"[red]{bound} missed[/]"


def _shown(value: float, measure: str, side: str, results: Results) -> str:
    return f"{'>= ' if (measure, side) in results.capped else ''}{amount(value)}"


def _spread(values: Sequence[float]) -> str:
    low, high = min(values), max(values)
    return f"{low:,.0f} to {high:,.0f}" if high >= 100 else f"{low:.2f} to {high:.2f}"


def _rounded(value: float) -> float:
    return round(value, 3)
