"""What is wrong with a FluidJob, in the very words of the reconciler: the functions are its own. Pure.

Only what an apply changes is held against it. An object that is wrong already can still be suspended, cancelled or
given another time to live.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from fluid_operator.admission.reviews import Review
from fluid_operator.api.conditions import Reason
from fluid_operator.api.fluidjob import FLUID_JOB, FluidJobSpec, RunPolicy
from fluid_operator.api.meta import GROUP, REQUEST_ANNOTATION
from fluid_operator.api.spechash import RUN_DEFINING
from fluid_operator.environments.types import KnownType
from fluid_operator.jobs import payloads
from fluid_operator.jobs.preparation import read_spec
from fluid_operator.jobs.problems import Problem, ending
from fluid_operator.jobs.requests import misread
from fluid_operator.jobs.tracking import runs_once
from fluid_operator.jobs.view import MAX_DEPTH, REQUEST_LIMIT, deeper_than


@dataclass(frozen=True, slots=True)
class Changed:
    """What a create or an update asks for that was not asked for before."""

    request: str
    """The annotation; empty when it is not new."""
    spec: Mapping[str, Any] | None
    """The raw spec; None when nothing of it is new that defines a run."""


NOTHING = Changed("", None)


def changed(review: Review) -> Changed:
    """What there is to check; nothing for deletions, subresources, objects on their way out, and other kinds."""
    if (review.group, review.kind) != (GROUP, FLUID_JOB.kind) or review.subresource:
        return NOTHING
    if review.operation not in ("CREATE", "UPDATE") or _metadata(review.new).get("deletionTimestamp"):
        return NOTHING
    spec, request = _spec(review.new), _request(review.new)
    if review.operation == "UPDATE" and review.old is not None:
        before = _spec(review.old)
        request = "" if request == _request(review.old) else request
        if all(spec.get(field) == before.get(field) for field in RUN_DEFINING):
            return Changed(request, None)
    return Changed(request, spec)


def check_form(asked: Changed) -> FluidJobSpec | None:
    """Check what needs no knowledge of the environment; the typed spec, if its payload is to be checked further.
    Raises a Problem."""
    if flaw := misread(asked.request):
        raise ending(Reason.INVALID_REQUEST, flaw)
    if asked.spec is None:
        return None
    if deeper_than(asked.spec, MAX_DEPTH):
        raise ending(Reason.INVALID_PAYLOAD, f"spec: nested in more than {MAX_DEPTH} levels")
    spec = read_spec(asked.spec)
    payloads.check_size(spec.payload or {}, payloads.MAX_BYTES, "spec.payload")
    payloads.check_size(spec.items or [], payloads.MAX_ITEMS_BYTES, "spec.items")
    return spec


def check_against(spec: FluidJobSpec, known: KnownType) -> Iterator[None]:
    """Hold the payload, or each item merged over it, against the processor's schema. Raises a Problem.

    One step for each, so that whoever has other things to do can do them between two. What is in Secrets and
    ConfigMaps is unknown here and may complete or replace any field: such a job passes.
    """
    if spec.payload_from or spec.items_from:
        return
    payload = dict(spec.payload or {})
    if not spec.items:
        payloads.check_payload(payload, known, secret=False)
        return
    for number, item in enumerate(spec.items):
        payloads.check_payload({**payload, **item}, known, secret=False, at=f"spec.items[{number}]")
        yield


def is_refusal(problem: Problem) -> bool:
    """Whether the job would fail for good; what may still turn out well is no reason to refuse it."""
    return problem.terminal


def takes_over(review: Review) -> bool:
    """Whether the object is one that a tool creates again and again, and that takes over an earlier outcome of the same
    spec instead of running: to refuse it would break the sync of a whole repository over a job that is long done."""
    policy = str(_spec(review.new).get("runPolicy") or RunPolicy.AUTO.value)
    told = _metadata(review.new)
    owners = told.get("ownerReferences")
    meta = {
        "name": review.name,
        "namespace": review.namespace,
        "annotations": _texts(told, "annotations"),
        "labels": _texts(told, "labels"),
        "ownerReferences": [each for each in owners if isinstance(each, Mapping)] if isinstance(owners, list) else [],
    }
    return review.operation == "CREATE" and runs_once(meta, policy)


def _metadata(raw: Mapping[str, Any]) -> Mapping[str, Any]:
    return _mapping(raw, "metadata")


def _spec(raw: Mapping[str, Any]) -> Mapping[str, Any]:
    return _mapping(raw, "spec")


def _request(raw: Mapping[str, Any]) -> str:
    return _texts(_metadata(raw), "annotations").get(REQUEST_ANNOTATION, "")[:REQUEST_LIMIT]


def _texts(raw: Mapping[str, Any], field: str) -> dict[str, str]:
    return {name: value for name, value in _mapping(raw, field).items() if isinstance(value, str)}


def _mapping(raw: Mapping[str, Any], field: str) -> Mapping[str, Any]:
    """A part of the object. The API server has checked its shape, but this door is open to others as well."""
    value = raw.get(field)
    return value if isinstance(value, Mapping) else {}
