"""What is known at the end of a soak, as values; and what can be wrong with it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from fluid_queue import JobRecord
from soak.faults import Struck
from soak.history import Gap, Run
from soak.plan import Command, PlannedJob
from soak.witness import Sighting

Json = Mapping[str, Any]


class Told(NamedTuple):
    """What the queue answered to a command about one job; the times in microseconds since 1970."""

    job: str
    command: Command
    answer: str
    sent: int
    answered: int


class Window(NamedTuple):
    """A time in which a queue was certainly paused, in microseconds since 1970."""

    queue: str
    since: int
    until: int


@dataclass(frozen=True, slots=True)
class Leftovers:
    """What must be gone when everything has ended: jobs in other states, leases, held keys, unwritten outcomes."""

    waiting: int = 0
    active: int = 0
    delayed: int = 0
    blocked: int = 0
    suspended: int = 0
    waiting_children: int = 0
    unacknowledged: int = 0
    leases: int = 0
    held_keys: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """Everything there is to know at the end of a soak."""

    planned: Sequence[PlannedJob]
    ids: Mapping[str, str]
    """The job id of each planned name that was handed in."""
    sightings: Sequence[Sighting]
    records: Mapping[str, JobRecord]
    """By id; what Redis does not know is missing."""
    objects: Mapping[str, Json]
    """The FluidJobs by name."""
    told: Sequence[Told]
    """About direct jobs, in the order of time."""
    pauses: Sequence[Window]
    faults: Sequence[Struck]
    counted: Mapping[str, int]
    """Jobs that ended, by state, as the queue's statistics say."""
    left: Leftovers
    lease: float
    """Seconds."""


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that must not be; `job` is empty when it is no single job's."""

    kind: str
    job: str
    text: str


@dataclass(frozen=True, slots=True)
class Case:
    """One job and all that is known of it."""

    job: PlannedJob
    id: str
    record: JobRecord | None
    runs: Sequence[Run]
    object: Json | None
    gaps: Sequence[tuple[Gap, str]]
    told: Sequence[Told]

    def run(self, epoch: int) -> Run | None:
        """Its run under this epoch, if anybody saw one."""
        return next((run for run in self.runs if run.epoch == epoch), None)
