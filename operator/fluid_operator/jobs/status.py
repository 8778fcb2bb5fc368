"""The status of a FluidJob as a fold over its record in the queue, never over memory. Pure: view, record and time
in, JSON out.

A status is always written whole: what is not in it is not so.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import orjson

from fluid_operator.api.conditions import ConditionType, Reason, cut
from fluid_operator.api.fields import format_time
from fluid_operator.api.fluidjob_status import ATTEMPT_HISTORY_LIMIT, Phase
from fluid_operator.environments.surroundings import Surroundings
from fluid_operator.jobs.problems import Problem
from fluid_operator.jobs.runs import Target, goes_on, held_by_request
from fluid_operator.jobs.states import ENDED, State, held_state, moment, state_of
from fluid_operator.jobs.view import MAX_DEPTH, JobView, deeper_than
from fluid_queue import Attempt, IndexRanges, JobRecord

RESULT_LIMIT = 4096
"""Bytes of JSON that a status shows of a result."""

SHORT, LONG, NAME = 256, 1024, 253
"""Characters of short and long texts and of names in the schema."""

Json = dict[str, Any]


def fold(
    view: JobView,
    wanted: Target,
    record: JobRecord,
    *,
    now: datetime,
    around: Surroundings,
    indexes: IndexRanges | None = None,
    twin: str = "",
) -> Json:
    """The status that tells what the record says. `indexes` of a job that has some; `twin`: the name of the job that
    made this one needless."""
    state = state_of(record, around, by_request=held_by_request(view, wanted), twin=twin)
    same = record.hash == wanted.hash
    # Another spec may have come, but what was told once is not taken back.
    told = view.observed if (view.run, view.spec_hash) == (wanted.run, record.hash) else 0
    generation = view.generation if same else max(record.origin.get("generation", 0), told)
    status: Json = {
        "observedGeneration": generation,
        "phase": state.phase.value,
        "run": wanted.run,
        "specHash": record.hash or wanted.hash,
        "jobId": record.id,
        "environment": record.origin.get("environment") or view.environment,
        "attempts": record.attempt,
        "conditions": conditions(view, state, generation, now, held=view.held and held_by_request(view, wanted)),
    }
    _add(status, "deduplicatedBy", twin)
    _add(status, "queue", record.queue)
    _add(status, "effective", _effective(record))
    _add(status, "worker", record.worker[:NAME])
    _add(status, "attemptHistory", history(record))
    _add(status, "lastHandledRequest", _handled(view, wanted, state.phase))
    _add(status, "error", _error(record.error))
    _add(status, "children", _children(record))
    _add(status, "progress", _progress(record, state.phase))
    status |= _times(record)
    status |= _result(record)
    if indexes is not None:
        status |= _indexes(record, indexes)
    return status


def _effective(record: JobRecord) -> Json | None:
    """As it was enqueued, but for the priority, which may have been changed since."""
    told: Json | None = record.origin.get("effective")
    return {**told, "priority": record.priority} if told and not record.tombstone else told


def _indexes(record: JobRecord, indexes: IndexRanges) -> Json:
    told: Json = {"active": record.active, "succeeded": record.succeeded, "failed": record.failed}
    _add(told, "completedIndexes", indexes.completed)
    _add(told, "failedIndexes", indexes.failed)
    if indexes.truncated:
        told["indexesTruncated"] = True
    return told


def _children(record: JobRecord) -> Json | None:
    if not record.children:
        return None
    return {
        "total": record.children,
        "succeeded": record.children_succeeded,
        "failed": record.children_failed,
    }


def refused(view: JobView, wanted: Target, problem: Problem, *, now: datetime) -> Json:
    """The status of a run that could not be enqueued, for now or for good."""
    phase = Phase.FAILED if problem.terminal else Phase.PENDING
    return without_record(view, wanted, State(phase, problem.reason.value, problem.message), now)


def held(view: JobView, wanted: Target, *, now: datetime) -> Json:
    """The status of a run that its spec holds back before it is enqueued."""
    return without_record(view, wanted, held_state(held_by_request(view, wanted)), now)


def nothing_to_do(view: JobView, wanted: Target, field: str, *, now: datetime) -> Json:
    """The status of a run without a single index."""
    message = f"there was nothing to run: {field} asks for no index"
    state = State(Phase.SUCCEEDED, Reason.SUCCEEDED.value, message)
    return without_record(view, wanted, state, now) | {"active": 0, "succeeded": 0, "failed": 0}


def cancelled_before(view: JobView, wanted: Target, *, now: datetime) -> Json:
    """The status of a run that was cancelled before it was enqueued, or whose queue is gone for good."""
    gone = wanted.known and view.job_id
    message = "cancelled after its environment was deleted" if gone else "cancelled before it was enqueued"
    state = State(Phase.CANCELLED, Reason.CANCELLED.value, message)
    return without_record(view, wanted, state, now)


def moved(view: JobView, wanted: Target, environment: str, *, now: datetime) -> Json:
    """The status of a run that was taken out of one environment and not yet enqueued in another."""
    state = State(Phase.PENDING, Reason.QUEUED.value, f"goes to environment {environment}")
    return without_record(view, wanted, state, now)


def without_record(view: JobView, wanted: Target, state: State, now: datetime) -> Json:
    """The status of a run that is not in a queue, or in one that cannot be asked: then its binding stays."""
    ended = state.phase.terminal
    bound = bool(view.job_id) and wanted.run == view.run and not ended
    # While a bound run cannot be asked, the status still speaks of the spec that it was enqueued for.
    generation = view.observed if bound and wanted.hash != view.spec_hash else view.generation
    status: Json = {
        "observedGeneration": generation,
        "phase": state.phase.value,
        "conditions": conditions(view, state, generation, now, held=not ended and held_by_request(view, wanted)),
    }
    if bound:
        status |= {"run": view.run, "specHash": view.spec_hash, "jobId": view.job_id, "environment": view.environment}
    elif ended or view.run or wanted.run > 1:
        # The very first run gets its number only when something happens to it: an object without one may be a
        # re-created one.
        status |= {"run": wanted.run, "specHash": wanted.hash}
    if not ended and view.run and wanted.run == view.run:
        _add(status, "attempts", view.attempts)
    if not ended and (bound or goes_on(view, wanted)):
        _add(status, "completedIndexes", view.completed)
    if ended:
        status |= {"completionTime": format_time(now), "attempts": view.attempts if wanted.run == view.run else 0}
        if state.phase is Phase.FAILED:
            status["error"] = {"type": state.reason, "message": cut(state.message, LONG)}
    _add(status, "lastHandledRequest", _handled(view, wanted, state.phase))
    return status


def conditions(view: JobView, state: State, generation: int, now: datetime, *, held: bool = False) -> list[Json]:
    """The conditions of design section 3 for a state; a condition whose status stays keeps its transition time.
    `held`: a request to suspend stands, although the phase tells something else; its condition is its memory."""
    before = {kind: (status, since) for kind, status, since in view.conditions}
    wanted: list[tuple[ConditionType, bool, str, str]] = [
        (ConditionType.READY, state.phase is Phase.SUCCEEDED, state.reason, state.message)
    ]
    if state.phase is Phase.SUCCEEDED:
        wanted.append((ConditionType.COMPLETE, True, state.reason, state.message))
    elif state.phase.terminal:
        wanted.append((ConditionType.FAILED, True, state.reason, state.message))
        wanted.append((ConditionType.STALLED, True, state.reason, state.message))
    elif state.phase is Phase.SUSPENDED:
        wanted.append((ConditionType.SUSPENDED, True, state.reason, state.message))
    else:
        wanted.append((ConditionType.RECONCILING, True, state.reason, state.message))
        if held:
            by_request = held_state(True)
            wanted.append((ConditionType.SUSPENDED, True, by_request.reason, by_request.message))
    found: list[Json] = []
    for kind, holds, reason, message in wanted:
        status = "True" if holds else "False"
        old = before.get(kind.value)
        found.append(
            {
                "type": kind.value,
                "status": status,
                "observedGeneration": max(generation, 0),
                "lastTransitionTime": old[1] if old and old[0] == status else format_time(now),
                "reason": reason,
                "message": cut(message),
            }
        )
    since = before.get(ConditionType.REQUEST_IGNORED.value, ("", format_time(now)))[1]
    return found + _ignored(view, generation, since)


def touched(before: Mapping[str, Any], view: JobView, wanted: Target, *, now: datetime) -> Json:
    """The status of an ended run whose object has another generation or request by now, which start no new run."""
    kind = ConditionType.REQUEST_IGNORED.value
    old = before.get("conditions") or []
    since = next((each["lastTransitionTime"] for each in old if each["type"] == kind), format_time(now))
    kept = [{**each, "observedGeneration": view.generation} for each in old if each["type"] != kind]
    status = {**before, "observedGeneration": view.generation}
    status["conditions"] = kept + _ignored(view, view.generation, since)
    if wanted.request:
        status["lastHandledRequest"] = wanted.request.text
    return status


def _ignored(view: JobView, generation: int, since: str) -> list[Json]:
    """The condition that tells why a request has no effect; none when it can be understood."""
    if not view.misread:
        return []
    return [
        {
            "type": ConditionType.REQUEST_IGNORED.value,
            "status": "True",
            "observedGeneration": max(generation, 0),
            "lastTransitionTime": since,
            "reason": Reason.INVALID_REQUEST.value,
            "message": cut(view.misread),
        }
    ]


def history(record: JobRecord) -> list[Json]:
    """The last attempts that have ended, the one that ended the job included."""
    ended = [_past(attempt) for attempt in record.attempts]
    if record.ended and record.claimed_at and not record.tombstone:
        last: Json = {
            "attempt": record.attempt,
            "startTime": moment(record.claimed_at),
            "duration": duration_text(record.finished_at - record.claimed_at),
            "worker": record.worker[:NAME],
            "outcome": ENDED[record.state].value,
        }
        if record.state == "failed":
            last |= _error_words(record.error)
        # A job that was cancelled, or ran out of time, between two attempts has no further one.
        if not record.attempts or record.attempts[-1].attempt < record.attempt:
            ended.append(last)
    return ended[-ATTEMPT_HISTORY_LIMIT:]


def _past(attempt: Attempt) -> Json:
    told: Json = {
        "attempt": attempt.attempt,
        "startTime": moment(attempt.started_at),
        "duration": duration_text(attempt.ended_at - attempt.started_at),
        "worker": attempt.worker[:NAME],
        "outcome": attempt.outcome[:63],
    }
    return told | _error_words(attempt.error)


def _error_words(error: Mapping[str, Any] | None) -> Json:
    return {"errorType": error["type"], "message": cut(error["message"], SHORT)} if error else {}


def _error(error: Mapping[str, Any] | None) -> Json | None:
    if not error:
        return None
    return {"type": error["type"], "message": cut(error["message"], LONG), "attempt": error["attempt"]}


def _progress(record: JobRecord, phase: Phase) -> Json | None:
    if not record.progress or phase is not Phase.RUNNING:
        return None
    return {"percent": record.progress["percent"], "message": cut(record.progress["message"], SHORT)}


def _times(record: JobRecord) -> Json:
    times: Json = {}
    if record.started_at:
        times["startTime"] = moment(record.started_at)
    if record.state == "delayed":
        times["nextAttemptTime"] = moment(record.due_at)
    if record.ended:
        times["completionTime"] = moment(record.finished_at)
        if record.started_at:
            took = max(0, record.finished_at - record.started_at)
            times |= {"durationMilliseconds": took, "duration": duration_text(took)}
    return times


def _result(record: JobRecord) -> Json:
    """The result, unless it is one that a status cannot show: the end of a job must be told all the same."""
    if record.result is None:
        return {}
    if len(record.result) > RESULT_LIMIT:
        return {"resultTruncated": True}
    try:
        result = orjson.loads(record.result)
    except orjson.JSONDecodeError:
        return {"resultTruncated": True}
    return {"resultTruncated": True} if deeper_than(result, MAX_DEPTH) else {"result": result}


def _handled(view: JobView, wanted: Target, phase: Phase) -> str:
    """A cancel is handled when the job has ended, a suspend when it is held: until then they must survive the loss of
    worker, Redis and operator."""
    request = wanted.request
    if request is None or not (phase.terminal or phase in _UNTIL.get(request.verb or "", Phase)):
        return view.last_request
    return request.text


_UNTIL: Mapping[str, Sequence[Phase]] = {"cancel": (), "suspend": (Phase.SUSPENDED,)}
"""The phases that show that a request was carried out; any phase does for the others."""


def _add(status: Json, name: str, value: str | int | Mapping[str, Any] | Sequence[Any] | None) -> None:
    if value:
        status[name] = value


def duration_text(milliseconds: int) -> str:
    """A duration for people, three digits or two units: 4ms, 1.24s, 12.4s, 3m20s, 2h05m."""
    if milliseconds < 1000:
        return f"{max(0, milliseconds)}ms"
    seconds = milliseconds / 1000
    if seconds < 9.995:
        return f"{seconds:.2f}s"
    if seconds < 59.95:
        return f"{seconds:.1f}s"
    whole = round(seconds)
    if whole < 3600:
        return f"{whole // 60}m{whole % 60:02d}s"
    return f"{whole // 3600}h{whole % 3600 // 60:02d}m"
