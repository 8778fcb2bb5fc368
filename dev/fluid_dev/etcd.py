"""One etcd for one API server, on unix sockets: it takes no TCP port, and nobody else can reach it.

Knows how to start it, to copy its data and to compact it; nothing of Kubernetes.
"""

import base64
import hashlib
import http.client
import json
import os
import shutil
import socket
import tempfile
from pathlib import Path
from typing import Any

from fluid_dev.errors import ClusterError
from fluid_dev.processes import Process
from fluid_dev.waiting import until

_LONGEST_SOCKET_PATH = 100  # the kernel takes 107 bytes; etcd appends a few for its lock


class Etcd:
    def __init__(self, binary: Path, state: Path, *, die_with_parent: bool, logs: Path | None = None) -> None:
        self._data = state / "etcd"
        self._sockets = socket_folder(state)
        self._client_socket = self._sockets / "etcd.sock"
        self.url = f"unix://{self._client_socket}"
        # etcd insists that advertised addresses are host:port; this one is never dialled.
        nowhere = "http://127.0.0.1:1"
        self.process = Process(
            "etcd",
            state,
            [
                binary,
                f"--data-dir={self._data}",
                f"--listen-client-urls={self.url}",
                f"--advertise-client-urls={nowhere}",
                f"--listen-peer-urls=unix://{self._sockets / 'peer.sock'}",
                f"--initial-advertise-peer-urls={nowhere}",
                f"--initial-cluster=default={nowhere}",
                "--unsafe-no-fsync",  # survives the death of the process, not of the machine
                "--log-level=warn",
            ],
            die_with_parent=die_with_parent,
            logs=logs,
        )

    def ensure(self) -> bool:
        """Start it unless it runs; True if it was started. The API server itself waits until it answers."""
        self._sockets.mkdir(mode=0o700, parents=True, exist_ok=True)
        if self._sockets.stat().st_uid != os.getuid():
            raise ClusterError(f"{self._sockets} belongs to somebody else: remove it, then run this again")
        if not self.process.running:
            for leftover in self._sockets.glob("*.sock"):  # a killed etcd leaves them, and then cannot listen
                leftover.unlink()
        return self.process.ensure()

    def stop(self) -> None:
        self.process.stop()

    def wipe(self) -> None:
        """Remove the sockets; the data lies in the state folder, whose owner removes it."""
        shutil.rmtree(self._sockets, ignore_errors=True)

    def save(self, to: Path) -> None:
        """Copy the data of a stopped etcd."""
        shutil.copytree(self._data, to)

    def restore(self, frm: Path) -> None:
        """Put a saved copy in the place of the data of a stopped etcd."""
        shutil.rmtree(self._data, ignore_errors=True)
        shutil.copytree(frm, self._data)

    def compact(self) -> int:
        """Forget every revision but the newest one, and return its number."""
        everything = base64.b64encode(b"\0").decode()
        answer = self._call("/v3/kv/range", {"key": everything, "range_end": everything, "count_only": True})
        revision = int(answer["header"]["revision"])
        self._call("/v3/kv/compaction", {"revision": revision, "physical": True})
        return revision

    def wait_ready(self, within: float = 15.0) -> None:
        until(self._answers, within, f"etcd answers on {self._client_socket}")

    def _answers(self) -> bool:
        self.process.check()
        try:
            self._call("/v3/maintenance/status", {})
        except (OSError, ClusterError):
            return False
        return True

    def _call(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        """One call of etcd's JSON gateway."""
        connection = _UnixConnection(self._client_socket)
        try:
            connection.request("POST", path, json.dumps(body))
            answer = connection.getresponse()
            text = answer.read()
        finally:
            connection.close()
        if answer.status != http.client.OK:
            raise ClusterError(f"etcd answered {answer.status} to {path}: {text.decode(errors='replace')[:300]}")
        document = json.loads(text)
        assert isinstance(document, dict)
        return document


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: Path) -> None:
        super().__init__("localhost", timeout=10)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(str(self._path))


def socket_folder(state: Path) -> Path:
    """Inside the state folder if that is short enough for a socket's path, else in a folder named after its hash."""
    inside = state / "sockets"
    if len(os.fsencode(inside / "peer.sock")) <= _LONGEST_SOCKET_PATH:
        return inside
    base = Path(os.environ.get("XDG_RUNTIME_DIR") or tempfile.gettempdir())
    return base / f"fluid-{hashlib.sha256(os.fsencode(state)).hexdigest()[:16]}"
