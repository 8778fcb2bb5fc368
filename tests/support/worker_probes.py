"""Job types for the tests of workers: one for each kind of isolation, each doing what its payload says."""

import asyncio
import time
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field

from fluid_processors import Context, PermanentError, RetryLater, Sensitive, processor


class Probe(BaseModel):
    """`mark` is a file to which a line is added at each start and each end."""

    do: Literal["succeed", "flaky", "refuse", "later", "wait", "tell", "stubborn"] = "succeed"
    secret: Annotated[str, Sensitive()] = "no secret at all"
    seconds: float = Field(30, le=60)
    mark: str = ""


def _quick(ctx: Context, probe: Probe) -> Any:
    """What needs no waiting."""
    if probe.do == "flaky" and ctx.attempt < 3:
        raise ConnectionError(f"attempt {ctx.attempt} fails")
    if probe.do == "refuse":
        raise PermanentError("never")
    if probe.do == "later" and ctx.attempt < 2:
        raise RetryLater("not yet", after=0.05)
    if probe.do == "tell":
        ctx.log(f"the secret is {probe.secret}")
        ctx.progress(50, f"still {probe.secret}")
        if ctx.attempt == 1:
            raise ValueError(f"cannot use {probe.secret}")
        return {"secret": probe.secret}
    return {"attempt": ctx.attempt, "key": ctx.idempotency_key}


def _note(probe: Probe, line: str) -> None:
    if probe.mark:
        with Path(probe.mark).open("a") as file:
            file.write(line + "\n")


@processor("probe-async", payload=Probe, queue="probes")
async def on_the_loop(ctx: Context, probe: Probe) -> Any:
    _note(probe, f"start {ctx.attempt}")
    if probe.do == "wait":
        try:
            await asyncio.sleep(probe.seconds)
        finally:
            _note(probe, f"end {ctx.cancelled.reason}")
    return _quick(ctx, probe)


@processor("probe-thread", payload=Probe, queue="probes")
def in_a_thread(ctx: Context, probe: Probe) -> Any:
    _note(probe, f"start {ctx.attempt}")
    if probe.do == "wait":
        ctx.cancelled.wait(probe.seconds)
        _note(probe, f"end {ctx.cancelled.reason}")
    if probe.do == "stubborn":
        time.sleep(probe.seconds)
    return _quick(ctx, probe)


@processor("probe-process", payload=Probe, queue="probes", isolation="process")
def in_a_process(ctx: Context, probe: Probe) -> Any:
    return in_a_thread.function(ctx, probe)


@processor("probe-process-loop", payload=Probe, queue="probes", isolation="process")
async def on_the_loop_of_a_process(ctx: Context, probe: Probe) -> Any:
    return await on_the_loop.function(ctx, probe)


PROBES = (on_the_loop, in_a_thread, in_a_process, on_the_loop_of_a_process)
