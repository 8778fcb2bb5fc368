"""The job type of the random users: each attempt leaves a line when it starts and one when it has ended, with the time,
so that a test can tell what ran at the same moment."""

import asyncio
import os
import time
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from fluid_processors import Context, processor
from support.ledger_probe import LEDGER


class Errand(BaseModel):
    """What to do, and nothing else."""

    model_config = ConfigDict(extra="forbid")

    value: str
    seconds: float = Field(0, ge=0, le=60)
    fails: int = Field(0, ge=0)
    """The first attempts of a run that fail."""
    key: str = ""
    """The concurrency key, as the job has it."""
    item: str = ""


def _note(word: str, ctx: Context, payload: Errand) -> None:
    """One write of one line: several workers share the file."""
    line = f"{word} {time.time():.6f} {os.getpid()} {ctx.job_id} {ctx.attempt} {payload.value} {payload.key or '-'}\n"
    with Path(os.environ[LEDGER]).open("a") as ledger:
        ledger.write(line)


@processor("errand-of-users", payload=Errand, queue="errands")
async def errand(ctx: Context, payload: Errand) -> dict[str, Any]:
    _note("start", ctx, payload)
    word = "stopped"
    try:
        await asyncio.sleep(payload.seconds)
        word = "failed" if ctx.attempt <= payload.fails else "done"
    finally:
        _note(word, ctx, payload)
    if word == "failed":
        raise ValueError(f"attempt {ctx.attempt} fails")
    return {"value": payload.value}
