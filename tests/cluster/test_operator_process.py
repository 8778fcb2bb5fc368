"""The operator as a process: one leader, a standby that takes over, a clean end, and refusal of what cannot work."""

import asyncio
import json
import os
import signal
import socket
import subprocess
import threading
import time
from contextlib import contextmanager

import pytest

from cluster.builders import fluid_environment
from fluid_operator.environments.controller import FLUID_ENVIRONMENTS
from fluid_operator.following import follow
from fluid_operator.kube.client import connect
from fluid_operator.kube.keys import ObjectKey
from fluid_operator.settings import OperatorSettings, describe
from fluid_operator.waking import wake_all_for_ever
from support.folders import fresh_folder
from support.operators import BRISK, COMMAND, Operator, running_operator, running_operators
from support.waiting import auntil, until

LEASE_SECONDS = float(BRISK["FLUID_LEASE_DURATION_SECONDS"])
RETRY_SECONDS = float(BRISK["FLUID_LEASE_RETRY_SECONDS"])


def leader_and_standby(operators):
    until(lambda: sum(each.leads for each in operators) == 1, 30, "one replica leads")
    return sorted(operators, key=lambda operator: not operator.leads)


def holder(cluster, namespace):
    arguments = (f"--namespace={namespace}", "get", "lease", "--output=jsonpath={.items[*].spec.holderIdentity}")
    return cluster.kubectl(*arguments)


