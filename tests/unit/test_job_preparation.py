"""From a spec to a job for the queue: where each setting comes from, and that what the API accepts can run."""

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cluster.builders import fluid_environment
from fluid_operator.api.conditions import Reason
from fluid_operator.api.fields import TEN_YEARS
from fluid_operator.api.fluidenvironment import FluidEnvironmentSpec
from fluid_operator.api.fluidjob import FluidJobSpec
from fluid_operator.api.fluidjob_status import FluidJobStatus
from fluid_operator.api.meta import parse
from fluid_operator.environments.types import KnownType, read_type
from fluid_operator.jobs import preparation
from fluid_operator.jobs.problems import Problem
from fluid_operator.jobs.runs import Target
from fluid_operator.kube.keys import ObjectKey
from fluid_queue import Deduplication, Indexes, NewJob
from support.jobs import view

KEY = ObjectKey("team-a", "mail")
WANTED = Target(1, "v1:a", None, known=False)

backoffs = st.fixed_dictionaries(
    {},
    optional={
        "type": st.sampled_from(["Exponential", "Fixed"]),
        "delaySeconds": st.integers(0, TEN_YEARS),
        "factor": st.integers(1, 10),
        "maxDelaySeconds": st.integers(1, TEN_YEARS),
        "jitterPercent": st.integers(0, 100),
    },
)


def known(**settings: Any) -> KnownType:
    found = read_type("email", {"schema": {}, "settings": settings})
    assert found is not None
    return found


def environment(**queue: Any) -> FluidEnvironmentSpec:
    builder = fluid_environment("default")
    manifest = (builder.queue("mail", **queue) if queue else builder).manifest()
    return parse(FluidEnvironmentSpec, manifest["spec"])


def resolve(known_type: KnownType, env: FluidEnvironmentSpec, **spec: Any) -> preparation.Effective:
    return preparation.resolve(parse(FluidJobSpec, {"type": "email", **spec}), env, known_type)


def new_job(payload: Any, **spec: Any) -> NewJob:
    typed = parse(FluidJobSpec, {"type": "email", **spec})
    effective = preparation.resolve(typed, environment(), known())
    return preparation.new_job(KEY, view(), WANTED, "default", typed, effective, preparation.Order(payload))


def test_a_setting_comes_from_the_job_else_the_queue_else_the_processor_else_what_is_built_in():
    processor = known(queue="mail", backoffLimit=3)
    assert resolve(known(), environment()).backoff_limit == 8
    assert resolve(processor, environment()).backoff_limit == 3
    assert resolve(processor, environment(backoffLimit=2)).backoff_limit == 2
    assert resolve(processor, environment(backoffLimit=2), backoffLimit=0).backoff_limit == 0


def test_a_backoff_is_taken_field_by_field():
    got = resolve(known(queue="mail", backoff={"factor": 5}), environment(backoff={"jitterPercent": 0})).backoff
    assert (got.factor, got.jitter_percent, got.delay_seconds) == (5, 0, 10)


@given(backoffs, backoffs)
def test_every_backoff_that_the_api_accepts_becomes_a_job_and_fits_the_status(spec, settings):
    effective = resolve(known(backoff=settings), environment(), backoff=spec)
    shown = {"effective": effective.to_status()}
    parse(FluidJobStatus, shown, at="status", unknown="forbid")


def test_settings_of_a_processor_beyond_the_bounds_fall_back_to_what_is_built_in():
    got = resolve(known(backoff={"factor": 20}, backoffLimit=5000), environment())
    assert (got.backoff.factor, got.backoff_limit) == (3, 8)
    parse(FluidJobStatus, {"effective": got.to_status()}, at="status", unknown="forbid")


@pytest.mark.parametrize("moment", ["9999-12-31T23:59:59-01:00", "9999-12-31T23:59:59Z", "0001-01-01T00:00:00+01:00"])
def test_every_time_that_the_api_accepts_can_be_enqueued(moment):
    job = new_job({}, startAfter=moment)
    assert all(isinstance(value, str | int | bytes) for value in job.arguments())


