"""The first part: hand jobs in while faults strike, wait until everything has settled, and gather the evidence."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass

from fluid_operator.kube.client import Kube, connect
from fluid_queue import Queue, QueueUnavailable
from soak import evidence, faults, witness
from soak.chaos import Chaos, Pulse
from soak.facts import Evidence
from soak.plan import children_of, plan
from soak.producers import DirectProducer, FluidProducer, Pauses
from soak.scene import Scene

DIRECT_PER_MINUTE = 6300
FLUID_PER_MINUTE = 740

OVERTIME_SECONDS = 120.0
"""What the faults may cost those who hand the jobs in."""

Show = Callable[[float, str], None]
"""Told how much of the time is over (0 to 1), and what to say about it."""


@dataclass(frozen=True, slots=True)
class Played:
    """The evidence, and what else the report wants to know. Times in seconds."""

    evidence: Evidence
    died: list[str]
    seconds: float
    settling: float


@dataclass(slots=True)
class _Cast:
    """Who takes part in a run."""

    scene: Scene
    queue: Queue
    kube: Kube
    direct: DirectProducer
    fluid: FluidProducer
    pauses: Pauses
    chaos: Chaos
    pulse: Pulse


async def play(scene: Scene, minutes: float, seed: int, settle_within: float, show: Show) -> Played:
    """One run of so many minutes; `settle_within` in seconds."""
    async with scene.queue() as queue, connect(scene.cluster.kubeconfig) as kube:
        await queue.open()
        cast = _Cast(
            scene=scene,
            queue=queue,
            kube=kube,
            direct=DirectProducer(queue),
            fluid=FluidProducer(kube, scene.namespace),
            pauses=Pauses(queue, seed),
            chaos=Chaos(scene, queue, seed),
            pulse=Pulse(scene.redis.url, scene.lease / 2),
        )
        cast.pulse.start()
        try:
            return await _played(cast, minutes, seed, settle_within, show)
        finally:
            await asyncio.to_thread(cast.pulse.stop)


async def _played(cast: _Cast, minutes: float, seed: int, settle_within: float, show: Show) -> Played:
    seconds = minutes * 60
    direct = list(plan(seed, round(DIRECT_PER_MINUTE * minutes), prefix="direct"))
    fluid = list(plan(seed, round(FLUID_PER_MINUTE * minutes), prefix="fluid", fluid=True))
    started = time.monotonic()
    showing = asyncio.create_task(_keep_showing(cast, started, seconds, show))
    try:
        async with asyncio.timeout(seconds + OVERTIME_SECONDS), asyncio.TaskGroup() as group:
            group.create_task(cast.direct.run(direct, seconds))
            group.create_task(cast.fluid.run(fluid, seconds))
            group.create_task(cast.pauses.run(seconds))
            group.create_task(cast.chaos.run(faults.schedule(seed, seconds, cast.scene.lease), started))
        played = time.monotonic() - started
        await evidence.settled(cast.queue, cast.kube, cast.scene.namespace, settle_within)
    except TimeoutError as error:
        error.add_note("the jobs could not be handed in; the ends of all logs:")
        for tail in cast.scene.tails():
            error.add_note(tail)
        raise
    finally:
        showing.cancel()
    children = [child for job in direct for child in children_of(job)]
    ids = cast.direct.ids | cast.fluid.ids | {child.name: child.name for child in children}
    found = Evidence(
        planned=[*direct, *children, *fluid],
        ids=ids,
        sightings=witness.read(cast.scene.witness),
        records=await evidence.records(cast.queue, list(ids.values())),
        objects=await evidence.objects(cast.kube, cast.scene.namespace),
        told=cast.direct.told,
        pauses=cast.pauses.windows,
        faults=[*cast.chaos.struck, *cast.pulse.pauses],
        counted=await evidence.ended(cast.queue),
        left=await evidence.leftovers(cast.queue, cast.scene.redis),
        lease=cast.scene.lease,
    )
    return Played(found, cast.chaos.died + cast.scene.revive(), played, time.monotonic() - started - played)


async def _keep_showing(cast: _Cast, started: float, seconds: float, show: Show) -> None:
    while True:
        share = min(1.0, (time.monotonic() - started) / seconds)
        given = len(cast.direct.ids) + len(cast.fluid.ids)
        try:
            done = sum((await evidence.ended(cast.queue)).values())
        except QueueUnavailable:
            ends = "Redis is away"
        else:
            ends = f"{done} ended"
        show(share, f"{given} jobs in, {ends}, {len(cast.chaos.struck)} faults")
        await asyncio.sleep(0.5)
