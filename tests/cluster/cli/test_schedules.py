"""`fluid trigger` and `fluid backfill` against a real API server, operator, Redis and worker."""

import json
import os
import pty
import re
import signal
import subprocess
from pathlib import Path

import pytest
import yaml

from cluster.builders import FluidScheduleBuilder, fluid_job, fluid_schedule
from fluid_operator.timetables.creation import (
    COUNTED_ANNOTATION,
    INSTANTIATE_ANNOTATION,
    SCHEDULE_LABEL,
    TIME_ANNOTATION,
)
from support.fluid_command import Fluid, program
from support.stages import Stage, work
from support.waiting import until

FULL = "fluidjob.jobs.fluidcalendar.com"
WEEK = ("--from=2026-10-23", "--to=2026-10-25")
"""Three days; in the night to the last one the clock in Berlin is put back."""
DAYS = [
    ("2026-10-23 07:00+02:00", "nightly-hseoc", "2026-10-23T05:00:00Z"),
    ("2026-10-24 07:00+02:00", "nightly-hsfsc", "2026-10-24T05:00:00Z"),
    ("2026-10-25 07:00+01:00", "nightly-hsgy0", "2026-10-25T06:00:00Z"),
]

TRIGGERING = """
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: triggering}
rules:
- {apiGroups: [jobs.fluidcalendar.com], resources: [fluidschedules], verbs: [get]}
- {apiGroups: [jobs.fluidcalendar.com], resources: [fluidjobs], verbs: [create, get]}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: triggering}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: triggering}
subjects: [{apiGroup: rbac.authorization.k8s.io, kind: User, name: trigger}]
"""


def nightly(**payload: str) -> FluidScheduleBuilder:
    """Every day at seven in Berlin, and suspended, so that nothing comes but what is asked for."""
    return (
        fluid_schedule("nightly")
        .spec(schedule="0 7 * * *", timeZone="Europe/Berlin", suspend=True)
        .job(work("template", **(payload or {"value": "{{ date-1d }}"})))
    )


def marks(job: dict) -> dict[str, str]:
    """What the job says of its schedule: label and annotations of ours."""
    meta = job["metadata"]
    found = {**meta["labels"], **meta["annotations"]}
    return {key.partition("/")[2]: value for key, value in found.items() if key.startswith("jobs.fluidcalendar.com/")}


# -- trigger ----------------------------------------------------------------------------------------------------------


def test_the_job_of_a_schedule_runs_now_and_is_marked_as_manual(stage: Stage, fluid: Fluid):
    stage.apply(nightly(value="{{ name }}"))
    said = fluid.done("trigger", "nightly", "--wait")
    assert re.fullmatch(rf"{FULL}/nightly-m[a-z0-9]+ created", said.lines()[0])
    assert "Succeeded" in said.err
    [job] = stage.jobs().values()
    assert job["spec"]["payload"] == {"value": "nightly"}
    assert job["metadata"]["labels"][SCHEDULE_LABEL] == "nightly"
    assert job["metadata"]["annotations"][INSTANTIATE_ANNOTATION] == "manual"
    assert COUNTED_ANNOTATION not in job["metadata"]["annotations"]
    schedule = json.loads(stage.kubectl("get", "fluidschedule", "nightly", "-o", "json"))
    [owner] = job["metadata"]["ownerReferences"]
    assert (owner["uid"], owner["controller"]) == (schedule["metadata"]["uid"], True)
    assert "nightly" in fluid.done("get", "-o", "wide").out.splitlines()[1].split()


def test_a_job_by_hand_is_counted_only_if_asked(bare: Stage, fluid: Fluid):
    bare.apply(nightly())
    created = fluid.done("trigger", "nightly", "--counted", "-o", "json").json()
    assert created["metadata"]["annotations"][COUNTED_ANNOTATION] == "true"
    assert "managedFields" not in created["metadata"]
    name = fluid.done("trigger", "nightly", "-o", "name").out.strip()
    assert COUNTED_ANNOTATION not in bare.job(name.partition("/")[2])["metadata"]["annotations"]


def test_a_dry_run_shows_what_the_placeholders_become_and_creates_nothing(bare: Stage, fluid: Fluid):
    bare.apply(nightly(value="{{ name }} of {{ year }}"))
    shown = yaml.safe_load(fluid.done("trigger", "nightly", "--dry-run", "-o", "yaml").out)
    assert re.fullmatch(r"nightly of 20\d\d", shown["spec"]["payload"]["value"])
    assert "uid" not in shown["metadata"]
    assert bare.jobs() == {}


def test_a_schedule_that_does_not_exist_is_told(bare: Stage, fluid: Fluid):
    for command in (("trigger", "nobody"), ("backfill", "nobody", "--from=now")):
        said = fluid(*command)
        assert (said.code, said.out) == (1, "")
        assert (
            said.err
            == f"error: FluidSchedule nobody does not exist in namespace {bare.namespace} (another namespace: -n)\n"
        )


