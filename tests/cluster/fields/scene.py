"""Where tests put jobs for every field at once: two environments with workers, sources of payloads, gates that hold
jobs; and what is seen of each job in the end.

A `Want` is compared with what is so: a job that is not as wanted is waited for, and then fails its own cell alone. What
fields do stands in the tables, not here.
"""

import contextlib
import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, NamedTuple

import pytest

from cluster.builders import FluidJobBuilder, fluid_job
from fluid_dev.errors import TimedOut
from fluid_operator.api.meta import PAYLOAD_LABEL
from support.stages import Stage
from support.waiting import until

Spec = Mapping[str, Any]
Facts = dict[str, Any]

OPEN: Final = "<open>"
CLOSED: Final = "<closed>"
"""Gates that payloads wait for: OPEN is shut only while a test wants jobs to be running, CLOSED stays shut where a test
needs jobs that do not end."""

QUEUE: Final = "line"
OTHER_QUEUE: Final = "aside"
IDLE_QUEUE: Final = "idle"
"""Nobody works on it."""
OTHER_ENVIRONMENT: Final = "other"
GONE: Final = "Gone"
"""The phase of an object that was deleted."""

BASE: Final[Spec] = {"type": "work", "queue": QUEUE, "environment": "default"}
PAYLOAD: Final[Spec] = {"value": "one", "hold": OPEN}
HOPELESS: Final[Spec] = {"succeedAt": 99}
AT_ONCE: Final[Spec] = {"type": "Fixed", "delaySeconds": 0, "jitterPercent": 0}

SOURCES: Final[Mapping[str, Mapping[str, str]]] = {
    "source-one": {
        "value-one": '{"value":"one"}',
        "value-two": '{"value":"two"}',
        "items-one": '{"value":"one"}\n',
        "items-two": '{"value":"two"}\n',
    },
    "source-two": {"value-one": '{"value":"two"}', "items-one": '{"value":"two"}\n'},
}
"""Data of a Secret and of a ConfigMap each."""


@dataclass(frozen=True)
class Want:
    """What is seen of a job in the end. `values`: what each of its attempts was given, in the order of their starts;
    `shows`: some fields of the status by their path. None: whatever."""

    phase: str = "Succeeded"
    run: int | None = 1
    values: tuple[str, ...] = ("one",)
    reason: str | None = None
    shows: Mapping[str, Any] = field(default_factory=dict)
    observed: int = 1

    @property
    def facts(self) -> Facts:
        if self.phase == GONE:
            return {"phase": GONE, "values": self.values}
        named: Facts = {"phase": self.phase, "values": self.values, "run": self.run, "reason": self.reason}
        named["observed"] = self.observed
        return {name: value for name, value in named.items() if value is not None} | dict(self.shows)


def fails(reason: str | None, *values: str, **shows: Any) -> Want:
    """A job that failed for this reason, after attempts with these values."""
    return Want("Failed", reason=reason, values=values, shows=shows)


def policy(types: list[str], action: str) -> Spec:
    """One rule about errors."""
    return {"failurePolicy": {"rules": [{"errorTypes": types, "action": action}]}}


def twin(**fields: Any) -> Spec:
    """A job that others may make needless."""
    return {"deduplication": fields}


def object_name(path: str) -> str:
    """The name of the job for a field."""
    return path.removeprefix("spec.").replace("[]", "").replace(".", "-").lower()


class SourceField(NamedTuple):
    """A field of a reference. With `first` a job is given the value one; with `then`, where this field differs, two."""

    path: str
    first: Spec
    then: Spec


def source_fields(name: str) -> Iterator[SourceField]:
    """The fields of `payloadFrom` or `itemsFrom`."""
    part, prefix = ("items", "itemsFrom[]") if name == "itemsFrom" else ("value", name)

    def spec(kind: str, source: str, key: str) -> Spec:
        reference = {kind: {"name": source, "key": f"{part}-{key}"}}
        return {name: [reference] if name == "itemsFrom" else reference}

    for kind in ("secretKeyRef", "configMapKeyRef"):
        first = spec(kind, "source-one", "one")
        yield SourceField(f"{prefix}.{kind}.name", first, spec(kind, "source-two", "one"))
        yield SourceField(f"{prefix}.{kind}.key", first, spec(kind, "source-one", "two"))


