"""The demo's life on real servers, with programs that only sleep in the place of operator and worker: what runs is
kept, what died is restarted, nothing is left. What the real two do with the examples is the business of other tests.
"""

import json
import os
import shutil
import signal
import subprocess
from pathlib import Path

import pytest

from fluid_dev.demo import Demo
from fluid_dev.errors import DemoError, ProcessDied
from fluid_dev.processes import Identity, Process, reap
from support.clusters import CRDS, find_binaries
from support.folders import fresh_folder

_EXAMPLE = """
apiVersion: jobs.fluidcalendar.com/v1alpha1
kind: FluidJob
metadata:
  name: waiting
  annotations: {example.jobs.fluidcalendar.com/phase: Pending}
spec: {type: email}
"""

_ENVIRONMENT = """
apiVersion: jobs.fluidcalendar.com/v1alpha1
kind: FluidEnvironment
metadata: {name: default}
spec:
  image: example.com/fluid-jobs:1
  redis: {external: {urlSecretRef: {name: fluid-redis, key: url}}}
  workers: []
"""


class SleepingDemo(Demo):
    command = ("sleep", "600")

    def _program(self, name, module, env, fingerprint=""):
        return Process(name, self.state, self.command, env=env, fingerprint=fingerprint)


@pytest.fixture
def demo():
    find_binaries()
    checkout = fresh_folder("checkout")
    shutil.copytree(CRDS, checkout / "crds")
    (checkout / "manifests" / "examples").mkdir(parents=True)
    (checkout / "manifests" / "examples" / "job.yaml").write_text(_EXAMPLE)
    demo = SleepingDemo(checkout, checkout / ".local")
    yield demo
    reap(demo.state)


def processes(demo: Demo) -> dict[str, Identity]:
    records = {file.stem: json.loads(file.read_text()) for file in demo.state.rglob("run/*.json")}
    return {name: Identity(record["pid"], record["start_time"]) for name, record in records.items()}


def test_a_second_up_keeps_what_runs_and_restarts_what_died(demo):
    demo.up()
    first = processes(demo)
    assert set(first) == {"etcd", "kube-apiserver", "kube-controller-manager", "operator", "redis", "smtp", "worker"}
    for name in ("worker", "redis"):
        os.kill(first[name].pid, signal.SIGKILL)
    demo.up()
    second = processes(demo)
    assert all(identity.alive for identity in second.values())
    # The controller manager is restarted with the CRDs in any case.
    assert {name for name in first if first[name] != second[name]} == {"worker", "redis", "kube-controller-manager"}


def test_a_second_up_works_with_the_path_that_the_first_one_advised(demo, monkeypatch):
    demo.up()
    advised = demo.state / "bin"
    monkeypatch.setenv("PATH", f"{advised}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("KUBECONFIG", str(demo.kubeconfig))
    demo.up()
    version = subprocess.run([advised / "kubectl", "version", "--client"], capture_output=True, text=True, check=True)
    assert "Client Version" in version.stdout


def test_down_leaves_no_process_and_no_folder_and_may_be_repeated(demo):
    demo.up()
    running = processes(demo)
    demo.down()
    assert not any(identity.alive for identity in running.values())
    assert not demo.state.exists()
    demo.down()


def test_a_program_that_does_not_stay_up_is_reported_with_the_end_of_its_log(demo):
    # Nobody makes this environment Ready, so that the demo waits for as long as its programs live.
    (demo.state.parent / "manifests" / "examples" / "environment.yaml").write_text(_ENVIRONMENT)
    demo.command = ("sh", "-c", "echo no such setting; exit 1")
    with pytest.raises(ProcessDied, match="no such setting"):
        demo.up()


def test_the_check_passes_kept_promises_and_names_a_broken_one(demo, capsys):
    demo.up()
    demo.check(within=10)
    example = Path(demo.state.parent / "manifests" / "examples" / "job.yaml")
    example.write_text(example.read_text().replace("phase: Pending", "phase: Succeeded"))
    with pytest.raises(DemoError, match="1 of 1 examples"):
        demo.check(within=1)
    assert "not Succeeded" in capsys.readouterr().out


def test_the_check_of_a_demo_that_does_not_run_says_how_to_start_it(demo):
    with pytest.raises(DemoError, match="make demo"):
        demo.check(within=1)
