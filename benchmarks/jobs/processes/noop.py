"""The processor that the benchmark's worker runs: it does nothing. Found by its entry point, as anybody's."""

from pydantic import BaseModel

from benchmarks.jobs.manifests import TYPE
from fluid_processors import Context, processor


class Nothing(BaseModel):
    """No payload; the index of an indexed job is passed over."""


@processor(TYPE, payload=Nothing)
async def noop(ctx: Context, payload: Nothing) -> None:
    """Succeeds at once."""
