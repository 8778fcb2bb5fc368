"""Which run does an object ask for? A FluidJob runs once for each spec that it is given (design section 5). Pure.

The status names the last run and the hash of its spec. Only a changed hash or a retry request asks for another one,
and never before the last
has ended; a change of any other field asks for nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from fluid_operator.api.fluidjob_status import Phase
from fluid_operator.api.spechash import spec_hash
from fluid_operator.jobs.requests import Request, parse_request
from fluid_operator.jobs.view import JobView


@dataclass(frozen=True, slots=True)
class Target:
    """The run that is, or is to be, in the queue, for the spec with `hash`."""

    run: int
    hash: str
    request: Request | None
    """To be acknowledged by the next write of a status."""
    known: bool
    """The status speaks of this run already."""

    def job_id(self, uid: str) -> str:
        return f"{uid}.{self.run}"

    def after(self) -> Target:
        """The next number, for the same spec: this one was used by a past that the API server has forgotten."""
        return replace(self, run=self.run + 1, known=False)


def target(view: JobView, spec: Mapping[str, Any] | None) -> Target:
    """What the object asks for. `spec` may be missing only if the status speaks of the object's generation."""
    request = parse_request(view.requested)
    if view.run == 0:
        return Target(1, spec_hash(spec or {}), request, known=False)
    wanted = view.spec_hash if spec is None else spec_hash(spec)
    if not view.terminal:
        # What is under way comes to its end first; the controller replaces a job that has not started.
        return Target(view.run, wanted, request, known=True)
    again = request is not None and request.verb == "retry"
    changed = wanted != view.spec_hash and view.generation != view.observed
    if again or changed:
        return Target(view.run + 1, wanted, request, known=False)
    return Target(view.run, view.spec_hash, request, known=True)


def retries(view: JobView, wanted: Target) -> bool:
    """Whether the run repeats the last one by request, and not because the spec has changed: then indexes that were
    done stay done."""
    verb = wanted.request.verb if wanted.request else None
    return verb == "retry" and view.run > 0 and wanted.run > view.run and wanted.hash == view.spec_hash


def goes_on(view: JobView, wanted: Target) -> bool:
    """Whether the run does the work that the status speaks of: then indexes that were done stay done. Also a run that
    was taken back and has another number now goes on; a retry of what has succeeded begins anew."""
    again = view.phase != Phase.SUCCEEDED and retries(view, wanted)
    return view.run > 0 and wanted.hash == view.spec_hash and (not view.terminal or again)


def held_by_request(view: JobView, wanted: Target) -> bool:
    """Whether somebody asked for the job to be held, and nobody has asked for its release since. A retry or a cancel
    says nothing about that."""
    verb = wanted.request.verb if wanted.request else None
    return verb == "suspend" or (view.held and verb != "resume")


def holds(view: JobView, wanted: Target) -> bool:
    """Whether the job is to be held, by the spec or by request. A request cannot release what the spec holds: Git
    would say so again."""
    return view.suspend or held_by_request(view, wanted)


def asks_to_cancel(view: JobView, wanted: Target) -> bool:
    """Whether the run is to be ended, by the spec or by request."""
    return view.cancelled or (wanted.request is not None and wanted.request.verb == "cancel")
