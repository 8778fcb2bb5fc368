"""docs/recovery.md promises nothing without a test that shows it, and names nothing that does not exist."""

import ast
import re
from functools import cache
from pathlib import Path

import pytest

from fluid_operator.api.conditions import ConditionType, Reason
from fluid_operator.metrics import Metrics
from fluid_operator.settings import OperatorSettings
from fluid_processors.settings import WorkerSettings

TESTS = Path(__file__).parents[1]
PAGE = (TESTS.parent / "docs" / "recovery.md").read_text()
_LINK = re.compile(r"\[(.+)\]\(#(.+)\)")


def section(title: str) -> str:
    """What stands under a heading of the second level."""
    found = re.search(rf"^## {re.escape(title)}\n(.*?)(?=^## |\Z)", PAGE, re.DOTALL | re.MULTILINE)
    assert found, f"the page has no section {title}"
    return found[1]


def table(title: str) -> list[list[str]]:
    """The cells of a section's table, without its header."""
    lines = [line for line in section(title).splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines[2:]]


def faults() -> dict[str, str]:
    """Each fault of the first table, and the heading that it leads to."""
    found = [_LINK.fullmatch(row[0]) for row in table("What breaks, and what that costs")]
    return {link[1]: link[2] for link in found if link}


SHOWN = {row[0]: re.findall(r"`([^`]+)`", row[1]) for row in table("Shown by")}


@cache
def functions_of(path: Path) -> frozenset[str]:
    """The test functions of a module."""
    functions = ast.parse(path.read_text()).body
    return frozenset(each.name for each in functions if isinstance(each, ast.FunctionDef | ast.AsyncFunctionDef))


def test_every_fault_has_a_full_row_and_a_passage_of_its_own():
    rows = table("What breaks, and what that costs")
    assert len(faults()) == len(rows) > 20
    for row in rows:
        assert len(row) == 4, row
        assert all(row), row
    headings = {
        re.sub(r"[^a-z0-9 ]", "", each.lower()).replace(" ", "-")
        for each in re.findall(r"^### (.+)$", PAGE, re.MULTILINE)
    }
    assert set(faults().values()) == headings


def test_every_fault_is_shown_by_a_test():
    assert list(SHOWN) == list(faults())
    assert all(SHOWN.values())


@pytest.mark.parametrize("name", sorted({name for names in SHOWN.values() for name in names}))
def test_a_named_test_exists(name):
    path, _, function = name.partition("::")
    assert function.startswith("test_")
    assert function in functions_of(TESTS / path)


def test_the_series_that_the_page_names_exist():
    rendered = Metrics().render().decode()
    named = set(re.findall(r"fluid_operator_\w+", PAGE))
    assert named
    missing = {name for name in named if f"# TYPE {name} " not in rendered}
    assert missing == set()


def test_the_conditions_and_reasons_that_the_page_names_exist():
    told = re.findall(r"`(\w+)`(?: is)? False as `(\w+)`", PAGE)
    assert len(told) > 4
    assert {kind for kind, _ in told} <= {each.value for each in ConditionType}
    reasons = {reason for _, reason in told} | set(re.findall(r"`(?:Pending|Failed)` (?:as|with reason) `(\w+)`", PAGE))
    assert reasons <= {each.value for each in Reason}


def test_the_times_of_the_page_are_the_defaults():
    assert WorkerSettings.model_fields["lease_seconds"].default == 15
    assert OperatorSettings.model_fields["lease_duration_seconds"].default == 15
    assert OperatorSettings.model_fields["lease_renew_deadline_seconds"].default == 10
    assert "leases of workers and operator 15 s" in PAGE
