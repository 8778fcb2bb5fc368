"""`fluid run` and `fluid get` against a real API server, operator, Redis and worker."""

import json
import os
import re
import signal
import subprocess
from pathlib import Path

import yaml

from fluid_dev.cluster import Cluster
from support.fluid_command import Fluid, program
from support.stages import Stage, work
from support.waiting import until

FULL = "fluidjob.jobs.fluidcalendar.com"


def test_a_job_that_is_waited_for_shows_its_way_and_its_result(stage: Stage, fluid: Fluid):
    said = fluid.done("run", "work", "-p", "value=hello", "-p", "seconds=0.5", "--wait")
    first, rest = said.out.split("\n", 1)
    assert re.fullmatch(rf"{FULL}/work-[a-z0-9]{{5}} created", first)
    assert json.loads(rest) == {"value": "hello"}
    assert re.search(r"work-\w{5}  Succeeded in \S+: succeeded after 1 attempt", said.err)
    [job] = stage.jobs().values()
    assert job["spec"]["payload"] == {"value": "hello", "seconds": 0.5}


def test_a_job_that_fails_ends_the_waiting_with_1(stage: Stage, fluid: Fluid):
    said = fluid("run", "work", "--payload-json", '{"unknown": 1}', "--wait")
    assert said.code == 1
    assert "Failed (InvalidPayload)" in said.err
    assert "spec.payload" in said.err


def test_every_option_reaches_its_field(bare: Stage, fluid: Fluid):
    options = ("--queue=slow", "--environment=default", "--priority=7", "--name=mine", "-f", "-")
    said = fluid.done("run", "work", *options, stdin="value: from a file\n")
    assert said.out == f"{FULL}/mine created\n"
    want = {
        "type": "work",
        "queue": "slow",
        "environment": "default",
        "priority": 7,
        "payload": {"value": "from a file"},
    }
    spec = bare.job("mine")["spec"]
    assert {name: spec[name] for name in want} == want
    managers = bare.kubectl("get", "fj", "mine", "--show-managed-fields", "-o", "json")
    assert "fluid-cli" in {entry["manager"] for entry in json.loads(managers)["metadata"]["managedFields"]}


def test_a_dry_run_creates_nothing_and_prints_what_can_be_applied(bare: Stage, fluid: Fluid):
    said = fluid.done("run", "work", "-p", "value=x", "--name=later", "--dry-run", "-o", "yaml")
    assert bare.jobs() == {}
    bare.kubectl("apply", "-f", "-", input=said.out)
    assert bare.job("later")["spec"]["payload"] == {"value": "x"}


def test_a_taken_name_is_told_and_a_wrong_option_ends_with_2(bare: Stage, fluid: Fluid):
    fluid.done("run", "work", "--name=mine")
    again = fluid("run", "work", "--name=mine")
    assert (again.code, "choose another --name" in again.err) == (1, True)
    wrong = fluid("run", "work", "--priority=5000")
    assert (wrong.code, wrong.err.startswith("error: spec.priority: ")) == (2, True)
    assert fluid("run", "work", "--colour=red").code == 2


def test_a_waiting_that_takes_too_long_leaves_the_job_alone(bare: Stage, fluid: Fluid):
    said = fluid("run", "work", "--name=waits", "--wait", "--timeout=2")
    assert (said.code, "has not happened within 2 s" in said.err) == (1, True)
    assert "waits" in bare.jobs()


def test_ctrl_c_ends_the_waiting_and_not_the_job(stage: Stage, fluid: Fluid):
    with fluid.going_on("run", "work", "-p", "seconds=300", "--name=long", "--wait") as going:
        until(lambda: "long  Running" in going.err, 30, "the command has seen it run")
        going.process.send_signal(signal.SIGINT)
        assert going.ends() == 130
        assert "goes on without anybody waiting" in going.err
    assert stage.status("long")["phase"] == "Running"


