"""The second part: what a Redis on `everysec` loses when it is killed while it writes, held against the promise.

The promise: a kill may lose writes of the last two seconds, also acknowledged ones, and nothing older. Direct enqueues
of that time may be gone; FluidJobs are enqueued again, so none of them is lost.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from soak.checks import PHASES
from soak.facts import Problem
from soak.plan import PlannedJob
from soak.witness import Sighting

PROMISE = 2_000_000
"""Microseconds of acknowledged writes that a kill may cost."""


@dataclass(frozen=True, slots=True)
class Written:
    """An acknowledged write: a job enqueued, or finished. `at`: when the answer came, in microseconds since 1970."""

    job: str
    what: str
    at: int


@dataclass(frozen=True, slots=True)
class Era:
    """The writes between two kills, and what Redis knew when it was back. `killed`: microseconds since 1970."""

    killed: int
    written: Sequence[Written]
    states: Mapping[str, str]
    """State by job; a job that is gone is missing."""

    def lost(self) -> Iterator[tuple[Written, float]]:
        """Acknowledged writes that are no more, with their age at the kill in seconds."""
        for write in self.written:
            state = self.states.get(write.job)
            if state is None or (write.what == "finish" and state != "completed"):
                yield write, max(0, self.killed - write.at) / 1e6


@dataclass(frozen=True, slots=True)
class Losses:
    """All eras, and how the FluidJobs fared. `problems` break the promise."""

    kills: int
    written: int
    lost: Mapping[str, int]
    oldest_loss: float
    """Seconds before the kill."""
    fluid_jobs: int
    done_twice: int
    """FluidJobs whose handler came to a good end more than once."""
    problems: Sequence[Problem]

    @property
    def good(self) -> bool:
        return not self.problems

    def numbers(self) -> dict[str, Any]:
        """Rows of the report."""
        return {
            "kills of Redis": self.kills,
            "acknowledged writes": self.written,
            "enqueues lost": self.lost["enqueue"],
            "finishes lost": self.lost["finish"],
            "age of the oldest loss at the kill": f"{self.oldest_loss:.2f} s",
            "FluidJobs, all with the right outcome" if self.good else "FluidJobs": self.fluid_jobs,
            "of them done twice": self.done_twice,
        }


def weigh(
    eras: Sequence[Era],
    planned: Sequence[PlannedJob],
    objects: Mapping[str, Mapping[str, Any]],
    sightings: Iterable[Sighting] = (),
) -> Losses:
    """Hold what was lost against the promise. `planned` are FluidJobs, `objects` what has become of them, by name."""
    lost = [loss for era in eras for loss in era.lost()]
    problems = [
        Problem("promise", write.job, f"its {write.what} was acknowledged {age:.2f} s before the kill, and is lost")
        for write, age in lost
        if age * 1e6 > PROMISE
    ]
    for job in planned:
        status = objects.get(job.name, {}).get("status", {})
        stalled = status.get("error", {}).get("type") == "Stalled"
        if status.get("phase") not in {PHASES[state] for state in job.outcomes} and not stalled:
            problems.append(Problem("FluidJob", job.name, f"{job.kind}: it is {status.get('phase', 'lost')}"))
    good_ends = Counter(seen.job for seen in sightings if seen.how == "ok")
    return Losses(
        kills=len(eras),
        written=sum(len(era.written) for era in eras),
        lost={what: sum(write.what == what for write, _ in lost) for what in ("enqueue", "finish")},
        oldest_loss=max((age for _, age in lost), default=0.0),
        fluid_jobs=len(planned),
        done_twice=sum(count > 1 for count in good_ends.values()),
        problems=problems,
    )
