"""Where the machine's time and memory go in the large burst: a table of components. Pure."""

from __future__ import annotations

from rich.table import Table

from benchmarks.common.measures import Results
from benchmarks.common.report import amount
from benchmarks.jobs.measures import COMPONENTS, CPU_MEASURES, HELPERS, RSS_MEASURES
from benchmarks.jobs.sides import BARE, FLUID, NATIVE

_SIDES = (FLUID, NATIVE, BARE)


def components(results: Results) -> Table:
    """CPU milliseconds for each job, and the most resident memory, of each component under each side."""
    shown = Table(title="The large burst by component: CPU ms per job, peak RSS in MB")
    shown.add_column("COMPONENT")
    for side in _SIDES:
        shown.add_column(f"{side.name}\nCPU", justify="right")
        shown.add_column(f"{side.name}\nRSS", justify="right")
    for component in (*COMPONENTS, *HELPERS):
        cells = []
        for side in _SIDES:
            for measure in (CPU_MEASURES[component], RSS_MEASURES.get(component, "")):
                value = results.median(measure, side.name)
                cells.append("" if value is None else amount(value))
        shown.add_row(component, *cells)
    return shown
