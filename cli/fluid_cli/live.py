"""A job on its way to its end, as somebody who waits for it sees it: one live line on a terminal, else a line for each
change.
"""

from __future__ import annotations

from contextlib import aclosing
from datetime import UTC, datetime

from rich.live import Live
from rich.text import Text

from fluid_cli.console import phase_text, say, stderr, stdout, width_of
from fluid_cli.following import states
from fluid_cli.job import Job
from fluid_cli.output import Output, document
from fluid_cli.session import Session
from fluid_cli.times import age


async def follow(session: Session, job: Job) -> Job:
    """Show how it goes, as one live line on a terminal and as a line for each change elsewhere; answer its end."""
    console = stderr()
    if not console.is_terminal:
        return await _told_line_by_line(session, job)
    latest = job
    with Live(
        console=console,
        transient=True,
        refresh_per_second=4,
        get_renderable=lambda: live_line(latest, datetime.now(UTC), width_of(console)),
    ):
        async with aclosing(states(session, job.name, job.uid)) as found:
            async for job in found:
                latest = job  # the live line reads it
    return latest


async def _told_line_by_line(session: Session, job: Job) -> Job:
    latest, told = job, ""
    async with aclosing(states(session, job.name, job.uid)) as found:
        async for latest in found:
            line = state_text(latest).plain
            if line != told and not latest.ended:
                say(line)
            told = line
    return latest


def state_text(job: Job) -> Text:
    """Where a job is, in one line."""
    ready, progress = job.condition("Ready"), job.status.get("progress") or {}
    line = Text.assemble(job.name, "  ", phase_text(job.phase))
    if ready.reason and ready.reason != job.phase:
        line.append(f" ({ready.reason})")
    if progress:
        line.append(f"  {progress.get('percent', '?')} % {progress.get('message', '')}".rstrip())
    elif ready.message:
        line.append(f"  {ready.message}")
    return line


def live_line(job: Job, now: datetime, width: int | None) -> Text:
    """The same with the time since it was created, fitting into one line."""
    line = state_text(job)
    since = f"  {age((now - job.created).total_seconds())}" if job.created else ""
    if width is not None:
        line.truncate(max(width - len(since), 1), overflow="ellipsis")
    return line.append(since, style="dim")


def show_end(job: Job, *, with_result: bool) -> None:
    """Tell how it ended, and what the processor returned."""
    took = f" in {job.status['duration']}" if job.status.get("duration") else ""
    reason = job.condition("Ready").reason
    why = "" if reason in ("", job.phase) else f" ({reason})"
    stderr().print(
        Text.assemble(job.name, "  ", phase_text(job.phase), f"{why}{took}: {job.condition('Ready').message}"),
        soft_wrap=True,
    )
    if not with_result:
        return
    if job.status.get("result") is not None:
        stdout().out(document(job.status["result"], Output.JSON), end="", highlight=False)
    elif job.status.get("resultTruncated"):
        say("its result is too large for the status")
