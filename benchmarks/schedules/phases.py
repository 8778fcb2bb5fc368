"""What a side is put through, one thing after the other with the same schedules: they are created, do nothing for a
while, outlive a restart, and are all due in one minute.

Moments of jobs are those at which a watch of our own shows them, by the clock of this machine, which is the one that
the schedules follow.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial

from benchmarks.common.command import console
from benchmarks.common.errors import BenchmarkError
from benchmarks.common.progress import bar
from benchmarks.jobs import requests
from benchmarks.schedules import manifests, measures
from benchmarks.schedules.bench import Bench
from benchmarks.schedules.manifests import Json
from benchmarks.schedules.objects import for_each
from benchmarks.schedules.seen import Jobs
from benchmarks.schedules.sides import FLUID, NATIVE, Side
from benchmarks.schedules.stage import NAMESPACE, Snapshot
from fluid_operator.kube.keys import FLUID_SCHEDULES, ObjectKey
from fluid_operator.schedules.course import jitter
from fluid_operator.timetables.creation import TIME_ANNOTATION

_SETTLE = 5.0
"""Seconds after the last thing that was seen, in which whatever follows it comes to its end."""

_MINUTE = timedelta(minutes=1)


# -- created ----------------------------------------------------------------------------------------------------------


async def known(bench: Bench) -> dict[str, float]:
    """All schedules are created, and the operator writes into each when its next time comes. Half of them forbid two
    jobs at a time."""
    far, total = manifests.far_from(datetime.now(UTC)), len(bench.names)
    schedules = (bench.schedule(name, far, forbid=number % 2 == 1) for number, name in enumerate(bench.names))
    started = time.monotonic()
    await bench.create(schedules, total)
    if bench.side is FLUID:
        await bench.informed("schedule-", total)
    bench.known_after = time.monotonic() - started
    await asyncio.sleep(_SETTLE)
    return {"known": bench.known_after} if bench.side is FLUID else {}


# -- at rest ----------------------------------------------------------------------------------------------------------


async def rest(bench: Bench) -> dict[str, float]:
    """Nothing is due."""
    asked = bench.stage.operator().requests if bench.side is FLUID else 0.0
    before, started = bench.stage.snapshot().usage, time.monotonic()
    await asyncio.sleep(bench.scale.rest_seconds)
    after, seconds = bench.stage.snapshot().usage, time.monotonic() - started
    shares = (f"{name} {measures.share(before[name], after[name], seconds):.2f} %" for name in before)
    _detail(f"CPU at rest: {', '.join(shares)}")
    component = bench.side.component
    found = measures.rest_measures(before[component], after[component], seconds)
    if bench.side is FLUID:
        found["rest_requests"] = (bench.stage.operator().requests - asked) / seconds
    return found


# -- a restart --------------------------------------------------------------------------------------------------------


async def restart(bench: Bench) -> dict[str, float]:
    """The operator stops, as in a rollout, and another starts. It serves when it leads, has looked at every schedule,
    and one that was created when its process started has its status."""
    bench.stage.ours.stop_operator()
    before, started = bench.stage.snapshot(), time.monotonic()
    bench.stage.ours.start_operator()
    await bench.kube.create(FLUID_SCHEDULES, bench.schedule("new", manifests.far_from(datetime.now(UTC))))
    await bench.informed("new", 1)
    await bench.serving()
    seconds = time.monotonic() - started
    await asyncio.sleep(_SETTLE)
    asked = requests.since(before.requests, bench.stage.snapshot().requests)
    return {"restart": seconds, "restart_writes": requests.status_writes(asked, FLUID_SCHEDULES.plural)}


# -- one by one -------------------------------------------------------------------------------------------------------


async def fire(bench: Bench) -> dict[str, float]:
    """How late jobs are whose times lie apart: schedules of every minute, whose jitter gives each a moment of its own,
    beside all those of which nothing is due."""
    found, names = Jobs("single-"), [f"single-{number}" for number in range(bench.scale.singles)]
    spread = bench.scale.spread_seconds
    await bench.create(
        (bench.schedule(name, manifests.EVERY_MINUTE, jitterSeconds=spread) for name in names), len(names)
    )
    if not await bench.see(found, "one by one", len(names), lambda: len(found.created)):
        raise BenchmarkError(f"only {len(found.created)} of {len(names)} schedules of every minute have a job")
    with bar(f"{bench.side.name}: removed", len(names)) as told:
        keys = [ObjectKey(NAMESPACE, name) for name in names]
        await for_each(keys, partial(bench.kube.delete, FLUID_SCHEDULES), told)
    late = (found.created[owner] - ripe(owner, job, spread) for owner, job in found.first.items())
    return measures.delay_measures(seconds * 1000 for seconds in late)


def ripe(owner: str, job: Json, spread: int) -> float:
    """When this job of a schedule of every minute was to be created, in seconds since the epoch."""
    time_of_job = datetime.fromisoformat(job["metadata"]["annotations"][TIME_ANNOTATION])
    return (time_of_job + jitter(owner, time_of_job, spread, time_of_job + _MINUTE)).timestamp()


# -- all at once ------------------------------------------------------------------------------------------------------


async def due(bench: Bench) -> dict[str, float]:
    """All schedules name one minute: how long it takes until each has its job, and what that costs."""
    total, component = len(bench.names), bench.side.component
    moment = measures.next_minute(datetime.now(UTC), bench.scale.ahead + 1.5 * bench.known_after)
    await _move(bench, moment)
    before, found = bench.stage.snapshot(), Jobs("schedule-")
    seen = found.created if bench.side is NATIVE else found.complete
    await bench.see(found, f"due at {moment:%H:%M} UTC", total, lambda: len(seen))
    await asyncio.sleep(_SETTLE)
    after = bench.stage.snapshot()
    asked = requests.since(before.requests, after.requests)
    _tell_costs(before, after, requests.told(asked, total), total)
    page = await bench.kube.list_page(bench.side.jobs, NAMESPACE, limit=0)
    jobs = sum(job["metadata"]["name"].startswith(found.prefix) for job in page.items)
    measured = measures.due_measures(moment, found.created, jobs, total)
    measured |= measures.cost_measures(asked, before.usage[component], after.usage[component], total)
    if found.complete:
        measured["due_complete"] = max(found.complete.values()) - moment.timestamp()
    return measured


async def _move(bench: Bench, moment: datetime) -> None:
    """Give all schedules this minute; returns shortly before it."""
    change = {"spec": {"schedule": manifests.once_at(moment)}}

    async def move(name: str) -> None:
        await bench.kube.patch(bench.side.schedules, ObjectKey(NAMESPACE, name), change)

    with bar(f"{bench.side.name}: moved to {moment:%H:%M} UTC", len(bench.names)) as told:
        await for_each(bench.names, move, told)
    if bench.side is FLUID:
        await bench.informed("schedule-", len(bench.names))
    left = (moment - datetime.now(UTC)).total_seconds() - _SETTLE
    if left < 0:
        raise BenchmarkError(f"{moment:%H:%M} UTC came before everybody knew that all schedules are due at it")
    await asyncio.sleep(left)


def _tell_costs(before: Snapshot, after: Snapshot, asked: str, total: int) -> None:
    used = {name: after.usage[name].cpu_seconds - before.usage[name].cpu_seconds for name in before.usage}
    _detail(f"requests per job: {asked}")
    _detail(f"CPU ms per job: {', '.join(f'{name} {seconds * 1000 / total:.2f}' for name, seconds in used.items())}")


def _detail(text: str) -> None:
    console.print(f"    {text}", style="dim", soft_wrap=True)


@dataclass(frozen=True, slots=True)
class Phase:
    """The first one comes before all others; each of the others may be left out."""

    sides: Sequence[Side]
    run: Callable[[Bench], Awaitable[dict[str, float]]]


PHASES: dict[str, Phase] = {
    "known": Phase((FLUID, NATIVE), known),
    "rest": Phase((FLUID, NATIVE), rest),
    "restart": Phase((FLUID,), restart),
    "fire": Phase((FLUID,), fire),
    "due": Phase((FLUID, NATIVE), due),
}
