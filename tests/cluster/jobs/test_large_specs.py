"""Specs that are too large to be remembered: read again when their job is looked at, with nothing lost."""

import json

from support.stages import Stage, work

LARGE = "x" * 20_000


def test_a_large_payload_that_had_to_wait_arrives_whole(bare: Stage):
    bare.worker()
    bare.operator().leading()
    bare.apply(work("large", value=LARGE))
    bare.reason("large", "EnvironmentNotFound")
    bare.environment()
    bare.reaches("large", "Succeeded")
    assert [start.value for start in bare.starts()] == [LARGE]


def test_a_large_payload_that_is_changed_while_it_waits_runs_in_its_newest_form_alone(bare: Stage):
    bare.worker()
    bare.operator().leading()
    bare.apply(work("large", value=LARGE))
    bare.reason("large", "EnvironmentNotFound")
    bare.kubectl(
        "patch", "fj", "large", "--type=merge", "-p", json.dumps({"spec": {"payload": {"value": LARGE + "!"}}})
    )
    bare.environment()
    bare.reaches("large", "Succeeded")
    assert [start.value for start in bare.starts()] == [LARGE + "!"]


def test_a_large_job_that_is_deleted_while_it_waits_is_gone_and_its_successor_runs(bare: Stage):
    bare.worker()
    bare.operator().leading()
    bare.apply(work("large", value=LARGE))
    bare.reason("large", "EnvironmentNotFound")
    bare.kubectl("delete", "fj", "large")
    bare.apply(work("large", value="small"))
    bare.environment()
    bare.reaches("large", "Succeeded")
    assert [start.value for start in bare.starts()] == ["small"]
