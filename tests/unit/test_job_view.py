"""What is kept of a FluidJob: which of it counts as settled, requests as they stand, specs that are too deep."""

from typing import Any

import pytest

from fluid_operator.api.meta import REQUEST_ANNOTATION
from fluid_operator.api.spechash import spec_hash
from fluid_operator.jobs.runs import target
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
    assert any("not of the form" in each for each in view.unsupported)


# -- requests ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("verb", ["suspend", "resume"])
@pytest.mark.parametrize("handled", [False, True])
def test_a_request_without_effect_is_told_for_as_long_as_it_stands(verb, handled):
    request = f"{verb}@{STAMP}"
    view = seen(request=request, **({"lastHandledRequest": request} if handled else {}))
    assert view.unsupported == (f"annotation {REQUEST_ANNOTATION}: {verb} has no effect yet",)


def test_a_misspelt_request_is_told_with_the_right_form():
    told = seen(request=f"cancle@{STAMP}").unsupported
    assert len(told) == 1
    assert "retry@2026-12-01T07:00:00Z" in told[0]


@pytest.mark.parametrize("request_", ["", f"retry@{STAMP}", f"cancel@{STAMP}"])
def test_a_request_that_can_be_carried_out_is_no_problem(request_):
    assert seen(request=request_).unsupported == ()


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
