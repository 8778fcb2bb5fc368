"""The demo on a real node: a control plane, one node that runs pods, and as pods the operator of this checkout, a Redis
and two workers, on which the examples run.

What is applied is what ships: manifests/base for the operator, manifests/base/rbac/workloads for the environment's
namespace. Beside the demo of processes, in a folder of its own; `make down` ends both, and a second `up` repairs what
was broken meanwhile.
"""

import json
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml

from fluid_dev import binaries, examples, image_build, node, node_host, node_trouble, stand_ins
from fluid_dev.cluster import ADMIN
from fluid_dev.errors import ClusterError, DemoError, TimedOut
from fluid_dev.example_run import ExampleRun
from fluid_dev.exclusive import only_command
from fluid_dev.image_build import Image
from fluid_dev.node import Node
from fluid_dev.node_config import ADDRESS
from fluid_dev.progress import shown, step
from fluid_dev.smtp import SmtpCatcher
from fluid_dev.waiting import until

SYSTEM = "fluid-system"
NAMESPACE = "fluid-demo"
ENVIRONMENT = "default"
_SHIPPED_IMAGE = "ghcr.io/dotnetfactory/fluid-jobs"
_OPERATOR_SECONDS = 90.0
_ENVIRONMENT_SECONDS = 180.0
_EXAMPLES_SECONDS = 90.0
_SHOWN = (("get", "fe,fs,fj"), ("get", "sts,deploy,pods"))


class NodeDemo:
    def __init__(self, checkout: Path, state: Path, *, die_with_parent: bool = False) -> None:
        """`state`: the folder of this demo alone. `die_with_parent`: as of a node."""
        self.state = state.absolute()
        self.kubeconfig = self.state / "demo.kubeconfig"
        self.maildir = self.state / "mails"
        self._logs = self.state / "logs"
        self._crds = checkout / "crds"
        self._manifests = (checkout / "manifests").absolute()
        self._checkout = checkout
        self._die_with_parent = die_with_parent
        self._smtp = SmtpCatcher(
            self.state / "smtp", self.maildir, host=ADDRESS, die_with_parent=die_with_parent, logs=self._logs
        )

    def up(self) -> None:
        """Start or repair everything, run the examples, and say how to go on; DevError says what is in the way."""
        node_host.require_root()
        one = self._node(may_build=True)
        image = image_build.project_image(self._checkout)
        with only_command(self.state):
            with step("starting the control plane and its node"):
                one.start([image.archive, stand_ins.redis(self.state / "images" / "redis.tar")])
                self._smtp.start()
            self._link_kubectl(one)
            with step("installing the operator"), self._explained(one):
                self._install(one, image)
                self._wait_installed(one)
            run = self._run(one, image)
            with step("letting it start Redis and two workers, and applying the examples"), self._explained(one):
                run.start(self._smtp.process.check, "as pods", _ENVIRONMENT_SECONDS)
            with step("letting the examples run"):
                run.wait_kept(_EXAMPLES_SECONDS)
            self._show(run)

    def check(self, within: float) -> None:
        """Wait until every example is as its annotations promise; DemoError and a table of differences otherwise."""
        if not self.running:
            raise DemoError("the demo does not run: start it with 'make demo NODE=1'")
        self._run(self._node(may_build=False)).check(
            within, f"see 'kubectl --namespace={SYSTEM} logs deploy/fluid-operator'"
        )

    @property
    def running(self) -> bool:
        """Whether it was started and not stopped since."""
        return self.kubeconfig.exists()

    def kubectl(self, namespace: str, *args: str) -> str:
        """Ask the demo's cluster; ClusterError with kubectl's complaint."""
        return self._node(may_build=False).cluster.kubectl(f"--namespace={namespace}", *args)

    def down(self) -> None:
        """Stop everything of this folder, also after a killed `up`, and remove the folder."""
        owner = node_host.taken()
        if self.state.exists() or (owner and owner.state == self.state):
            node_host.require_root()
            with step("stopping the node"):
                node.stop(self.state)

    # ------------------------------------------------------------------------------------------------------------------

    def _node(self, *, may_build: bool) -> Node:
        programs = binaries.provide(may_build=may_build), binaries.provide_node(may_build=may_build)
        return Node(self.state, *programs, die_with_parent=self._die_with_parent)

    def _install(self, one: Node, image: Image) -> None:
        """As docs/operating.md says, with the image of this checkout."""
        one.cluster.write_kubeconfig(self.kubeconfig, *ADMIN, namespace=NAMESPACE)
        one.cluster.apply_crds(self._crds)
        one.cluster.apply([restricted_namespace(SYSTEM), restricted_namespace(NAMESPACE)])
        _kustomize(one, SYSTEM, self._write_overlay(image))
        _kustomize(one, NAMESPACE, self._manifests / "base" / "rbac" / "workloads")

    def _write_overlay(self, image: Image) -> Path:
        """The operator of this checkout: a kustomization as everybody writes one who has an image of his own."""
        folder = self.state / "operator"
        folder.mkdir(parents=True, exist_ok=True)
        name, _, tag = image.tag.rpartition(":")
        kustomization = {
            "resources": [os.path.relpath(self._manifests / "base", folder)],
            "images": [{"name": _SHIPPED_IMAGE, "newName": name, "newTag": tag}],
        }
        (folder / "kustomization.yaml").write_text(yaml.safe_dump(kustomization))
        return folder

    def _wait_installed(self, one: Node) -> None:
        def rolled_out() -> bool:
            asked = ("get", "deployment", "fluid-operator", "--output=json")
            found = json.loads(one.cluster.kubectl(f"--namespace={SYSTEM}", *asked))
            return is_rolled_out(found)

        until(rolled_out, _OPERATOR_SECONDS, "the pods of the operator are ready", pause=0.2)

    def _run(self, one: Node, image: Image | None = None) -> ExampleRun:
        """The examples, whose environment is the managed one."""
        documents = [each for each in examples.read(self._manifests / "examples") if each["kind"] != "FluidEnvironment"]
        if image:
            (managed,) = examples.read(self._manifests / "examples" / "managed")
            documents.insert(0, at_home(managed, image.tag, self._smtp.url))
        return ExampleRun(one.cluster, NAMESPACE, documents, self._smtp.mails)

    @contextmanager
    def _explained(self, one: Node) -> Iterator[None]:
        """Whatever does not get ready in here is told with what its pods say."""
        try:
            yield
        except (ClusterError, TimedOut) as error:
            told = node_trouble.describe(one.cluster, (SYSTEM, NAMESPACE), self._logs / "trouble.txt")
            raise DemoError(f"{error}\n{told}") from error

    def _link_kubectl(self, one: Node) -> None:
        link = self.state / "bin" / "kubectl"
        link.parent.mkdir(parents=True, exist_ok=True)
        link.unlink(missing_ok=True)
        link.symlink_to(one.cluster.binaries.kubectl)

    def _show(self, run: ExampleRun) -> None:
        for question in _SHOWN:
            print(run.kubectl(*question))
        print(f"Mails:  {shown(self.maildir)}   Logs: kubectl logs --namespace={SYSTEM} deployment/fluid-operator")
        print(f"Go on:  export KUBECONFIG={shown(self.kubeconfig)} PATH={shown(self.state / 'bin')}:$PATH")
        print("        kubectl get fluid; make demo-check; make down")


