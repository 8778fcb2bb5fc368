"""An explanation as text for a terminal. Pure: values, a moment and a time zone in; things that rich prints out."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, tzinfo
from typing import Any

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from fluid_cli.console import phase_text
from fluid_cli.explanation import Explanation, Moment
from fluid_cli.queue_facts import QueueFacts
from fluid_cli.times import age, clock, distance, from_milliseconds
from fluid_queue import QueueStats

_STYLES = {"plain": "", "good": "green", "bad": "red", "now": "bold cyan", "later": "dim"}
_MARKS = {"plain": "·", "good": "✓", "bad": "✗", "now": "▶", "later": "…"}


def render(told: Explanation, now: datetime, zone: tzinfo | None = None) -> RenderableType:
    """The whole answer of `fluid why`. `zone` None: the machine's."""
    parts: list[RenderableType] = [_headline(told)]
    for title, section in _sections(told, now, zone):
        parts += [Text(""), Text(title, style="bold"), Padding(section, (0, 0, 0, 2), expand=False)]
    return Group(*parts)


def _headline(told: Explanation) -> RenderableType:
    job = told.job
    facts = [
        job.type,
        f"queue {job.queue}" if job.queue else "",
        f"environment {job.environment}" if job.environment else "",
    ]
    run = job.status.get("run") or 0
    facts.append(f"run {run}" if run > 1 else "")
    first = Text.assemble((job.name, "bold"), "  ", phase_text(job.phase))
    reason = job.condition("Ready").reason
    if reason and reason != job.phase:
        first.append(f" ({reason})")
    lines = [first, Text(" · ".join(filter(None, facts)), style="dim")]
    # What a job waits for is told below, in the same words.
    return Group(*lines) if told.waits_for else Group(*lines, Text(told.summary))


def _sections(told: Explanation, now: datetime, zone: tzinfo | None) -> Iterator[tuple[str, RenderableType]]:
    if told.waits_for:
        reason, message = told.waits_for
        yield "Waits for", Text(f"{reason}: {message}" if message else reason)
    if told.notes:
        yield "Note", Group(*map(Text, told.notes))
    yield "Timeline", _timeline(told, now, zone)
    if told.last_error:
        yield "Last error", Text(told.last_error, style="red")
    if told.next_attempt:
        yield "Next attempt", Text(f"{distance(told.next_attempt, now)} ({clock(told.next_attempt, now, zone)})")
    if told.progress:
        yield "Progress", Group(*map(Text, told.progress))
    if told.queue is not None:
        yield "Queue", _queue(told.queue, now)
    if told.settings:
        yield "Effective settings", _grid([(name, Text(value)) for name, value in told.settings])
    if told.events:
        yield "Events", _events(told, now)


def _timeline(told: Explanation, now: datetime, zone: tzinfo | None) -> RenderableType:
    table = Table.grid(padding=(0, 2, 0, 0))
    table.add_column(no_wrap=True)
    table.add_column(no_wrap=True, justify="right", style="dim")
    table.add_column(overflow="fold")
    for moment in told.timeline:
        table.add_row(clock(moment.when, now, zone), distance(moment.when, now), _what(moment))
    return table


def _what(moment: Moment) -> Text:
    style = _STYLES[moment.mood]
    text = Text.assemble((f"{_MARKS[moment.mood]} {moment.what}", style))
    return text.append(f"  {moment.detail}") if moment.detail else text


def _queue(queue: QueueFacts | str, now: datetime) -> RenderableType:
    if isinstance(queue, str):
        return Text(queue, style="yellow")
    return Group(*map(Text, queue_lines(queue, now)))


