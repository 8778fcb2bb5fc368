"""One real node on this machine, and the control plane that it belongs to: containerd, kubelet, kube-proxy, DNS.

Pods run as real containers, with probes, limits, service names and volumes; there is no registry, so images are loaded
from archives. Needs root, and there is one node per machine: what it takes from the machine is `node_host`'s business.
Whatever happens to the command that started it, another one can stop it and leaves nothing behind.
"""

import contextlib
import json
import shutil
import subprocess
import tarfile
import urllib.request
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from fluid_dev import control_plane, node_config, node_host, stand_ins
from fluid_dev.binaries import Binaries, NodeBinaries
from fluid_dev.cluster import Cluster
from fluid_dev.errors import ClusterError, NodeError, ProcessDied, TimedOut
from fluid_dev.etcd import socket_folder
from fluid_dev.node_config import ADDRESS, NAME, Folders
from fluid_dev.processes import Process, find_program, reap
from fluid_dev.waiting import until

_PROGRAMS = ("containerd", "kube-scheduler", "kubelet", "kube-proxy", "coredns")
_VOLUMES = 10
_READY_SECONDS = 60.0
_SCHEDULER = ("scheduler", "system:kube-scheduler", ())
_KUBELET = ("kubelet", f"system:node:{NAME}", ("system:nodes",))
_PROXY = ("proxy", "system:kube-proxy", ())
_DNS = ("dns", "dns", ("system:masters",))
# Of the programs, who look for mount, nft and others: the same for every caller, as another one means a restart.
_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_NEEDED = ("ip", "mount", "umount", "nft")
_HEALTH = (f"http://{ADDRESS}:10256/healthz", f"http://{ADDRESS}:8181/ready")  # of kube-proxy, of DNS


