"""What is kept of a FluidSchedule, whatever the API server has let somebody store."""

import pytest

from fluid_operator.api.conditions import Reason
from fluid_operator.jobs.view import MAX_DEPTH
from fluid_operator.kube.keys import ObjectKey
from fluid_operator.schedules.rules import Misunderstood, understand
from fluid_operator.schedules.view import project

KEY = ObjectKey("team", "nightly")


def nested(levels):
    """A map in a map, so many in all."""
    value = {}
    for _ in range(levels - 1):
        value = {"a": value}
    return value


def raw(payload):
    """A FluidSchedule as the API server sends it."""
    return {
        "metadata": {
            "namespace": KEY.namespace,
            "name": KEY.name,
            "uid": "u-1",
            "resourceVersion": "7",
            "generation": 1,
            "creationTimestamp": "2026-11-24T12:00:00Z",
        },
        "spec": {"schedule": "0 7 * * *", "jobTemplate": {"spec": {"type": "noop", "payload": payload}}},
    }


# The spec of the job is a level of its own, above its payload.
@pytest.mark.parametrize("levels", [MAX_DEPTH, 100, 254, 300, 500])
def test_a_spec_that_is_nested_too_deeply_is_kept_without_a_crash_and_refused_in_words(levels):
    view = project(raw(nested(levels)))
    with pytest.raises(Misunderstood, match=f"more than {MAX_DEPTH} levels") as raised:
        understand(KEY, view)
    assert raised.value.reason is Reason.INVALID_SPEC


def test_a_spec_as_deep_as_that_of_a_job_may_be_is_understood():
    view = project(raw(nested(MAX_DEPTH - 1)))
    assert not view.too_deep
    assert understand(KEY, view).told == "0 7 * * * UTC"


def test_two_specs_that_are_too_deep_are_told_apart_from_one_that_is_mended():
    deep, flat = project(raw(nested(300))), project(raw({}))
    assert deep.too_deep
    assert not flat.too_deep
    assert deep != flat
