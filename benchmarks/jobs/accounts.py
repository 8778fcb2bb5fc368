"""Kubeconfigs with the token of a service account: what a program in a pod shows to the API server.

A client certificate would say the same, but its signature is verified anew for each request; no pod's is, nor are those
of the controllers of Kubernetes, which have tokens too.
"""

from __future__ import annotations

import json
from pathlib import Path

from fluid_dev.cluster import Cluster
from fluid_dev.pki import write_private

_LIFETIME = "24h"


def kubeconfig(cluster: Cluster, namespace: str, account: str, path: Path) -> Path:
    """Write a kubeconfig of this service account, which must exist, and return its path."""
    token = cluster.kubectl(f"--namespace={namespace}", "create", "token", account, f"--duration={_LIFETIME}").strip()
    document = json.loads(cluster.kubeconfig.read_text())
    document["users"][0]["user"] = {"token": token}
    path.parent.mkdir(parents=True, exist_ok=True)
    write_private(path, json.dumps(document).encode())
    return path
