"""The end of an environment whose object is gone: what runs may come to its end, what is left can not start any more.

There is no finalizer that would hold the object, so all this happens after it: its workers finish their jobs and
leave, and a Redis of its own stays until nobody holds a lease. It does not know what becomes of the FluidJobs.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from typing import Final

from fluid_operator.environments.link import EnvironmentLink, stop_if_cancelled
from fluid_operator.kube.errors import NotLeader
from fluid_queue import QueueError

log = logging.getLogger(__name__)

LONGEST_SECONDS: Final = 90.0
"""After so long nothing can run any more: workers get 60 s to leave, and Redis goes at most 60 s after it was told to.
Workers that run outside of the cluster are asked to stop."""

_AWAY_SECONDS: Final = 10.0
"""A Redis that has not answered for so long does not come back. Short troubles are no end."""

_LOOK_SECONDS: Final = 1.0

_QUIET_LOOKS: Final = 2
"""So many looks in a row must find that nothing runs: the outcome of the last job has yet to be read and written."""

_CLOSING_SECONDS: Final = 10.0
"""For what is left to be held; a Redis that takes longer is as good as away."""


async def depart(link: EnvironmentLink, *, gives_up: bool) -> None:
    """Let what runs come to its end, hold what is left, and give the key space up, unless another shard does that.
    Nothing is claimed there any more: a link that is left has closed its key space."""
    await nothing_runs(link)
    await hold_back(link)
    if gives_up:
        await give_up(link)


async def nothing_runs(link: EnvironmentLink, clock: Callable[[], float] = time.monotonic) -> None:
    """Return when no job of the environment runs, when its Redis has gone, or when it has taken too long."""
    began = answered = clock()
    quiet = 0
    while quiet < _QUIET_LOOKS and clock() - answered < _AWAY_SECONDS and clock() - began < LONGEST_SECONDS:
        await asyncio.sleep(_LOOK_SECONDS)
        stop_if_cancelled()
        stats = await link.stats()
        if stats is not None:
            answered = clock()
        quiet = quiet + 1 if stats is not None and not stats.active else 0


async def hold_back(link: EnvironmentLink) -> None:
    """Hold every job of a FluidJob that has not ended, also those that run, so that nothing of them starts here while
    they may run elsewhere. Does nothing where Redis is away, or somebody else's."""
    if link.in_use_by:
        return
    try:
        async with asyncio.timeout(_CLOSING_SECONDS):
            async for page in link.queue.unacknowledged():
                await asyncio.gather(*(link.suspend(job_id) for job_id in page))
    except (QueueError, NotLeader, TimeoutError) as error:
        facts = {"environment": str(link.key), "error": str(error) or "it took too long"}
        log.info("What an environment leaves behind could not be held.", extra={"fields": facts})


async def give_up(link: EnvironmentLink) -> None:
    """Let another environment have the key space; where Redis is away, it has to wait until ours runs out."""
    try:
        await link.disown()
    except QueueError as error:
        facts = {"environment": str(link.key), "error": str(error)}
        log.info("The key space of an environment stays owned for a moment.", extra={"fields": facts})