def at_home(environment: dict[str, Any], image: str, smtp_url: str) -> dict[str, Any]:
    """The environment with this image, and workers that send their mails here."""
    spec = environment["spec"]
    mail = [{"name": "SMTP_URL", "value": smtp_url}, {"name": "EMAIL_FROM", "value": "Fluid Jobs <jobs@example.com>"}]
    workers = [{**pool, "env": [*_without(pool.get("env", []), mail), *mail]} for pool in spec["workers"]]
    return {**environment, "spec": {**spec, "image": image, "workers": workers}}


def _without(variables: Sequence[dict[str, Any]], others: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    replaced = {each["name"] for each in others}
    return [each for each in variables if each["name"] not in replaced]


def is_rolled_out(deployment: dict[str, Any]) -> bool:
    """Whether all pods are of the newest template and ready, and none of an older one is left."""
    spec, status = deployment["spec"], deployment.get("status", {})
    wanted = spec["replicas"]
    counts = [status.get(name, 0) for name in ("replicas", "updatedReplicas", "availableReplicas")]
    return status.get("observedGeneration") == deployment["metadata"]["generation"] and counts == [wanted] * 3


def _kustomize(one: Node, namespace: str, folder: Path) -> None:
    # Forced: a second `up` undoes what was tried out by hand.
    how = ("apply", "--server-side", "--force-conflicts", f"--namespace={namespace}", f"--kustomize={folder}")
    one.cluster.kubectl(*how)


def restricted_namespace(name: str) -> dict[str, Any]:
    """A namespace that takes only pods of the strictest of Kubernetes' own profiles."""
    labels = {"pod-security.kubernetes.io/enforce": "restricted"}
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}}


def restricted_pod(name: str, namespace: str, image: str, args: Sequence[str]) -> dict[str, Any]:
    """One container that runs once, with no right that it does not need and nothing that it could write to."""
    container = {
        "name": "main",
        "image": image,
        "args": list(args),
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        },
    }
    spec = {
        "restartPolicy": "Never",
        "automountServiceAccountToken": False,
        "securityContext": {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}},
        "containers": [container],
    }
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "namespace": namespace}, "spec": spec}
