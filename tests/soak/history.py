"""The runs of each job as the witness saw them, and what explains that there is more than one. Pure.

At least once is the promise, not once: a re-run is no defect when its job asked for it or lost its lease for a reason.
A re-run without a reason is one.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

from soak.faults import Struck
from soak.witness import Sighting

RETRY = "asked for it"


@dataclass(slots=True)
class Run:
    """One attempt. Times in microseconds since 1970; `ended` is 0 when nobody saw its end. The epoch is the time of
    the claim, unless the clock stood still."""

    epoch: int
    attempt: int
    worker: str
    started: int
    ended: int = 0
    how: str = ""

    def __str__(self) -> str:
        end = f"{self.how} after {(self.ended - self.started) / 1e6:.3f} s" if self.ended else "its end was not seen"
        late = (self.started - self.epoch) / 1e6
        return f"attempt {self.attempt} epoch {self.epoch} on {self.worker}, {late:.3f} s after the claim: {end}"


@dataclass(frozen=True, slots=True)
class Gap:
    """Between two claims of a job. `earlier` is None when nobody saw the claims before."""

    earlier: Run | None
    later: Run
    since: int
    """When the lease in question was given."""
    unseen: int
    """Attempts between the two that never reached a handler."""

    @property
    def handed_back(self) -> bool:
        """The earlier attempt was stopped and did not count: the later one has its number."""
        earlier = self.earlier
        return earlier is not None and earlier.how == "stopped" and earlier.attempt == self.later.attempt


def runs_of(sightings: Iterable[Sighting]) -> tuple[dict[str, list[Run]], list[tuple[str, str]]]:
    """Runs by job, each list in the order of epochs; and what cannot be, as (job, what)."""
    runs: dict[str, dict[int, Run]] = defaultdict(dict)
    wrong: list[tuple[str, str]] = []
    for seen in sightings:
        found = runs[seen.job].get(seen.epoch)
        if seen.how == "start":
            if found:
                wrong.append((seen.job, f"epoch {seen.epoch} was started twice: on {found.worker} and {seen.worker}"))
            runs[seen.job][seen.epoch] = Run(seen.epoch, seen.attempt, seen.worker, seen.at)
        elif found is None or found.ended:
            wrong.append((seen.job, f"epoch {seen.epoch} ended {'twice' if found else 'without a start'}"))
        else:
            found.ended, found.how = seen.at, seen.how
    return {job: [each[epoch] for epoch in sorted(each)] for job, each in runs.items()}, wrong


def gaps_of(runs: Sequence[Run], created: int) -> list[Gap]:
    """Every place in a job's history where another claim followed. `created` in microseconds since 1970."""
    gaps: list[Gap] = []
    if runs and runs[0].attempt > 1:
        gaps.append(Gap(None, runs[0], created, runs[0].attempt - 1))
    for earlier, later in pairwise(runs):
        gaps.append(Gap(earlier, later, earlier.epoch, max(0, later.attempt - earlier.attempt - 1)))
    return gaps


def cause(gap: Gap, faults: Sequence[Struck], lease: int, *, may_retry: bool) -> str:
    """Why the later claim could happen; "" when nothing explains it. `lease` in microseconds: for so long a fault may
    be felt after its end."""
    earlier = gap.earlier
    if earlier and not gap.unseen and earlier.how == "error" and may_retry:
        return RETRY
    meanwhile = [fault for fault in faults if fault.began <= gap.later.epoch and fault.ended + lease >= gap.since]
    explaining = [fault for fault in meanwhile if _explains(fault, gap, lease)]
    if gap.handed_back:
        explaining = [fault for fault in explaining if fault.blow == "drain"]
    return f"{explaining[0].target}: {explaining[0].blow}" if explaining else ""


def _explains(fault: Struck, gap: Gap, lease: int) -> bool:
    """Whether this fault, which happened at the right time, can take a lease away.

    A short freeze must not, that is what the others are compared with. A Redis that is back in time costs no more than
    the claims whose answers it did not send.
    """
    if fault.blow == "short freeze":
        return False
    if fault.target == "worker":
        return bool(gap.unseen) or (gap.earlier is not None and gap.earlier.worker == fault.victim)
    if fault.target == "redis":
        return bool(gap.unseen) or fault.ended - fault.began > lease / 2
    return fault.target == "machine"
