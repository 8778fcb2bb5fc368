"""`fluid logs`: what a job's processor has logged, read from Redis."""

from __future__ import annotations

from contextlib import aclosing
from typing import Annotated

import typer

from fluid_cli.console import say, stdout
from fluid_cli.environments import find_environment
from fluid_cli.errors import BadUsage, CliError
from fluid_cli.job import Job
from fluid_cli.log_following import follow
from fluid_cli.options import Context, Kubeconfig, Namespace, RedisUrl, run
from fluid_cli.queue_access import open_queue
from fluid_cli.selection import get_job
from fluid_cli.session import Access, open_session

EPILOG = """\b
Examples:
  fluid logs email-welcome
  fluid logs import-42 -f             go on until the job has ended
  fluid logs import-42 --index 7      one index of an indexed job
\b
The queue keeps the last 1,000 lines of a job, for as long as it keeps the job's record.
"""


def logs(
    name: Annotated[str, typer.Argument(metavar="NAME", help="The FluidJob.")],
    follow_: Annotated[bool, typer.Option("--follow", "-f", help="Go on until the job has ended.")] = False,
    index: Annotated[int | None, typer.Option(metavar="N", min=0, help="The index of an indexed job, from 0.")] = None,
    redis_url: RedisUrl = "",
    namespace: Namespace = None,
    context: Context = None,
    kubeconfig: Kubeconfig = None,
) -> None:
    """Print what a FluidJob's processor has logged with ctx.log."""
    run(_logs(Access(namespace, context, kubeconfig), name, index, redis_url, going_on=follow_))


async def _logs(access: Access, name: str, index: int | None, redis_url: str, *, going_on: bool) -> None:
    async with open_session(access) as session:
        job = await get_job(session, name)
        job_id = log_id(job, index)
        console = stdout()
        environment = await find_environment(session, job.environment)
        async with open_queue(session, environment, redis_url) as queue:
            if not going_on:
                lines = await queue.log_lines(job_id)
                for line in lines:
                    console.out(line, highlight=False)
                if not lines:
                    say(f"{name} has logged nothing, or its record is no longer kept")
                return
            async with aclosing(follow(queue, job_id)) as found:
                async for line in found:
                    console.out(line, highlight=False)


def log_id(job: Job, index: int | None) -> str:
    """The id in the queue whose log is meant. Raises BadUsage, CliError."""
    if not job.job_id:
        raise CliError(f"{job.name} has not been in the queue yet, so it has no log: see `fluid why {job.name}`")
    if index is None:
        if job.indexed:
            raise BadUsage("--index", f"{job.name} has indexes, each with a log of its own: say which, from 0")
        return job.job_id
    if not job.indexed:
        raise BadUsage("--index", f"{job.name} has no indexes")
    return f"{job.job_id}.{index}"
