"""`python -m benchmarks.queue`, which `make bench-queue` calls: measure, judge, show, and fail on a missed must.

The sides take turns within each repetition, so that whatever else the machine does meanwhile hits all of them.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Annotated

import typer

from benchmarks.common import command, goals
from benchmarks.common.command import console
from benchmarks.common.errors import BenchmarkError
from benchmarks.common.measures import Results
from benchmarks.common.places import OUT
from benchmarks.queue.catalogue import US, Side, fluid, peers
from benchmarks.queue.loads import FULL, LOADS, QUICK, Scale, recovery
from benchmarks.queue.measures import UNITS
from benchmarks.queue.stage import Stage

QUEUE_OUT = OUT / "queue.json"
CRASH = "recovery"


def main(
    quick: Annotated[
        bool, typer.Option(help="One short repetition: shows that all works, judges nothing well.")
    ] = False,
    load: Annotated[list[str] | None, typer.Option(help=f"Only these of {', '.join([*LOADS, CRASH])}.")] = None,
    only_us: Annotated[bool, typer.Option(help="Leave the peers out.")] = False,
    out: Annotated[Path, typer.Option(help="Where the rows go.")] = QUEUE_OUT,
) -> None:
    """Measure the queue beside its peers, on one Redis, in one run."""
    wanted = load or [*LOADS, CRASH]
    if unknown := set(wanted) - {*LOADS, CRASH}:
        raise BenchmarkError(f"there is no load {', '.join(sorted(unknown))}; there are {', '.join([*LOADS, CRASH])}")
    wishes = goals.read(Path(__file__).parent / "goals.yaml", UNITS)
    sides = [fluid(), *([] if only_us else peers())]
    with tempfile.TemporaryDirectory(prefix="fluid-bench-") as folder, Stage(Path(folder)) as stage:
        _introduce(stage, sides)
        results = measure(stage, sides, wanted, QUICK if quick else FULL)
    command.conclude("Queue", results, wishes, us=US, units=UNITS, out=out, strict=not quick)


def measure(stage: Stage, sides: list[Side], wanted: list[str], scale: Scale) -> Results:
    """Every load with every side, as often as the scale says."""
    results = Results()
    for name, load in LOADS.items():
        if name not in wanted:
            continue
        taking_part = [side for side in sides if name in (side.only or {name}) and (side.delays or name != "delays")]
        for repetition in range(scale.repetitions):
            for side in taking_part:
                stage.empty()
                measured = load(stage, side, scale)
                results.add(side.name, measured)
                told = "   ".join(f"{measure} {value:,.1f}" for measure, value in measured.items())
                console.print(f"{repetition + 1}/{scale.repetitions}   {side.name:<20} {told}", soft_wrap=True)
    if CRASH in wanted:
        stage.empty()
        crashing = [side for side in sides if side.only is None]
        console.print(f"kill -9 of a worker, at most {scale.recovery_cap:g} s ...")
        crashes = recovery(stage, crashing, scale)
        results.capped |= crashes.capped
        results.values.update(crashes.values)
    return results


def _introduce(stage: Stage, sides: list[Side]) -> None:
    """Say what is compared: versions of every side, and how Redis keeps its data."""
    version = stage.redis.cli("INFO", "server").split("redis_version:")[1].split()[0]
    asked = ("appendonly", "appendfsync", "auto-aof-rewrite-percentage", "maxmemory-policy")
    kept = [stage.redis.cli("CONFIG", "GET", name).replace("\n", " ") for name in asked]
    console.print(f"Redis {version}, one server for all: {', '.join(kept)}", soft_wrap=True)
    for side in sides:
        with stage.producer(side, "versions") as producer:
            versions = ", ".join(f"{name} {version}" for name, version in producer.versions().items())
        console.print(f"{side.name:<20} {versions}", soft_wrap=True)


if __name__ == "__main__":
    command.run(main)
