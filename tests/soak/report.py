"""What people read while a soak runs and at its end, and the same as JSON for programs. Writes to the console, decides
nothing.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from soak.facts import Problem
from soak.faults import Struck
from soak.losses import Losses
from soak.play import Played, Show
from soak.verdict import Verdict

console = Console(highlight=False, soft_wrap=True)

_PLAIN_EVERY = 10.0
"""Seconds between two lines where there is no terminal."""

_SHOWN_PROBLEMS = 20


@dataclass(frozen=True, slots=True)
class Report:
    """Everything of both parts. Times in seconds."""

    seed: int
    minutes: float
    jobs: int
    fluid_jobs: int
    seconds: float
    settling: float
    faults: Mapping[str, int]
    verdict: Verdict
    pauses: Mapping[str, int]
    """What stood still although nobody struck it: Redis waiting for its disk, or the whole machine."""
    timeline: Sequence[Struck]
    """Each of both, with its times."""
    died: Sequence[str]
    losses: Losses

    @property
    def good(self) -> bool:
        return self.verdict.good and self.losses.good and not self.died

    def to_json(self) -> dict[str, Any]:
        """All of it, and the answer first."""
        return {"good": self.good} | asdict(self)


def report(seed: int, minutes: float, played: Played, verdict: Verdict, losses: Losses) -> Report:
    """The report of both parts."""
    evidence = played.evidence
    return Report(
        seed=seed,
        minutes=minutes,
        jobs=len(evidence.planned),
        fluid_jobs=sum(job.fluid for job in evidence.planned),
        seconds=played.seconds,
        settling=played.settling,
        faults=_by_kind(fault for fault in evidence.faults if fault.blow != "pause"),
        pauses=_by_kind(fault for fault in evidence.faults if fault.blow == "pause"),
        verdict=verdict,
        timeline=evidence.faults,
        died=played.died,
        losses=losses,
    )


def _by_kind(faults: Iterable[Struck]) -> dict[str, int]:
    return dict(sorted(Counter(f"{fault.target}: {fault.blow}" for fault in faults).items()))


# -- for people -------------------------------------------------------------------------------------------------------


@contextmanager
def rolling(title: str) -> Iterator[Show]:
    """A line that moves on a terminal; elsewhere a plain one every ten seconds."""
    if console.is_terminal:
        columns = (TextColumn(title), BarColumn(), TimeElapsedColumn(), TextColumn("{task.description}"))
        with Progress(*columns, console=console, transient=True) as progress:
            task = progress.add_task("", total=1.0)
            yield lambda share, text: progress.update(task, completed=share, description=text)
        return
    last = -_PLAIN_EVERY

    def show(share: float, text: str) -> None:
        nonlocal last
        if time.monotonic() - last >= _PLAIN_EVERY:
            last = time.monotonic()
            console.print(f"{title} {share:4.0%}  {text}", markup=False)

    yield show


def print_report(found: Report) -> None:
    """Tables, the problems if there are any, and the verdict."""
    verdict = found.verdict
    console.print(_table("Jobs by outcome", verdict.outcomes, total=True))
    console.print(_table("Faults", found.faults, total=True))
    console.print(_table("Further claims of a job, and why", verdict.reruns, total=True))
    console.print(_table("Numbers", _numbers(found)))
    console.print(_table("Second part: Redis on everysec, killed while it writes", found.losses.numbers()))
    problems = [*verdict.problems, *found.losses.problems]
    _print_problems(problems, verdict.histories)
    for text in found.died:
        console.print(text, markup=False)
    if found.good:
        console.print(f"GOOD: every job has exactly one outcome, and the right one (seed {found.seed})", style="green")
    else:
        count = len(problems) + len(found.died)
        console.print(f"BAD: {count} problems; the same faults again: make soak SEED={found.seed}", style="bold red")


def _numbers(found: Report) -> dict[str, Any]:
    verdict = found.verdict
    return {
        "jobs": found.jobs,
        "of them FluidJobs": found.fluid_jobs,
        "handed in within": f"{found.seconds:.0f} s",
        "settled after another": f"{found.settling:.0f} s",
        "jobs a second, faults included": f"{found.jobs / (found.seconds + found.settling):.0f}",
        "attempts that reached a handler": verdict.runs,
        "jobs whose work was done twice": verdict.done_twice,
        "starts after a later one, told by the epoch": verdict.late_starts,
        "pauses that nobody made": sum(found.pauses.values()),
    }


def _table(title: str, rows: Mapping[str, Any], *, total: bool = False) -> Table:
    table = Table(title=title, title_justify="left", show_header=False, min_width=60)
    table.add_column()
    table.add_column(justify="right")
    for name, value in rows.items():
        table.add_row(name, str(value))
    if total:
        table.add_section()
        table.add_row("all", str(sum(rows.values())))
    return table


def _print_problems(problems: Sequence[Problem], histories: Mapping[str, Sequence[str]]) -> None:
    for kind, count in Counter(problem.kind for problem in problems).most_common():
        console.print(f"{count} of kind {kind}", style="red")
    for problem in problems[:_SHOWN_PROBLEMS]:
        console.print(f"{problem.kind}: {problem.job}: {problem.text}", markup=False)
        for line in histories.get(problem.job, ()):
            console.print(f"    {line}", markup=False)
    if len(problems) > _SHOWN_PROBLEMS:
        console.print(f"... and {len(problems) - _SHOWN_PROBLEMS} more; all of them are in the JSON report")
