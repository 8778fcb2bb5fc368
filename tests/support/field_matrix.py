"""Which test proves what about which field of FluidJob: the mark `field`, the fixture `cell`, and the record of a run.

A cell is a field and a column. Tests claim cells by their mark:

    @pytest.mark.field("spec.suspend", "effect", "during")

A test over a table, one row for each of many fields, carries the bare mark and claims a cell for each row:

    with cell("spec.suspend", "during"):
        assert ...

The fields are those of the schema, so a new field has no test until somebody writes one. With FLUID_FIELD_MATRIX set to
a path, the outcomes of a run are written there as JSON; `field_table` reads them. Nothing here knows what is tested.
"""

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager
from functools import cache
from pathlib import Path
from typing import Any, Final

import pytest

from fluid_operator.api.fluidjob import FluidJobSpec
from fluid_operator.api.schema import structural

MARK: Final = "field"
RESULTS: Final = "FLUID_FIELD_MATRIX"
COLUMNS: Final = ("effect", "bad value", "before", "during", "after")
"""What the field does, what is refused, and what its change does before, during and after a run."""

_SEPARATOR: Final = ": "

Cell = tuple[str, str]


def leaves(schema: Mapping[str, Any], path: str) -> Iterator[str]:
    """The paths of the fields of a structural schema that hold values, in its order; `[]` stands for any entry."""
    entries = schema.get("items", {})
    if "properties" in schema:
        for name, child in schema["properties"].items():
            yield from leaves(child, f"{path}.{name}")
    elif "properties" in entries:
        yield from leaves(entries, f"{path}[]")
    else:
        yield path


@cache
def fields() -> tuple[str, ...]:
    """Every field of a FluidJob's spec that holds a value, such as `spec.backoff.factor`."""
    return tuple(leaves(structural(FluidJobSpec), "spec"))


def checked(name: str, column: str) -> Cell:
    """The cell, if there is such a one; else ValueError, for a misspelt claim would leave the right cell empty."""
    if name not in fields():
        raise ValueError(f"no field {name} of FluidJob")
    if column not in COLUMNS:
        raise ValueError(f"no column {column!r}: it is one of {', '.join(COLUMNS)}")
    return name, column


class Cells:
    """Claims cells one by one within a test; a row that fails does not keep the rows after it from being judged."""

    def __init__(self, subtests: pytest.Subtests) -> None:
        self._subtests = subtests

    def __call__(self, name: str, column: str) -> AbstractContextManager[None]:
        return self._subtests.test(_SEPARATOR.join(checked(name, column)))


@pytest.fixture
def cell(subtests: pytest.Subtests) -> Cells:
    """Claims a cell for the assertions of a block."""
    return Cells(subtests)


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", f"{MARK}(name, *columns): what the test proves about a field of FluidJob")
    path = os.environ.get(RESULTS)
    if path and not hasattr(config, "workerinput"):
        config.pluginmanager.register(Recorder(Path(path)))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Tell the claims of marks as properties of the tests, which reach the recorder from every process."""
    for item in items:
        for mark in item.iter_markers(MARK):
            try:
                claims = [checked(mark.args[0], column) for column in mark.args[1:]]
            except ValueError as error:
                raise pytest.UsageError(f"{item.nodeid}: mark {MARK}: {error}") from error
            item.user_properties += [(MARK, list(claim)) for claim in claims]


class Recorder:
    """Collects outcomes in the process that reports, and writes them at the end of the run."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._claims: dict[str, list[Cell]] = {}
        self._outcomes: dict[str, str] = {}
        self._rows: list[tuple[Cell, str, str]] = []

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if isinstance(report, pytest.SubtestReport):
            name, separator, column = (report.context.msg or "").rpartition(_SEPARATOR)
            if separator and column in COLUMNS:
                self._rows.append(((name, column), report.nodeid, report.outcome))
            return
        self._claims[report.nodeid] = [(claim[0], claim[1]) for kind, claim in _properties(report) if kind == MARK]
        if report.failed or report.when == "call":
            self._outcomes[report.nodeid] = report.outcome

    def pytest_sessionfinish(self) -> None:
        told = [
            (cell, test, self._outcomes[test])
            for test, claims in self._claims.items()
            if test in self._outcomes
            for cell in claims
        ]
        document = {
            "cells": [
                {"field": cell[0], "column": cell[1], "test": test, "outcome": outcome}
                for cell, test, outcome in (*told, *self._rows)
            ],
            "failed": sorted(test for test, outcome in self._outcomes.items() if outcome == "failed"),
        }
        self._path.write_text(json.dumps(document))


def _properties(report: pytest.TestReport) -> list[tuple[str, Any]]:
    return [(name, value) for name, value in report.user_properties]