class Node:
    """Synchronous handle; `cluster` is the control plane. `stop` removes everything, `state` included."""

    def __init__(
        self,
        state: Path,
        binaries: Binaries,
        node_binaries: NodeBinaries,
        *,
        die_with_parent: bool = False,
        logs: Path | None = None,
    ) -> None:
        """`die_with_parent`: also then the pods stay, until the next start or stop of any node clears them away."""
        self.state = state.absolute()
        self.folders = Folders(self.state, node_host.RUN)
        self.cluster = Cluster(
            self.state,
            binaries,
            address=ADDRESS,
            all_controllers=True,
            controller_manager_args=[f"--flex-volume-plugin-dir={self.folders.plugins}"],
            die_with_parent=die_with_parent,
            logs=logs,
        )
        self._binaries = node_binaries
        self._written: set[Path] = set()

        def program(name: str) -> Process:
            return Process(name, self.state, env={"PATH": _PATH}, die_with_parent=die_with_parent, logs=logs)

        programs = (program(name) for name in _PROGRAMS)
        self._containerd, self._scheduler, self._kubelet, self._proxy, self._dns = programs

    @property
    def processes(self) -> dict[str, Process]:
        """Its programs by name, those of the control plane left out."""
        programs = (self._containerd, self._scheduler, self._kubelet, self._proxy, self._dns)
        return {each.name: each for each in programs}

    def start(self, archives: Iterable[Path] = ()) -> None:
        """Start what does not run, load these images, wait until pods can run; NodeError says what is in the way."""
        with node_host.only_node_command():
            for name in _NEEDED:
                find_program(name, "run 'scripts/packages node' as root")
            self._claim()
            self.state.mkdir(parents=True, exist_ok=True)
            node_host.take(self.state)
            try:
                self.cluster.start()
                self._configure()
                self._start_containerd()
                for archive in (stand_ins.pause(self.state / "images" / "pause.tar"), *archives):
                    self.load(archive)
                for process in self.processes.values():
                    process.ensure()
                self._make_volumes()
                until(self._ready, _READY_SECONDS, "the node takes pods", pause=0.1)
            except (ClusterError, ProcessDied, TimedOut) as error:
                raise NodeError(f"the node in {self.state} did not start: {error}") from error

    def load(self, archive: Path) -> None:
        """Make the images of a `docker save` archive known to the node; those that it has by name stay as they are."""
        if not set(_tags(archive)) <= self.images():
            self._ctr("images", "import", "--local", str(archive))

    def tag(self, image: str, name: str) -> None:
        """Another name for an image that was loaded."""
        self._ctr("images", "tag", "--force", image, name)

    def images(self) -> set[str]:
        return set(self._ctr("images", "list", "--quiet").split())

    def stop(self) -> None:
        """Stop and remove everything, whoever started it; nothing to stop is fine."""
        stop(self.state)

    def restart_kubelet(self) -> None:
        """Pods run on meanwhile, as on a node whose kubelet is upgraded."""
        self._kubelet.stop()
        self._kubelet.start()
        until(self._ready, _READY_SECONDS, "the node takes pods", pause=0.1)

    # ------------------------------------------------------------------------------------------------------------------

    def _claim(self) -> None:
        """Clear away what a crashed node left; NodeError if another one runs."""
        owner = node_host.taken()
        if owner is None or owner.state == self.state:
            return
        if runs(owner.state):
            raise NodeError(
                f"this machine's one node runs already, from {owner.state}: stop it there ('make down' of that "
                "checkout, or the end of its test run), then run this again"
            )
        _clear(owner.state)

    def _configure(self) -> None:
        """Write every file that the programs read, and say how each program is called."""
        state, cluster, programs = self.state, self.cluster, self._binaries
        scheduler = cluster.write_kubeconfig(state / "scheduler.kubeconfig", *_SCHEDULER)
        kubelet = cluster.write_kubeconfig(state / "kubelet.kubeconfig", *_KUBELET)
        proxy = cluster.write_kubeconfig(state / "proxy.kubeconfig", *_PROXY)
        dns = cluster.write_kubeconfig(state / "dns.kubeconfig", *_DNS)
        nameservers = self._write("resolv.conf", "nameserver 127.0.0.1\n")
        plugins = sorted({programs.bridge.parent, programs.host_local.parent})
        runtime = self._write(
            "containerd.toml",
            node_config.containerd(
                self.folders, shim=programs.containerd_shim_runc_v2, runc=programs.runc, plugins=plugins
            ),
        )
        self._write("cni/10-fluid.conflist", node_config.network(self.folders))
        settings = self._write(
            "kubelet.json", node_config.kubelet(self.folders, ca=cluster.ca, nameservers=nameservers)
        )
        self._containerd.argv = [programs.containerd, f"--config={runtime}"]
        self._scheduler.argv = [programs.kube_scheduler, *control_plane.scheduler_args(scheduler)]
        self._kubelet.argv = [
            programs.kubelet,
            f"--config={settings}",
            f"--kubeconfig={kubelet}",
            f"--node-ip={ADDRESS}",
            f"--hostname-override={NAME}",
            f"--root-dir={self.folders.kubelet}",
            f"--cert-dir={self.folders.kubelet / 'pki'}",
        ]
        self._proxy.argv = [
            programs.kube_proxy,
            f"--config={self._write('proxy.json', node_config.kube_proxy(proxy))}",
        ]
        self._dns.argv = [programs.coredns, f"-conf={self._write('Corefile', node_config.corefile(dns))}"]
        for process in self.processes.values():
            process.fingerprint = "\n".join([cluster.server, *(path.read_text() for path in sorted(self._written))])

    def _write(self, name: str, content: str) -> Path:
        """Left alone if it says so already: kube-proxy ends when its file is written."""
        path = self.state / name
        if not path.exists() or path.read_text() != content:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(content)
        self._written.add(path)
        return path

    def _start_containerd(self) -> None:
        self._containerd.ensure()

        def answers() -> bool:
            self._containerd.check()
            with contextlib.suppress(NodeError):
                return bool(self._ctr("version"))
            return False

        until(answers, _READY_SECONDS, "containerd answers")

    def _make_volumes(self) -> None:
        """Empty ones for claims, of the default class; a claim that ends leaves its volume used, as Retain says."""
        names = [f"local-{number}" for number in range(_VOLUMES)]
        paths = {name: self.state / "volumes" / name for name in names}
        for path in paths.values():
            path.mkdir(parents=True, exist_ok=True)
        self.cluster.apply(
            [node_config.storage_class(), *(node_config.volume(name, path) for name, path in paths.items())]
        )

    def _ready(self) -> bool:
        for process in self.processes.values():
            process.check()
        found = json.loads(self.cluster.kubectl("get", "nodes", "--output=json"))["items"]
        return any(map(_takes_pods, found)) and all(map(_answers, _HEALTH))

    def _ctr(self, *args: str) -> str:
        command = [
            str(self._binaries.ctr),
            f"--address={self.folders.socket}",
            f"--namespace={node_config.KUBERNETES_NAMESPACE}",
            *args,
        ]
        done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
        if done.returncode:
            raise NodeError(f"ctr {' '.join(args)}: {done.stderr.strip()}")
        return done.stdout


def runs(state: Path) -> bool:
    """Whether any program of the node of this folder is alive; its pods may be, after a crash, without any."""
    return any(Process(name, state).running for name in (*_PROGRAMS, "etcd", "kube-apiserver"))


def stop(state: Path) -> None:
    """As `Node.stop`, for which no program of a node is needed; the node of another state is left alone."""
    state = state.absolute()
    with node_host.only_node_command():
        owner = node_host.taken()
        if owner is None or owner.state == state:
            _clear(state)


def _clear(state: Path) -> None:
    """The programs first, at once, so that none starts again what another loses; then pods, mounts and the rest."""
    reap(state)
    node_host.give_back()
    node_host.unmount_below(state)  # what is mounted there is not ours to delete, whatever the record says
    shutil.rmtree(socket_folder(state), ignore_errors=True)
    shutil.rmtree(state, ignore_errors=True)


def _tags(archive: Path) -> Sequence[str]:
    with tarfile.open(archive) as content:
        manifest = content.extractfile("manifest.json")
        assert manifest
        return [tag for image in json.load(manifest) for tag in image["RepoTags"]]


def _takes_pods(node: dict[str, Any]) -> bool:
    conditions = node["status"].get("conditions", [])
    ready = any(each["type"] == "Ready" and each["status"] == "True" for each in conditions)
    return ready and not node["spec"].get("taints")


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=2) as answer:  # noqa: S310 - http, by us
            return bool(answer.status == 200)
    except OSError:
        return False
