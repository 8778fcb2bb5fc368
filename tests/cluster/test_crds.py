"""The CRDs on a real API server: they are accepted, and they do for users what they promise."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from cluster.builders import Builder, fluid_environment, fluid_job, fluid_schedule
from fluid_dev.cluster import Cluster
from fluid_dev.errors import ClusterError
from fluid_operator.api.conditions import ConditionType, Reason, set_condition
from fluid_operator.api.crd import KINDS
from fluid_operator.api.fluidjob_status import (
    AttemptRecord,
    Children,
    EffectiveSettings,
    FluidJobStatus,
    JobError,
    Phase,
    Progress,
)
from fluid_operator.api.meta import Kind, parse, to_wire
from fluid_operator.api.policies import Backoff, BackoffType
from fluid_operator.api.spechash import spec_hash

CRDS = Path(__file__).parents[2] / "crds"

AT = datetime(2026, 12, 1, 7, 0, 0, 123456, tzinfo=UTC)

FULL_STATUS = FluidJobStatus(
    observed_generation=4,
    conditions=list(
        set_condition((), ConditionType.COMPLETE, True, reason=Reason.SUCCEEDED, message="done", generation=4, now=AT)
    ),
    phase=Phase.SUCCEEDED,
    run=2,
    spec_hash=spec_hash({"type": "noop"}),
    job_id="0d0e8f6e-7c42-4c3f-8a53-0b7d5a2b1c11.2",
    environment="default",
    queue="mail",
    effective=EffectiveSettings(backoff_limit=8, backoff=Backoff(type=BackoffType.EXPONENTIAL, delay_seconds=10)),
    start_time=AT,
    completion_time=AT,
    duration_milliseconds=86_400_000,
    duration="24h0m",
    attempts=2,
    attempt_history=[
        AttemptRecord(attempt=1, start_time=AT, duration="1s", outcome="Failed", error_type="OSError", message="no")
    ],
    progress=Progress(percent=100, message="sent"),
    worker="w-1",
    result=["any", {"json": [None, 1]}],
    result_truncated=False,
    error=JobError(type="OSError", message="no", attempt=1),
    next_attempt_time=AT,
    active=1,
    succeeded=6,
    failed=1,
    completed_indexes="0-5",
    failed_indexes="7",
    indexes_truncated=True,
    children=Children(total=3, succeeded=2, failed=1),
    deduplicated_by="twin",
    last_handled_request="retry@2026-12-01T07:00:00Z",
)


def create(cluster: Cluster, namespace: str, builder: Builder) -> dict[str, Any]:
    """Create the object and answer what the server has made of it."""
    created: dict[str, Any] = json.loads(
        cluster.kubectl("create", f"--namespace={namespace}", "--filename=-", "--output=json", input=builder.json())
    )
    return created


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.kind)
def test_a_definition_is_established_and_structural(cluster: Cluster, kind: Kind) -> None:
    name = f"{kind.plural}.jobs.fluidcalendar.com"
    definition = json.loads(cluster.kubectl("get", "crd", name, "--output=json"))
    conditions = {condition["type"]: condition["status"] for condition in definition["status"]["conditions"]}
    assert conditions["Established"] == "True"
    assert conditions["NamesAccepted"] == "True"
    assert "NonStructuralSchema" not in conditions


def test_the_definitions_are_accepted_without_a_warning(cluster: Cluster) -> None:
    cluster.kubectl("apply", "--server-side", "--dry-run=server", "--warnings-as-errors", f"--filename={CRDS}")


def test_a_new_job_reads_pending_before_anybody_has_written_its_status(cluster: Cluster, namespace: str) -> None:
    created = create(cluster, namespace, fluid_job("fresh"))
    assert created["status"] == {"phase": "Pending", "observedGeneration": -1}
    assert created["spec"] == {"type": "noop", "suspend": False, "cancelled": False, "runPolicy": "Auto"}


def test_schedules_and_environments_get_no_defaults_but_suspend_and_the_status(
    cluster: Cluster, namespace: str
) -> None:
    for builder, defaults in ((fluid_schedule("daily"), {"suspend": False}), (fluid_environment("default"), {})):
        created = create(cluster, namespace, builder)
        assert created["spec"] == builder.manifest()["spec"] | defaults
        assert created["status"] == {"observedGeneration": -1}


def test_one_word_lists_all_kinds(cluster: Cluster, namespace: str) -> None:
    for builder in (fluid_job("a"), fluid_schedule("b"), fluid_environment("c")):
        create(cluster, namespace, builder)
    listed = cluster.kubectl("get", "fluid", f"--namespace={namespace}", "--output=name").split()
    assert sorted(listed) == [
        "fluidenvironment.jobs.fluidcalendar.com/c",
        "fluidjob.jobs.fluidcalendar.com/a",
        "fluidschedule.jobs.fluidcalendar.com/b",
    ]


@pytest.mark.parametrize(
    ("short_name", "headers"),
    [
        ("fj", "NAME TYPE PHASE ATTEMPTS DURATION AGE ENVIRONMENT QUEUE WORKER MESSAGE"),
        ("fs", "NAME SCHEDULE TIMEZONE SUSPEND ACTIVE LAST NEXT AGE"),
        ("fe", "NAME REDIS WORKERS WAITING READY AGE MESSAGE"),
    ],
)
def test_short_names_show_the_promised_columns(cluster: Cluster, namespace: str, short_name: str, headers: str) -> None:
    for builder in (fluid_job("a"), fluid_schedule("b"), fluid_environment("c")):
        create(cluster, namespace, builder)
    printed = cluster.kubectl("get", short_name, f"--namespace={namespace}", "--output=wide")
    assert printed.splitlines()[0].split() == headers.split()


def test_columns_show_a_whole_status(cluster: Cluster, namespace: str) -> None:
    create(cluster, namespace, fluid_job("done"))
    ready = {
        "type": "Ready",
        "status": "True",
        "reason": "Succeeded",
        "message": "all-went-well",
        "lastTransitionTime": "2026-12-01T07:00:00.123456Z",
    }
    status = {"phase": "Succeeded", "attempts": 2, "duration": "1.24s", "worker": "w-1", "conditions": [ready]}
    patch_status(cluster, namespace, "done", status)
    printed = cluster.kubectl("get", "fj", "done", f"--namespace={namespace}", "--output=wide", "--no-headers")
    name, kind, phase, attempts, duration, _age, worker, message = printed.split()
    assert (name, kind, phase, attempts, duration) == ("done", "noop", "Succeeded", "2", "1.24s")
    assert (worker, message) == ("w-1", "all-went-well")


def test_jobs_are_selected_by_phase_type_queue_and_environment(cluster: Cluster, namespace: str) -> None:
    create(cluster, namespace, fluid_job("waiting"))
    create(cluster, namespace, fluid_job("broken").type("email"))
    patch_status(cluster, namespace, "broken", {"phase": "Failed", "queue": "mail", "environment": "default"})

    def select(selector: str) -> list[str]:
        got = cluster.kubectl("get", "fj", f"--namespace={namespace}", f"--field-selector={selector}", "--output=name")
        return [line.rpartition("/")[2] for line in got.split()]

    assert select("status.phase=Pending") == ["waiting"]
    assert select("status.phase=Failed") == ["broken"]
    assert select("spec.type=email") == ["broken"]
    assert select("status.queue=mail,status.environment=default") == ["broken"]
    # What has not ended, new objects without a written status included: how schedules find their active jobs.
    assert select("status.phase!=Succeeded,status.phase!=Failed,status.phase!=Cancelled") == ["waiting"]


def test_explain_tells_units_and_who_decides(cluster: Cluster) -> None:
    words = " ".join(cluster.kubectl("explain", "fluidjob.spec.backoff").split())
    assert "delaySeconds <integer> Delay before the first retry. In seconds. Unset: 10." in words
    assert "enum: Exponential, Fixed" in words


def test_an_unknown_field_is_refused(cluster: Cluster, namespace: str) -> None:
    with pytest.raises(ClusterError, match=r'unknown field "spec\.backofLimit"'):
        create(cluster, namespace, fluid_job("typo").spec(backofLimit=3))


def test_anything_may_stand_in_a_payload(cluster: Cluster, namespace: str) -> None:
    payload = {"deep": [{"er": None}, 1, "x"], "empty": {}, "flag": False}
    assert create(cluster, namespace, fluid_job("free").payload(**payload))["spec"]["payload"] == payload


def test_the_way_through_the_server_does_not_change_the_hash(cluster: Cluster, namespace: str) -> None:
    job = fluid_job("hashed").payload(one=1.0, tenth=0.1, big=1e21, text="ä\u2028", nothing=None).spec(runId="")
    assert spec_hash(create(cluster, namespace, job)["spec"]) == spec_hash(job.manifest()["spec"])


def test_a_full_status_is_stored_as_it_was_written(cluster: Cluster, namespace: str) -> None:
    create(cluster, namespace, fluid_job("full"))
    patch_status(cluster, namespace, "full", to_wire(FULL_STATUS))
    stored = json.loads(cluster.kubectl("get", "fj", "full", f"--namespace={namespace}", "--output=json"))["status"]
    assert stored == to_wire(FULL_STATUS)
    assert parse(FluidJobStatus, stored, at="status") == FULL_STATUS


def test_a_status_that_is_written_with_the_spec_is_dropped(cluster: Cluster, namespace: str) -> None:
    manifest = fluid_job("forged").manifest() | {"status": {"phase": "Succeeded"}}
    cluster.kubectl("create", f"--namespace={namespace}", "--filename=-", input=json.dumps(manifest))
    phase = cluster.kubectl("get", "fj", "forged", f"--namespace={namespace}", "--output=jsonpath={.status.phase}")
    assert phase == "Pending"


def patch_status(cluster: Cluster, namespace: str, name: str, status: dict[str, Any]) -> None:
    """Write a status as the operator would: by a merge patch on the subresource."""
    cluster.kubectl(
        "patch",
        "fluidjob",
        name,
        f"--namespace={namespace}",
        "--subresource=status",
        "--type=merge",
        f"--patch={json.dumps({'status': status})}",
    )
