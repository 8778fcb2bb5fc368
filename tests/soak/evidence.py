"""What is true at the end of a soak: wait until everything has settled, then read each source by itself."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

from fluid_dev.redis import RedisServer
from fluid_operator.kube.client import Kube
from fluid_operator.kube.keys import FLUID_JOBS
from fluid_queue import JobRecord, Queue, QueueUnavailable
from soak.checks import PHASES
from soak.facts import Leftovers

_LIVE = ("waiting", "active", "delayed", "blocked", "suspended", "waiting_children")

Objects = Mapping[str, Mapping[str, Any]]


async def settled(queue: Queue, kube: Kube, namespace: str, within: float) -> bool:
    """Wait until nothing moves any more: no job under way, no FluidJob without an end, no outcome unwritten. False
    when that takes longer than `within` seconds; the verdict then says what hangs."""
    deadline = time.monotonic() + within
    while time.monotonic() < deadline:
        with suppress(QueueUnavailable):
            if not any((await under_way(queue)).values()) and await _all_written(kube, namespace):
                return True
        await asyncio.sleep(0.5)
    return False


async def settled_objects(kube: Kube, namespace: str, within: float) -> bool:
    """Wait until each FluidJob has an end; False when that takes longer."""
    deadline = time.monotonic() + within
    while time.monotonic() < deadline:
        if await _all_written(kube, namespace):
            return True
        await asyncio.sleep(0.5)
    return False


async def under_way(queue: Queue) -> dict[str, int]:
    """Jobs that have not ended, by state, and outcomes that nobody has acknowledged. Raises QueueUnavailable."""
    queues = (await queue.stats()).queues
    unwritten = {job async for page in queue.unacknowledged() for job in page}
    live = {name: sum(getattr(each, name) for each in queues) for name in _LIVE}
    return live | {"unacknowledged": len(unwritten)}


async def _all_written(kube: Kube, namespace: str) -> bool:
    found = await objects(kube, namespace)
    return all(each.get("status", {}).get("phase") in PHASES.values() for each in found.values())


async def objects(kube: Kube, namespace: str) -> Objects:
    """Every FluidJob by name."""
    found: dict[str, Mapping[str, Any]] = {}
    token = ""
    while True:
        page = await kube.list_page(FLUID_JOBS, namespace, continue_token=token)
        found |= {each["metadata"]["name"]: each for each in page.items}
        token = page.continue_token
        if not token:
            return found


async def records(queue: Queue, ids: Sequence[str]) -> dict[str, JobRecord]:
    """What the queue knows of them."""
    found = await queue.inspect(ids)
    return {job_id: record for job_id, record in zip(ids, found, strict=True) if record}


async def ended(queue: Queue) -> dict[str, int]:
    """How many jobs have ended in each state, as the statistics say."""
    counts: Counter[str] = Counter()
    for each in (await queue.stats()).queues:
        for state in PHASES:
            counts[state] += getattr(each, state)
    return dict(counts)


async def leftovers(queue: Queue, redis: RedisServer) -> Leftovers:
    """What should be gone, part of it asked of Redis itself: leases and held keys show nowhere else."""
    live = await under_way(queue)
    leases = await asyncio.to_thread(redis.cli, "ZCARD", queue.keys.key("leases"))
    held = await asyncio.to_thread(redis.cli, "KEYS", queue.keys.key("holders:*"))
    return Leftovers(**live, leases=int(leases), held_keys=len(held.split()))
