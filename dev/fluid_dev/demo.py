"""The demo: Redis, a mail catcher, a control plane, the operator and one worker as processes, and the examples.

Everything lies in one folder (`.local/` of the checkout) and is found again by it: a second `up` keeps what runs and
restarts what died, `down` stops it all, whoever started it. How the operator and the worker are called stands in
`_operator` and `_worker`, and nowhere else.
"""

import contextlib
import json
import shutil
import sys
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from fluid_dev import binaries, examples
from fluid_dev.cluster import ADMIN, Cluster
from fluid_dev.errors import DemoError, TimedOut
from fluid_dev.etcd import socket_folder
from fluid_dev.examples import Promise
from fluid_dev.exclusive import only_command
from fluid_dev.processes import Process, reap
from fluid_dev.progress import step
from fluid_dev.redis import RedisServer
from fluid_dev.smtp import SmtpCatcher
from fluid_dev.waiting import until

NAMESPACE = "fluid-demo"
ENVIRONMENT = "default"
REDIS_SECRET = "fluid-redis"  # noqa: S105 - the name of a Secret
_STEADY_SECONDS = 60.0
_PATIENCE_SECONDS = 15.0


class Demo:
    def __init__(self, checkout: Path, state: Path) -> None:
        self.state = state.absolute()
        self.kubeconfig = self.state / "kubeconfig"
        self.maildir = self.state / "mails"
        self._logs = self.state / "logs"
        self._crds = checkout / "crds"
        self._examples = checkout / "manifests" / "examples"
        self._redis = RedisServer(self.state / "redis", appendonly=True, logs=self._logs)
        self._smtp = SmtpCatcher(self.state / "smtp", self.maildir, logs=self._logs)

    def up(self) -> None:
        """Start what does not run, apply the examples, and say how to go on; DevError if some part will not run."""
        with only_command(self.state):
            found = binaries.provide()
            self._link_kubectl(found)
            with step("starting Redis and the mail catcher"):
                self._redis.start()
                self._smtp.start()
            cluster = self._cluster(found)
            with step("starting the control plane"):
                self._start_cluster(cluster)
            programs = (self._operator(cluster), self._worker())
            with step("starting the operator and a worker"):
                for program in programs:
                    program.ensure()
            with step("applying the examples"):
                self._apply_examples(cluster, programs)
            with step("letting them run for a while"), contextlib.suppress(TimedOut):
                self._wait_kept(cluster, self._promises(), _PATIENCE_SECONDS)
            for program in programs:
                program.check()
        self._say_how_to_go_on(cluster)

    def down(self) -> None:
        """Stop everything of this folder, also after a killed `up`, and remove the folder."""
        if not self.state.exists():
            print("nothing runs here")
            return
        with only_command(self.state), step("stopping the demo"):
            for name in ("worker", "operator"):
                Process(name, self.state).stop(within=10)
            self._smtp.stop()
            self._redis.stop(wipe=True)
            reap(self.state)  # the control plane, whose data goes as well
            shutil.rmtree(socket_folder(self.state / "cluster"), ignore_errors=True)
        shutil.rmtree(self.state)

    def check(self, within: float) -> None:
        """Wait until every example is as its annotations promise; DemoError and a table of differences otherwise."""
        promises = self._promises()
        if not promises:
            raise DemoError(f"no example in {self._examples} promises anything")
        if not self.kubeconfig.exists():
            raise DemoError("the demo does not run: start it with 'make demo'")
        cluster = self._cluster(binaries.provide(may_build=False))
        with contextlib.suppress(TimedOut):  # the table tells more than this error would
            self._wait_kept(cluster, promises, within)
        differences = self._differences(cluster, promises)
        Console().print(_table(differences))
        failed = sum(bool(found) for found in differences.values())
        if failed:
            raise DemoError(f"{failed} of {len(promises)} examples are not as promised; logs are in {self._logs}")

    # The two programs on show ------------------------------------------------------------------------------------

    def _operator(self, cluster: Cluster) -> Process:
        env = {
            "KUBECONFIG": str(self.kubeconfig),
            "FLUID_NAMESPACES": NAMESPACE,
            "FLUID_LEASE_NAMESPACE": NAMESPACE,
            "FLUID_HTTP_HOST": "127.0.0.1",
            "FLUID_HTTP_PORT": "0",
        }
        return self._program("operator", "fluid_operator", env, fingerprint=cluster.server)

    def _worker(self) -> Process:
        env = {
            "FLUID_REDIS_URL": self._redis.url,
            "FLUID_KEY_PREFIX": f"{NAMESPACE}.{ENVIRONMENT}",
            "FLUID_QUEUES": "*",
            "FLUID_IMAGE": "local",
            "FLUID_HEALTH_HOST": "127.0.0.1",
            "FLUID_HEALTH_PORT": "0",
            "SMTP_URL": f"smtp://127.0.0.1:{self._smtp.port}",
            "EMAIL_FROM": "Fluid Jobs <jobs@example.com>",
        }
        return self._program("worker", "fluid_processors", env)

    def _program(self, name: str, module: str, env: dict[str, str], fingerprint: str = "") -> Process:
        argv = [sys.executable, "-m", module]
        return Process(name, self.state, argv, env=env, fingerprint=fingerprint)

    # Steps -------------------------------------------------------------------------------------------------------

    def _cluster(self, found: binaries.Binaries) -> Cluster:
        return Cluster(self.state / "cluster", found, logs=self._logs)

    def _start_cluster(self, cluster: Cluster) -> None:
        cluster.start()
        cluster.write_kubeconfig(self.kubeconfig, *ADMIN, namespace=NAMESPACE)
        cluster.apply_crds(self._crds)
        self._apply(cluster, [_namespace()])
        self._apply(cluster, [_redis_secret(self._redis.url)])

    def _apply_examples(self, cluster: Cluster, programs: Iterable[Process]) -> None:
        before, jobs = examples.split(examples.read(self._examples))
        self._apply(cluster, before)

        def environments_ready() -> bool:
            for program in programs:
                program.check()
            listed = json.loads(self._kubectl(cluster, "get", "fluidenvironments", "--output=json"))
            return all(map(_is_ready, listed["items"]))

        until(environments_ready, _STEADY_SECONDS, f"every FluidEnvironment is Ready (see {self._logs}/operator.log)")
        self._apply(cluster, jobs)
        for promise in filter(None, map(Promise.of, jobs)):
            if promise.cancel_when:
                self._cancel(cluster, promise)

    def _cancel(self, cluster: Cluster, promise: Promise) -> None:
        """Do by hand what a user would: wait until it has come so far, then cancel it."""

        def reached() -> bool:
            found = self._object(cluster, promise)
            return found is not None and found["status"]["phase"] in (promise.cancel_when, promise.phase)

        until(reached, _STEADY_SECONDS, f"{promise.name} is {promise.cancel_when}", pause=0.2)
        # A request and not spec.cancelled, which the next `up` would take back by applying the example again.
        now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        request = f"jobs.fluidcalendar.com/request=cancel@{now}"
        self._kubectl(cluster, "annotate", "--overwrite", promise.kind, promise.name, request)

    def _apply(self, cluster: Cluster, documents: Iterable[dict[str, Any]]) -> None:
        listed = {"apiVersion": "v1", "kind": "List", "items": list(documents)}
        if listed["items"]:
            self._kubectl(cluster, "apply", "--server-side", "--filename=-", input=json.dumps(listed))

    def _kubectl(self, cluster: Cluster, *args: str, input: str | None = None) -> str:  # noqa: A002 - as in subprocess
        return cluster.kubectl(f"--namespace={NAMESPACE}", *args, input=input)

    def _object(self, cluster: Cluster, promise: Promise) -> dict[str, Any] | None:
        text = self._kubectl(cluster, "get", promise.kind, promise.name, "--ignore-not-found", "--output=json")
        document = json.loads(text) if text.strip() else None
        assert document is None or isinstance(document, dict)
        return document

    def _differences(self, cluster: Cluster, promises: Iterable[Promise]) -> dict[Promise, list[str]]:
        subjects = [str(mail["Subject"]) for mail in self._smtp.mails()]
        return {promise: promise.differences(self._object(cluster, promise), subjects) for promise in promises}

    def _promises(self) -> list[Promise]:
        return [promise for document in examples.read(self._examples) if (promise := Promise.of(document))]

    def _wait_kept(self, cluster: Cluster, promises: Sequence[Promise], within: float) -> None:
        until(lambda: not any(self._differences(cluster, promises).values()), within, "all promises kept", pause=0.5)

    def _link_kubectl(self, found: binaries.Binaries) -> None:
        link = self.state / "bin" / "kubectl"
        link.parent.mkdir(parents=True, exist_ok=True)
        link.unlink(missing_ok=True)
        link.symlink_to(found.kubectl)

    def _say_how_to_go_on(self, cluster: Cluster) -> None:
        print(self._kubectl(cluster, "get", "fluidjobs"))
        print(f"Mails:  {_shown(self.maildir)}   Logs: {_shown(self._logs)}")
        print(f"Go on:  export KUBECONFIG={_shown(self.kubeconfig)} PATH={_shown(self.state / 'bin')}:$PATH")
        print("        kubectl get fluid -A; make demo-check; make down")


def _shown(path: Path) -> str:
    """Relative to where the user is, if it lies below."""
    return str(path.relative_to(Path.cwd())) if path.is_relative_to(Path.cwd()) else str(path)


def _namespace() -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}}


def _redis_secret(url: str) -> dict[str, Any]:
    meta = {"name": REDIS_SECRET, "namespace": NAMESPACE}
    return {"apiVersion": "v1", "kind": "Secret", "metadata": meta, "stringData": {"url": url}}


def _is_ready(document: dict[str, Any]) -> bool:
    conditions = document.get("status", {}).get("conditions", [])
    return any(condition["type"] == "Ready" and condition["status"] == "True" for condition in conditions)


def _table(differences: dict[Promise, list[str]]) -> Table:
    table = Table("KIND", "NAME", "PROMISED", "FOUND")
    for promise, found in differences.items():
        table.add_row(promise.kind, promise.name, promise.phase, "; ".join(found) or "as promised")
    return table
