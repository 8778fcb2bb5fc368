"""What no schema can refuse, because it depends on other objects or on the processor: the job's Ready condition names
the field and says what is wrong with it."""

from pathlib import Path
from typing import Any, NamedTuple

import pytest

from cluster.fields.scene import QUEUE, Scene, Spec, Want
from support.field_matrix import Cells, fields
from support.stages import Stage

pytestmark = [pytest.mark.field, pytest.mark.timeout(240)]


class Told(NamedTuple):
    """A field, a spec with a bad value of it, and what the condition says."""

    path: str
    spec: Spec
    phase: str
    reason: str
    says: str


def reference(path: str, kind: str, name: str, key: str) -> Spec:
    source = {kind: {"name": name, "key": key}}
    return {path: [source] if path == "itemsFrom" else source}


def references(path: str) -> list[Told]:
    """Objects and keys that are not there."""
    at, prefix = ("spec.itemsFrom[0]", "spec.itemsFrom[]") if path == "itemsFrom" else (f"spec.{path}", f"spec.{path}")
    absent: list[Told] = []
    for kind, word in (("secretKeyRef", "Secret"), ("configMapKeyRef", "ConfigMap")):
        name, key = reference(path, kind, "nowhere", "k"), reference(path, kind, "source-one", "nothing")
        absent += [
            Told(f"{prefix}.{kind}.name", name, "Pending", "PayloadSourceNotFound", f"{at}: there is no {word}"),
            Told(f"{prefix}.{kind}.key", key, "Pending", "PayloadSourceNotFound", f"{at}: {word} source-one has no"),
        ]
    return absent


LARGE: dict[str, Any] = {"value": "x" * 5000}
TABLE: tuple[Told, ...] = (
    Told("spec.environment", {"environment": "nowhere"}, "Pending", "EnvironmentNotFound", "no FluidEnvironment"),
    Told("spec.type", {"type": "no-such"}, "Pending", "TypeNotYetKnown", "spec.type: no worker"),
    Told("spec.payload", {"payload": {"seconds": "x"}}, "Failed", "InvalidPayload", "spec.payload.seconds"),
    Told("spec.payload", {"payload": {"colour": "red"}}, "Failed", "InvalidPayload", "colour"),
    Told("spec.payload", {"payload": {"value": "x" * 33_000}}, "Failed", "InvalidPayload", "at most 32768"),
    Told("spec.items", {"items": [{}, {"seconds": "x"}]}, "Failed", "InvalidPayload", "spec.items[1].seconds"),
    Told("spec.items", {"items": [LARGE] * 60}, "Failed", "InvalidPayload", "at most 262144"),
    *references("payloadFrom"),
    *references("itemsFrom"),
)


def test_what_no_schema_can_refuse_is_told_by_the_condition(bare: Stage, tmp_path: Path, cell: Cells):
    scene = Scene(bare, tmp_path)
    scene.open()
    scene.set_up(QUEUE)
    names = {f"told-{n}": told for n, told in enumerate(TABLE)}
    assert {told.path for told in TABLE} <= set(fields())
    scene.put({name: told.spec for name, told in names.items()})
    wants = {name: Want(told.phase, run=None, values=(), reason=told.reason) for name, told in names.items()}
    scene.settle(wants)
    for name, told in names.items():
        with cell(told.path, "bad value"):
            scene.judge(name, wants[name])
            assert told.says in bare.condition(name)["message"]
