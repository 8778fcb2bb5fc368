"""Builders of what the jobs controller works with: a view of an object, a record of a job."""

from dataclasses import replace
from typing import Any

from fluid_operator.jobs.view import JobView
from fluid_queue import JobRecord

_VIEW = JobView(
    uid="u1",
    resource_version="10",
    generation=1,
    deleting=False,
    cancelled=False,
    suspend=False,
    request="",
    spec=None,
    too_deep=False,
    misread="",
    observed=-1,
    phase="Pending",
    run=0,
    spec_hash="",
    job_id="",
    environment="",
    attempts=0,
    held=False,
    last_request="",
    conditions=(),
    digest=0,
    created=0.0,
    finished=0.0,
    ttl=None,
    once=False,
)


def view(**fields: Any) -> JobView:
    """A brand-new FluidJob, but for these fields."""
    return replace(_VIEW, **fields)


def record(state: str, **fields: Any) -> JobRecord:
    """A record of run 1 of `view()` in this state, its times in milliseconds since 1970."""
    values: dict[str, Any] = {
        "id": "u1.1",
        "state": state,
        "queue": "mail",
        "hash": "v1:a",
        "origin": {"environment": "default", "generation": 1, "run": 1},
    }
    if state in ("active", "completed", "failed", "cancelled"):
        values |= {"attempt": 1, "started_at": 1000, "claimed_at": 1000, "worker": "w1"}
    if state in ("completed", "failed", "cancelled"):
        values |= {"finished_at": 2240}
    return JobRecord(**values | fields)
