"""What the sides are put through. A load takes one side on a fresh stage and answers what it measured, by name.

Time begins with the client that creates and ends with the watcher, both processes of their own; nothing is polled in
between but by the load of many objects, whose question (does the operator serve?) only the operator can answer.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from benchmarks.common.command import console
from benchmarks.common.errors import BenchmarkError
from benchmarks.common.measures import percentile
from benchmarks.common.progress import bar
from benchmarks.jobs import manifests, measures, requests, usage
from benchmarks.jobs.manifests import JOBS, Json
from benchmarks.jobs.measures import Moments
from benchmarks.jobs.sides import BARE, FLUID, NATIVE, NATIVE_TUNED, Side
from benchmarks.jobs.stage import NAMESPACE, Stage
from fluid_dev.waiting import until
from fluid_operator.kube.keys import FLUID_JOBS

_PATIENCE = 900.0
"""Seconds for what the fastest side does in ten."""

_WARM_UP = 20
"""Jobs before the first that counts: connections, caches, code that is read from the disk."""

_CROWD = "crowd"
"""The namespace that has so many jobs at once."""

_SETTLE = 2.0
"""Seconds after the last Complete in which writes that follow it are still counted."""


@dataclass(frozen=True, slots=True)
class Scale:
    """How much of everything: a full run, or a quick one that only shows that all works."""

    repetitions: int = 3
    """Of the bursts; the others last long enough by themselves."""
    small_burst: int = 1_000
    large_burst: int = 5_000
    steady_per_second: float = 4.0
    steady_jobs: int = 240
    object_namespaces: int = 4
    objects: int = 20_000
    indexes: int = 100_000
    crowd: int = 20_000
    others: int = 40


FULL = Scale()
QUICK = Scale(
    repetitions=1,
    small_burst=200,
    large_burst=500,
    steady_jobs=40,
    object_namespaces=2,
    objects=2_000,
    indexes=10_000,
    crowd=2_000,
    others=4,
)


@dataclass(frozen=True, slots=True)
class Load:
    """`repeated`: as often as the scale says, else once. `long`: but by slow sides once."""

    sides: Sequence[Side]
    run: Callable[[Stage, Side, Scale], dict[str, float]]
    repeated: bool = False
    long: bool = False

    def repetitions(self, side: Side, wanted: int) -> int:
        """How often this side goes through the load when `wanted` repetitions of it are asked for."""
        return wanted if self.repeated and not (self.long and side.slow) else 1


# -- bursts -----------------------------------------------------------------------------------------------------------


def small_burst(stage: Stage, side: Side, scale: Scale) -> dict[str, float]:
    """Jobs per second: so many created as fast as one client can."""
    status = _prepare(stage, side)
    return {"burst_1000": _run(stage, side, "job", scale.small_burst, status=status).throughput}


def large_burst(stage: Stage, side: Side, scale: Scale) -> dict[str, float]:
    """The same with more, and what it costs: requests, CPU time, memory."""
    count = scale.large_burst
    status = _prepare(stage, side)
    before = stage.snapshot()
    run = _run(stage, side, "job", count, status=status)
    time.sleep(_SETTLE)
    after = stage.snapshot()
    asked = requests.since(before.requests, after.requests)
    console.print(f"    requests per job: {requests.told(asked, count)}", style="dim", soft_wrap=True)
    return {
        "burst_5000": run.throughput,
        **measures.request_measures(asked, side.resource.plural, count),
        **measures.cost_measures(before.usage, after.usage, run.helpers, count),
    }


def _prepare(stage: Stage, side: Side) -> Json | None:
    """Let the side run a few jobs; returns the status that a bare client is to write, None for the others."""
    if side.resource is JOBS:
        _run(stage, side, "warm", _WARM_UP)
        return None
    stage.ours.start()
    _run(stage, FLUID, "warm", _WARM_UP)
    if side is FLUID:
        return None
    status = stage.status("warm-0")
    stage.ours.stop()
    _run(stage, BARE, "bare", _WARM_UP, status=status)
    return status


@dataclass(frozen=True, slots=True)
class _Run:
    """When each job was created, when it was seen Complete, and the CPU seconds of those who saw to that."""

    created: Moments
    completed: Moments
    helpers: Mapping[str, float]

    @property
    def throughput(self) -> float:
        return measures.throughput(self.created, self.completed)


def _run(
    stage: Stage, side: Side, prefix: str, count: int, *, status: Json | None = None, per_second: float = 0.0
) -> _Run:
    """Let the client create so many jobs, until the watcher has seen all of them Complete."""
    with (
        stage.watcher(side, prefix, count) as watcher,
        stage.creator(side, prefix, count, status=status, per_second=per_second) as creator,
        bar(f"{side.name}: {prefix}", count) as progress,
    ):
        completed = watcher.answer(_PATIENCE, progress)
        created = creator.answer(_PATIENCE)
    helpers = {"client": created.cpu_seconds, "watcher": completed.cpu_seconds}
    return _Run(created.moments, completed.moments, helpers)


# -- one after the other ----------------------------------------------------------------------------------------------


def steady(stage: Stage, side: Side, scale: Scale) -> dict[str, float]:
    """Milliseconds from apply to Complete while nothing waits."""
    _prepare(stage, side)
    run = _run(stage, side, "job", scale.steady_jobs, per_second=scale.steady_per_second)
    waits = measures.waits(run.created, run.completed)
    return {"steady_p50": percentile(waits, 50), "steady_p99": percentile(waits, 99)}


# -- many finished objects --------------------------------------------------------------------------------------------


def objects(stage: Stage, side: Side, scale: Scale) -> dict[str, float]:
    """Restart the operator over many finished FluidJobs: how long until it serves, and how much memory that takes.

    It serves when it leads, knows every object, and a FluidJob that was created at its start is Complete.
    """
    stage.ours.start()
    _run(stage, side, "warm", _WARM_UP)
    status = stage.status("warm-0")
    stage.ours.stop_operator()
    _fill(stage, scale, status)
    with stage.watcher(side, "new", 1) as watcher:
        before = stage.snapshot()
        started = time.monotonic_ns()
        stage.ours.start_operator()
        with stage.creator(side, "new", 1) as creator:
            creator.answer(_PATIENCE)
        completed = watcher.answer(_PATIENCE).moments
    until(lambda: _knows(stage, scale.objects), _PATIENCE, "the operator knows every object", pause=0.1)
    serving = max(time.monotonic_ns(), *completed.values())
    time.sleep(_SETTLE)
    asked = requests.since(before.requests, stage.snapshot().requests)
    cost = usage.of(stage.ours.operator.pid)
    return {
        "objects_restart": (serving - started) / 1e9,
        "objects_operator_rss": measures.megabytes(cost.rss_bytes),
        "objects_operator_peak": measures.megabytes(cost.peak_bytes),
        "objects_writes": requests.status_writes(asked, FLUID_JOBS.plural),
    }


def _fill(stage: Stage, scale: Scale, status: Json) -> None:
    """Finished FluidJobs, as the operator leaves them, in namespaces of their own."""
    share = scale.objects // scale.object_namespaces
    with bar("finished objects", scale.objects) as progress:
        for number in range(scale.object_namespaces):
            namespace = f"{NAMESPACE}-{number}"
            stage.cluster.apply([manifests.namespace(namespace)])
            stage.ours.add_environment(namespace)
            with stage.creator(BARE, "done", share, namespace=namespace, status=status) as creator:
                creator.answer(_PATIENCE, partial(_advance, progress, number * share))


def _advance(progress: Callable[[int], None], before: int, count: int) -> None:
    progress(before + count)


def _knows(stage: Stage, count: int) -> bool:
    """Whether the operator leads, and tells at least so many FluidJobs."""
    series = measures.series_sums(stage.ours.operator_metrics())
    return series["fluid_operator_leader"] == 1 and series["fluid_operator_fluidjobs"] >= count


# -- one object with many indexes -------------------------------------------------------------------------------------


def indexes(stage: Stage, side: Side, scale: Scale) -> dict[str, float]:
    """One FluidJob with as many completions as there can be."""
    stage.ours.start()
    _run(stage, side, "warm", _WARM_UP)
    before = stage.snapshot()
    with (
        stage.watcher(side, "many", 1) as watcher,
        stage.creator(side, "many", 1, completions=scale.indexes) as creator,
        bar("indexes", scale.indexes) as progress,
    ):
        completed = watcher.answer(_PATIENCE, progress).moments
        created = creator.answer(_PATIENCE).moments
    wall = (max(completed.values()) - min(created.values())) / 1e9
    after = stage.snapshot()
    asked = requests.since(before.requests, after.requests)
    succeeded = stage.status("many-0")["succeeded"]
    if succeeded != scale.indexes:
        raise BenchmarkError(f"{succeeded} of {scale.indexes} indexes succeeded")
    return {
        "indexes_wall": wall,
        "indexes_rate": scale.indexes / wall,
        # The first and the last come at once, as of any job; what must not grow is what comes between.
        "indexes_status_writes": max(0, requests.status_writes(asked, FLUID_JOBS.plural) - 2) / wall,
        "indexes_operator_peak": measures.megabytes(after.usage["operator"].peak_bytes),
        "indexes_objects": sum(n for each, n in asked.items() if each[:2] == ("POST", FLUID_JOBS.plural)),
    }


# -- a crowd in another namespace --------------------------------------------------------------------------------------


def fairness(stage: Stage, side: Side, scale: Scale) -> dict[str, float]:
    """What a namespace's jobs, one a second, wait for while another namespace creates thousands as fast as it can.
    Those that come after the last of the thousands do not count."""
    stage.ours.start()
    stage.cluster.apply([manifests.namespace(_CROWD)])
    stage.ours.add_environment(_CROWD)
    stage.ours.add_worker("crowd-worker", _CROWD)
    _run(stage, side, "warm", _WARM_UP)
    alone = _run(stage, side, "alone", scale.others, per_second=scale.steady_per_second)
    with stage.creator(side, "crowd", scale.crowd, namespace=_CROWD) as crowd:
        beside = _run(stage, side, "beside", scale.others, per_second=1.0)
        created = crowd.answer(_PATIENCE).moments
    last = max(created.values())
    together = {name: at for name, at in beside.created.items() if at < last}
    usual, waits = measures.waits(alone.created, alone.completed), measures.waits(together, beside.completed)
    return {
        "fairness_p50": percentile(waits, 50),
        "fairness_delay": (max(waits) - percentile(usual, 50)) / 1000,
    }


LOADS: dict[str, Load] = {
    "burst_1000": Load((FLUID, NATIVE, NATIVE_TUNED, BARE), small_burst, repeated=True),
    "burst_5000": Load((FLUID, NATIVE, BARE), large_burst, repeated=True, long=True),
    "steady": Load((FLUID, NATIVE), steady),
    "objects": Load((FLUID,), objects),
    "indexes": Load((FLUID,), indexes),
    "fairness": Load((FLUID,), fairness),
}
