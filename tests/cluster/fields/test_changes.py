"""A change of any field before, during and after a run: the waiting job is as if it had been so from the start, the
running attempt is not disturbed, and only what defines the run makes another one.

All fields at once, in one namespace for each of the three moments; `changes` says what must come of each.
"""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from cluster.fields.changes import HELPERS, ROWS
from cluster.fields.scene import CLOSED, OTHER_QUEUE, QUEUE, Scene, Spec, Want
from support.field_matrix import Cells
from support.stages import Stage

pytestmark = [pytest.mark.field, pytest.mark.timeout(240)]

QUEUES = f"{QUEUE},{OTHER_QUEUE}"
NAMES = tuple(row.name for row in ROWS)


@pytest.fixture
def scene(bare: Stage, tmp_path: Path) -> Scene:
    return Scene(bare, tmp_path)


def test_a_change_before_the_run_is_as_if_it_had_been_so_from_the_start(scene: Scene, cell: Cells):
    scene.open()
    scene.set_up("elsewhere")
    for name, spec in HELPERS.items():
        scene.put({name: spec})
        scene.phases([name], "Queued")
    create(scene)
    scene.phases(NAMES, "Queued")
    change(scene)
    scene.reach(NAMES, "change not observed", observed)
    scene.workers(QUEUES)
    compare(scene, cell, "before")


def test_a_change_during_the_run_disturbs_nothing_and_only_some_run_again(scene: Scene, cell: Cells):
    scene.one_gate()
    scene.set_up(QUEUES)
    create(scene)
    scene.phases(NAMES, "Running")
    change(scene)
    # The status of a run speaks of the spec that it was enqueued for.
    scene.reach([row.name for row in ROWS if row.during.run != 2], "change not observed", observed)
    scene.open()
    compare(scene, cell, "during")


def test_a_change_after_the_run_makes_another_one_or_none(scene: Scene, cell: Cells):
    scene.open()
    scene.open(CLOSED)
    scene.set_up(QUEUES)
    create(scene)
    scene.phases(NAMES, "Succeeded", "Failed")
    change(scene)
    compare(scene, cell, "after")


@pytest.mark.field("spec.parallelism", "during")
def test_more_indexes_run_at_once_as_soon_as_the_parallelism_is_raised(scene: Scene):
    scene.set_up(QUEUES)
    three: Spec = {"completions": 3, "parallelism": 1}
    scene.put({"wide": three})
    scene.stage.started(1)
    scene.put({"wide": {**three, "parallelism": 3}})
    scene.stage.started(3)  # and none has ended
    scene.open()
    wide = {"wide": Want(values=("one",) * 3, observed=2, shows={"succeeded": 3})}
    scene.settle(wide)
    scene.judge("wide", wide["wide"])


def create(scene: Scene) -> None:
    scene.put({row.name: row.first for row in ROWS})


def change(scene: Scene) -> None:
    scene.put({row.name: row.changed for row in ROWS})


def observed(job: Mapping[str, Any] | None) -> bool:
    """The status speaks of the changed spec, or the object is gone."""
    return job is None or job["status"]["observedGeneration"] == 2


def compare(scene: Scene, cell: Cells, column: str) -> None:
    """Judge each row by what it wants at this moment of its life."""
    wants: dict[str, Want] = {row.name: replace(getattr(row, column), observed=2) for row in ROWS}
    scene.settle(wants)
    for row in ROWS:
        with cell(row.path, column):
            scene.judge(row.name, wants[row.name])
