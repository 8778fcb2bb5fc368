"""A node is gone for good and tells nobody: its pods have to be given up before others take their place.

The lost node is an object and no more; the test says in the place of its kubelet that its pods are ready. Those of the
nodes that are left are ready by kwok. What becomes of jobs is shown where workers are killed.
"""

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest

from fluid_dev.cluster import Cluster
from support.sites import Site, cluster_with_fake_nodes, managed, pool_of, redis_of, site_on
from support.waiting import until

Json = dict[str, Any]

LOST = "machine"
READY = {"type": "Ready", "status": "True"}
OUT_OF_SERVICE = "node.kubernetes.io/out-of-service"


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    """With two nodes beside the one that will be lost."""
    with cluster_with_fake_nodes() as cluster:
        yield cluster


def machine() -> Json:
    """A node that is well for as long as Kubernetes believes one that is silent."""
    now = datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
    room = {"cpu": "100", "memory": "1Ti", "pods": "100"}
    condition = {**READY, "lastHeartbeatTime": now, "lastTransitionTime": now, "reason": "KubeletReady", "message": ""}
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": LOST, "labels": {"kubernetes.io/hostname": LOST}},
        "status": {"allocatable": room, "capacity": room, "conditions": [condition]},
    }


def volume(name: str) -> Json:
    """Within reach of every node, as a disk of the network is."""
    spec = {
        "capacity": {"storage": "1Gi"},
        "accessModes": ["ReadWriteOnce"],
        "storageClassName": "by-hand",
        "hostPath": {"path": "/nowhere"},
    }
    return {"apiVersion": "v1", "kind": "PersistentVolume", "metadata": {"name": name}, "spec": spec}


def pods(site: Site) -> list[Json]:
    """Those that stay."""
    found: list[Json] = json.loads(site.kubectl("get", "pods", "--output=json"))["items"]
    return [pod for pod in found if "deletionTimestamp" not in pod["metadata"]]


def nodes_of_ready(site: Site) -> list[str]:
    """The node of each pod that is ready."""
    return [
        pod["spec"]["nodeName"]
        for pod in pods(site)
        if any(READY.items() <= each.items() for each in pod["status"].get("conditions", []))
    ]


@pytest.fixture
def site(cluster: Cluster, namespace: str, redis_server) -> Iterator[Site]:
    """A managed Redis and two workers, all of them on the machine that will be lost."""
    with site_on(cluster, namespace, redis_server) as site:
        site.operator().leading()
        site.kubectl("cordon", "fake-0", "fake-1")
        cluster.apply([volume(namespace), machine()])
        redis = {"managed": {"storageClassName": "by-hand"}}
        site.apply(managed().spec(redis=redis).pool("default", minReplicas=2))
        site.consists_of(*redis_of(), *pool_of())
        until(lambda: [pod["spec"].get("nodeName") for pod in pods(site)] == [LOST] * 3, 30, "all pods have a node")
        status = json.dumps({"status": {"phase": "Running", "conditions": [READY]}})
        for pod in pods(site):
            site.kubectl("patch", "pod", pod["metadata"]["name"], "--subresource=status", f"--patch={status}")
        site.kubectl("uncordon", "fake-0", "fake-1")
        yield site


def claimed(site: Site) -> str:
    """The volume of Redis."""
    return str(site.get("persistentvolumeclaim", "data-default-redis-0")["spec"]["volumeName"])


@pytest.mark.timeout(300)
def test_the_pods_of_a_lost_node_come_back_elsewhere_once_it_is_said_to_be_out_of_service(site: Site):
    site.becomes({"WorkersReady": "Available"})
    before, volume, passwords = site.get("pod", "default-redis-0"), claimed(site), site.passwords()
    site.kubectl("wait", "--for=condition=Ready=Unknown", f"node/{LOST}", "--timeout=90s")
    site.becomes({"WorkersReady": "WorkersNotReady"})
    assert site.get("pod", "default-redis-0")["spec"]["nodeName"] == LOST
    site.kubectl("taint", "node", LOST, f"{OUT_OF_SERVICE}=nodeshutdown:NoExecute")
    until(lambda: {len(nodes_of_ready(site)) == 3, LOST not in nodes_of_ready(site)} == {True}, 90, "all are elsewhere")
    site.becomes({"WorkersReady": "Available"})
    after = site.get("pod", "default-redis-0")
    assert after["metadata"]["uid"] != before["metadata"]["uid"]
    assert (claimed(site), site.passwords()) == (volume, passwords)
    site.kubectl("taint", "node", LOST, f"{OUT_OF_SERVICE}-")
