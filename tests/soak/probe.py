"""The job types of the soak, loaded by the workers: each does what its payload says and tells the witness."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from fluid_processors import Context, PermanentError, processor
from soak.plan import ASYNC, PROCESS, THREAD, child_key
from soak.witness import Pen

FOLDER = "FLUID_SOAK_WITNESS"
NAME = "FLUID_WORKER_NAME"


class Act(BaseModel):
    """Take so many seconds, enqueue children, then succeed; or from attempt `succeedAt` on; or never."""

    model_config = ConfigDict(extra="forbid")

    do: Literal["succeed", "refuse", "fail"] = "succeed"
    seconds: float = Field(0, ge=0, le=600)
    succeed_at: int = Field(1, alias="succeedAt", ge=1)
    children: int = Field(0, ge=0, le=10)


@cache
def _pen() -> Pen:
    return Pen(Path(os.environ[FOLDER]), os.environ[NAME])


@contextmanager
def _witnessed(ctx: Context) -> Iterator[None]:
    def note(how: str) -> None:
        _pen().write(how, ctx.job_id, ctx.attempt, ctx.fencing_token)

    note("start")
    try:
        yield
    except asyncio.CancelledError:
        note("stopped")
        raise
    except Exception:
        note("stopped" if ctx.cancelled.is_set() else "error")
        raise
    note("ok")


def _end(ctx: Context, act: Act) -> dict[str, Any]:
    """The result names the attempt that it comes from, so that a stale one would show."""
    if act.do == "refuse":
        raise PermanentError("refused on purpose")
    if act.do == "fail" or ctx.attempt < act.succeed_at:
        raise ValueError(f"attempt {ctx.attempt} fails on purpose")
    return {"epoch": ctx.fencing_token, "worker": os.environ[NAME]}


@processor(ASYNC, payload=Act, queue="soak-a")
async def on_the_loop(ctx: Context, act: Act) -> dict[str, Any]:
    """Waits on the event loop."""
    with _witnessed(ctx):
        if act.seconds:
            ctx.progress(50, "halfway, in a manner of speaking")
            await asyncio.sleep(act.seconds)
        for number in range(act.children):
            await ctx.enqueue(ASYNC, {}, key=child_key(number), queue=ctx.queue)
        return _end(ctx, act)


@processor(THREAD, payload=Act, queue="soak-a")
def in_a_thread(ctx: Context, act: Act) -> dict[str, Any]:
    """Waits in a thread, as long as nobody stops it."""
    return _blocking(ctx, act)


@processor(PROCESS, payload=Act, queue="soak-a", isolation="process", stop_grace=1)
def in_a_process(ctx: Context, act: Act) -> dict[str, Any]:
    """Waits in a child process, as long as nobody stops it."""
    return _blocking(ctx, act)


def _blocking(ctx: Context, act: Act) -> dict[str, Any]:
    with _witnessed(ctx):
        ctx.cancelled.wait(act.seconds)
        ctx.cancelled.raise_if_set()
        return _end(ctx, act)


PROBES = (on_the_loop, in_a_thread, in_a_process)
