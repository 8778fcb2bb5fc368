"""The job type of the tests on a real node. It runs in worker pods, so it knows nothing of the rest of the tests.

Each attempt asks the witness outside of the cluster before it does anything, and tells it when it is through: what was
seen there does not depend on what queue, operator or worker remember. Imported by the worker as `node_probe`, from a
layer of its own on top of our image (`support.node_image`).
"""

import asyncio
import os
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from fluid_processors import Context, processor

WITNESS = "TEST_WITNESS"
"""The variable with the witness' address, as host:port."""


class Probe(BaseModel):
    """How long to work, and behind which gate of the witness to wait before that."""

    model_config = ConfigDict(extra="forbid")

    milliseconds: int = Field(0, ge=0, le=600_000)
    gate: str = Field("", max_length=63, pattern=r"^[a-z0-9-]*$")


async def _ask(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, line: str) -> None:
    """Send a line, and wait until it was written down."""
    writer.write(f"{line}\n".encode())
    if not await reader.readline():
        raise ConnectionError("the witness is gone")


@processor("probe", payload=Probe, queue="probe")
async def probe(ctx: Context, payload: Probe) -> dict[str, Any]:
    """Waits for the gate, works, and says so."""
    host, _, port = os.environ[WITNESS].rpartition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    try:
        facts = (ctx.job_id, ctx.attempt, ctx.fencing_token, os.environ["FLUID_WORKER_NAME"], ctx.outbound.mode)
        await _ask(reader, writer, " ".join(map(str, (*facts, payload.gate))))
        await asyncio.sleep(payload.milliseconds / 1000)
        await _ask(reader, writer, "end")
    finally:
        writer.close()
    return {"attempt": ctx.attempt}
