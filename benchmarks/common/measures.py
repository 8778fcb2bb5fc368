"""What was measured of which side, and how a few numbers stand for many. Pure; knows no benchmark in particular."""

from __future__ import annotations

import math
import statistics
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

Units = Mapping[str, str]
"""Every measure of a benchmark with its unit, in the order in which they are shown."""


@dataclass(slots=True)
class Results:
    """All repetitions of all measures; `capped` are those that only say "at least so much"."""

    values: dict[str, dict[str, list[float]]] = field(default_factory=lambda: defaultdict(lambda: defaultdict(list)))
    """Measure, then side."""
    capped: set[tuple[str, str]] = field(default_factory=set)

    def add(self, side: str, measured: Mapping[str, float]) -> None:
        """One repetition of one side."""
        for measure, value in measured.items():
            self.values[measure][side].append(value)

    def median(self, measure: str, side: str) -> float | None:
        """None: this side was not measured."""
        found = self.values.get(measure, {}).get(side)
        return statistics.median(found) if found else None

    def sides(self, measure: str) -> list[str]:
        """Who was measured, in the order in which they first were."""
        return list(self.values.get(measure, {}))


def percentile(values: Iterable[float], percent: float) -> float:
    """The smallest value that so many percent of all do not exceed (nearest rank)."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(len(ordered) * percent / 100) - 1)]
