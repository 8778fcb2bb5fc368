"""The operator as a real process, as many replicas as a test wants: settings in, log and HTTP port out, gone at the
end.
"""

import json
import os
import signal
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple, Self

from fluid_dev.processes import Process
from fluid_operator.settings import PREFIX
from support.folders import fresh_folder
from support.waiting import until

COMMAND = (sys.executable, "-m", "fluid_operator")

BRISK = {
    "FLUID_LEASE_DURATION_SECONDS": "3",
    "FLUID_LEASE_RENEW_DEADLINE_SECONDS": "2",
    "FLUID_LEASE_RETRY_SECONDS": "0.4",
}
"""Times of an election that a test can wait for."""


class Answer(NamedTuple):
    """What an HTTP endpoint said."""

    status: int
    body: str


class Operator:
    """One replica in one namespace, where its Lease is as well. Its log is JSON lines."""

    def __init__(self, kubeconfig: Path, namespace: str, **settings: str) -> None:
        """`settings` are environment variables; they replace those that this class chooses."""
        env = {
            "KUBECONFIG": str(kubeconfig),
            "FLUID_NAMESPACES": namespace,
            "FLUID_LEASE_NAMESPACE": namespace,
            "FLUID_HTTP_HOST": "127.0.0.1",
            "FLUID_HTTP_PORT": "0",
            "FLUID_LOG_LEVEL": "info",
            "FLUID_LOG_FORMAT": "json",
            **BRISK,
            **settings,
        }
        self.env = {name: "" for name in os.environ if name.startswith(PREFIX)} | env
        self.process = Process("operator", fresh_folder("operator"), COMMAND, env=self.env, die_with_parent=True)

    def start(self) -> Self:
        """Start it and return at once."""
        self.process.start()
        return self

    @property
    def log(self) -> list[dict[str, Any]]:
        """Every complete line so far."""
        lines = self.process.log.read_text().splitlines() if self.process.log.exists() else []
        return [json.loads(line) for line in lines if line.startswith("{") and line.endswith("}")]

    def said(self, message: str) -> list[dict[str, Any]]:
        """The log lines with this message."""
        return [line for line in self.log if line["message"] == message]

    @property
    def leads(self) -> bool:
        """As its metrics say."""
        self.process.check()
        return self.metric("fluid_operator_leader") == 1

    def leading(self, within: float = 30.0) -> Self:
        """Wait until it leads."""
        until(lambda: self.leads, within, "the operator leads")
        return self

    @property
    def port(self) -> int:
        """Where it serves HTTP; waits until it does."""
        lines = until(self._serving, 30, "the operator serves")
        return int(lines[0]["port"])

    def _serving(self) -> list[dict[str, Any]]:
        self.process.check()
        return self.said("Serving.")

    def http(self, path: str) -> Answer:
        """Ask one of its endpoints."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=5) as answer:
                return Answer(answer.status, answer.read().decode())
        except urllib.error.HTTPError as refusal:
            with refusal:
                return Answer(refusal.code, refusal.read().decode())

    def metric(self, series: str) -> float | None:
        """The value of one series, written as in the text format; None if there is no such series."""
        for line in self.http("/metrics").body.splitlines():
            name, _, value = line.rpartition(" ")
            if name == series:
                return float(value)
        return None

    def terminate(self) -> None:
        """Ask it to stop, without waiting."""
        self.process.signal(signal.SIGTERM)


@contextmanager
def running_operators(kubeconfig: Path, namespace: str, replicas: int = 1, **settings: str) -> Iterator[list[Operator]]:
    """So many replicas, started together; every one is gone after the block."""
    operators = [Operator(kubeconfig, namespace, **settings) for _ in range(replicas)]
    try:
        for operator in operators:
            operator.start()
        yield operators
    finally:
        for operator in operators:
            operator.process.stop(within=15)


@contextmanager
def running_operator(kubeconfig: Path, namespace: str, **settings: str) -> Iterator[Operator]:
    """One replica that leads."""
    with running_operators(kubeconfig, namespace, **settings) as operators:
        yield operators[0].leading()
