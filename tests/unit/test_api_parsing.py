"""Reading objects into models, and writing them back as the API server wants them."""

from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest

from fluid_operator.api.errors import FieldProblem, InvalidSpec
from fluid_operator.api.fluidenvironment import FluidEnvironmentSpec
from fluid_operator.api.fluidjob import FluidJobSpec, RunPolicy
from fluid_operator.api.fluidjob_status import FluidJobStatus, Phase
from fluid_operator.api.fluidschedule import FluidScheduleSpec
from fluid_operator.api.meta import parse, to_wire
from fluid_operator.api.policies import BackoffType


def test_a_job_is_read_with_its_defaults() -> None:
    spec = parse(
        FluidJobSpec, {"type": "email", "startAfter": "2026-12-01T08:00:00+01:00", "backoff": {"type": "Fixed"}}
    )
    assert (spec.suspend, spec.cancelled, spec.run_policy) == (False, False, RunPolicy.AUTO)
    assert spec.start_after == datetime(2026, 12, 1, 7, tzinfo=UTC)
    assert spec.backoff is not None
    assert spec.backoff.type is BackoffType.FIXED
    assert spec.backoff_limit is None


def test_a_field_of_a_newer_crd_does_not_stop_an_older_operator() -> None:
    spec = parse(FluidJobSpec, {"type": "email", "fromTheFuture": 1, "backoff": {"curve": "steep"}})
    assert spec.type == "email"


def test_a_file_that_is_checked_for_a_user_may_hold_no_unknown_field() -> None:
    with pytest.raises(InvalidSpec) as refusal:
        parse(FluidJobSpec, {"type": "email", "backoff": {"curve": "steep"}}, unknown="forbid")
    assert refusal.value.field == "spec.backoff.curve"


BAD = {
    "a missing type": ({}, "spec.type"),
    "a text for a number": ({"type": "t", "backoffLimit": "3"}, "spec.backoffLimit"),
    "a flag for a number": ({"type": "t", "backoffLimit": True}, "spec.backoffLimit"),
    "a number for a flag": ({"type": "t", "suspend": 1}, "spec.suspend"),
    "an unknown word": ({"type": "t", "backoff": {"type": "Random"}}, "spec.backoff.type"),
    "an item that is no object": ({"type": "t", "items": [{}, 7]}, "spec.items[1]"),
    "a time without a zone": ({"type": "t", "startAfter": "2026-12-01T07:00:00"}, "spec.startAfter"),
    "a number out of range": ({"type": "t", "priority": 1001}, "spec.priority"),
    "a type that is no word": ({"type": "a b"}, "spec.type"),
    "too many tags": ({"type": "t", "tags": {f"k{n}": "v" for n in range(9)}}, "spec.tags"),
}


@pytest.mark.parametrize(("raw", "field"), BAD.values(), ids=BAD)
def test_bad_input_names_the_field(raw: dict[str, Any], field: str) -> None:
    with pytest.raises(InvalidSpec) as refusal:
        parse(FluidJobSpec, raw)
    assert refusal.value.field == field
    assert refusal.value.message
    assert refusal.value.further == ()


def test_all_problems_are_told_at_once() -> None:
    with pytest.raises(InvalidSpec) as refusal:
        parse(FluidJobSpec, {"priority": 5000, "suspend": "no"}, at="spec.jobTemplate.spec")
    assert [problem.field for problem in refusal.value.problems] == [
        "spec.jobTemplate.spec.type",
        "spec.jobTemplate.spec.priority",
        "spec.jobTemplate.spec.suspend",
    ]
    assert isinstance(refusal.value.problems[0], FieldProblem)
    assert "spec.jobTemplate.spec.priority: Input should be less than or equal to 1000" in str(refusal.value)


def test_a_refused_value_is_not_repeated_in_the_error() -> None:
    with pytest.raises(InvalidSpec) as refusal:
        parse(FluidJobSpec, {"type": "t", "payload": "hunter2"})
    assert "hunter2" not in str(refusal.value)


def test_a_status_is_written_in_the_servers_words() -> None:
    at = datetime(2026, 12, 1, 8, 0, 0, 5, tzinfo=timezone(timedelta(hours=1)))
    status = FluidJobStatus(phase=Phase.RUNNING, observed_generation=3, start_time=at, result={"sent": 1})
    assert to_wire(status) == {
        "observedGeneration": 3,
        "phase": "Running",
        "startTime": "2026-12-01T07:00:00.000005Z",
        "result": {"sent": 1},
    }


def test_what_was_written_is_read_back() -> None:
    status = FluidJobStatus(
        phase=Phase.FAILED, completion_time=datetime(2026, 12, 1, tzinfo=UTC), failed_indexes="0-5,7"
    )
    assert parse(FluidJobStatus, to_wire(status), at="status") == status


def test_only_ended_phases_are_terminal() -> None:
    assert [phase for phase in Phase if phase.terminal] == [Phase.SUCCEEDED, Phase.FAILED, Phase.CANCELLED]


def test_a_template_is_read_as_a_job() -> None:
    spec = parse(FluidScheduleSpec, {"schedule": "@daily", "jobTemplate": {"spec": {"type": "daily-summary"}}})
    assert spec.job_template.spec.type == "daily-summary"


@pytest.mark.parametrize("expression", ["* * * *", "@sometimes", "TZ=UTC * * * * *", "* * * * * *", ""])
def test_a_schedule_that_is_no_cron_expression_is_refused(expression: str) -> None:
    with pytest.raises(InvalidSpec) as refusal:
        parse(FluidScheduleSpec, {"schedule": expression, "jobTemplate": {"spec": {"type": "t"}}})
    assert refusal.value.field == "spec.schedule"


def test_quantities_may_be_numbers_or_texts() -> None:
    pool = {"name": "p", "resources": {"limits": {"cpu": 2, "memory": "1Gi"}}}
    spec = parse(FluidEnvironmentSpec, {"redis": {"managed": {}}, "workers": [pool]})
    assert spec.workers is not None
    assert spec.workers[0].resources is not None
    assert spec.workers[0].resources.limits == {"cpu": 2, "memory": "1Gi"}