def test_the_table_lists_the_newest_last_and_filters(stage: Stage, fluid: Fluid):
    stage.apply(work("good").label("app", "billing"), work("bad", seconds=-1))
    stage.reaches("good", "Succeeded")
    stage.reaches("bad", "Failed")
    header, *rows = fluid.done("get").lines()
    assert header.split() == ["NAME", "TYPE", "PHASE", "ATTEMPTS", "DURATION", "AGE", "REASON"]
    assert {row.split()[0] for row in rows} == {"good", "bad"}
    assert fluid.done("get", "-o", "name", "--phase=failed").out == f"{FULL}/bad\n"
    assert fluid.done("get", "-o", "name", "--queue=work", "--type=work").out == f"{FULL}/good\n"
    assert fluid.done("get", "-o", "name", "-l", "app=billing").out == f"{FULL}/good\n"
    assert stage.namespace in fluid.done("get", "-A").out
    assert "succeeded after 1 attempt" in fluid.done("get", "-o", "wide").out


def test_objects_come_as_json_and_yaml(bare: Stage, fluid: Fluid):
    bare.apply(work("a"), work("b"))
    listed = fluid.done("get", "-o", "json").json()
    assert [item["kind"] for item in listed["items"]] == ["FluidJob", "FluidJob"]
    single = yaml.safe_load(fluid.done("get", "a", "-o", "yaml").out)
    assert (single["metadata"]["name"], single["apiVersion"]) == ("a", "jobs.fluidcalendar.com/v1alpha1")


def test_an_empty_answer_says_where_it_looked(bare: Stage, fluid: Fluid):
    said = fluid.done("get")
    assert (said.out, said.err) == ("", f"no FluidJob in namespace {bare.namespace}\n")
    assert fluid.done("get", "-o", "json").json()["items"] == []
    missing = fluid("get", "nobody")
    assert (missing.code, "FluidJob nobody does not exist" in missing.err) == (1, True)


def test_a_watch_shows_each_change_until_it_is_ended(stage: Stage, fluid: Fluid):
    stage.apply(work("first"))
    stage.reaches("first", "Succeeded")
    with fluid.going_on("get", "--watch", "--type=work") as going:
        until(lambda: "first" in going.out, 30, "the list is shown")
        stage.apply(work("second"))
        until(
            lambda: re.search(r"^second +work +Succeeded", going.out, re.MULTILINE), 30, "the second is seen to succeed"
        )
        stage.kubectl("delete", "fj", "second")
        until(lambda: re.search(r"^second .*Deleting$", going.out, re.MULTILINE), 30, "the deletion is seen")
        going.process.send_signal(signal.SIGTERM)
        assert going.ends() == 130
    assert going.out.count("NAME ") == 1


def test_kubectl_finds_it_as_a_plugin(bare: Stage, fluid: Fluid):
    bare.apply(work("mine"))
    folder = os.path.dirname(program("kubectl-fluid"))
    env = {**fluid.env, "PATH": f"{folder}{os.pathsep}{fluid.env['PATH']}"}
    kubectl = str(bare.cluster.binaries.kubectl)
    command = [kubectl, "fluid", "get", "-n", bare.namespace, "-o", "name"]
    done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout == f"{FULL}/mine\n"
    shown = subprocess.run(
        [kubectl, "fluid", "--help"], env=env, capture_output=True, text=True, timeout=60, check=True
    )
    assert shown.stdout.startswith("Usage: kubectl fluid ")


def test_the_context_brings_its_namespace(bare: Stage, fluid: Fluid, tmp_path: Path):
    bare.apply(work("mine"))
    config = tmp_path / "config"
    bare.cluster.write_kubeconfig(config, "admin", "admin", ("system:masters",), namespace=bare.namespace)
    assert Fluid(config, "").done("get", "-o", "name").out == f"{FULL}/mine\n"
    wrong = fluid("get", "--context=elsewhere")
    assert (wrong.code, "there is no context elsewhere" in wrong.err) == (2, True)


def test_versions_are_told(cluster: Cluster):
    found = Fluid(cluster.kubeconfig, "").done("version", "-o", "json").json()
    assert found["api"] == "jobs.fluidcalendar.com/v1alpha1"
    assert found["kubernetes"].startswith("v1.")