def queue_lines(facts: QueueFacts, now: datetime) -> list[str]:
    """What the queue knows, line by line."""
    lines: list[str] = []
    stats = facts.stats
    if facts.place is not None:
        before = "next to start" if facts.place == 0 else f"{facts.place} before it"
        waiting = stats.waiting + stats.blocked if stats else facts.place + 1
        lines.append(f"place {facts.place + 1} of {waiting} in {facts.queue} ({before})")
    if facts.suspended:
        lines.append("the whole environment is suspended: nothing starts")
    if stats:
        lines += [*_held(stats, now), _counts(stats)]
    heard = (
        "no worker was heard of" if not facts.workers else f"{facts.workers} {_plural('worker', facts.workers)} alive"
    )
    lines.append(f"{heard} in the last minute" if not facts.workers else f"{heard} (heard of in the last minute)")
    return lines


def _held(stats: QueueStats, now: datetime) -> Iterator[str]:
    if stats.held_by:
        until = from_milliseconds(stats.held_until)
        when = f", {distance(until, now)}" if until and until > now else ""
        error = f" after {stats.circuit_error}" if stats.circuit_error else ""
        yield f"held by {stats.held_by}{error}{when}"
    if stats.waiting:
        yield f"the oldest waiting job could have started {age(stats.oldest_seconds)} ago"


def _counts(stats: QueueStats) -> str:
    states = {
        "waiting": stats.waiting,
        "blocked": stats.blocked,
        "delayed": stats.delayed,
        "suspended": stats.suspended,
        "running": stats.active,
    }
    return f"{stats.queue}: " + (", ".join(f"{count} {state}" for state, count in states.items() if count) or "empty")


def _events(told: Explanation, now: datetime) -> RenderableType:
    table = Table.grid(padding=(0, 2, 0, 0))
    table.add_column(no_wrap=True, justify="right", style="dim")
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for event in told.events:
        times = f" (x{event.count})" if event.count > 1 else ""
        style = "yellow" if event.type == "Warning" else ""
        table.add_row(
            distance(event.when, now) if event.when else "", Text(event.reason + times, style=style), event.note
        )
    return table


def _grid(rows: list[tuple[str, Text]]) -> Table:
    table = Table.grid(padding=(0, 2, 0, 0))
    table.add_column(no_wrap=True, style="dim")
    table.add_column(overflow="fold")
    for row in rows:
        table.add_row(*row)
    return table


def _plural(word: str, count: int) -> str:
    return word if count == 1 else f"{word}s"


def as_data(told: Explanation) -> dict[str, Any]:
    """The same for programs, as JSON values; what is not known is absent."""
    job = told.job
    data: dict[str, Any] = {
        "name": job.name,
        "namespace": job.namespace,
        "type": job.type,
        "phase": job.phase,
        "reason": job.condition("Ready").reason,
        "message": told.summary,
        "queue": job.queue,
        "environment": job.environment,
        "timeline": [_moment_data(moment) for moment in told.timeline],
        "lastError": dict(job.status.get("error") or {}),
        "nextAttemptTime": told.next_attempt.isoformat() if told.next_attempt else None,
        "effective": dict(job.status.get("effective") or {}),
        "progress": list(told.progress),
        "notes": list(told.notes),
        "waitsFor": {"reason": told.waits_for[0], "message": told.waits_for[1]} if told.waits_for else None,
        "queueFacts": _facts_data(told.queue) if isinstance(told.queue, QueueFacts) else None,
        "queueFactsMissing": told.queue if isinstance(told.queue, str) else None,
    }
    return {name: value for name, value in data.items() if value not in (None, "", [], {})}


def _moment_data(moment: Moment) -> dict[str, str]:
    return {"time": moment.when.isoformat(), "what": moment.what} | ({"detail": moment.detail} if moment.detail else {})


def _facts_data(facts: QueueFacts) -> dict[str, Any]:
    data: dict[str, Any] = {"workers": facts.workers, "suspended": facts.suspended}
    if facts.place is not None:
        data["place"] = facts.place + 1
    if facts.stats:
        stats = facts.stats
        data |= {"waiting": stats.waiting, "active": stats.active, "delayed": stats.delayed, "blocked": stats.blocked}
        data |= {"heldBy": stats.held_by, "oldestSeconds": stats.oldest_seconds}
    return data