def test_the_job_says_which_object_generation_and_run_it_is_for():
    job = new_job({"to": "a"})
    assert job.id == "u1.1"
    want = {"kind": "FluidJob", "namespace": "team-a", "name": "mail", "uid": "u1", "generation": 1, "run": 1}
    assert want.items() <= job.origin.items()
    assert (job.replace, job.acknowledged) == (True, True)


def test_a_payload_that_the_queue_refuses_ends_the_run():
    with pytest.raises(Problem) as caught:
        new_job({"value": "x" * 1_100_000})
    assert (caught.value.reason, caught.value.terminal) == (Reason.INVALID_SPEC, True)
    assert "spec.payload" in caught.value.message


@pytest.mark.parametrize("spec", [{}, {"type": ""}, {"type": "email", "priority": "high"}, {"type": 3}], ids=str)
def test_a_spec_that_cannot_be_read_ends_the_run(spec):
    with pytest.raises(Problem) as caught:
        preparation.read_spec(spec)
    assert (caught.value.reason, caught.value.terminal) == (Reason.INVALID_SPEC, True)


def test_a_start_keeps_its_zone():
    job = new_job({}, startAfter="2026-12-01T07:00:00+02:00")
    assert job.start_after == datetime(2026, 12, 1, 5, tzinfo=UTC)


def test_limits_of_the_spec_reach_the_queue():
    job = new_job(
        {},
        concurrencyKey="feed/1",
        deduplication={"key": "feed/1", "mode": "Throttle", "ttlSeconds": 30},
        completions=20,
        parallelism=5,
    )
    assert job.key == "feed/1"
    assert job.deduplication == Deduplication("feed/1", "Throttle", 30)
    assert job.indexes == Indexes(20, parallelism=5, max_failed=None)


def test_items_are_indexes_and_unset_parallelism_is_the_most():
    typed = parse(FluidJobSpec, {"type": "email", "items": [{"a": 1}, {"a": 2}], "maxFailedIndexes": 1})
    effective = preparation.resolve(typed, environment(), known())
    order = preparation.Order({}, [{"a": 1}, {"a": 2}])
    job = preparation.new_job(KEY, view(), WANTED, "default", typed, effective, order)
    assert job.indexes == Indexes(2, parallelism=1000, max_failed=1, items=order.items)


@pytest.mark.parametrize(
    ("spec", "retention", "succeeded", "failed"),
    [
        ({}, None, 3600, 604800),
        ({}, {"succeededSeconds": 5}, 5, 604800),
        ({"ttl": {"failedSeconds": 7}}, {"succeededSeconds": 5}, 5, 7),
        ({"ttlSecondsAfterFinished": 0}, {"succeededSeconds": 5}, 0, 0),
    ],
)
def test_the_time_to_live_is_the_jobs_else_the_environments_else_what_is_built_in(spec, retention, succeeded, failed):
    found = fluid_environment("default").spec(retention=retention).manifest()["spec"]
    effective = resolve(known(), parse(FluidEnvironmentSpec, found), **spec)
    assert effective.to_status()["ttl"] == {"succeededSeconds": succeeded, "failedSeconds": failed}


def at(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)


@pytest.mark.parametrize(
    ("run", "start_after", "by"),
    [(1, None, 110), (1, 50, 110), (1, 500, 510), (2, None, 310)],
    ids=["from its creation", "from its creation, when it may start before", "from startAfter", "a later run"],
)
def test_a_starting_deadline_counts_from_when_the_run_could_have_started(run, start_after, by):
    spec = {"type": "email", "startingDeadlineSeconds": 10}
    if start_after is not None:
        spec["startAfter"] = at(start_after)
    wanted = Target(run, "v1:a", None, known=False)
    assert preparation.starts_by(view(created=100), wanted, parse(FluidJobSpec, spec), at(300)) == at(by)


def test_without_a_starting_deadline_a_job_waits_for_ever():
    assert preparation.starts_by(view(), WANTED, parse(FluidJobSpec, {"type": "email"}), at(0)) is None
