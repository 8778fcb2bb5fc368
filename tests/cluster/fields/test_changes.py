"""A change of any field before, during and after a run: the waiting job is as if it had been so from the start, the
running attempt is not disturbed, and only what defines the run makes another one.

All fields at once, in one namespace for each of the three moments; `changes` says what must come of each.
"""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from cluster.fields import changes
from cluster.fields.changes import GONE, HELPERS, OTHER_ENVIRONMENT, OTHER_QUEUE, PAYLOAD, QUEUE, ROWS, SOURCES, Row, Want
from fluid_dev.errors import TimedOut
from fluid_operator.api.meta import PAYLOAD_LABEL
from support.field_matrix import Cells
from support.stages import Stage, work
from support.waiting import until

Facts = dict[str, Any]

QUEUES = f"{QUEUE},{OTHER_QUEUE}"


class Play:
    """A stage with two environments and one job for each row."""

    def __init__(self, stage: Stage, folder: Path) -> None:
        self.stage = stage
        self._open, self._closed = folder / "open", folder / "closed"
        self._gates = {changes.OPEN: str(self._open), changes.CLOSED: str(self._open)}
        self._uids: dict[str, str] = {}

    def keep_some_running(self) -> None:
        """Jobs behind the second gate do not end."""
        self._gates[changes.CLOSED] = str(self._closed)

    def open(self) -> None:
        self._open.touch()

    def set_up(self, queues: str) -> None:
        """Two environments with a worker each, the sources of payloads, and an operator that leads."""
        for kind in ("Secret", "ConfigMap"):
            for name, data in SOURCES.items():
                text = {"stringData": data} if kind == "Secret" else {"data": data}
                meta = {"name": name, "labels": {PAYLOAD_LABEL: "true"}}
                self.stage.kubectl(
                    "apply", "-f", "-", input=json.dumps({"apiVersion": "v1", "kind": kind, "metadata": meta} | text)
                )
        for name in ("default", OTHER_ENVIRONMENT):
            self.stage.environment(name)
        self.workers(queues)
        self.stage.operator().leading()

    def workers(self, queues: str) -> None:
        """A worker on these queues for each environment."""
        for name in ("default", OTHER_ENVIRONMENT):
            self.stage.worker(
                FLUID_KEY_PREFIX=f"{self.stage.namespace}.{name}", FLUID_QUEUES=queues, FLUID_CONCURRENCY="100"
            )

    def create(self) -> None:
        self.stage.apply(*(row.job(False, self._gates) for row in ROWS), server_side=True)
        self._uids = {name: job["metadata"]["uid"] for name, job in self.stage.jobs().items()}

    def help(self) -> None:
        """The jobs that stand in the way of some."""
        for name, spec in HELPERS.items():
            payload = PAYLOAD | spec["payload"] | {"hold": self._gates[changes.CLOSED]}
            self.stage.apply(work(name).spec(**{**changes.BASE, **spec, "payload": payload}))
            self.stage.reaches(name, "Queued")

    def change(self) -> None:
        self.stage.apply(*(row.job(True, self._gates) for row in ROWS), server_side=True)

    def phases(self, *wanted: str) -> None:
        """Wait until the job of every row is in one of these."""
        self._wait(lambda: self._unlike(lambda row, jobs: jobs[row.name]["status"]["phase"] in wanted))

    def observed(self, *, but: tuple[str, ...] = ()) -> None:
        """Wait until every status speaks of the changed spec; `but` are fields whose status does so later."""
        self._wait(lambda: self._unlike(lambda row, jobs: row.path.startswith(but) or _observed(jobs.get(row.name)) == 2))

    def compare(self, cell: Cells, column: str, wants: Callable[[Row], Want]) -> None:
        """Wait until everything is as wanted, see it again after a job that was created then, and judge each row."""
        try:
            self._wait(lambda: self._unlike(lambda row, jobs: self._facts(row, wants(row), jobs) == _wanted(wants(row))))
            self.stage.apply(work("witness").spec(queue=QUEUE))
            self.stage.reaches("witness", "Succeeded")
        except TimedOut as error:
            told = str(error)
        else:
            told = ""
        jobs = self.stage.jobs()
        for row in ROWS:
            with cell(row.path, column):
                status = jobs.get(row.name, {}).get("status")
                assert self._facts(row, wants(row), jobs) == _wanted(wants(row)), json.dumps(status, indent=1)
        assert not told, told

    def _facts(self, row: Row, want: Want, jobs: Mapping[str, Any]) -> Facts:
        """What is so, as far as it matters."""
        prefix = f"{self._uids[row.name]}."
        values = tuple(start.value for start in self.stage.starts() if start.job_id.startswith(prefix))
        job = jobs.get(row.name)
        if job is None:
            return {"phase": GONE, "values": values}
        status = job["status"]
        facts = {"phase": status["phase"], "values": values, "observed": _observed(job), "run": status.get("run")}
        ready = next((each for each in status.get("conditions", ()) if each["type"] == "Ready"), {})
        facts["reason"] = ready.get("reason")
        facts |= {path: _at(status, path) for path in want.shows}
        left_out = [name for name in ("run", "reason") if getattr(want, name) is None]
        return {name: value for name, value in facts.items() if name not in left_out}

    def _unlike(self, fits: Callable[[Row, Mapping[str, Any]], bool]) -> list[str]:
        jobs = self.stage.jobs()
        return [row.path for row in ROWS if not fits(row, jobs)]

    def _wait(self, unlike: Callable[[], list[str]]) -> None:
        left: list[str] = []

        def done() -> bool:
            left[:] = unlike()
            return not left

        try:
            until(done, 40, "all jobs are as they must be", pause=0.3)
        except TimedOut as error:
            error.add_note(f"not so: {', '.join(left)}")
            raise


def _observed(job: Mapping[str, Any] | None) -> int:
    return job["status"]["observedGeneration"] if job else 2


def _wanted(want: Want) -> Facts:
    if want.phase == GONE:
        return {"phase": GONE, "values": want.values}
    facts = {"phase": want.phase, "values": want.values, "observed": 2, "run": want.run, "reason": want.reason}
    return {name: value for name, value in facts.items() if value is not None} | dict(want.shows)


def _at(status: Any, path: str) -> Any:
    for step in path.split("."):
        status = status.get(step) if isinstance(status, Mapping) else None
    return status


@pytest.fixture
def play(bare: Stage, tmp_path: Path) -> Play:
    return Play(bare, tmp_path)


@pytest.mark.field
def test_a_change_before_the_run_is_as_if_it_had_been_so_from_the_start(play: Play, cell: Cells):
    play.open()
    play.keep_some_running()
    play.set_up("elsewhere")
    play.help()
    play.create()
    play.phases("Queued")
    play.change()
    play.observed()
    play.workers(QUEUES)
    play.compare(cell, "before", lambda row: row.before)


@pytest.mark.field
def test_a_change_during_the_run_disturbs_nothing_and_only_some_run_again(play: Play, cell: Cells):
    play.set_up(QUEUES)
    play.create()
    play.phases("Running")
    play.change()
    defining = tuple(row.path for row in ROWS if row.during.run == 2)
    play.observed(but=defining)
    play.open()
    play.compare(cell, "during", lambda row: row.during)


@pytest.mark.field
def test_a_change_after_the_run_makes_another_one_or_none(play: Play, cell: Cells):
    play.open()
    play.set_up(QUEUES)
    play.create()
    play.phases("Succeeded", "Failed")
    play.change()
    play.compare(cell, "after", lambda row: row.after)