def refused(**environment):
    """Run the command with these variables; returns its exit code and what it printed to standard error."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("FLUID_")}
    done = subprocess.run(COMMAND, env=clean | environment, capture_output=True, text=True, timeout=30, check=False)
    return done.returncode, done.stderr


def test_a_standby_answers_all_endpoints_as_the_leader_does(cluster, namespace):
    with running_operators(cluster.kubeconfig, namespace, 2) as operators:
        leader, standby = leader_and_standby(operators)
        for replica in (leader, standby):
            assert replica.http("/livez") == (200, "ok\n")
            assert replica.http("/readyz") == (200, "ok\n")
        assert leader.metric("fluid_operator_leader") == 1
        assert standby.metric("fluid_operator_leader") == 0
        assert standby.metric('fluid_operator_fluidjobs{phase="Running"}') == 0
        asked = 'fluid_operator_kube_requests_total{code="200",resource="leases",verb="get"}'
        assert standby.metric(asked) > 0


def test_a_standby_takes_over_at_once_from_a_leader_that_was_terminated(cluster, namespace):
    patient = {"FLUID_LEASE_DURATION_SECONDS": "600", "FLUID_LEASE_RENEW_DEADLINE_SECONDS": "500"}
    with running_operators(cluster.kubeconfig, namespace, 2, **patient) as operators:
        leader, standby = leader_and_standby(operators)
        asked = time.monotonic()
        leader.terminate()
        until(lambda: standby.leads, 2, "the standby leads")
        assert time.monotonic() - asked < 2
        leader.process.wait(5)
        assert leader.said("Stopped.")


def test_a_standby_takes_over_within_the_lease_from_a_leader_that_was_killed(cluster, namespace):
    with running_operators(cluster.kubeconfig, namespace, 2) as operators:
        leader, standby = leader_and_standby(operators)
        leader.process.kill()
        until(lambda: standby.leads, LEASE_SECONDS + 2 * RETRY_SECONDS + 1, "the standby leads")


@contextmanager
def leading_child(cluster, namespace):
    """An operator that leads, as a child process whose exit code can be had, and where its log is."""
    folder = fresh_folder("child")
    environment = os.environ | Operator(cluster.kubeconfig, namespace).env
    with (folder / "log").open("wb") as log, subprocess.Popen(COMMAND, env=environment, stderr=log) as child:
        try:
            until(lambda: holder(cluster, namespace), 30, "the operator leads")
            yield child, folder / "log"
        finally:
            child.kill()


def test_a_terminated_operator_ends_with_0_and_gives_the_lease_back(cluster, namespace):
    with leading_child(cluster, namespace) as (child, _):
        child.terminate()
        assert child.wait(10) == 0
    assert holder(cluster, namespace) == ""


def test_the_end_of_kopf_ends_the_process_with_1_and_the_log_says_why(own_cluster):
    with leading_child(own_cluster, "default") as (child, log):
        until(lambda: "Leading." in log.read_text(), 10, "the term begins")
        own_cluster.kubectl("delete", "crd", "fluidenvironments.jobs.fluidcalendar.com")
        assert child.wait(30) == 1
        last = json.loads(log.read_text().splitlines()[-1])
    assert last["level"] == "critical"
    assert "KopfEnded: the thread that follows FluidEnvironments ended" in last["traceback"]
    assert holder(own_cluster, "default") == ""


def test_a_leader_that_was_frozen_stands_by_when_it_wakes_and_leads_again_later(cluster, namespace, redis_server):
    url = f"--from-literal=url={redis_server.url}"
    cluster.kubectl(f"--namespace={namespace}", "create", "secret", "generic", "redis", url)
    with running_operators(cluster.kubeconfig, namespace, 2) as operators:
        leader, standby = leader_and_standby(operators)
        leader.process.signal(signal.SIGSTOP)
        until(lambda: standby.leads, 15, "the standby leads")
        leader.process.signal(signal.SIGCONT)
        until(lambda: leader.metric("fluid_operator_leader") == 0, 15, "the former leader knows")
        assert standby.leads
        standby.terminate()
        until(lambda: leader.leads, 15, "the former leader leads again")
        environment = fluid_environment("default").json()
        cluster.kubectl(f"--namespace={namespace}", "apply", "--filename=-", input=environment)
        wait = ("wait", "--for=condition=Ready", "--timeout=30s", "fluidenvironment/default")
        cluster.kubectl(f"--namespace={namespace}", *wait)


def test_a_leader_survives_an_api_server_that_is_away_for_longer_than_its_lease(own_cluster):
    with running_operator(own_cluster.kubeconfig, "default") as operator:
        own_cluster.signal_apiserver(signal.SIGSTOP)
        until(lambda: not operator.leads, 15, "the operator knows that it leads no more")
        assert operator.http("/livez").status == 200
        assert operator.http("/readyz").status == 200
        own_cluster.signal_apiserver(signal.SIGCONT)
        operator.leading()


def test_an_operator_that_is_stopping_is_not_ready(own_cluster):
    with running_operator(own_cluster.kubeconfig, "default", FLUID_LEASE_RENEW_DEADLINE_SECONDS="2.9") as operator:
        # The Lease cannot be given back while the API server is silent, so the end takes long enough to be seen.
        own_cluster.signal_apiserver(signal.SIGSTOP)
        operator.terminate()
        until(lambda: operator.http("/readyz") == (503, "stopping\n"), 5, "readyz says no", pause=0.01)
        assert operator.http("/livez").status == 200
        operator.process.wait(15)
        own_cluster.signal_apiserver(signal.SIGCONT)
        assert operator.said("Stopped.")


def test_unusable_settings_are_all_named_and_nothing_is_started():
    code, text = refused(
        FLUID_NAMESPACES="Team_A", FLUID_HTTP_PORT="high", FLUID_LEASE_RETRY_SECONDS="60", FLUID_LOG_LEVEL="loud"
    )
    assert code == 2
    for variable in ("FLUID_NAMESPACES", "FLUID_HTTP_PORT", "FLUID_LEASE_RETRY_SECONDS", "FLUID_LOG_LEVEL"):
        assert f"  {variable}: must be" in text


def test_a_missing_kubeconfig_is_named():
    code, text = refused(KUBECONFIG=str(fresh_folder("none") / "kubeconfig"), FLUID_HTTP_PORT="0")
    assert code == 2
    assert "kubeconfig" in text


def test_a_taken_port_is_named_with_the_variable_that_changes_it(cluster):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        environment = {"FLUID_HTTP_HOST": "127.0.0.1", "FLUID_HTTP_PORT": port}
        code, text = refused(KUBECONFIG=str(cluster.kubeconfig), **environment)
    assert code == 2
    assert port in text
    assert "FLUID_HTTP_PORT" in text


def test_help_lists_every_variable():
    done = subprocess.run((*COMMAND, "--help"), capture_output=True, text=True, timeout=30, check=True)
    assert len(describe()) == len(OperatorSettings.model_fields)
    for variable, _, meaning in describe():
        assert variable in done.stdout
        assert meaning in done.stdout
    assert "KUBECONFIG" in done.stdout


async def test_kopf_tells_of_objects_in_our_loop_and_ends_when_told(cluster, namespace):
    cluster.kubectl(f"--namespace={namespace}", "apply", "--filename=-", input=fluid_environment("a").json())
    woken = []

    def wake(key):
        assert threading.current_thread() is threading.main_thread()
        woken.append(key)

    async with connect(cluster.kubeconfig) as kube:
        task = asyncio.create_task(follow(kube.connection, [namespace], environments=wake))
        await auntil(lambda: ObjectKey(namespace, "a") in woken, what="the existing object is told of")
        cluster.kubectl(f"--namespace={namespace}", "apply", "--filename=-", input=fluid_environment("b").json())
        await auntil(lambda: ObjectKey(namespace, "b") in woken, what="the new object is told of")
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    await auntil(lambda: "kopf" not in {thread.name for thread in threading.enumerate()}, 5, "the thread is gone")


async def test_objects_that_no_event_told_of_are_woken_all_the_same(cluster, namespace):
    cluster.kubectl(f"--namespace={namespace}", "apply", "--filename=-", input=fluid_environment("a").json())
    woken = []
    async with connect(cluster.kubeconfig) as kube:
        task = asyncio.create_task(wake_all_for_ever(kube, FLUID_ENVIRONMENTS, [namespace], woken.append))
        await auntil(lambda: woken == [ObjectKey(namespace, "a")], what="the object is woken")
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
