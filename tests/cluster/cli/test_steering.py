"""`fluid cancel`, `suspend`, `resume`, `retry`, `pause` and `resume-queue`: requests that the operator carries out."""

import json
import os
import pty
import subprocess

from support.fluid_command import Fluid, program
from support.stages import Stage, work
from support.waiting import until

LATER = "2099-01-01T00:00:00Z"


def later(name: str, **labels: str):
    """A job that stays where it is."""
    job = work(name).spec(startAfter=LATER)
    for key, value in labels.items():
        job = job.label(key, value)
    return job


def test_a_running_job_is_cancelled_and_waited_for(stage: Stage, fluid: Fluid):
    stage.apply(work("long", seconds=300))
    stage.reaches("long", "Running")
    said = fluid.done("cancel", "long", "--wait")
    assert said.out == "fluidjob.jobs.fluidcalendar.com/long cancel requested\n"
    assert stage.status("long")["phase"] == "Cancelled"
    assert stage.job("long")["spec"]["cancelled"] is False


def test_a_job_is_suspended_and_resumed(stage: Stage, fluid: Fluid):
    stage.apply(later("waits"))
    stage.reaches("waits", "Scheduled")
    fluid.done("suspend", "waits", "--wait", "--timeout=30")
    stage.reaches("waits", "Suspended")
    again = fluid("suspend", "waits")
    assert (again.code, "waits is already suspended" in again.err) == (1, True)
    fluid.done("resume", "waits", "--wait", "--timeout=30")
    stage.reaches("waits", "Scheduled")


def test_a_failed_job_is_retried(stage: Stage, fluid: Fluid):
    stage.apply(work("flaky", succeedAt=2).retries(0))
    stage.reaches("flaky", "Failed")
    fluid.done("retry", "flaky", "--wait", "--timeout=30")
    assert stage.reaches("flaky", "Failed", run=2)["run"] == 2


def test_many_jobs_are_chosen_by_what_they_have_in_common(stage: Stage, fluid: Fluid):
    names = [f"job-{number:02}" for number in range(30)]
    stage.apply(*(later(name, app="bulk") for name in names), later("other"))
    until(lambda: {job["status"]["phase"] for job in stage.jobs().values()} == {"Scheduled"}, 60, "all wait")
    planned = fluid.done("cancel", "-l", "app=bulk", "--dry-run")
    assert len(planned.lines()) == 30
    assert planned.lines()[0].endswith("would be cancelled (Scheduled)")
    assert {job["status"]["phase"] for job in stage.jobs().values()} == {"Scheduled"}
    refused = fluid("cancel", "-l", "app=bulk")
    assert (refused.code, "--yes" in refused.err, "Cancel 30 jobs" in refused.err) == (2, True, True)
    said = fluid.done("cancel", "-l", "app=bulk", "--yes", "--wait", "--timeout=60")
    assert "30 jobs asked to cancel, 0 refused" in said.err
    phases = {name: job["status"]["phase"] for name, job in stage.jobs().items()}
    assert phases.pop("other") == "Scheduled"
    assert set(phases.values()) == {"Cancelled"}


def test_with_a_bar_on_the_terminal_the_names_still_go_into_the_pipe(bare: Stage, fluid: Fluid):
    bare.apply(*(later(f"job-{number:02}") for number in range(25)))
    terminal, other_end = pty.openpty()
    try:
        command = [program(), "cancel", "--all", "--yes", f"--namespace={bare.namespace}"]
        env = fluid.env | {"TERM": "xterm"}
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=other_end, env=env, timeout=60, check=True)
    finally:
        os.close(other_end)
        os.close(terminal)
    assert done.stdout.count(b" cancel requested\n") == 25


def test_what_has_ended_is_passed_over_and_a_success_is_not_repeated(stage: Stage, fluid: Fluid):
    stage.apply(work("good"), work("bad", seconds=-1))
    stage.reaches("good", "Succeeded")
    stage.reaches("bad", "Failed")
    said = fluid.done("retry", "--all", "--dry-run")
    assert said.out == "fluidjob.jobs.fluidcalendar.com/bad would be retried (Failed)\n"
    ended = fluid("cancel", "good")
    assert (ended.code, "good has already ended (Succeeded)" in ended.err) == (1, True)


def test_a_request_for_nothing_in_particular_is_refused(bare: Stage, fluid: Fluid):
    assert fluid("cancel").code == 2
    assert fluid("cancel", "a", "--type=work").code == 2
    assert fluid("cancel", "nobody").code == 1


def test_a_queue_is_paused_and_goes_on(stage: Stage, fluid: Fluid):
    said = fluid.done("pause", "work", "--wait", "--timeout=30")
    assert said.out == "fluidenvironment.jobs.fluidcalendar.com/default pause of queue work requested\n"
    stage.apply(work("held"))
    stage.reason("held", "QueuePaused")
    assert "held by QueuePaused" in fluid.done("why", "held").out
    fluid.done("resume-queue", "work", "--wait", "--timeout=30")
    stage.reaches("held", "Succeeded")


def test_a_second_request_waits_for_the_first(idle: Stage, fluid: Fluid):
    fluid.done("pause", "one")
    fluid.done("pause", "two", "--wait", "--timeout=30")
    environment = json.loads(idle.kubectl("get", "fluidenvironment", "default", "-o", "json"))
    assert environment["status"]["pausedQueues"] == ["one", "two"]


def test_a_request_that_nobody_carries_out_is_replaced_with_a_word(bare: Stage, fluid: Fluid):
    fluid.done("pause", "one")
    said = fluid.done("pause", "two")
    assert "an earlier request has not been carried out and is replaced: pause/one@" in said.err


def test_an_environment_or_queue_that_cannot_be_meant_is_told(bare: Stage, fluid: Fluid):
    missing = fluid("pause", "work", "-e", "nowhere")
    assert (missing.code, "FluidEnvironment nowhere does not exist" in missing.err) == (1, True)
    assert fluid("pause", "no/queue").code == 2
