"""The job types of the tests of FluidJobs: each start of each attempt leaves a line in a file, outside of all that
can be lost."""

import asyncio
import os
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from fluid_processors import Context, processor

LEDGER = "FLUID_TEST_LEDGER"


class Work(BaseModel):
    """What to do, and nothing else."""

    model_config = ConfigDict(extra="forbid")

    seconds: float = Field(0, ge=0, le=600)
    succeed_at: int = Field(1, alias="succeedAt", ge=1)
    value: str = ""
    hold: str = ""
    """A path: the attempt goes on once something is there."""


class Family(BaseModel):
    """The payloads of the children, of type `work`."""

    children: list[dict[str, Any]]


def _note(line: str) -> None:
    with Path(os.environ[LEDGER]).open("a") as ledger:
        ledger.write(line)


def _held(path: str) -> bool:
    return bool(path) and not Path(path).exists()


async def _do(ctx: Context, payload: Work) -> dict[str, Any]:
    _note(f"{ctx.job_id} {ctx.attempt} {payload.value}\n")
    await asyncio.sleep(payload.seconds)
    while _held(payload.hold):  # noqa: ASYNC110 - another process makes the file
        await asyncio.sleep(0.02)
    if ctx.attempt < payload.succeed_at:
        raise ValueError(f"attempt {ctx.attempt} fails")
    return {"value": payload.value}


@processor("work", payload=Work, queue="work")
async def work(ctx: Context, payload: Work) -> dict[str, Any]:
    return await _do(ctx, payload)


@processor("errand", payload=Work, queue="work")
async def errand(ctx: Context, payload: Work) -> dict[str, Any]:
    """Another type that does the same, and says which one it is."""
    return await _do(ctx, payload) | {"errand": True}


@processor("family", payload=Family, queue="work")
async def family(ctx: Context, payload: Family) -> None:
    """Enqueues its children, none of which is tried twice, and is done."""
    for number, child in enumerate(payload.children):
        await ctx.enqueue("work", child, key=str(number), backoff_limit=0)
