"""The state of a job in the words of the API: a phase, a reason, a sentence for people. Pure.

Whatever a job waits for, its Ready condition says so; these are the sentences.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime

from fluid_operator.api.conditions import Reason
from fluid_operator.api.fields import format_time
from fluid_operator.api.fluidjob_status import Phase
from fluid_operator.environments.surroundings import Surroundings
from fluid_queue import JobRecord

ENDED = {"completed": Phase.SUCCEEDED, "failed": Phase.FAILED, "cancelled": Phase.CANCELLED}

_REASON = re.compile(r"[A-Za-z]([A-Za-z0-9_,:]{0,126}[A-Za-z0-9_])?")

_LAST_SECOND = 253_402_300_799
"""The end of the year 9999, after which there are no dates."""


@dataclass(frozen=True, slots=True)
class State:
    """A phase with the reason and the sentence of its Ready condition."""

    phase: Phase
    reason: str
    message: str


def held_state(by_request: bool) -> State:
    if by_request:
        message = "held back by request; it goes on when the request resume is made"
        return State(Phase.SUSPENDED, Reason.SUSPENDED_BY_REQUEST.value, message)
    return State(Phase.SUSPENDED, Reason.SUSPENDED.value, "held back by spec.suspend; set it to false to go on")


def state_of(record: JobRecord, around: Surroundings, *, by_request: bool = False, twin: str = "") -> State:
    """The record's state in the words of the API."""
    if record.ended:
        return _end_state(record, twin)
    if record.state == "active":
        if record.stopping:
            return State(Phase.RUNNING, Reason.STOPPING.value, f"being stopped on {record.worker}")
        return State(Phase.RUNNING, Reason.RUNNING.value, f"attempt {record.attempt} runs on {record.worker}")
    if record.state == "waiting-children" and (record.started_at or record.stopping or not record.completions):
        return _fanned_out(record)
    if record.state == "suspended":
        return held_state(by_request)
    if record.state == "delayed" and record.attempt:
        why = f": {record.error['type']}: {record.error['message']}" if record.error else ""
        return State(Phase.RETRYING, Reason.RETRYING.value, f"attempt {record.attempt} failed{why}")
    if record.state == "delayed":
        return State(Phase.SCHEDULED, Reason.SCHEDULED.value, f"starts at {moment(record.due_at)}")
    return State(Phase.QUEUED, *_waits_for(record, around))


def _fanned_out(record: JobRecord) -> State:
    """The job is done when others are: its indexes, or the children that it has enqueued."""
    if record.completions:
        done = record.succeeded + record.failed
        if record.stopping:
            message = f"being stopped; {record.active} of {record.completions} indexes still run"
            return State(Phase.RUNNING, Reason.STOPPING.value, message)
        message = f"{done} of {record.completions} indexes have ended, {record.active} run"
        return State(Phase.RUNNING, Reason.RUNNING.value, message)
    left = record.children - record.children_succeeded - record.children_failed
    message = f"waits for {left} of {record.children} children"
    return State(Phase.RUNNING, Reason.WAITING_FOR_CHILDREN.value, message)


def _waits_for(record: JobRecord, around: Surroundings) -> tuple[str, str]:
    """What keeps a job that may run from running, as reason and sentence: what would keep it longest comes first."""
    if around.suspended:
        return Reason.ENVIRONMENT_SUSPENDED.value, "its environment is suspended; nothing starts there"
    if record.queue in around.held:
        return around.held[record.queue].reason, around.held[record.queue].message
    if not around.workers:
        message = f"waits in queue {record.queue}; no worker was heard of in the last minute"
        return Reason.NO_WORKERS.value, message
    if record.state == "blocked":
        message = f"waits until another job with its concurrency key {record.key!r} has ended"
        return Reason.KEY_HELD.value, message
    return Reason.QUEUED.value, f"waits in queue {record.queue}"


def _end_state(record: JobRecord, twin: str) -> State:
    phase = ENDED[record.state]
    if record.completions:
        return _indexed_end(record, phase)
    times = "1 attempt" if record.attempt == 1 else f"{record.attempt} attempts"
    if record.reason == Reason.DEDUPLICATED:
        message = f"not run: {twin or 'another job'} with the same deduplication key does this work"
        return State(phase, Reason.DEDUPLICATED.value, message)
    if phase is Phase.SUCCEEDED:
        return State(phase, Reason.SUCCEEDED.value, f"succeeded after {times}")
    if phase is Phase.CANCELLED:
        message = f"cancelled after {times}" if record.attempt else "cancelled before it started"
        return State(phase, Reason.CANCELLED.value, message)
    why = f": {record.error['type']}: {record.error['message']}" if record.error else ""
    return State(phase, _word(record), f"failed after {times}{why}" if record.attempt else f"never started{why}")


def _indexed_end(record: JobRecord, phase: Phase) -> State:
    counted = f"{record.succeeded} of {record.completions} indexes succeeded, {record.failed} failed"
    if phase is Phase.SUCCEEDED:
        return State(phase, Reason.SUCCEEDED.value, counted)
    if phase is Phase.CANCELLED:
        return State(phase, Reason.CANCELLED.value, f"cancelled: {counted}")
    return State(phase, _word(record), counted)


def _word(record: JobRecord) -> str:
    return record.reason if _REASON.fullmatch(record.reason) else Reason.BACKOFF_LIMIT_EXCEEDED.value


def moment(milliseconds: int) -> str:
    return format_time(datetime.fromtimestamp(min(milliseconds / 1000, _LAST_SECOND), UTC))
