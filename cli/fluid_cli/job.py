"""A FluidJob as the commands look at it. Pure.

Read by hand and not through the models: a list of ten thousand objects must not cost ten thousand validations, and a
newer operator may write words that this version does not know.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from fluid_cli.times import parse_time
from fluid_operator.api.fluidjob_status import Phase
from fluid_operator.api.meta import REQUEST_ANNOTATION
from fluid_operator.timetables.creation import SCHEDULE_LABEL

ENDED = frozenset(phase.value for phase in Phase if phase.terminal)


@dataclass(frozen=True, slots=True)
class Condition:
    """One condition; all fields empty where it is not there."""

    type: str = ""
    status: str = ""
    reason: str = ""
    message: str = ""
    since: datetime | None = None

    @property
    def holds(self) -> bool:
        return self.status == "True"


@dataclass(frozen=True, slots=True)
class Job:
    """One FluidJob at one resourceVersion, as the API server sent it."""

    raw: Mapping[str, Any]

    @property
    def name(self) -> str:
        return str(self.raw["metadata"]["name"])

    @property
    def namespace(self) -> str:
        return str(self.raw["metadata"].get("namespace", ""))

    @property
    def uid(self) -> str:
        return str(self.raw["metadata"].get("uid", ""))

    @property
    def created(self) -> datetime | None:
        return parse_time(self.raw["metadata"].get("creationTimestamp"))

    @property
    def deleting(self) -> bool:
        return "deletionTimestamp" in self.raw["metadata"]

    @property
    def spec(self) -> Mapping[str, Any]:
        return self.raw.get("spec") or {}

    @property
    def status(self) -> Mapping[str, Any]:
        return self.raw.get("status") or {}

    @property
    def type(self) -> str:
        return str(self.spec.get("type", ""))

    @property
    def phase(self) -> str:
        return str(self.status.get("phase") or Phase.PENDING.value)

    @property
    def ended(self) -> bool:
        """Whether the run has ended and the status speaks of the present spec."""
        return self.phase in ENDED and self.current

    @property
    def current(self) -> bool:
        """Whether the status speaks of the present spec."""
        return bool(self.status.get("observedGeneration", -1) == self.raw["metadata"].get("generation", 0))

    @property
    def queue(self) -> str:
        """Where it waits or waited; what the spec asks for until the operator has decided; else empty."""
        return str(self.status.get("queue") or self.spec.get("queue") or "")

    @property
    def environment(self) -> str:
        return str(self.status.get("environment") or self.spec.get("environment") or "")

    @property
    def schedule(self) -> str:
        """The FluidSchedule that it is of; empty for a job of its own."""
        return str((self.raw["metadata"].get("labels") or {}).get(SCHEDULE_LABEL, ""))

    @property
    def worker(self) -> str:
        return str(self.status.get("worker") or "")

    @property
    def attempts(self) -> int:
        return int(self.status.get("attempts") or 0)

    @property
    def job_id(self) -> str:
        """The id in the queue; empty before it was enqueued for the first time."""
        return str(self.status.get("jobId") or "")

    @property
    def indexed(self) -> bool:
        return any(self.spec.get(field) is not None for field in ("completions", "items", "itemsFrom"))

    @property
    def started(self) -> datetime | None:
        return parse_time(self.status.get("startTime"))

    @property
    def completed(self) -> datetime | None:
        return parse_time(self.status.get("completionTime"))

    @property
    def next_attempt(self) -> datetime | None:
        return parse_time(self.status.get("nextAttemptTime"))

    @property
    def request(self) -> str:
        """The request as it stands in the annotation, carried out or not."""
        return str((self.raw["metadata"].get("annotations") or {}).get(REQUEST_ANNOTATION, ""))

    @property
    def handled_request(self) -> str:
        return str(self.status.get("lastHandledRequest") or "")

    def condition(self, kind: Literal["Ready", "Failed", "Complete", "Suspended"]) -> Condition:
        """The condition of this type."""
        for each in self.status.get("conditions") or ():
            if each.get("type") == kind:
                return Condition(
                    kind,
                    each.get("status", ""),
                    each.get("reason", ""),
                    each.get("message", ""),
                    parse_time(each.get("lastTransitionTime")),
                )
        return Condition()

    def seconds(self, now: datetime) -> float | None:
        """For how long it ran, or has been running since its first start; None where it never started."""
        if self.status.get("durationMilliseconds") is not None:
            return int(self.status["durationMilliseconds"]) / 1000
        if self.started is None:
            return None
        return ((self.completed or now) - self.started).total_seconds()
