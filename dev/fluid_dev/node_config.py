"""The files that containerd, its network plugins, kubelet, kube-proxy and CoreDNS read: data in, text out.

What is said here was needed on a machine that is not made for Kubernetes: defaults are right where nothing is said.
Writes and starts nothing itself.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

NAME = "node1"
LINK = "fluid0"
ADDRESS = "10.244.0.1"
"""The bridge, on which API server, kubelet and DNS listen: pods reach them there, and nobody outside this machine."""
NETWORK = "10.244.0.0/24"
_FIRST_POD = "10.244.0.10"
CGROUP = "fluid-node"
"""Below it lie the pods' own, and nothing else does."""
PAUSE = "localhost/pause:local"
KUBE_PROXY_TABLES = (("ip", "kube-proxy"), ("ip6", "kube-proxy"))
KUBERNETES_NAMESPACE = "k8s.io"
"""The kubelet sees only the images of this namespace of containerd."""


@dataclass(frozen=True)
class Folders:
    """Where a node keeps what: `data` goes with the cluster; `run` is the same for every node, and short."""

    data: Path
    run: Path

    @property
    def socket(self) -> Path:
        return self.run / "containerd" / "containerd.sock"

    @property
    def kubelet(self) -> Path:
        return self.data / "kubelet"

    @property
    def plugins(self) -> Path:
        """Of volumes: there are none, and by default that would be a folder in /usr."""
        return self.data / "volume-plugins"

    @property
    def network(self) -> Path:
        return self.data / "cni"


def containerd(folders: Folders, *, shim: Path, runc: Path, plugins: list[Path]) -> str:
    """TOML; `plugins`: the folders that hold the network plugins."""
    settings: dict[str, dict[str, object]] = {
        "": {"version": 3, "root": folders.data / "containerd", "state": folders.run / "containerd"},
        "grpc": {"address": folders.socket},
        # Both would make folders outside of ours.
        "plugins.'io.containerd.internal.v1.opt'": {"path": folders.data / "opt"},
        "plugins.'io.containerd.nri.v1.nri'": {"disable": True},
        "plugins.'io.containerd.cri.v1.images'": {"snapshotter": "overlayfs"},
        "plugins.'io.containerd.cri.v1.images'.pinned_images": {"sandbox": PAUSE},
        "plugins.'io.containerd.cri.v1.runtime'": {
            # Without CAP_SYS_RESOURCE, as in many containers and sandboxes, a lower score is refused.
            "restrict_oom_score_adj": True,
            "disable_hugetlb_controller": True,
            "netns_mounts_under_state_dir": True,
        },
        "plugins.'io.containerd.cri.v1.runtime'.cni": {
            "bin_dirs": [str(folder) for folder in plugins],
            "conf_dir": folders.network,
            "use_internal_loopback": True,
        },
        "plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.runc": {
            "runtime_type": "io.containerd.runc.v2",
            "runtime_path": shim,
        },
        "plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.runc.options": {
            "BinaryName": runc,
            "Root": folders.run / "runc",
            "SystemdCgroup": False,
        },
    }
    return "\n".join(line for table, values in settings.items() for line in _table(table, values)) + "\n"


def _table(name: str, values: dict[str, object]) -> list[str]:
    lines = [f"[{name}]"] if name else []
    # JSON's strings, numbers, booleans and lists of strings are TOML's as well.
    return lines + [f"{key} = {json.dumps(value, default=str)}" for key, value in values.items()]


def network(folders: Folders) -> str:
    """The CNI configuration: each pod a port of the bridge and an address of its network."""
    addresses = {
        "type": "host-local",
        "dataDir": str(folders.data / "addresses"),
        "ranges": [[{"subnet": NETWORK, "rangeStart": _FIRST_POD}]],
        "routes": [{"dst": "0.0.0.0/0"}],
    }
    bridge = {"type": "bridge", "bridge": LINK, "isGateway": True, "ipMasq": False, "hairpinMode": True}
    return _json({"cniVersion": "1.0.0", "name": "fluid", "plugins": [{**bridge, "ipam": addresses}]})