def test_a_placeholder_that_is_none_is_told_with_its_place(bare: Stage, fluid: Fluid):
    bare.apply(nightly(value="of {{ dat }}"))
    for command in (("trigger", "nightly"), ("backfill", "nightly", *WEEK)):
        said = fluid(*command)
        assert (said.code, said.err.count("\n")) == (1, 1)
        assert "spec.jobTemplate.spec.payload.value: at character 4: {{ dat }} is no placeholder" in said.err
    assert bare.jobs() == {}


def test_the_plugin_of_kubectl_triggers_too(bare: Stage, fluid: Fluid):
    bare.apply(nightly())
    command = [program("kubectl-fluid"), "trigger", "nightly", f"--namespace={bare.namespace}"]
    subprocess.run(command, env=fluid.env, check=True, timeout=60, capture_output=True)
    assert len(bare.jobs()) == 1


# -- backfill ---------------------------------------------------------------------------------------------------------


def test_each_past_time_gets_the_job_that_the_clock_would_have_created(bare: Stage, fluid: Fluid):
    bare.apply(nightly())
    said = fluid.done("backfill", "nightly", *WEEK)
    assert said.lines() == [
        "TIME (Europe/Berlin)     JOB             OUTCOME",
        *(f"{local}   {name}   created" for local, name, _ in DAYS),
    ]
    assert said.err == "3 created\n"
    jobs = bare.jobs()
    assert {name: job["spec"]["payload"]["value"] for name, job in jobs.items()} == {
        "nightly-hseoc": "2026-10-22",
        "nightly-hsfsc": "2026-10-23",
        "nightly-hsgy0": "2026-10-24",
    }
    for _, name, time in DAYS:
        assert marks(jobs[name]) == {"schedule": "nightly", "scheduled-time": time, "instantiate": "backfill"}


def test_a_second_backfill_leaves_what_is_there(bare: Stage, fluid: Fluid):
    bare.apply(nightly())
    fluid.done("backfill", "nightly", "--from=2026-10-23T07:00", "--to=2026-10-24T07:00")
    before = {name: job["metadata"]["uid"] for name, job in bare.jobs().items()}
    said = fluid.done("backfill", "nightly", *WEEK)
    assert [line.split()[-1] for line in said.lines()[1:]] == ["exists", "exists", "created"]
    assert said.err == "1 created, 2 there already\n"
    assert before.items() <= {name: job["metadata"]["uid"] for name, job in bare.jobs().items()}.items()


def test_a_job_of_somebody_else_under_the_name_is_told_and_left_alone(bare: Stage, fluid: Fluid):
    bare.apply(nightly(), fluid_job(DAYS[1][1]).type("other"))
    said = fluid("backfill", "nightly", *WEEK)
    assert said.code == 1
    assert [line.split()[-1] for line in said.lines()[1:]] == ["created", "foreign", "created"]
    assert "1 not created, because another FluidJob has the name" in said.err
    assert bare.job(DAYS[1][1])["spec"]["type"] == "other"


def test_a_dry_run_tells_what_would_happen(bare: Stage, fluid: Fluid):
    bare.apply(nightly())
    fluid.done("backfill", "nightly", "--from=2026-10-23", "--to=2026-10-23")
    said = fluid.done("backfill", "nightly", *WEEK, "--dry-run")
    assert [line.split(name)[1].strip() for line, (_, name, _) in zip(said.lines()[1:], DAYS, strict=True)] == [
        "exists",
        "would create",
        "would create",
    ]
    assert list(bare.jobs()) == [DAYS[0][1]]


def test_programs_get_one_document_or_names(bare: Stage, fluid: Fluid):
    bare.apply(nightly())
    found = fluid.done("backfill", "nightly", *WEEK, "--dry-run", "-o", "json").json()
    assert found == {
        "schedule": "nightly",
        "namespace": bare.namespace,
        "timeZone": "Europe/Berlin",
        "times": [{"time": time, "job": name, "outcome": "would create"} for _, name, time in DAYS],
    }
    assert yaml.safe_load(fluid.done("backfill", "nightly", *WEEK, "--dry-run", "-o", "yaml").out) == found
    assert fluid.done("backfill", "nightly", *WEEK, "-o", "name").lines() == [f"{FULL}/{name}" for _, name, _ in DAYS]
    assert " 2026-10-25T06:00:00Z " in fluid.done("backfill", "nightly", *WEEK, "-o", "wide").out


def test_a_range_without_a_time_is_no_mistake(bare: Stage, fluid: Fluid):
    bare.apply(nightly())
    said = fluid.done("backfill", "nightly", "--from=2026-10-23T08:00", "--to=2026-10-23T09:00")
    assert (said.out, said.err) == ("", "nightly does not come in this range (Europe/Berlin)\n")
    empty = fluid.done("backfill", "nightly", "--from=2026-10-23T08:00", "--to=2026-10-23T09:00", "-o", "json")
    assert empty.json()["times"] == []


