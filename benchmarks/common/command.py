"""What the commands of all benchmarks have in common: how they end, and how they tell what they found."""

from __future__ import annotations

import json
import signal
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NoReturn

import typer
from rich.console import Console

from benchmarks.common.errors import BenchmarkError
from benchmarks.common.goals import Goal
from benchmarks.common.measures import Results, Units
from benchmarks.common.report import Row, not_judged, rows, table
from fluid_dev.errors import DevError, Interrupted

console = Console(highlight=False, width=None if sys.stdout.isatty() else 160)
"""A file has no width of its own: tables there are as wide as they need."""


def conclude(
    title: str,
    results: Results,
    goals: Sequence[Goal],
    *,
    us: str,
    units: Units,
    out: Path,
    strict: bool = True,
    hide: Sequence[str] = (),
) -> None:
    """Print the table, write the rows, and raise BenchmarkError if a must was missed.

    Not `strict`: a miss only shows, for a run that is too short to judge by. `hide`: measures that the caller shows in
    a table of its own; they are written all the same.
    """
    found = rows(results, goals, us, units)
    console.print(table(title, [row for row in found if row.name not in hide], results, us))
    for goal in not_judged(results, goals, us):
        bound = goal.must or goal.stretch
        console.print(f"not judged: {goal.name} {bound} of {goal.peer}, which was not measured", style="yellow")
    write(found, out)
    missed = [row for row in found if not row.met]
    if missed and strict:
        raise BenchmarkError(f"missed: {', '.join(f'{row.name} {row.must}' for row in missed)}")


def write(found: Sequence[Row], out: Path) -> None:
    """The rows as JSON, in a file whose folder may not exist yet."""
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(json.dumps([row.to_json() for row in found], indent=2) + "\n")


def run(main: Callable[..., Any]) -> None:
    """Call the command of a benchmark; whatever goes wrong is one line on standard error and an exit code."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _interrupted)
    try:
        typer.run(main)
    except Interrupted:
        print("interrupted: everything that was started is stopped, no results were written", file=sys.stderr)
        sys.exit(130)
    except (BenchmarkError, DevError) as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(1)


def _interrupted(_number: int, _frame: object) -> NoReturn:
    raise Interrupted
