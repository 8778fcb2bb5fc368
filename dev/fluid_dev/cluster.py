"""A real Kubernetes control plane on this machine: etcd, kube-apiserver, kube-controller-manager; no node.

Several can run side by side: the API server's loopback port is the only thing they take from the machine. What runs is
found again by its state folder, so one command can start a cluster and a later one stop it.
"""

import hashlib
import json
import shutil
import ssl
import subprocess
import urllib.error
import urllib.request
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from fluid_dev import control_plane, kubeconfig
from fluid_dev.binaries import Binaries
from fluid_dev.errors import ClusterError, ProcessDied, TimedOut
from fluid_dev.etcd import Etcd
from fluid_dev.pki import Authority
from fluid_dev.ports import LOOPBACK, free_port, is_free
from fluid_dev.processes import Process
from fluid_dev.waiting import until

# Name of the certificate, user, groups.
ADMIN = ("admin", "admin", ("system:masters",))
_CONTROLLER_MANAGER = ("controller-manager", "system:kube-controller-manager", ())
_PORT_ATTEMPTS = 5
_START_SECONDS = 60.0


class Cluster:
    """Synchronous handle of one control plane. All paths lie below `state`, which `stop(wipe=True)` removes."""

    def __init__(
        self,
        state: Path,
        binaries: Binaries,
        *,
        address: str = LOOPBACK,
        die_with_parent: bool = False,
        apiserver_args: Sequence[str] = (),
        all_controllers: bool = False,
        controller_manager_args: Sequence[str] = (),
        logs: Path | None = None,
    ) -> None:
        """`address`: where the API server listens, if pods must reach it.

        `die_with_parent`: the kernel kills every process as soon as the thread that started it ends.

        `all_controllers`: also those that an operator without pods does not need, such as that of Jobs.
        """
        self.state = state
        self.binaries = binaries
        self.kubeconfig = state / "kubeconfig"
        self.ca = state / "pki" / "ca.crt"
        self._address = address
        self._port_file = state / "port"
        self._apiserver_args = tuple(apiserver_args)
        self._all_controllers = all_controllers
        self._controller_manager_args = tuple(controller_manager_args)
        self._etcd = Etcd(binaries.etcd, state, die_with_parent=die_with_parent, logs=logs)
        self._apiserver = Process("kube-apiserver", state, die_with_parent=die_with_parent, logs=logs)
        self._controller_manager = Process("kube-controller-manager", state, die_with_parent=die_with_parent, logs=logs)

    @property
    def port(self) -> int:
        """The API server's port; ClusterError before the first start."""
        try:
            return int(self._port_file.read_text())
        except FileNotFoundError as error:
            raise ClusterError(f"the cluster in {self.state} was never started") from error

    @property
    def server(self) -> str:
        return f"https://{self._address}:{self.port}"

    @property
    def running(self) -> bool:
        return self._apiserver.running

    @property
    def processes(self) -> dict[str, Process]:
        """Its programs by name, for whoever measures or watches them."""
        return {each.name: each for each in (self._etcd.process, self._apiserver, self._controller_manager)}

    def start(self) -> None:
        """Start whatever does not run yet and wait until pods could be created; ClusterError with the log's end."""
        self.state.mkdir(parents=True, exist_ok=True)
        try:
            self._etcd.ensure()
            self._start_apiserver()
            self._controller_manager.ensure()
            until(self._default_account_exists, _START_SECONDS, "the controller manager works")
        except (ProcessDied, TimedOut) as error:
            raise ClusterError(f"the cluster in {self.state} did not start: {error}") from error

    def stop(self, *, wipe: bool = False) -> None:
        """Stop everything, also what another command started; `wipe` removes the state, so it need not be gentle."""
        for process in (self._controller_manager, self._apiserver, self._etcd.process):
            process.stop(within=0 if wipe else 3)
        if wipe:
            self._etcd.wipe()
            shutil.rmtree(self.state, ignore_errors=True)

    def kubectl(self, *args: str, input: str | None = None, check: bool = True) -> str:  # noqa: A002 - as in subprocess
        """Run kubectl as administrator and return its output; ClusterError with its complaint if `check`."""
        # Discovery caches are kept by address: clusters that get the same port one after the other must not share one.
        command = [
            str(self.binaries.kubectl),
            f"--kubeconfig={self.kubeconfig}",
            f"--cache-dir={self.state / 'kubectl-cache'}",
        ]
        done = subprocess.run(
            [*command, *args],
            input=input,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        if check and done.returncode:
            raise ClusterError(f"kubectl {' '.join(args)}: {done.stderr.strip() or done.stdout.strip()}")
        return done.stdout if check else done.stdout + done.stderr

    def apply(self, documents: Iterable[Mapping[str, Any]]) -> None:
        """Apply these objects, all in one go, each in the namespace that it names."""
        listed = {"apiVersion": "v1", "kind": "List", "items": list(documents)}
        self.kubectl("apply", "--server-side", "--filename=-", input=json.dumps(listed))

    def apply_crds(self, folder: Path) -> None:
        """Apply every CRD of the folder and wait until all of them are served and garbage-collected."""
        self.kubectl("apply", "--server-side", "--force-conflicts", f"--filename={folder}")
        self.kubectl("wait", "--for=condition=Established", "--timeout=30s", f"--filename={folder}")
        # The garbage collector re-reads the list of kinds only every 30 s; a fresh one reads it at once.
        self._controller_manager.stop()
        self._controller_manager.start()

    def client_kubeconfig(self, user: str, groups: Sequence[str] = ()) -> Path:
        """A kubeconfig of somebody else, by client certificate: what RBAC allows this user is up to the caller."""
        # Distinct users must get distinct files, whatever characters their names have.
        name = "user-" + hashlib.sha256("\0".join((user, *groups)).encode()).hexdigest()[:16]
        return self.write_kubeconfig(self.state / f"{name}.kubeconfig", name, user, groups)

    def write_kubeconfig(
        self, path: Path, name: str, user: str, groups: Sequence[str] = (), *, namespace: str | None = None
    ) -> Path:
        """As `client_kubeconfig`, at a chosen path; `name` is that of the certificate, `namespace` the default one."""
        certificate, key = self._authority().client(name, user, groups)
        return kubeconfig.write(
            path,
            server=self.server,
            ca=self.ca,
            certificate=certificate,
            key=key,
            user=user,
            namespace=namespace,
        )

    # For tests of faults ------------------------------------------------------------------------------------------

    def signal_apiserver(self, sig: int) -> None:
        self._apiserver.signal(sig)

    def kill_apiserver(self) -> None:
        """As kill -9; `restart_apiserver` brings it back."""
        self._apiserver.kill()

    def restart_apiserver(self) -> None:
        """Stop it if it runs, start it on the same port, return when it is ready."""
        self._apiserver.stop()
        self._apiserver.start()
        self._wait_ready()

    def compact_etcd(self) -> int:
        """Forget all revisions but the newest, whose number is returned.

        A running API server still serves old ones, lists and watches, from its own cache: only after
        `restart_apiserver` they answer 410 Gone.
        """
        return self._etcd.compact()

    def save_etcd(self, to: Path) -> None:
        """Copy etcd's data to a folder that must not exist; the API server stays, and waits for the short gap."""
        self._etcd.stop()
        self._etcd.save(to)
        self._etcd.ensure()
        self._etcd.wait_ready()
        self._wait_ready()

    def restore_etcd(self, frm: Path) -> None:
        """Go back to saved data, as after a restored backup: the cluster's revisions start over from there."""
        self._controller_manager.stop()
        self._apiserver.stop()
        self._etcd.stop()
        self._etcd.restore(frm)
        self.start()

    # ---------------------------------------------------------------------------------------------------------------

    def _authority(self) -> Authority:
        return Authority(self.state / "pki")

    def _start_apiserver(self) -> None:
        """On its old port if it has one and nobody took it meanwhile, else on a fresh one."""
        for _ in range(_PORT_ATTEMPTS):
            self._choose_port()
            self._configure()
            self._apiserver.ensure()
            try:
                self._wait_ready()
            except ProcessDied as error:
                if "address already in use" not in error.tail:
                    raise
                self._port_file.unlink()
            else:
                return
        raise ClusterError(f"the API server found no free port in {_PORT_ATTEMPTS} attempts")

    def _choose_port(self) -> None:
        """Keep the old port if it is ours or free: clients that know it find the server again."""
        if not self._port_file.exists() or not (self._apiserver.running or is_free(self.port, self._address)):
            self._port_file.write_text(str(free_port(self._address)))

    def _wait_ready(self) -> None:
        until(self._ready, _START_SECONDS, f"the API server is ready at {self.server}")

    def _ready(self) -> bool:
        self._apiserver.check()
        return self.get("/readyz") == b"ok"

    def _default_account_exists(self) -> bool:
        self._controller_manager.check()
        return self.get("/api/v1/namespaces/default/serviceaccounts/default") is not None

    def get(self, path: str) -> bytes | None:
        """The body of a GET as administrator, such as `/metrics`; None while there is no good answer."""
        context = ssl.create_default_context(cafile=self.ca)
        context.load_cert_chain(*self._authority().client(*ADMIN))
        try:
            with urllib.request.urlopen(self.server + path, timeout=5, context=context) as answer:  # noqa: S310 - https
                body = answer.read()
        except OSError:  # refused, reset, timed out; an HTTP error is one as well
            return None
        assert isinstance(body, bytes)
        return body

    def _configure(self) -> None:
        """Everything that depends on the port: kubeconfigs and command lines."""
        authority = self._authority()
        self.write_kubeconfig(self.kubeconfig, *ADMIN)
        config = self.write_kubeconfig(self.state / "controller-manager.kubeconfig", *_CONTROLLER_MANAGER)
        self._apiserver.argv = [
            self.binaries.kube_apiserver,
            *control_plane.apiserver_args(authority, etcd=self._etcd.url, address=self._address, port=self.port),
            *self._apiserver_args,
        ]
        self._controller_manager.argv = [
            self.binaries.kube_controller_manager,
            *control_plane.controller_manager_args(authority, config, all_controllers=self._all_controllers),
            *self._controller_manager_args,
        ]
        self._controller_manager.fingerprint = self.server
