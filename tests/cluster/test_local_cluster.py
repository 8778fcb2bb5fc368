"""The local cluster itself: starts, stays apart from others, survives faults on command, leaves nothing behind."""

import json
import signal
import socket
import ssl
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from fluid_dev.cluster import Cluster
from fluid_dev.errors import ClusterError
from fluid_dev.processes import Identity
from support.clusters import find_binaries, running_cluster
from support.folders import fresh_folder
from support.waiting import until


def identities(state: Path) -> list[Identity]:
    records = [json.loads(file.read_text()) for file in (state / "run").glob("*.json")]
    return [Identity(record["pid"], record["start_time"]) for record in records]


def names(cluster: Cluster) -> set[str]:
    return set(cluster.kubectl("get", "namespaces", "--output=name").split())


def test_two_clusters_run_side_by_side_and_share_nothing(own_cluster):
    with running_cluster(crds=False) as other:
        other.kubectl("create", "namespace", "only-there")
        assert own_cluster.port != other.port
        assert "namespace/only-there" in names(other)
        assert "namespace/only-there" not in names(own_cluster)


def test_a_stopped_cluster_leaves_no_process_and_no_file():
    with running_cluster(crds=False) as cluster:
        processes = identities(cluster.state)
        assert len(processes) == 3
        assert all(process.alive for process in processes)
    assert not any(process.alive for process in processes)
    assert not cluster.state.exists()


def test_a_second_start_keeps_what_runs_and_a_second_handle_can_stop_it(own_cluster):
    before = identities(own_cluster.state)
    again = Cluster(own_cluster.state, own_cluster.binaries, die_with_parent=True)
    again.start()
    assert identities(again.state) == before
    again.stop()
    assert not any(process.alive for process in before)


def test_what_died_is_started_again_with_its_data_and_port(own_cluster):
    own_cluster.kubectl("create", "namespace", "kept")
    port = own_cluster.port
    own_cluster.kill_apiserver()
    own_cluster.start()
    assert own_cluster.port == port
    assert "namespace/kept" in names(own_cluster)


def test_a_port_taken_meanwhile_is_replaced_by_another(own_cluster):
    taken = own_cluster.port
    own_cluster.stop()
    with socket.create_server(("127.0.0.1", taken)):
        own_cluster.start()
        assert own_cluster.port != taken
        assert "namespace/default" in names(own_cluster)


def test_an_api_server_that_cannot_start_is_reported_with_the_end_of_its_log():
    cluster = Cluster(fresh_folder("broken"), find_binaries(), die_with_parent=True, apiserver_args=["--no-such-flag"])
    try:
        with pytest.raises(ClusterError, match="unknown flag: --no-such-flag"):
            cluster.start()
    finally:
        cluster.stop(wipe=True)


def test_restored_data_brings_the_old_objects_and_revisions_back(own_cluster, tmp_path):
    own_cluster.kubectl("create", "namespace", "before")
    own_cluster.save_etcd(tmp_path / "saved")
    own_cluster.kubectl("create", "namespace", "after")
    own_cluster.restore_etcd(tmp_path / "saved")
    assert "namespace/before" in names(own_cluster)
    assert "namespace/after" not in names(own_cluster)
    own_cluster.kubectl("create", "namespace", "later")
    assert "namespace/later" in names(own_cluster)


def test_a_compacted_revision_answers_410_once_the_api_server_has_lost_its_cache(own_cluster):
    first_page = json.loads(own_cluster.kubectl("get", "--raw", "/api/v1/namespaces?limit=1"))
    next_page = f"/api/v1/namespaces?limit=1&continue={first_page['metadata']['continue']}"
    own_cluster.kubectl("create", "namespace", "newer")
    own_cluster.compact_etcd()
    own_cluster.restart_apiserver()
    assert "too old" in own_cluster.kubectl("get", "--raw", next_page, check=False)


def test_a_frozen_api_server_answers_again_after_sigcont(own_cluster):
    context = ssl.create_default_context(cafile=own_cluster.ca)

    def ready(timeout: float) -> bool:
        try:
            with urllib.request.urlopen(f"{own_cluster.server}/readyz", timeout=timeout, context=context) as answer:  # noqa: S310 - https
                return answer.read() == b"ok"
        except (TimeoutError, urllib.error.URLError):
            return False

    own_cluster.signal_apiserver(signal.SIGSTOP)
    assert not ready(0.5)
    own_cluster.signal_apiserver(signal.SIGCONT)
    assert until(lambda: ready(2), what="the API server answers again")


def test_a_client_certificate_is_its_user_and_has_only_that_users_rights(cluster):
    config = cluster.client_kubeconfig("alice", ["builders"])
    whoami = cluster.kubectl(f"--kubeconfig={config}", "auth", "whoami", "--output=json")
    user = json.loads(whoami)["status"]["userInfo"]
    assert user["username"] == "alice"
    assert "builders" in user["groups"]
    assert "forbidden" in cluster.kubectl(f"--kubeconfig={config}", "get", "secrets", check=False).lower()


_STARTS_AND_WAITS = """
import sys, time
from pathlib import Path
from fluid_dev import binaries
from fluid_dev.cluster import Cluster
Cluster(Path(sys.argv[1]), binaries.provide(may_build=False), die_with_parent=True).start()
print("started", flush=True)
time.sleep(600)
"""


def test_a_killed_test_run_takes_its_cluster_along():
    state = fresh_folder("orphan")
    find_binaries()
    with subprocess.Popen([sys.executable, "-c", _STARTS_AND_WAITS, state], stdout=subprocess.PIPE) as owner:
        assert owner.stdout
        assert owner.stdout.readline() == b"started\n"
        processes = identities(state)
        assert len(processes) == 3
        owner.send_signal(signal.SIGKILL)
    until(lambda: not any(process.alive for process in processes), 10, "the cluster's processes end")


def command(*args: str | Path) -> subprocess.Popen[str]:
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    return subprocess.Popen([sys.executable, "-m", "fluid_dev", *args], text=True, **pipes)


def test_an_interrupted_command_says_so_in_one_line_and_the_next_one_heals():
    find_binaries()
    state = fresh_folder("command")
    interrupted = command("cluster-up", state)
    until(lambda: len(identities(state)) == 2, what="etcd and the API server were started")
    interrupted.send_signal(signal.SIGINT)
    _, complaint = interrupted.communicate(timeout=30)
    assert interrupted.returncode == 130
    assert complaint.strip().count("\n") == 0
    assert "goes on from here" in complaint

    with command("cluster-up", state) as again:
        output, complaint = again.communicate(timeout=60)
    assert again.returncode == 0, complaint
    assert str(state / "kubeconfig") in output
    processes = identities(state)
    assert [process.alive for process in processes] == [True] * 3

    with command("cluster-down", state) as stopping:
        assert stopping.wait(30) == 0
    assert not any(process.alive for process in processes)
    assert not state.exists()