def test_a_range_that_cannot_be_meant_ends_with_2(bare: Stage, fluid: Fluid):
    bare.apply(nightly())
    for options, says in (
        (("--from=2026-10-25", "--to=2026-10-23"), "ends before it begins"),
        (("--from=2026-10-23", "--to=2999-01-01"), "in the future"),
        (("--from=last week",), "--from: 'last week' is no time"),
        (("--from=2026-10-01", "--to=2026-10-31", "--limit=30"), "take a shorter one, or --limit 31"),
    ):
        said = fluid("backfill", "nightly", *options)
        assert (said.code, said.out, says in said.err) == (2, "", True), said
    assert bare.jobs() == {}


def test_who_sits_at_a_terminal_is_asked_before_many_are_created(bare: Stage, fluid: Fluid):
    bare.apply(nightly())
    options = ["backfill", "nightly", "--from=2026-10-01", "--to=2026-10-31", f"--namespace={bare.namespace}"]
    ours, theirs = pty.openpty()
    try:
        command = subprocess.Popen(
            [program(), *options], stdin=theirs, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=fluid.env
        )
        os.write(ours, b"n\n")
        out, err = command.communicate(timeout=60)
    finally:
        os.close(ours)
        os.close(theirs)
    assert (command.returncode, out.strip()) == (1, b"")
    assert b"Create 31 jobs of nightly, for 2026-10-01 07:00+02:00 to 2026-10-31 07:00+01:00 (Europe/Berlin)?" in err
    assert bare.jobs() == {}


def test_a_script_is_not_asked(bare: Stage, fluid: Fluid):
    bare.apply(nightly())
    assert "31 created" in fluid.done("backfill", "nightly", "--from=2026-10-01", "--to=2026-10-31").err
    assert len(bare.jobs()) == 31


def test_ctrl_c_keeps_what_is_done_and_says_how_to_go_on(bare: Stage, fluid: Fluid):
    bare.apply(nightly().spec(schedule="* * * * *"))
    command = ("backfill", "nightly", "--from=2026-10-23T00:00Z", "--to=2026-10-23T16:39Z")
    with fluid.going_on(*command) as going:
        until(lambda: going.out.count("created") >= 3, 60, "some are created")
        going.process.send_signal(signal.SIGINT)
        assert going.ends() == 130
        done = going.out.count(" created\n")
        assert f"{done} of 1000 times are done: the same command goes on from there" in going.err
    # The last answer may have been on its way.
    there = len(bare.jobs())
    assert there in (done, done + 1)
    assert f"{1000 - there} created, {there} there already" in fluid.done(*command).err


def test_backfilled_jobs_run_though_their_schedule_is_suspended(stage: Stage, fluid: Fluid):
    stage.apply(nightly())
    fluid.done("backfill", "nightly", *WEEK, "--counted")
    assert stage.all_end(3) == {"Succeeded": 3}
    assert sorted(start.value for start in stage.starts()) == ["2026-10-22", "2026-10-23", "2026-10-24"]
    assert {job["metadata"]["annotations"][COUNTED_ANNOTATION] for job in stage.jobs().values()} == {"true"}


# -- rights -----------------------------------------------------------------------------------------------------------


@pytest.fixture
def trigger_only(bare: Stage, tmp_path: Path) -> Fluid:
    """The command of somebody who has exactly the rights that the documentation asks for."""
    bare.kubectl("apply", "-f", "-", input=TRIGGERING)
    return Fluid(bare.cluster.write_kubeconfig(tmp_path / "trigger", "trigger", "trigger"), bare.namespace)


def test_reading_schedules_and_creating_jobs_is_enough(bare: Stage, trigger_only: Fluid):
    bare.apply(nightly())
    trigger_only.done("trigger", "nightly")
    trigger_only.done("backfill", "nightly", *WEEK)
    trigger_only.done("backfill", "nightly", *WEEK)
    assert len(bare.jobs()) == 4


def test_a_right_that_is_missing_is_named(bare: Stage, trigger_only: Fluid):
    bare.apply(nightly())
    patch = [{"op": "replace", "path": "/rules/1/verbs", "value": ["get"]}]
    bare.kubectl("patch", "role", "triggering", "--type=json", f"--patch={json.dumps(patch)}")
    for command in (("trigger", "nightly"), ("backfill", "nightly", *WEEK)):
        said = trigger_only(*command)
        assert (said.code, said.out) == (1, "")
        assert said.err.startswith("error: you may not do that: ")
        assert 'cannot create resource "fluidjobs"' in said.err
    bare.kubectl("delete", "role", "triggering")
    assert 'cannot get resource "fluidschedules"' in trigger_only("trigger", "nightly").err


def test_the_time_of_a_job_by_hand_is_the_moment_it_was_asked_for(bare: Stage, fluid: Fluid):
    bare.apply(nightly(value="{{ scheduledTime }}"))
    job = fluid.done("trigger", "nightly", "-o", "json").json()
    assert re.fullmatch(r"20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d\+0[12]:00", job["spec"]["payload"]["value"])
    assert re.fullmatch(r"20\d\d-\d\d-\d\dT\d\d:\d\d:\d\dZ", job["metadata"]["annotations"][TIME_ANNOTATION])
