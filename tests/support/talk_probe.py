"""A job type that logs, for tests of what reads logs."""

import asyncio

from pydantic import BaseModel, ConfigDict

from fluid_processors import Context, processor


class Talk(BaseModel):
    """What to say before the pause; after it comes `done`."""

    model_config = ConfigDict(extra="forbid")

    say: list[str]
    seconds: float = 0


@processor("talk", payload=Talk, queue="talk")
async def talk(ctx: Context, payload: Talk) -> None:
    for line in payload.say:
        ctx.log(line)
    await asyncio.sleep(payload.seconds)
    ctx.log("done")
