"""The examples on a cluster: applied in an order that works, steered as their annotations say, compared with what they
promise.

Shared by the demos, which differ in how operator and workers come to run. Knows neither of those, only the objects.
"""

import contextlib
import json
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from email.message import EmailMessage
from typing import Any

from rich.console import Console
from rich.table import Table

from fluid_dev import examples
from fluid_dev.cluster import Cluster
from fluid_dev.errors import DemoError, TimedOut
from fluid_dev.examples import Promise
from fluid_dev.waiting import until

_STEADY_SECONDS = 60.0


class ExampleRun:
    def __init__(
        self,
        cluster: Cluster,
        namespace: str,
        documents: Sequence[dict[str, Any]],
        mails: Callable[[], Iterable[EmailMessage]],
    ) -> None:
        """`documents`: the examples, as `examples.read` has them; `mails`: what was delivered so far."""
        self._cluster = cluster
        self._namespace = namespace
        self._documents = documents
        self._mails = mails
        self._promises = [promise for document in documents if (promise := Promise.of(document))]

    def start(self, check: Callable[[], None], hint: str, within: float = _STEADY_SECONDS) -> None:
        """Apply environments, wait until they are Ready, then apply the jobs, and cancel those that ask for it.

        `check` is called meanwhile and may raise; `hint` tells where to look, and `within` (seconds) how long an
        environment may take.
        """
        before, jobs = examples.split(self._documents)
        self._apply(before)

        def environments_ready() -> bool:
            check()
            listed = json.loads(self.kubectl("get", "fluidenvironments", "--output=json"))
            return all(map(_is_ready, listed["items"]))

        until(environments_ready, within, f"every FluidEnvironment is Ready ({hint})")
        self._apply(jobs)
        for promise in self._promises:
            if promise.cancel_when:
                self._cancel(promise)

    def wait_kept(self, within: float) -> bool:
        """Whether every promise was kept within so many seconds."""
        with contextlib.suppress(TimedOut):
            return until(lambda: not any(self._differences().values()), within, "all promises kept", pause=0.5)
        return False

    def check(self, within: float, hint: str) -> None:
        """Wait until every promise is kept and print how they stand; DemoError, with `hint`, if some are not."""
        if not self._promises:
            raise DemoError("no example promises anything")
        self.wait_kept(within)
        differences = self._differences()
        Console().print(_table(differences))
        failed = sum(bool(found) for found in differences.values())
        if failed:
            raise DemoError(f"{failed} of {len(self._promises)} examples are not as promised; {hint}")

    def kubectl(self, *args: str, input: str | None = None) -> str:  # noqa: A002 - as in subprocess
        """In the namespace of the examples."""
        return self._cluster.kubectl(f"--namespace={self._namespace}", *args, input=input)

    def _apply(self, documents: Iterable[dict[str, Any]]) -> None:
        listed = {"apiVersion": "v1", "kind": "List", "items": list(documents)}
        if listed["items"]:
            # Forced: a second start undoes what was tried out by hand.
            self.kubectl("apply", "--server-side", "--force-conflicts", "--filename=-", input=json.dumps(listed))

    def _cancel(self, promise: Promise) -> None:
        """Do by hand what a user would: wait until it has come so far, then cancel it."""

        def reached() -> bool:
            found = self._object(promise)
            return found is not None and found["status"]["phase"] in (promise.cancel_when, promise.phase)

        until(reached, _STEADY_SECONDS, f"{promise.name} is {promise.cancel_when}", pause=0.2)
        # A request and not spec.cancelled, which the next start would take back by applying the example again.
        now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        request = f"jobs.fluidcalendar.com/request=cancel@{now}"
        self.kubectl("annotate", "--overwrite", promise.kind, promise.name, request)

    def _object(self, promise: Promise) -> dict[str, Any] | None:
        text = self.kubectl("get", promise.kind, promise.name, "--ignore-not-found", "--output=json")
        document = json.loads(text) if text.strip() else None
        assert document is None or isinstance(document, dict)
        return document

    def _differences(self) -> dict[Promise, list[str]]:
        subjects = [str(mail["Subject"]) for mail in self._mails()]
        return {promise: promise.differences(self._object(promise), subjects) for promise in self._promises}


def _is_ready(document: dict[str, Any]) -> bool:
    status = document.get("status", {})
    ready = any(each["type"] == "Ready" and each["status"] == "True" for each in status.get("conditions", []))
    return ready and status.get("observedGeneration") == document["metadata"]["generation"]


def _table(differences: dict[Promise, list[str]]) -> Table:
    table = Table("KIND", "NAME", "PROMISED", "FOUND")
    for promise, found in differences.items():
        table.add_row(promise.kind, promise.name, promise.phase, "; ".join(found) or "as promised")
    return table
