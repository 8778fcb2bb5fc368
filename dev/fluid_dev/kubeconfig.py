"""Kubeconfig files with everything inside (JSON is valid YAML), readable by their owner only."""

import base64
import json
from pathlib import Path

from fluid_dev.pki import write_private


def write(
    path: Path, *, server: str, ca: Path, certificate: Path, key: Path, user: str, namespace: str | None = None
) -> Path:
    """A kubeconfig for `user`, who shows a client certificate to `server`; `namespace` is where kubectl looks first."""
    name = "fluid-local"
    where = {"namespace": namespace} if namespace else {}
    document = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": name,
        "clusters": [
            {"name": name, "cluster": {"server": server, "certificate-authority-data": _encoded(ca)}},
        ],
        "users": [
            {
                "name": user,
                "user": {"client-certificate-data": _encoded(certificate), "client-key-data": _encoded(key)},
            },
        ],
        "contexts": [{"name": name, "context": {"cluster": name, "user": user} | where}],
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    write_private(path, json.dumps(document, indent=2).encode() + b"\n")
    return path


def _encoded(path: Path) -> str:
    return base64.b64encode(path.read_bytes()).decode()
