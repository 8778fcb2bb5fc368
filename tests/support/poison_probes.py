"""A job type that takes its whole worker process along, and one that runs beside it."""

import asyncio
import os
import signal

from pydantic import BaseModel

from fluid_processors import Context, processor


class Nothing(BaseModel):
    """These need no payload."""


@processor("poison", payload=Nothing, queue="probes")
async def poison(_: Context, __: Nothing) -> None:
    """As the kernel does when memory runs out: nobody gets to say anything."""
    os.kill(os.getpid(), signal.SIGKILL)


@processor("neighbour", payload=Nothing, queue="probes")
async def neighbour(_: Context, __: Nothing) -> None:
    """Long enough to be running still when the other one kills the process."""
    await asyncio.sleep(0.5)
