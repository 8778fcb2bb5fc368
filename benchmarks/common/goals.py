"""What has to be reached: a goals.yaml, read and judged. Pure but for reading the file."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import yaml

from benchmarks.common.errors import GoalError
from benchmarks.common.measures import Units

_BOUND = re.compile(r"(?P<sign>>=|<=) (?P<limit>\d+(\.\d+)?)(?P<ratio>x?)")


@dataclass(frozen=True, slots=True)
class Bound:
    """`>= 5x`: at least five times the peer. `<= 2`: at most two, in the measure's unit."""

    at_least: bool
    limit: float
    ratio: bool

    @classmethod
    def parse(cls, goal: str, text: object) -> Self:
        match = _BOUND.fullmatch(str(text))
        if not match:
            raise GoalError(goal, f"{text!r} is no bound; write '>= 5x' for a ratio to the peer, or '<= 2' for a value")
        return cls(match["sign"] == ">=", float(match["limit"]), bool(match["ratio"]))

    def met(self, ours: float, peer_value: float | None) -> bool:
        value = ours
        if self.ratio:
            assert peer_value, "a ratio is judged only where the peer was measured"
            value = ours / peer_value
        return value >= self.limit if self.at_least else value <= self.limit

    def __str__(self) -> str:
        return f"{'>=' if self.at_least else '<='} {self.limit:g}{'x' if self.ratio else ''}"


@dataclass(frozen=True, slots=True)
class Goal:
    """One line of goals.yaml, with a must, a stretch, or both. `peer` None: the bounds are values, not ratios."""

    name: str
    unit: str
    peer: str | None
    must: Bound | None
    stretch: Bound | None

    @classmethod
    def parse(cls, entry: dict[str, Any], units: Units) -> Self:
        name = str(entry.get("name", "an entry without name"))
        unknown = entry.keys() - {"name", "unit", "peer", "must", "stretch"}
        if unknown:
            raise GoalError(name, f"does not know {', '.join(sorted(unknown))}")
        if units.get(name) != entry.get("unit"):
            raise GoalError(name, f"there is no measure of this name in {entry.get('unit')}")
        must, stretch = (Bound.parse(name, entry[kind]) if kind in entry else None for kind in ("must", "stretch"))
        if must is None and stretch is None:
            raise GoalError(name, "has neither must nor stretch: then it is no goal")
        if any(bound.ratio != bool(entry.get("peer")) for bound in (must, stretch) if bound):
            raise GoalError(name, "a ratio needs a peer, and a value has none")
        return cls(name, units[name], entry.get("peer"), must, stretch)


def read(file: Path, units: Units) -> list[Goal]:
    """The goals in a file. Raises GoalError, which names the entry."""
    return [Goal.parse(entry, units) for entry in yaml.safe_load(file.read_text())]
