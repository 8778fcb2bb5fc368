"""`python -m benchmarks.jobs`, which `make bench-jobs` calls: measure, judge, show, and fail on a missed must.

The sides take turns within each repetition, so that whatever else the machine does meanwhile hits all of them.
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from benchmarks.common import command, goals
from benchmarks.common.command import console
from benchmarks.common.errors import BenchmarkError
from benchmarks.common.measures import Results
from benchmarks.common.places import OUT
from benchmarks.common.report import amount
from benchmarks.jobs.loads import FULL, LOADS, QUICK, Scale
from benchmarks.jobs.measures import CPU_MEASURES, RSS_MEASURES, UNITS
from benchmarks.jobs.report import components
from benchmarks.jobs.sides import US, Side
from benchmarks.jobs.stage import CONCURRENCY, Programs, Stage
from fluid_dev import binaries
from fluid_dev.tools import FAKE_NODE_TOOLS, TOOLS

_DETAILS = (*CPU_MEASURES.values(), *RSS_MEASURES.values())


def main(
    quick: Annotated[
        bool, typer.Option(help="Small loads, once: shows that all works, measures nothing well.")
    ] = False,
    load: Annotated[list[str] | None, typer.Option(help=f"Only these of {', '.join(LOADS)}.")] = None,
    only_us: Annotated[bool, typer.Option(help="Leave native Jobs and the bare client out.")] = False,
    repetitions: Annotated[
        int | None, typer.Option(min=1, help="Of the bursts; of the large one, native Jobs make one.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="Where the rows go; unset: jobs.json or jobs-quick.json in benchmarks/out.")
    ] = None,
) -> None:
    """Measure FluidJobs beside native Jobs and a bare client, on one kind of control plane, in one run."""
    wanted = load or list(LOADS)
    if unknown := set(wanted) - LOADS.keys():
        raise BenchmarkError(f"there is no load {', '.join(sorted(unknown))}; there are {', '.join(LOADS)}")
    wishes = goals.read(Path(__file__).parent / "goals.yaml", UNITS)
    scale = QUICK if quick else FULL
    programs = Programs(binaries.provide(), binaries.provide_fake_nodes())
    introduce(scale)
    results = measure(programs, wanted, scale, repetitions or scale.repetitions, only_us=only_us)
    if results.values["burst_5000"]:
        console.print(components(results))
    rows = out or OUT / ("jobs-quick.json" if quick else "jobs.json")
    command.conclude("FluidJobs", results, wishes, us=US, units=UNITS, out=rows, strict=not quick, hide=_DETAILS)


def measure(
    programs: Programs, wanted: Sequence[str], scale: Scale, repetitions: int, *, only_us: bool = False
) -> Results:
    """Every load with every side, each on a stage of its own."""
    results = Results()
    for name in wanted:
        load = LOADS[name]
        sides = [side for side in load.sides if side.name == US or not only_us]
        for repetition in range(max(load.repetitions(side, repetitions) for side in sides)):
            for side in sides:
                if repetition >= load.repetitions(side, repetitions):
                    continue
                with (
                    tempfile.TemporaryDirectory(prefix="fluid-bench-") as folder,
                    Stage(Path(folder), programs, tuned=side.tuned) as stage,
                ):
                    measured = load.run(stage, side, scale)
                results.add(side.name, measured)
                _tell(name, repetition, side, measured)
    return results


def introduce(scale: Scale) -> None:
    """Say what is compared, how big the loads are, and what each side's data would survive."""
    versions = {tool.name: tool.version for tool in (*TOOLS, *FAKE_NODE_TOOLS)}
    kubernetes, etcd, kwok = (versions[name] for name in ("kube-apiserver", "etcd", "kwok"))
    loads = f"{CONCURRENCY} creates at a time, {scale.objects:,} finished objects, {scale.indexes:,} indexes"
    told = (
        f"Kubernetes {kubernetes}, all controllers and scheduler, 500 requests/s each; nodes played by kwok {kwok}",
        f"etcd {etcd} without fsync, for all sides; Redis appends to a file, fsync every second",
        f"bursts of {scale.small_burst:,} and {scale.large_burst:,} jobs, {loads}",
    )
    for line in told:
        console.print(line, soft_wrap=True)


def _tell(load: str, repetition: int, side: Side, measured: dict[str, float]) -> None:
    told = "   ".join(f"{name} {amount(value)}" for name, value in measured.items() if name not in _DETAILS)
    console.print(f"{load} {repetition + 1}   {side.name:<18} {told}", soft_wrap=True)


if __name__ == "__main__":
    command.run(main)
