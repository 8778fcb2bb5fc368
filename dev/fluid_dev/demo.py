"""The demo: Redis, a mail catcher, a control plane, the operator and one worker as processes, and the examples.

Everything lies in one folder (`.local/` of the checkout) and is found again by it: a second `up` keeps what runs and
restarts what died, `down` stops it all, whoever started it. How the operator and the worker are called stands in
`_operator` and `_worker`, and nowhere else.
"""

import shutil
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from fluid_dev import binaries, examples
from fluid_dev.cluster import ADMIN, Cluster
from fluid_dev.errors import DemoError
from fluid_dev.etcd import socket_folder
from fluid_dev.example_run import ExampleRun
from fluid_dev.exclusive import only_command
from fluid_dev.processes import Process, reap
from fluid_dev.progress import shown, step
from fluid_dev.redis import RedisServer
from fluid_dev.smtp import SmtpCatcher

NAMESPACE = "fluid-demo"
ENVIRONMENT = "default"
REDIS_SECRET = "fluid-redis"  # noqa: S105 - the name of a Secret
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
            run = self._run(cluster)
            with step("applying the examples"):
                run.start(lambda: _check(programs), f"see {self._logs}/operator.log")
            with step("letting them run for a while"):
                run.wait_kept(_PATIENCE_SECONDS)
            _check(programs)
        self._say_how_to_go_on(cluster)

    @property
    def running(self) -> bool:
        """Whether it was started and not stopped since."""
        return self.kubeconfig.exists()

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
        if not self.running:
            raise DemoError("the demo does not run: start it with 'make demo'")
        cluster = self._cluster(binaries.provide(may_build=False))
        self._run(cluster).check(within, f"logs are in {self._logs}")

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
            "SMTP_URL": self._smtp.url,
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
        cluster.apply([_namespace(), _redis_secret(self._redis.url)])

    def _run(self, cluster: Cluster) -> ExampleRun:
        return ExampleRun(cluster, NAMESPACE, examples.read(self._examples), self._smtp.mails)

    def _link_kubectl(self, found: binaries.Binaries) -> None:
        link = self.state / "bin" / "kubectl"
        link.parent.mkdir(parents=True, exist_ok=True)
        link.unlink(missing_ok=True)
        link.symlink_to(found.kubectl)

    def _say_how_to_go_on(self, cluster: Cluster) -> None:
        print(cluster.kubectl(f"--namespace={NAMESPACE}", "get", "fluidjobs"))
        print(f"Mails:  {shown(self.maildir)}   Logs: {shown(self._logs)}")
        print(f"Go on:  export KUBECONFIG={shown(self.kubeconfig)} PATH={shown(self.state / 'bin')}:$PATH")
        print("        kubectl get fluid -A; make demo-check; make down")


def _namespace() -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}}


def _redis_secret(url: str) -> dict[str, Any]:
    meta = {"name": REDIS_SECRET, "namespace": NAMESPACE}
    return {"apiVersion": "v1", "kind": "Secret", "metadata": meta, "stringData": {"url": url}}


def _check(programs: Iterable[Process]) -> None:
    for program in programs:
        program.check()
