"""Follow one FluidJob to its end."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing

from fluid_cli.errors import CliError
from fluid_cli.job import Job
from fluid_cli.session import Session
from fluid_cli.watching import Follower
from fluid_operator.kube.keys import FLUID_JOBS


async def states(session: Session, name: str, uid: str) -> AsyncGenerator[Job]:
    """The job as it is now and after each change; the last one has ended. Raises CliError when it is deleted or
    replaced."""
    follower = Follower(session.kube, FLUID_JOBS, session.namespace, {"fieldSelector": f"metadata.name={name}"})
    found = [Job(raw) for raw in await follower.start()]
    if not found or found[0].uid != uid:
        raise _gone(name)
    yield found[0]
    if found[0].ended:
        return
    async with aclosing(follower.changes()) as changes:
        async for change in changes:
            job = Job(change.object)
            if change.deleted or job.uid != uid:
                raise _gone(name)
            yield job
            if job.ended:
                return


def _gone(name: str) -> CliError:
    return CliError(f"FluidJob {name} was deleted before it had ended")
