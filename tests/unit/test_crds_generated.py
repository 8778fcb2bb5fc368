"""The generated files: up to date, stable, and made for people to read."""

from pathlib import Path

import pytest
import yaml

from fluid_operator.api.crd import KINDS, crd
from fluid_operator.api.generate import HEADER, crd_yaml, generated_files, write
from fluid_operator.api.meta import Kind
from fluid_operator.api.reference import page, rows
from fluid_operator.api.schema import structural

CHECKOUT = Path(__file__).parents[2]

each_kind = pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.kind)


def test_the_checkout_holds_what_the_models_say() -> None:
    stale = [path for path, text in generated_files().items() if (CHECKOUT / path).read_text(encoding="utf-8") != text]
    assert stale == [], "run `make crds`"


def test_nothing_else_lies_among_the_definitions() -> None:
    assert {path.name for path in (CHECKOUT / "crds").iterdir()} == {f"{kind.plural}.yaml" for kind in KINDS}


@each_kind
def test_the_yaml_says_the_same_as_the_definition(kind: Kind) -> None:
    assert yaml.safe_load(crd_yaml(crd(kind))) == crd(kind)


@each_kind
def test_the_yaml_is_readable(kind: Kind) -> None:
    text = crd_yaml(crd(kind))
    assert text.startswith(HEADER)
    assert not any(token in text for token in ("&id", "*id"))
    # A regular expression cannot be broken into lines.
    assert max(len(line) for line in text.splitlines() if "self.matches(" not in line) <= 180
    assert not any(line.endswith(" ") for line in text.splitlines())


@each_kind
def test_a_definition_fits_into_an_annotation(kind: Kind) -> None:
    # Client-side `kubectl apply` keeps the whole object in an annotation of at most 256 KiB.
    assert len(crd_yaml(crd(kind))) < 128 * 1024


def test_a_second_run_writes_nothing(tmp_path: Path) -> None:
    assert write(tmp_path) == list(generated_files())
    assert write(tmp_path) == []
    (tmp_path / "crds" / "fluidjobs.yaml").write_text("edited by hand")
    assert write(tmp_path) == [Path("crds/fluidjobs.yaml")]


def test_the_reference_shows_default_unit_and_limit() -> None:
    lines = page(KINDS[0]).splitlines()
    [delay] = [line for line in lines if line.startswith("| `spec.backoff.delaySeconds`")]
    assert (
        delay
        == "| `spec.backoff.delaySeconds` | integer | 10 | seconds | 0 to 315360000 | Delay before the first retry. |"
    )
    [policy] = [line for line in lines if line.startswith("| `spec.runPolicy`")]
    assert policy.startswith("| `spec.runPolicy` | one of Auto, Always, OncePerSpec | `Auto` |")
    [items] = [line for line in lines if line.startswith("| `spec.items` ")]
    assert "| list of any JSON object | one run without an index |  | 1000 entries, 256 KiB in all |" in items
    [source] = [line for line in lines if line.startswith("| `spec.itemsFrom[].secretKeyRef.key`")]
    assert "| string | required |  | 253 characters |" in source


@each_kind
def test_the_reference_has_a_row_for_every_field(kind: Kind) -> None:
    schema = structural(kind.spec)
    named = [row.field for row in rows(schema, "spec")]
    assert len(named) == len(set(named))
    assert {f"spec.{name}" for name in schema["properties"]} <= set(named)
    assert all(row.description for row in rows(schema, "spec"))
