"""Job types for trying Fluid Jobs out: one that fails first, one that takes its time, one that never
succeeds. Not for production.
"""

import asyncio

from pydantic import BaseModel, ConfigDict, Field

from fluid_processors.context import Context
from fluid_processors.definitions import Retry, processor


class DemoError(Exception):
    """What the demo types fail with."""


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", populate_by_name=True)


class Flaky(_Model):
    """Which attempt is to succeed."""

    succeed_at: int = Field(
        3, alias="succeedAt", ge=1, le=100, description="The attempt that succeeds; the ones before fail."
    )


class Sleep(_Model):
    """How long to take."""

    milliseconds: int = Field(1000, ge=0, le=86_400_000, description="Duration of the job in milliseconds.")
    steps: int = Field(10, ge=1, le=1000, description="Into how many equal parts; progress is reported after each.")


class Fail(_Model):
    """What to say."""

    message: str = Field("this job always fails", max_length=200, description="Text of the error.")


@processor("demo-flaky", payload=Flaky, queue="demo")
async def flaky(ctx: Context, payload: Flaky) -> dict[str, int]:
    """Fails until the attempt that it is told to succeed at."""
    if ctx.attempt < payload.succeed_at:
        raise DemoError(f"attempt {ctx.attempt} fails on purpose; attempt {payload.succeed_at} will succeed")
    return {"attempt": ctx.attempt}


@processor("demo-sleep", payload=Sleep, queue="demo")
async def sleep(ctx: Context, payload: Sleep) -> dict[str, int]:
    """Waits in steps, so that there is progress to watch and something to cancel."""
    for step in range(1, payload.steps + 1):
        await asyncio.sleep(payload.milliseconds / 1000 / payload.steps)
        ctx.progress(100 * step // payload.steps, f"step {step} of {payload.steps}")
    return {"sleptMilliseconds": payload.milliseconds}


@processor("demo-fail", payload=Fail, queue="demo", retry=Retry(limit=2))
async def fail(ctx: Context, payload: Fail) -> None:
    """Fails at every attempt."""
    raise DemoError(f"{payload.message} (attempt {ctx.attempt})")