def kubelet(folders: Folders, *, ca: Path, nameservers: Path) -> str:
    """A KubeletConfiguration; `nameservers`: what pods with dnsPolicy Default get as /etc/resolv.conf."""
    return _json(
        {
            "apiVersion": "kubelet.config.k8s.io/v1beta1",
            "kind": "KubeletConfiguration",
            "authentication": {
                "anonymous": {"enabled": False},
                "webhook": {"enabled": True},
                "x509": {"clientCAFile": str(ca)},
            },
            "authorization": {"mode": "Webhook"},
            "containerRuntimeEndpoint": f"unix://{folders.socket}",
            "address": ADDRESS,
            "healthzPort": 0,
            "cgroupRoot": f"/{CGROUP}",
            "clusterDNS": [ADDRESS],
            "clusterDomain": "cluster.local",
            "resolvConf": str(nameservers),
            "podLogsDir": str(folders.data / "pod-logs"),
            "volumePluginDir": str(folders.plugins),
            "failCgroupV1": False,
            "failSwapOn": False,
            "enforceNodeAllocatable": [],
            "syncFrequency": "10s",  # how soon a mounted Secret is renewed; a minute by default
            "evictionHard": {"memory.available": "100Mi", "nodefs.available": "1%", "imagefs.available": "1%"},
            "imageGCHighThresholdPercent": 100,  # never: there is no registry to pull an image from again
            "makeIPTablesUtilChains": False,  # they would stay behind
            # Tests start and stop pods all the time: the defaults are made for a cluster of thousands.
            "kubeAPIQPS": 200,
            "kubeAPIBurst": 400,
        }
    )


def kube_proxy(kubeconfig: Path) -> str:
    return _json(
        {
            "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
            "kind": "KubeProxyConfiguration",
            "mode": "nftables",
            "clientConnection": {"kubeconfig": str(kubeconfig)},
            "hostnameOverride": NAME,
            "clusterCIDR": NETWORK,
            "bindAddress": ADDRESS,
            "healthzBindAddress": f"{ADDRESS}:10256",  # the default is every address of this machine
            "metricsBindAddress": f"{ADDRESS}:10249",
            # Settings of the whole machine that are not ours to change.
            "conntrack": {"maxPerCore": 0, "tcpEstablishedTimeout": "0s", "tcpCloseWaitTimeout": "0s"},
        }
    )


def corefile(kubeconfig: Path) -> str:
    """Names of Services and pods; every other name does not exist, at once: pods have no way out of this machine."""
    return f"""\
.:53 {{
    bind {ADDRESS}
    errors
    ready {ADDRESS}:8181
    kubernetes cluster.local in-addr.arpa {{
        kubeconfig {kubeconfig}
        pods insecure
    }}
    cache 5
}}
"""


def storage_class() -> dict[str, Any]:
    """The default class, of the volumes of `volume`: they are made before and not on demand."""
    return {
        "apiVersion": "storage.k8s.io/v1",
        "kind": "StorageClass",
        "metadata": {
            "name": "fluid-local",
            "annotations": {"storageclass.kubernetes.io/is-default-class": "true"},
        },
        "provisioner": "kubernetes.io/no-provisioner",
        "volumeBindingMode": "WaitForFirstConsumer",
    }


def volume(name: str, path: Path) -> dict[str, Any]:
    """A PersistentVolume on this machine's disk. `local` and not `hostPath`: only there fsGroup is applied."""
    here = {"key": "kubernetes.io/hostname", "operator": "In", "values": [NAME]}
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolume",
        "metadata": {"name": name},
        "spec": {
            "capacity": {"storage": "1Gi"},
            "accessModes": ["ReadWriteOnce"],
            "persistentVolumeReclaimPolicy": "Retain",
            "storageClassName": "fluid-local",
            "local": {"path": str(path)},
            "nodeAffinity": {"required": {"nodeSelectorTerms": [{"matchExpressions": [here]}]}},
        },
    }


def _json(document: dict[str, Any]) -> str:
    """JSON is YAML."""
    return json.dumps(document, indent=2) + "\n"
