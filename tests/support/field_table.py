"""From the record of a test run to the field matrix: python -m support.field_table RESULTS [-o table|json].

Every field of FluidJob is a row. A cell that no test claims is empty; an empty or failed one makes the exit code 1.
"""

import argparse
import json
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from support.field_matrix import COLUMNS, Cell, fields

WIDTH: Final = 110
"""Columns of text where there is no terminal to ask."""


@dataclass
class Proof:
    """What the tests say about one cell."""

    passed: list[str] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)

    @property
    def text(self) -> str:
        """For people: how many tests hold it up, or what is wrong."""
        if self.failed:
            return "[red]FAILED[/]"
        return f"[green]{len(self.passed)}[/]" if self.passed else "[red]empty[/]"


@dataclass(frozen=True)
class Matrix:
    """All cells, in the order of the schema and of the columns."""

    proofs: Mapping[Cell, Proof]
    failed_tests: tuple[str, ...]

    @property
    def empty(self) -> list[Cell]:
        return [cell for cell, proof in self.proofs.items() if not proof.passed and not proof.failed]

    @property
    def failed(self) -> list[Cell]:
        return [cell for cell, proof in self.proofs.items() if proof.failed]

    @property
    def complete(self) -> bool:
        return not self.empty and not self.failed and not self.failed_tests


def matrix_of(record: Mapping[str, Any], names: Iterable[str]) -> Matrix:
    """The matrix of these fields from what a run recorded; a skipped test fills no cell."""
    proofs = {(name, column): Proof() for name in names for column in COLUMNS}
    for claim in record["cells"]:
        proof = proofs[(claim["field"], claim["column"])]
        if claim["outcome"] == "passed":
            proof.passed.append(claim["test"])
        elif claim["outcome"] == "failed":
            proof.failed.append(claim["test"])
    return Matrix(proofs, tuple(record["failed"]))


def as_table(matrix: Matrix) -> Table:
    """For people: the number of tests behind each cell."""
    table = Table(title="fields of FluidJob, and how many tests prove what about them", title_justify="left")
    table.add_column("field", overflow="fold")
    for column in COLUMNS:
        table.add_column(column, justify="right", no_wrap=True, min_width=len("FAILED"))
    for name in dict.fromkeys(name for name, _ in matrix.proofs):
        table.add_row(name, *(matrix.proofs[name, column].text for column in COLUMNS))
    return table


def as_json(matrix: Matrix) -> str:
    """For programs: the tests behind each cell."""
    rows: dict[str, dict[str, Any]] = {}
    for (name, column), proof in matrix.proofs.items():
        rows.setdefault(name, {})[column] = {"passed": proof.passed, "failed": proof.failed}
    document = {
        "complete": matrix.complete,
        "fields": rows,
        "empty": [list(cell) for cell in matrix.empty],
        "failed": [list(cell) for cell in matrix.failed],
        "failedTests": list(matrix.failed_tests),
    }
    return json.dumps(document, indent=2)


def verdict(matrix: Matrix) -> str:
    """One line."""
    rows = len(matrix.proofs) // len(COLUMNS)
    counts = f"{len(matrix.empty)} empty, {len(matrix.failed)} failed"
    return f"{rows} fields, {len(matrix.proofs)} cells: {counts}; {len(matrix.failed_tests)} failed tests"


def main(arguments: list[str] | None = None) -> int:
    """Print the matrix; 1 if it is not complete."""
    parser = argparse.ArgumentParser(prog="field-matrix", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("results", type=Path, help="what a run with FLUID_FIELD_MATRIX wrote")
    parser.add_argument("-o", "--output", choices=("table", "json"), default="table")
    chosen = parser.parse_args(arguments)
    matrix = matrix_of(json.loads(chosen.results.read_text()), fields())
    if chosen.output == "json":
        sys.stdout.write(as_json(matrix) + "\n")
        return 0 if matrix.complete else 1
    console = Console(highlight=False, width=None if sys.stdout.isatty() else WIDTH)
    console.print(as_table(matrix))
    for test in matrix.failed_tests:
        console.print(f"[red]failed[/] {escape(test)}", soft_wrap=True)
    console.print(verdict(matrix))
    return 0 if matrix.complete else 1


if __name__ == "__main__":
    sys.exit(main())
