"""The results in rows: judged against the goals, as JSON for machines and as a table for people. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from rich.table import Table

from benchmarks.queue.goals import Bound, Goal
from benchmarks.queue.measures import UNITS, Results


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


def rows(results: Results, goals: Sequence[Goal], us: str) -> list[Row]:
    """Every measure that was taken of us: the goals that are values, then one row for each peer."""
    found = []
    for measure in UNITS:
        ours = results.median(measure, us)
        if ours is None:
            continue
        found += [_row(measure, ours, None, None, goal) for goal in goals if goal.name == measure and not goal.peer]
        for peer in results.sides(measure):
            if peer != us:
                goal = next((each for each in goals if (each.name, each.peer) == (measure, peer)), None)
                found.append(_row(measure, ours, peer, results.median(measure, peer), goal))
    return found


def not_judged(results: Results, goals: Sequence[Goal], us: str) -> list[Goal]:
    """Goals whose measure was taken of us, but not of the peer."""
    return [
        goal
        for goal in goals
        if goal.peer and results.median(goal.name, us) is not None and results.median(goal.name, goal.peer) is None
    ]


def _row(measure: str, ours: float, peer: str | None, peer_value: float | None, goal: Goal | None) -> Row:
    def met(bound: Bound | None) -> bool | None:
        return bound.met(ours, peer_value) if bound else None

    return Row(
        name=measure,
        unit=UNITS[measure],
        ours=_rounded(ours),
        peer=peer,
        peer_value=None if peer_value is None else _rounded(peer_value),
        ratio=round(ours / peer_value, 3) if peer_value else None,
        must=str(goal.must) if goal else None,
        stretch=str(goal.stretch) if goal and goal.stretch else None,
        met=met(goal.must) is not False if goal else True,
        stretch_met=met(goal.stretch) if goal else None,
    )


def table(found: Sequence[Row], results: Results, us: str) -> Table:
    """One line a row; a value that a limit of time cut short has a >= before it."""
    shown = Table("MEASURE", "UNIT", "OURS", "SPREAD", "PEER", "PEER'S", "RATIO", "MUST", "STRETCH", title="Queue")
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
            "" if row.ratio is None else f"{row.ratio:.2f}x",
            _judged(row.must, row.met),
            _judged(row.stretch, row.stretch_met),
        )
        previous = row.name
    return shown


def _judged(bound: str | None, met: bool | None) -> str:
    if bound is None:
        return ""
    return f"[green]{bound} met[/]" if met else f"[red]{bound} missed[/]"


def _shown(value: float, measure: str, side: str, results: Results) -> str:
    return (
        f"{'>= ' if (measure, side) in results.capped else ''}{value:,.0f}"
        if value >= 100
        else (f"{'>= ' if (measure, side) in results.capped else ''}{value:.2f}".rstrip("0").rstrip("."))
    )


def _spread(values: Sequence[float]) -> str:
    low, high = min(values), max(values)
    return f"{low:,.0f} to {high:,.0f}" if high >= 100 else f"{low:.2f} to {high:.2f}"


def _rounded(value: float) -> float:
    return round(value, 3)
