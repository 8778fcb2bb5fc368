"""The field matrix: every field is a row, every outcome reaches its cell, and nothing passes for proven that is not."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from support.field_matrix import COLUMNS, fields, leaves
from support.field_table import as_json, main, matrix_of, verdict

TESTS = Path(__file__).parents[1]

PLAY = """
import pytest


@pytest.mark.field("spec.suspend", "effect", "during")
def test_passes():
    pass


@pytest.mark.field("spec.suspend", "after")
def test_fails():
    assert False


@pytest.mark.field("spec.suspend", "before")
def test_is_skipped():
    pytest.skip("not today")


@pytest.mark.parametrize("n", [pytest.param(n, marks=pytest.mark.field("spec.queue", "bad value")) for n in range(3)])
def test_each_parameter_counts(n):
    pass


@pytest.mark.field
def test_rows_are_judged_one_by_one(cell):
    with cell("spec.type", "before"):
        assert True
    with cell("spec.type", "during"):
        assert False
    with cell("spec.type", "after"):
        assert True


@pytest.fixture
def breaks_at_the_end():
    yield
    raise OSError("too late")


@pytest.mark.field("spec.payload", "effect")
def test_is_spoilt_by_its_fixture(breaks_at_the_end):
    pass


def test_claims_nothing():
    pass
"""


def run(folder: Path, play: str, *options: str) -> tuple[subprocess.CompletedProcess[str], Path]:
    """The play as a test run of its own, and where its outcomes are."""
    results = folder / "results.json"
    (folder / "conftest.py").write_text('pytest_plugins = ("support.field_matrix",)\n')
    (folder / "test_play.py").write_text(play)
    (folder / "pytest.ini").write_text("[pytest]\nasyncio_default_fixture_loop_scope = function\n")
    env = os.environ | {"PYTHONPATH": str(TESTS), "FLUID_FIELD_MATRIX": str(results)}
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-p",
        "no:cacheprovider",
        "--strict-markers",
        *options,
        str(folder),
    ]
    return subprocess.run(command, env=env, cwd=folder, capture_output=True, text=True, check=False), results


@pytest.mark.parametrize("options", [(), ("-n", "2")], ids=["one process", "two processes"])
def test_the_outcome_of_each_claim_reaches_its_cell(tmp_path, options):
    ran, results = run(tmp_path, PLAY, *options)
    assert ran.returncode == 1, ran.stdout + ran.stderr
    matrix = matrix_of(json.loads(results.read_text()), fields())
    filled = {cell: (len(proof.passed), len(proof.failed)) for cell, proof in matrix.proofs.items()}
    assert {cell: counts for cell, counts in filled.items() if counts != (0, 0)} == {
        ("spec.suspend", "effect"): (1, 0),
        ("spec.suspend", "during"): (1, 0),
        ("spec.suspend", "after"): (0, 1),
        ("spec.queue", "bad value"): (3, 0),
        ("spec.type", "before"): (1, 0),
        ("spec.type", "during"): (0, 1),
        ("spec.type", "after"): (1, 0),
        ("spec.payload", "effect"): (0, 1),
    }
    assert ("spec.suspend", "before") in matrix.empty
    assert [test.partition("::")[2] for test in matrix.failed_tests] == [
        "test_fails",
        "test_is_spoilt_by_its_fixture",
        "test_rows_are_judged_one_by_one",
    ]


@pytest.mark.parametrize(
    ("claim", "told"),
    [('"spec.suspendd", "effect"', "no field spec.suspendd"), ('"spec.suspend", "efect"', "no column 'efect'")],
)
def test_a_misspelt_claim_stops_the_run(tmp_path, claim, told):
    ran, _ = run(tmp_path, f"{PLAY}\n\n@pytest.mark.field({claim})\ndef test_x():\n    pass\n")
    assert ran.returncode == pytest.ExitCode.USAGE_ERROR
    assert told in ran.stdout + ran.stderr


def test_fields_are_found_at_every_depth():
    schema = {
        "properties": {
            "free": {"type": "object", "x-kubernetes-preserve-unknown-fields": True},
            "group": {"properties": {"inner": {"type": "integer"}}},
            "rules": {"type": "array", "items": {"properties": {"action": {"type": "string"}}}},
            "words": {"type": "array", "items": {"type": "string"}},
        }
    }
    assert list(leaves(schema, "spec")) == ["spec.free", "spec.group.inner", "spec.rules[].action", "spec.words"]


def test_the_fields_are_those_of_a_fluid_job():
    assert {"spec.type", "spec.backoff.factor", "spec.ttl.failedSeconds", "spec.payloadFrom.secretKeyRef.key"} <= set(
        fields()
    )


def record(*outcomes: str) -> dict[str, list]:
    """A run in which every cell of every field had these outcomes."""
    cells = [
        {"field": name, "column": column, "test": f"test[{number}]", "outcome": outcome}
        for name in fields()
        for column in COLUMNS
        for number, outcome in enumerate(outcomes)
    ]
    return {"cells": cells, "failed": []}


def written(folder: Path, document: dict[str, list]) -> str:
    path = folder / "results.json"
    path.write_text(json.dumps(document))
    return str(path)


def test_a_full_matrix_succeeds(tmp_path, capsys):
    assert main([written(tmp_path, record("passed"))]) == 0
    assert "0 empty, 0 failed" in capsys.readouterr().out


@pytest.mark.parametrize("outcome", ["failed", "skipped"])
def test_one_cell_that_is_not_proven_fails_the_matrix(tmp_path, capsys, outcome):
    document = record("passed")
    document["cells"][7]["outcome"] = outcome
    assert main([written(tmp_path, document)]) == 1
    assert ("FAILED" if outcome == "failed" else "empty") in capsys.readouterr().out


def test_a_failure_beside_a_success_is_a_failure():
    assert len(matrix_of(record("passed", "failed"), fields()).failed) == len(fields()) * len(COLUMNS)


def test_a_test_that_broke_before_it_could_claim_its_cells_fails_the_matrix(tmp_path, capsys):
    document = record("passed") | {"failed": ["tests/test_x.py::test_y[a]"]}
    assert main([written(tmp_path, document)]) == 1
    assert "test_y[a]" in capsys.readouterr().out


def test_json_names_the_tests_behind_each_cell(tmp_path, capsys):
    assert main([written(tmp_path, record("passed")), "-o", "json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["complete"] is True
    assert told["fields"]["spec.suspend"]["during"] == {"passed": ["test[0]"], "failed": []}
    assert told == json.loads(as_json(matrix_of(record("passed"), fields())))


def test_the_verdict_counts_what_is_missing():
    assert verdict(matrix_of({"cells": [], "failed": []}, ("spec.a", "spec.b"))) == (
        "2 fields, 10 cells: 10 empty, 0 failed; 0 failed tests"
    )