class Scene:
    """A stage with two environments, and what was put on it."""

    def __init__(self, stage: Stage, folder: Path) -> None:
        self.stage = stage
        self.gates = {OPEN: folder / "open", CLOSED: folder / "closed"}
        self.stuck: dict[str, str] = {}
        """What jobs by name did not do in time, which nobody waits for any more."""
        self._uids: dict[str, str] = {}
        self._seen: dict[str, Any] = {}

    def open(self, gate: str = OPEN) -> None:
        self.gates[gate].touch()

    def one_gate(self) -> None:
        """All jobs wait for the same."""
        self.gates[CLOSED] = self.gates[OPEN]

    def set_up(self, queues: str) -> None:
        """Two environments with a worker each, the sources of payloads, and an operator that leads."""
        self._apply([self._source(kind, name) for kind in ("Secret", "ConfigMap") for name in SOURCES])
        for name in ("default", OTHER_ENVIRONMENT):
            self.stage.environment(name)
        self.workers(queues)
        self.stage.operator().leading()

    def workers(self, queues: str) -> None:
        """A worker on these queues for each environment."""
        for name in ("default", OTHER_ENVIRONMENT):
            prefix = f"{self.stage.namespace}.{name}"
            self.stage.worker(FLUID_KEY_PREFIX=prefix, FLUID_QUEUES=queues, FLUID_CONCURRENCY="100")

    def put(self, specs: Mapping[str, Spec]) -> None:
        """Create or change jobs: by name what is put over BASE, and over PAYLOAD."""
        stored = self._apply([self._job(name, spec).manifest() for name, spec in specs.items()])
        self._uids |= {item["metadata"]["name"]: item["metadata"]["uid"] for item in stored}

    def reach(self, names: Iterable[str], otherwise: str, fits: Callable[[Mapping[str, Any] | None], bool]) -> None:
        """Wait until it is so for the object of each name, None where it is gone."""
        self._wait(names, otherwise, lambda name, jobs: fits(jobs.get(name)))

    def phases(self, names: Iterable[str], *wanted: str) -> None:
        """Wait until each of these jobs is in one of these phases."""
        self.reach(names, f"not {' or '.join(wanted)}", lambda job: phase(job) in wanted)

    def settle(self, wants: Mapping[str, Want]) -> None:
        """Wait until everything is as wanted, and until a job that was created then has run."""
        self._wait(wants, "", lambda name, jobs: self._facts(name, wants[name], jobs) == wants[name].facts)
        self.put({"witness": {}})
        self.stage.reaches("witness", "Succeeded")
        self._seen = self.stage.jobs()

    def judge(self, name: str, want: Want) -> None:
        """Fail unless this job was as wanted when everything had settled."""
        status = json.dumps(self._seen.get(name, {}).get("status"), indent=1)
        if problem := self.stuck.get(name):
            pytest.fail(f"{name}: {problem}: {status}", pytrace=False)
        facts, wanted = self._facts(name, want, self._seen), want.facts
        assert facts == wanted, status

    def _job(self, name: str, spec: Spec) -> FluidJobBuilder:
        payload = {**PAYLOAD, **spec.get("payload", {})}
        payload["hold"] = str(self.gates[payload["hold"]])
        return fluid_job(name).spec(**{**BASE, **spec, "payload": payload})

    def _source(self, kind: str, name: str) -> dict[str, Any]:
        meta = {"name": name, "labels": {PAYLOAD_LABEL: "true"}}
        field = "stringData" if kind == "Secret" else "data"
        return {"apiVersion": "v1", "kind": kind, "metadata": meta, field: dict(SOURCES[name])}

    def _apply(self, manifests: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """All in one go; answers what was stored."""
        listed = json.dumps({"apiVersion": "v1", "kind": "List", "items": manifests})
        answer = json.loads(self.stage.kubectl("apply", "--server-side", "-o", "json", "-f", "-", input=listed))
        stored: list[dict[str, Any]] = answer["items"] if answer["kind"] == "List" else [answer]
        return stored

    def _facts(self, name: str, want: Want, jobs: Mapping[str, Any]) -> Facts:
        """What is so, as far as it matters."""
        prefix = f"{self._uids[name]}."
        values = tuple(start.value for start in self.stage.starts() if start.job_id.startswith(prefix))
        job = jobs.get(name)
        if job is None:
            return {"phase": GONE, "values": values}
        status = job["status"]
        ready: Mapping[str, Any] = next((each for each in status.get("conditions", ()) if each["type"] == "Ready"), {})
        facts = {"phase": phase(job), "values": values, "run": status.get("run"), "reason": ready.get("reason")}
        facts["observed"] = status["observedGeneration"]
        left_out = [fact for fact in ("run", "reason") if getattr(want, fact) is None]
        return {fact: value for fact, value in facts.items() if fact not in left_out} | {
            path: _at(status, path) for path in want.shows
        }

    def _wait(self, names: Iterable[str], otherwise: str, fits: Callable[[str, Mapping[str, Any]], bool]) -> None:
        """Wait until it is so for every job. Those for which it never is fail later, and alone, as `otherwise`."""
        left = list(names)

        def done() -> bool:
            jobs = self.stage.jobs()
            left[:] = [name for name in left if name not in self.stuck and not fits(name, jobs)]
            return not left

        with contextlib.suppress(TimedOut):
            until(done, 45, pause=0.3)
        self.stuck |= {name: otherwise for name in left if otherwise}


def phase(job: Mapping[str, Any] | None) -> str:
    """Of an object, or that of one that is not there."""
    return job["status"]["phase"] if job else GONE


def _at(status: Any, path: str) -> Any:
    for step in path.split("."):
        status = status.get(step) if isinstance(status, Mapping) else None
    return status
