"""What commands that create a job have in common: telling that it is there, and following it to its end."""

from __future__ import annotations

import asyncio
from typing import Any

from fluid_cli.console import say, stdout
from fluid_cli.errors import StillWaiting
from fluid_cli.job import Job
from fluid_cli.live import follow, show_end
from fluid_cli.output import Output, name_of, objects
from fluid_cli.session import Session


def show_created(created: dict[str, Any], form: Output | None, *, dry_run: bool) -> None:
    """Print a job as it was created, or as it would be."""
    if form is not None and form.for_programs:
        stdout().out(objects([created], form, single=True), end="", highlight=False)
    else:
        stdout().out(f"{name_of(created)} created{' (server dry run)' if dry_run else ''}", highlight=False)


async def see_it_end(session: Session, created: dict[str, Any], timeout: float | None, form: Output | None) -> int:
    """Follow a job to its end, for at most `timeout` seconds, and tell how it ended; the command's exit code.

    Raises StillWaiting."""
    job = Job(created)
    try:
        async with asyncio.timeout(timeout):
            ended = await follow(session, job)
    except TimeoutError as error:
        raise StillWaiting(f"the end of fluidjob/{job.name}", timeout or 0) from error
    except asyncio.CancelledError:
        say(f"{job.name} goes on without anybody waiting for it: fluid why {job.name}")
        raise
    show_end(ended, with_result=form is None)
    return 0 if ended.phase == "Succeeded" else 1
