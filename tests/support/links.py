"""Links to environments on a real Redis, for tests that need no cluster."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from cluster.builders import fluid_environment
from fluid_operator.api.fluidenvironment import FluidEnvironmentSpec
from fluid_operator.api.meta import parse
from fluid_operator.environments.link import EnvironmentLink
from fluid_operator.environments.registry import EnvironmentRegistry
from fluid_operator.kube.keys import ObjectKey
from fluid_queue import Codec, NewJob, Settings
from support.waiting import auntil

SPEC = parse(FluidEnvironmentSpec, fluid_environment("any").manifest()["spec"])


class Leads:
    """A replica that leads."""

    identity = "test"

    def check(self) -> None:
        """Never refuses."""


@asynccontextmanager
async def leader() -> AsyncIterator[EnvironmentRegistry]:
    """The environments of one leader, closed at the end."""
    registry = EnvironmentRegistry(Leads())
    try:
        yield registry
    finally:
        await registry.aclose()


async def put(
    registry: EnvironmentRegistry,
    name: str,
    url: str,
    prefix: str,
    *,
    uid: str = "",
    settings: Settings | None = None,
    codec: Codec | None = None,
) -> EnvironmentLink:
    """Open an environment of the namespace `team-a` at this key prefix."""
    key = ObjectKey("team-a", name)
    return await registry.put(key, uid or f"uid-{name}", SPEC, url, prefix, settings, codec)


async def opened(registry: EnvironmentRegistry, name: str, url: str, prefix: str, *, uid: str = "") -> EnvironmentLink:
    """As `put`, and wait until the environment is available."""
    link = await put(registry, name, url, prefix, uid=uid)
    await available(link)
    return link


async def available(link: EnvironmentLink) -> None:
    """Wait until everything that asks Redis is answered."""
    await auntil(lambda: link.available, 20, f"{link.key} is available: {link.problem}")


async def enqueue(link: EnvironmentLink, *ids: str) -> None:
    """Enqueue jobs as those of FluidJobs are: their outcome is acknowledged."""
    for job_id in ids:
        await link.enqueue(NewJob(id=job_id, type="work", acknowledged=True))


async def state(link: EnvironmentLink, job_id: str) -> str:
    """The state of a job, `unknown` where nobody knows it."""
    record = await link.queue.inspect([job_id])
    return record[0].state if record[0] else "unknown"
