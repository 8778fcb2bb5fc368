"""What is kept of a FluidJob: which of it counts as settled, requests as they stand, specs that are too deep."""

from typing import Any

import pytest

from fluid_operator.api.meta import REQUEST_ANNOTATION
from fluid_operator.api.spechash import spec_hash
from fluid_operator.jobs.runs import holds, target
from fluid_operator.jobs.view import MAX_DEPTH, REQUEST_LIMIT, JobView, deeper_than, project

STAMP = "2026-12-01T07:00:00Z"
LONG = f"retry@2026-12-01T07:00:00.{'0' * 300}Z"


def nested(levels: int) -> dict[str, Any]:
    value: dict[str, Any] = {}
    for _ in range(levels - 1):
        value = {"a": value}
    return value


def seen(spec: Any = None, *, request: str = "", generation: int = 1, **status: Any) -> JobView:
    meta: dict[str, Any] = {
        "name": "job",
        "namespace": "ns",
        "uid": "u1",
        "resourceVersion": "10",
        "generation": generation,
        "creationTimestamp": "2026-11-24T06:00:00Z",
    }
    if request:
        meta["annotations"] = {REQUEST_ANNOTATION: request}
    return project({"metadata": meta, "spec": spec or {"type": "email"}, "status": status})


def succeeded(**more: Any) -> JobView:
    return seen(
        **{"phase": "Succeeded", "run": 1, "observedGeneration": 1, "specHash": spec_hash({"type": "email"})} | more
    )


# -- settled ----------------------------------------------------------------------------------------------------------


def test_an_ended_job_is_settled_until_its_spec_changes_or_somebody_asks():
    assert succeeded().settled
    assert not succeeded(generation=2).settled
    assert not succeeded(request=f"retry@{STAMP}").settled
    assert succeeded(request=f"retry@{STAMP}", lastHandledRequest=f"retry@{STAMP}").settled


def test_a_request_longer_than_the_status_can_show_is_executed_once():
    """Were only the status cut, the two would differ for ever, and each look would make another run."""
    first = succeeded(request=LONG)
    handled = target(first, first.spec).request.text
    assert len(handled) == REQUEST_LIMIT
    assert succeeded(request=LONG, lastHandledRequest=handled).settled


@pytest.mark.parametrize("digits", [10, 300])
def test_a_retry_with_a_fraction_that_no_clock_has_makes_no_run(digits):
    view = succeeded(request=f"retry@2026-12-01T07:00:00.{'0' * digits}Z")
    assert target(view, view.spec).run == 1
    assert "not of the form" in view.misread


# -- requests ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("handled", [False, True])
def test_a_misspelt_request_is_told_with_the_right_form_for_as_long_as_it_stands(handled):
    request = f"cancle@{STAMP}"
    view = seen(request=request, **({"lastHandledRequest": request} if handled else {}))
    assert "retry@2026-12-01T07:00:00Z" in view.misread


@pytest.mark.parametrize("verb", ["", "retry", "cancel", "suspend", "resume"])
def test_a_request_that_can_be_carried_out_is_no_problem(verb):
    assert seen(request=f"{verb}@{STAMP}" if verb else "").misread == ""


def suspended(reason: str, *, spec: Any = None, request: str = "", handled: str = "") -> JobView:
    condition = {"type": "Suspended", "status": "True", "reason": reason, "lastTransitionTime": STAMP}
    return seen(spec, request=request, phase="Suspended", conditions=[condition], lastHandledRequest=handled)


HOLD, RELEASE, AGAIN = (f"{verb}@{STAMP}" for verb in ("suspend", "resume", "retry"))


@pytest.mark.parametrize(
    ("view", "held"),
    [
        (seen(), False),
        (seen({"type": "email", "suspend": True}), True),
        (seen(request=HOLD), True),
        (seen(request=HOLD, lastHandledRequest=HOLD), False),
        (suspended("Suspended"), False),
        (suspended("SuspendedByRequest", request=HOLD, handled=HOLD), True),
        (suspended("SuspendedByRequest", request=AGAIN, handled=HOLD), True),
        (suspended("SuspendedByRequest", request=RELEASE, handled=HOLD), False),
        (suspended("SuspendedByRequest", spec={"type": "email", "suspend": True}, request=RELEASE), True),
    ],
    ids=[
        "nobody holds it",
        "its spec does",
        "a request does",
        "a request of a run that has ended does not",
        "its spec did",
        "a request did",
        "a retry does not release it",
        "a resume does",
        "a resume does not release what the spec holds",
    ],
)
def test_a_job_is_held_by_its_spec_or_by_request(view, held):
    assert holds(view, target(view, view.spec)) is held


# -- retention --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("spec", "phase", "ttl"),
    [
        ({}, "Succeeded", None),
        ({"ttl": {"succeededSeconds": 5}}, "Succeeded", 5),
        ({"ttl": {"succeededSeconds": 5}}, "Failed", None),
        ({"ttl": {"failedSeconds": 6}}, "Cancelled", 6),
        ({"ttlSecondsAfterFinished": 0}, "Failed", 0),
    ],
)
def test_a_finished_job_stays_as_long_as_its_spec_says_for_its_outcome(spec, phase, ttl):
    view = seen({"type": "email", **spec}, phase=phase, completionTime="2026-12-01T07:00:00.000000Z")
    assert view.ttl == ttl
    assert view.finished == 1796108400.0


# -- depth ------------------------------------------------------------------------------------------------------------


def test_depth_counts_levels_of_maps_and_lists():
    assert not deeper_than(nested(3), 3)
    assert deeper_than(nested(4), 3)
    assert deeper_than({"a": [[{}]]}, 3)
    assert not deeper_than({"a": [[1]]}, 3)
    assert not deeper_than("flat", 0)


def test_a_spec_as_deep_as_allowed_is_kept_whole():
    spec = {"type": "email", "payload": nested(MAX_DEPTH - 1)}
    view = seen(spec)
    assert not view.too_deep
    assert view.spec == spec


@pytest.mark.parametrize("levels", [MAX_DEPTH, 300, 512])
def test_a_spec_that_is_too_deep_is_kept_without_what_nobody_can_write(levels):
    view = seen({"type": "email", "payload": nested(levels)})
    assert view.too_deep
    assert view.spec == {"type": "email"}
    assert target(view, view.spec).hash == spec_hash({"type": "email"})


def test_deep_items_are_left_out_too():
    assert seen({"type": "email", "items": [nested(300)]}).spec == {"type": "email"}


# -- the spec in memory -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("phase", "observed", "kept"),
    [("Pending", 1, True), ("Suspended", 1, True), ("Queued", 1, False), ("Running", 0, True), ("Succeeded", 1, False)],
)
def test_a_spec_is_kept_only_while_it_still_has_to_be_looked_at(phase, observed, kept):
    assert (seen(phase=phase, observedGeneration=observed).spec is not None) is kept
