"""FluidJobs as rows for people. Pure: jobs and a moment in, cells out."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from rich.text import Text

from fluid_cli.columns import Row
from fluid_cli.console import phase_text
from fluid_cli.job import Job
from fluid_cli.times import age, span

_NONE = "-"


def header(*, wide: bool, namespaces: bool) -> Row:
    """The names of the columns."""
    names = ["NAMESPACE"] if namespaces else []
    names += ["NAME", "TYPE", "PHASE", "ATTEMPTS", "DURATION", "AGE"]
    names += ["ENVIRONMENT", "QUEUE", "WORKER", "SCHEDULE", "MESSAGE"] if wide else ["REASON"]
    return [Text(name, style="bold") for name in names]


def row(job: Job, now: datetime, *, wide: bool, namespaces: bool) -> Row:
    """One job. The duration of a job that runs is that so far."""
    cells = [Text(job.namespace)] if namespaces else []
    seconds = job.seconds(now)
    cells += [
        Text(job.name),
        Text(job.type),
        phase_text(job.phase),
        Text(str(job.attempts), justify="right"),
        Text(_NONE if seconds is None else span(seconds)),
        Text(_NONE if job.created is None else age((now - job.created).total_seconds())),
    ]
    if wide:
        words = (job.environment, job.queue, job.worker, job.schedule, _flat(job.condition("Ready").message))
        return [*cells, *(Text(word or _NONE) for word in words)]
    return [*cells, Text(reason_of(job))]


def reason_of(job: Job) -> str:
    """Why the job is where it is, where that is more than its phase; with how far it is, while it runs."""
    if job.deleting:
        return "Deleting"
    reason = job.condition("Ready").reason
    percent = (job.status.get("progress") or {}).get("percent")
    if reason == job.phase:
        return f"{percent} %" if percent is not None and not job.ended else ""
    return reason


def by_age(jobs: Sequence[Job]) -> list[Job]:
    """The newest last, where it stands right above the prompt."""
    return sorted(jobs, key=lambda job: (job.raw["metadata"].get("creationTimestamp", ""), job.namespace, job.name))


def _flat(message: str) -> str:
    return " ".join(message.split())
