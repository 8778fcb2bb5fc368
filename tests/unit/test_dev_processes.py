"""Processes found again by pid and start time: what one handle started, another one keeps, replaces or stops."""

import os
import signal
import subprocess
import sys

import pytest

from fluid_dev.errors import MissingTool, ProcessDied
from fluid_dev.ports import free_port, is_free
from fluid_dev.processes import Identity, Process, identify, reap
from support.waiting import until

SLEEP = ["sleep", "600"]


@pytest.fixture
def state(tmp_path):
    yield tmp_path
    reap(tmp_path)


def test_a_second_handle_keeps_a_running_process(state):
    first = Process("sleeper", state, SLEEP)
    assert first.ensure()
    again = Process("sleeper", state, SLEEP)
    assert not again.ensure()
    assert again.pid == first.pid
    first.stop()


@pytest.mark.parametrize(
    "change", [{"argv": ["sleep", "601"]}, {"env": {"COLOUR": "blue"}}, {"fingerprint": "another"}]
)
def test_a_process_of_other_settings_is_replaced(state, change):
    first = Process("sleeper", state, SLEEP)
    first.start()
    old = first.identity
    changed = Process("sleeper", state, **({"argv": SLEEP} | change))
    assert changed.ensure()
    assert not old.alive
    assert changed.running
    first.stop()
    changed.stop()


def test_a_dead_process_is_started_again(state):
    process = Process("sleeper", state, SLEEP)
    process.start()
    process.kill()
    assert not process.running
    assert process.ensure()
    assert process.running
    process.stop()


def test_stopping_ends_even_a_frozen_process_that_ignores_sigterm(state):
    stubborn = Process("stubborn", state, ["sh", "-c", "trap '' TERM; echo armed; while :; do sleep 0.1; done"])
    stubborn.start()
    until(lambda: "armed" in stubborn.tail(), what="the trap is set")
    identity = stubborn.identity
    stubborn.signal(signal.SIGSTOP)
    stubborn.stop(within=0.2)
    assert not identity.alive


def test_a_pid_that_was_given_to_somebody_else_is_left_alone(state):
    with subprocess.Popen(SLEEP) as bystander:
        other_time = Identity(bystander.pid, identify(bystander.pid).start_time + 1)
        assert not other_time.alive
        assert not other_time.signal(signal.SIGKILL)
        assert bystander.poll() is None
        bystander.kill()


def test_a_process_that_died_is_reported_with_the_end_of_its_log(state):
    process = Process("talker", state, ["sh", "-c", "echo last words"])
    process.start()
    process.wait(10)
    with pytest.raises(ProcessDied, match="last words"):
        process.check()


def test_a_program_that_does_not_exist_is_named(state):
    with pytest.raises(MissingTool, match="no-such-program"):
        Process("nobody", state, ["no-such-program"]).start()


def test_environment_values_do_not_reach_the_pid_file(state):
    process = Process("sleeper", state, SLEEP, env={"SECRET": "opensesame"})
    process.start()
    assert "opensesame" not in (state / "run" / "sleeper.json").read_text()
    process.stop()


_PARENT = """
import sys, time
from pathlib import Path
from fluid_dev.processes import Process
child = Process("child", Path(sys.argv[1]), ["sleep", "600"], die_with_parent=sys.argv[2] == "dies")
child.start()
print(child.pid, flush=True)
time.sleep(600)
"""


@pytest.mark.parametrize("fate", ["dies", "stays"])
def test_only_a_process_that_shall_die_with_its_parent_does(state, fate):
    with subprocess.Popen([sys.executable, "-c", _PARENT, state, fate], stdout=subprocess.PIPE) as parent:
        child = identify(int(parent.stdout.readline()))
        parent.kill()
    if fate == "dies":
        until(lambda: not child.alive, 10, "the child ends")
    else:
        assert child.alive
        assert os.getsid(child.pid) == child.pid


def test_free_ports_lie_outside_the_range_that_clients_are_given():
    with open("/proc/sys/net/ipv4/ip_local_port_range") as file:
        low = int(file.read().split()[0])
    ports = [free_port() for _ in range(20)]
    assert all(is_free(port) for port in ports)
    assert low < 20000 or all(port < low for port in ports)
