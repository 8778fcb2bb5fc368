"""Why a FluidJob is where it is, as values: what happened, what it waits for, what holds for it. Pure.

Built from the object alone as far as that goes; what the queue and the events add is handed in. How it looks is the
business of `explanation_text`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal

from fluid_cli.events import Event
from fluid_cli.job import Job
from fluid_cli.queue_facts import QueueFacts
from fluid_cli.settings_text import settings_of
from fluid_cli.times import from_milliseconds, parse_time, span

Mood = Literal["plain", "good", "bad", "now", "later"]


@dataclass(frozen=True, slots=True)
class Moment:
    """One line of the timeline. `detail` may be long."""

    when: datetime
    what: str
    detail: str = ""
    mood: Mood = "plain"


@dataclass(frozen=True, slots=True)
class Explanation:
    """Everything that `fluid why` shows. `queue`: the facts, a sentence why there are none, or None for a job that
    does not wait for anything. `waits_for`: reason and message."""

    job: Job
    summary: str
    timeline: Sequence[Moment]
    settings: Sequence[tuple[str, str]]
    progress: Sequence[str]
    notes: Sequence[str]
    waits_for: tuple[str, str] | None = None
    last_error: str = ""
    next_attempt: datetime | None = None
    queue: QueueFacts | str | None = None
    events: Sequence[Event] = ()


def explain(job: Job, now: datetime, queue: QueueFacts | str | None, events: Sequence[Event] = ()) -> Explanation:
    """Put together what is known of a job."""
    facts = queue if isinstance(queue, QueueFacts) else None
    ready = job.condition("Ready")
    return Explanation(
        job=job,
        summary=ready.message or "no operator has looked at it yet",
        timeline=sorted(_timeline(job, now, facts), key=lambda moment: moment.when),
        settings=settings_of(job.status.get("effective") or {}),
        progress=list(_progress(job, facts)),
        notes=list(_notes(job)),
        waits_for=None if job.ended else _waits_for(job),
        last_error=error_text(job.status.get("error")),
        next_attempt=None if job.ended else job.next_attempt,
        queue=queue,
        events=events,
    )


def error_text(error: Mapping[str, Any] | None) -> str:
    """The last error of a run with the attempt that raised it; empty where there was none."""
    if not error:
        return ""
    attempt = f" (attempt {error['attempt']})" if error.get("attempt") else ""
    return f"{error.get('type', '')}: {error.get('message', '')}{attempt}"


def _waits_for(job: Job) -> tuple[str, str] | None:
    ready = job.condition("Ready")
    if not ready.reason:
        return (
            "NotSeenYet",
            "no operator has looked at this object yet: does one run, and does it serve this namespace?",
        )
    return None if ready.reason == "Running" else (ready.reason, ready.message)


def _timeline(job: Job, now: datetime, facts: QueueFacts | None) -> Iterator[Moment]:
    if job.created:
        yield Moment(job.created, "created")
    record = facts.record if facts else None
    if record and (enqueued := from_milliseconds(record.created_at)):
        yield Moment(enqueued, "queued", f"in {record.queue}")
    yield from _attempts(job)
    # Of a running attempt the status knows the start only if it is the first; the queue knows each.
    claimed = from_milliseconds(record.claimed_at) if record else None
    if job.phase == "Running":
        since = claimed or (job.started if job.attempts <= 1 else None) or job.condition("Ready").since
        if since:
            yield Moment(since, f"attempt {job.attempts} started", f"on {job.worker}" if job.worker else "", "now")
    if job.ended and job.completed:
        yield _end(job, job.completed)
        if deleted := _deletion(job, job.completed):
            yield Moment(deleted, "to be deleted", "its time to live is over", "later")
    elif job.next_attempt:
        what = "next attempt" if job.attempts else "may start"
        yield Moment(job.next_attempt, what, _retries_left(job), "later" if job.next_attempt > now else "now")


def _attempts(job: Job) -> Iterator[Moment]:
    for attempt in job.status.get("attemptHistory") or ():
        started = parse_time(attempt.get("startTime"))
        if started is None:
            continue
        error = f"{attempt['errorType']}: {attempt.get('message', '')}" if attempt.get("errorType") else ""
        where = f"after {attempt.get('duration', '?')} on {attempt.get('worker', '?')}"
        mood: Mood = "good" if attempt["outcome"] == "Succeeded" else "bad"
        yield Moment(started, f"attempt {attempt['attempt']} {_lower(attempt['outcome'])}", _pair(where, error), mood)


def _end(job: Job, when: datetime) -> Moment:
    reason = job.condition("Ready").reason
    seconds = job.seconds(when)
    took = f"{span(seconds)} after its first start" if seconds is not None and job.started else "it never started"
    good = job.phase == "Succeeded"
    why = took if reason in ("", job.phase) else f"{reason}, {took}"
    return Moment(when, _lower(job.phase), why, "good" if good else "bad")


def _deletion(job: Job, completed: datetime) -> datetime | None:
    ttl = (job.status.get("effective") or {}).get("ttl") or {}
    seconds = ttl.get("succeededSeconds" if job.phase == "Succeeded" else "failedSeconds")
    return None if seconds is None else completed + timedelta(seconds=seconds)


def _retries_left(job: Job) -> str:
    limit = (job.status.get("effective") or {}).get("backoffLimit")
    if not job.attempts or limit is None:
        return ""
    return f"retry {job.attempts} of {limit}"


def _progress(job: Job, facts: QueueFacts | None) -> Iterator[str]:
    progress = job.status.get("progress")
    if progress:
        percent = progress.get("percent")
        yield _pair("" if percent is None else f"{percent} %", progress.get("message") or "")
    if job.indexed:
        yield from _indexes(job, facts)
    children = job.status.get("children")
    if children:
        left = children["total"] - children["succeeded"] - children["failed"]
        done = f"{children['succeeded']} of {children['total']} succeeded"
        yield f"children: {done}, {children['failed']} failed, {left} left"


def _indexes(job: Job, facts: QueueFacts | None) -> Iterator[str]:
    status = job.status
    total = (facts.record.completions if facts and facts.record else 0) or _completions(job)
    done = f"{status.get('succeeded') or 0} of {total}" if total else f"{status.get('succeeded') or 0}"
    yield f"indexes: {done} succeeded, {status.get('failed') or 0} failed, {status.get('active') or 0} run now"
    if failed := status.get("failedIndexes"):
        yield f"failed indexes: {failed}{' ...' if status.get('indexesTruncated') else ''}"


def _completions(job: Job) -> int:
    return int(job.spec.get("completions") or len(job.spec.get("items") or ()))


def _notes(job: Job) -> Iterator[str]:
    if not job.current and job.status.get("observedGeneration", -1) >= 0:
        yield "The spec has changed since; what stands here is about the one before."
    if job.request and job.request != job.handled_request:
        yield f"The request {job.request} has not been carried out yet."
    if job.status.get("deduplicatedBy"):
        yield f"It was a twin of {job.status['deduplicatedBy']}, which does the work."
    history = job.status.get("attemptHistory") or ({"attempt": 1},)
    if history[0]["attempt"] > 1:
        yield f"Attempts before number {history[0]['attempt']} are no longer kept."
    if job.deleting:
        yield "The object is being deleted."


def _pair(first: str, second: str) -> str:
    return ": ".join(filter(None, (first, second)))


def _lower(word: str) -> str:
    return word[:1].lower() + word[1:]
