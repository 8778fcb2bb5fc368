"""What can be asked of a FluidJob, of which ones it makes sense, and the request itself. Pure.

A request is an annotation and not a change of the spec, which a reconciler of Git would take back. The time in it makes
each one another value, so that the same can be asked twice.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from fluid_cli.job import ENDED, Job
from fluid_operator.api.fields import format_time
from fluid_operator.api.fluidjob_status import Phase
from fluid_operator.api.meta import REQUEST_ANNOTATION

_WORTH_A_RETRY = (Phase.FAILED, Phase.CANCELLED)


class Verb(StrEnum):
    """What can be asked of a job."""

    CANCEL = "cancel"
    SUSPEND = "suspend"
    RESUME = "resume"
    RETRY = "retry"


@dataclass(frozen=True, slots=True)
class Plan:
    """Of which jobs it is asked, and of which not, with the reason."""

    asked: Sequence[Job]
    passed_over: Sequence[tuple[Job, str]]


def plan(verb: Verb, jobs: Sequence[Job], *, by_name: bool) -> Plan:
    """Sort jobs by whether the request can have an effect. Jobs that were chosen by what they have in common are
    retried only where something went wrong: nobody means to repeat a thousand successes."""
    reasons = [(job, why_not(verb, job, by_name=by_name)) for job in jobs]
    return Plan([job for job, reason in reasons if not reason], [(job, reason) for job, reason in reasons if reason])


def why_not(verb: Verb, job: Job, *, by_name: bool) -> str:
    """Why the request would have no effect; empty when it would have one."""
    if job.deleting:
        return "is being deleted"
    ended = job.phase in ENDED
    if verb is Verb.RETRY:
        if not ended:
            return f"has not ended ({job.phase})"
        return "" if by_name or job.phase in _WORTH_A_RETRY else f"has not failed ({job.phase})"
    if ended:
        return f"has already ended ({job.phase})"
    if verb is Verb.SUSPEND:
        return "is already suspended" if _held(job) and not _asked(job, Verb.RESUME) else ""
    if verb is Verb.RESUME:
        if job.spec.get("suspend"):
            return "is held by its spec: set spec.suspend to false"
        return "" if _held(job) or _asked(job, Verb.SUSPEND) else f"is not suspended ({job.phase})"
    return ""


def request_text(what: str, now: datetime) -> str:
    """The value of the annotation."""
    return f"{what}@{format_time(now)}"


def request_patch(text: str, **metadata: str) -> dict[str, Any]:
    """The merge patch; `metadata` holds preconditions such as the uid."""
    return {"metadata": {**metadata, "annotations": {REQUEST_ANNOTATION: text}}}


def _held(job: Job) -> bool:
    return job.phase == Phase.SUSPENDED


def _asked(job: Job, verb: Verb) -> bool:
    """Whether the last request is this one, and not carried out yet."""
    return job.request != job.handled_request and job.request.startswith(f"{verb}@")
