"""`python -m benchmarks.schedules`, which `make bench-schedules` calls: measure, judge, show, and fail on a missed
must."""

from __future__ import annotations

import asyncio
import signal
import tempfile
from collections.abc import Coroutine, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import typer
import uvloop

from benchmarks.common import command, goals
from benchmarks.common.command import console
from benchmarks.common.errors import BenchmarkError
from benchmarks.common.measures import Results
from benchmarks.common.places import OUT
from benchmarks.common.report import amount
from benchmarks.jobs.processes.orders import PATIENT
from benchmarks.schedules.bench import FULL, QUICK, Bench, Scale
from benchmarks.schedules.measures import UNITS
from benchmarks.schedules.phases import PHASES
from benchmarks.schedules.sides import FLUID, NATIVE, US, Side
from benchmarks.schedules.stage import Stage
from fluid_dev import binaries
from fluid_dev.errors import Interrupted
from fluid_dev.tools import TOOLS
from fluid_operator.kube.client import connect
from fluid_operator.kube.errors import KubeError

_FIRST = next(iter(PHASES))


def main(
    quick: Annotated[bool, typer.Option(help="Few schedules: shows that all works, measures nothing well.")] = False,
    phase: Annotated[list[str] | None, typer.Option(help=f"Only {_FIRST} and these of {', '.join(PHASES)}.")] = None,
    only_us: Annotated[bool, typer.Option(help="Leave CronJobs out.")] = False,
    schedules: Annotated[int | None, typer.Option(min=1, help="How many; the goals are those of 5,000.")] = None,
    out: Annotated[
        Path | None,
        typer.Option(help="Where the rows go; unset: schedules.json or schedules-quick.json in benchmarks/out."),
    ] = None,
) -> None:
    """Measure FluidSchedules beside CronJobs, each on a control plane of its own."""
    wanted = phase or list(PHASES)
    if unknown := set(wanted) - PHASES.keys():
        raise BenchmarkError(f"there is no phase {', '.join(sorted(unknown))}; there are {', '.join(PHASES)}")
    wishes = goals.read(Path(__file__).parent / "goals.yaml", UNITS)
    scale = _scale(quick, schedules)
    programs = binaries.provide()
    introduce(scale)
    results = Results()
    for side in (FLUID,) if only_us else (FLUID, NATIVE):
        with (
            tempfile.TemporaryDirectory(prefix="fluid-bench-") as folder,
            Stage(Path(folder), programs, side) as stage,
        ):
            run(measure(stage, side, scale, wanted, results))
    rows = out or OUT / ("schedules-quick.json" if quick else "schedules.json")
    command.conclude("FluidSchedules", results, wishes, us=US, units=UNITS, out=rows, strict=not quick)


async def measure(stage: Stage, side: Side, scale: Scale, wanted: Sequence[str], results: Results) -> None:
    """Put one side through these phases, and always through the first."""
    async with connect(stage.client, settings=PATIENT) as kube:
        bench = Bench(stage, side, scale, kube)
        for name, phase in PHASES.items():
            if side not in phase.sides or name not in (_FIRST, *wanted):
                continue
            try:
                measured = await phase.run(bench)
            except KubeError as error:
                raise BenchmarkError(f"{side.name}, {name}: {error}") from error
            results.add(side.name, measured)
            _tell(name, side, measured)


def run(work: Coroutine[Any, Any, None]) -> None:
    """Run it in a loop of its own. Raises Interrupted at a signal: what a signal's usual handler raises while the loop
    runs, the loop keeps to itself."""
    numbers = (signal.SIGINT, signal.SIGTERM)
    usual = {number: signal.getsignal(number) for number in numbers}
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        task = runner.get_loop().create_task(work)
        for number in numbers:
            runner.get_loop().add_signal_handler(number, task.cancel)
        try:
            runner.get_loop().run_until_complete(task)
        except asyncio.CancelledError:
            raise Interrupted from None
        finally:
            for number in numbers:
                runner.get_loop().remove_signal_handler(number)
                signal.signal(number, usual[number])


def introduce(scale: Scale) -> None:
    """Say what is compared, and what each side's data would survive."""
    versions = {tool.name: tool.version for tool in TOOLS}
    told = (
        f"Kubernetes {versions['kube-apiserver']}, all controllers, 500 requests/s each; no nodes",
        f"etcd {versions['etcd']} without fsync, for both sides; Redis appends to a file, fsync every second",
        f"{scale.schedules:,} schedules in one namespace, every other one forbids two jobs at a time",
    )
    for line in told:
        console.print(line, soft_wrap=True)


def _scale(quick: bool, schedules: int | None) -> Scale:
    scale = QUICK if quick else FULL
    return scale if schedules is None else replace(scale, schedules=schedules)


def _tell(phase: str, side: Side, measured: dict[str, float]) -> None:
    told = "   ".join(f"{name} {amount(value)}" for name, value in measured.items())
    console.print(f"{phase:<8} {side.name:<16} {told}", soft_wrap=True)


if __name__ == "__main__":
    command.run(main)
