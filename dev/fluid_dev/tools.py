"""The programs of a cluster and where they come from: one row per program, versions read from the go.mod beside it."""

import re
from dataclasses import dataclass
from pathlib import Path

MODULES = Path(__file__).parent.parent / "tools"
_VERSION_PACKAGE = "k8s.io/component-base/version"


@dataclass(frozen=True)
class Tool:
    name: str
    module: str
    """The Go module that holds the program."""
    package: str
    folder: Path
    """Where the go.mod and go.sum lie that pin the module and everything below it."""
    version_args: tuple[str, ...]
    """How to ask a program on PATH for its version; empty: what PATH has under this name is something else."""
    stamp: bool = False
    """Kubernetes reports a version only if the linker is told one."""
    tags: tuple[str, ...] = ()
    """Build tags."""
    cgo: bool = False
    """Needs a C compiler, and the headers of what it links."""

    @property
    def version(self) -> str:
        """As pinned, with its v: `v1.35.4`."""
        pinned = re.search(
            rf"^\s*(?:require )?{re.escape(self.module)} (v\S+)",
            (self.folder / "go.mod").read_text(),
            re.MULTILINE,
        )
        assert pinned, f"{self.folder}/go.mod does not require {self.module}"
        return pinned[1]

    @property
    def linker_flags(self) -> str:
        if not self.stamp:
            return "-s -w"
        major, minor, _ = self.version.removeprefix("v").split(".")
        values = {"gitVersion": self.version, "gitMajor": major, "gitMinor": minor, "gitTreeState": "clean"}
        return " ".join(["-s -w", *(f"-X {_VERSION_PACKAGE}.{name}={value}" for name, value in values.items())])

    def is_like(self, answer: str) -> bool:
        """Whether a program that answered so to `version_args` has the pinned major and minor version."""
        major, minor, _ = self.version.removeprefix("v").split(".", 2)
        return re.search(rf"\bv?{major}\.{minor}\.\d+", answer) is not None


def _kubernetes(name: str, *version_args: str) -> Tool:
    package = f"k8s.io/kubernetes/cmd/{name}"
    return Tool(name, "k8s.io/kubernetes", package, MODULES / "kube", version_args, stamp=True)


_ETCD = "go.etcd.io/etcd/server/v3"
# The API server comes early: it fills the compiler's cache for the other two of its module.
TOOLS = (
    Tool("etcd", _ETCD, _ETCD, MODULES / "etcd", ("--version",)),
    _kubernetes("kube-apiserver", "--version"),
    _kubernetes("kube-controller-manager", "--version"),
    _kubernetes("kubectl", "version", "--client"),
)
_KWOK = "sigs.k8s.io/kwok"
# Only for clusters whose pods run, on nodes that are not there: whoever wants none of that builds none of it.
FAKE_NODE_TOOLS = (
    _kubernetes("kube-scheduler", "--version"),
    Tool("kwok", _KWOK, f"{_KWOK}/cmd/kwok", MODULES / "kwok", ("--version",)),
)
_CONTAINERD = "github.com/containerd/containerd/v2"
_CNI = "github.com/containernetworking/plugins"
_RUNC = "github.com/opencontainers/runc"
_COREDNS = "github.com/coredns/coredns"


def _containerd(name: str, *version_args: str) -> Tool:
    return Tool(name, _CONTAINERD, f"{_CONTAINERD}/cmd/{name}", MODULES / "containerd", version_args)


def _cni(name: str) -> Tool:
    """Not from PATH: iproute2 has a program `bridge` too."""
    return Tool(name.rpartition("/")[2], _CNI, f"{_CNI}/plugins/{name}", MODULES / "cni", ())


# Only for a cluster with a real node, which takes root and some minutes of building.
NODE_TOOLS = (
    _kubernetes("kubelet", "--version"),
    _kubernetes("kube-proxy", "--version"),
    _kubernetes("kube-scheduler", "--version"),
    _containerd("containerd", "--version"),
    _containerd("containerd-shim-runc-v2", "-v"),
    _containerd("ctr", "--version"),
    _cni("main/bridge"),
    _cni("ipam/host-local"),
    # Without seccomp no pod starts that asks for the profile RuntimeDefault, and that is every one of ours.
    Tool("runc", _RUNC, _RUNC, MODULES / "runc", ("--version",), tags=("seccomp",), cgo=True),
    Tool("coredns", _COREDNS, _COREDNS, MODULES / "coredns", ("-version",)),
)
