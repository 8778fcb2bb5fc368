"""A node is gone for good and tells nobody: its pods have to be given up before others take their place.

The nodes are kwok's, whose pods are ready and do nothing; what becomes of jobs is shown where workers are killed.
"""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from fluid_dev.cluster import Cluster
from support.environments import decoded
from support.sites import Site, cluster_with_fake_nodes, managed, pool_of, redis_of, site_on
from support.waiting import until

OUT_OF_SERVICE = "node.kubernetes.io/out-of-service=nodeshutdown:NoExecute"


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    """With two nodes, of which one will be lost."""
    with cluster_with_fake_nodes() as cluster:
        yield cluster


@pytest.fixture
def site(cluster: Cluster, namespace: str, redis_server) -> Iterator[Site]:
    """A managed Redis and two workers, one on each node."""
    with site_on(cluster, namespace, redis_server) as site:
        site.operator().leading()
        cluster.apply([volume(namespace)])
        site.apply(managed().spec(redis=REDIS).pool("default", minReplicas=2))
        site.consists_of(*redis_of(), *pool_of())
        site.becomes({"WorkersReady": "Available"})
        until(lambda: len(ready_on(site)) == 3, 60, "Redis and two workers are ready")
        yield site


REDIS = {"managed": {"storageClassName": "by-hand"}}


def volume(name: str) -> dict[str, Any]:
    """On the network, so to speak: it is within reach of every node."""
    spec = {
        "capacity": {"storage": "1Gi"},
        "accessModes": ["ReadWriteOnce"],
        "storageClassName": "by-hand",
        "hostPath": {"path": "/nowhere"},
    }
    return {"apiVersion": "v1", "kind": "PersistentVolume", "metadata": {"name": name}, "spec": spec}


def pods(site: Site) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(site.kubectl("get", "pods", "--output=json"))["items"]
    return found


def ready_on(site: Site) -> dict[str, str]:
    """The node of each pod that is ready and stays."""
    return {
        pod["metadata"]["uid"]: pod["spec"]["nodeName"]
        for pod in pods(site)
        if "deletionTimestamp" not in pod["metadata"]
        and any(each["type"] == "Ready" and each["status"] == "True" for each in pod["status"].get("conditions", []))
    }


def silence(site: Site, node: str) -> None:
    """Nobody speaks for the node any more; Kubernetes notices after 50 s."""
    site.kubectl("annotate", "node", node, "kwok.x-k8s.io/node-")
    site.kubectl("wait", "--for=condition=Ready=Unknown", f"node/{node}", "--timeout=90s")


@pytest.mark.timeout(300)
def test_the_pods_of_a_lost_node_come_back_elsewhere_once_it_is_said_to_be_out_of_service(site: Site):
    (redis,) = (pod for pod in pods(site) if pod["metadata"]["name"] == "default-redis-0")
    node, data = redis["spec"]["nodeName"], claim(site)
    passwords = decoded(site.get("secret", "default-redis"))
    silence(site, node)
    site.becomes({"Ready": "WorkersNotReady"})
    site.kubectl("taint", "node", node, OUT_OF_SERVICE)
    until(lambda: len(ready_on(site)) == 3 and node not in ready_on(site).values(), 120, "all are on the other node")
    again = site.get("pod", "default-redis-0")
    assert again["metadata"]["uid"] != redis["metadata"]["uid"]
    assert claim(site) == data
    assert decoded(site.get("secret", "default-redis")) == passwords
    site.becomes({"WorkersReady": "Available"})


def claim(site: Site) -> str:
    """The volume of Redis."""
    return str(site.get("persistentvolumeclaim", "data-default-redis-0")["spec"]["volumeName"])
