"""Fixtures of the tests that need a real node: root, the one node of this machine, our image built for it, the operator
in it, and an environment whose parts are pods.
"""

import uuid
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from fluid_dev.image_build import Image
from fluid_dev.node import Node
from fluid_dev.node_config import ADDRESS
from fluid_dev.node_demo import restricted_namespace
from fluid_operator.kube.client import Kube, connect
from support.folders import fresh_folder
from support.node_image import with_probe
from support.node_stage import NodeStage, add_volume
from support.node_witness import Witness, watching
from support.nodes import Namespace, project_image, redis_archive, running_node
from support.operator_pods import OperatorPods

_HERE = Path(__file__).parent
_LIMIT_SECONDS = 300
_measurements = pytest.StashKey[list[str]]()


def pytest_configure(config: pytest.Config) -> None:
    config.stash[_measurements] = []


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The first test of a run also waits for the image to be built and for the node to start."""
    for item in items:
        if item.path.is_relative_to(_HERE) and item.get_closest_marker("timeout") is None:
            item.add_marker(pytest.mark.timeout(_LIMIT_SECONDS))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    if lines := config.stash[_measurements]:
        terminalreporter.section("measured on the node")
        for line in lines:
            terminalreporter.write_line(line)


class Machine:
    """The one node that most tests share, as its start takes ten seconds; started for the first that needs it."""

    def __init__(self) -> None:
        self._running = ExitStack()
        self._node: Node | None = None

    def node(self, *images: Image) -> Node:
        if self._node is None:
            archives = [*(image.archive for image in images), redis_archive()]
            self._node = self._running.enter_context(running_node(archives))
        return self._node

    def stop(self) -> None:
        """For tests that start nodes themselves, and at the end."""
        self._running.close()
        self._node = None


@pytest.fixture(scope="session")
def image() -> Image:
    """Ours, of this checkout."""
    return project_image()


@pytest.fixture(scope="session")
def probe_image(image: Image) -> Image:
    """Ours, with the job type of these tests."""
    return with_probe(image, fresh_folder("probe-image") / "probe.tar")


@pytest.fixture(scope="session")
def machine() -> Iterator[Machine]:
    shared = Machine()
    yield shared
    shared.stop()


@pytest.fixture
def node(machine: Machine, image: Image, probe_image: Image) -> Node:
    """One for all tests: keep to your `namespace`, and put right what you do to the node. Modules that start nodes
    themselves cannot use it.
    """
    return machine.node(image, probe_image)


@pytest.fixture
def operator(node: Node, image: Image) -> OperatorPods:
    """One for all tests, as it is at first: whoever kills, scales or upgrades it leaves the rest to the next one."""
    operator = OperatorPods(node, image.tag)
    operator.install()
    return operator


@pytest.fixture
def fresh_namespace(node: Node) -> Iterator[Callable[[], Namespace]]:
    """Makes namespaces that take only pods of the profile `restricted`. Their pods end with the test."""
    made: list[str] = []

    def make() -> Namespace:
        name = f"test-{uuid.uuid4().hex[:10]}"
        node.cluster.apply([restricted_namespace(name)])
        made.append(name)
        return Namespace(node, name)

    yield make
    if made:
        node.cluster.kubectl("delete", "namespace", "--wait=false", "--ignore-not-found", *made)


@pytest.fixture
def namespace(fresh_namespace: Callable[[], Namespace]) -> Namespace:
    return fresh_namespace()


@pytest.fixture
async def kube(node: Node) -> AsyncIterator[Kube]:
    async with connect(node.cluster.kubeconfig, program="node-tests") as kube:
        yield kube


@pytest.fixture
def witness(node: Node) -> Iterator[Witness]:
    """Outside of the cluster, where its pods reach it."""
    with watching(ADDRESS) as witness:
        yield witness


@pytest.fixture
def make_stage(
    node: Node,
    operator: OperatorPods,
    probe_image: Image,
    kube: Kube,
    witness: Witness,
    fresh_namespace: Callable[[], Namespace],
) -> Callable[[], NodeStage]:
    """Makes stages, each in a namespace of its own that the operator may use, without an environment yet."""

    def make() -> NodeStage:
        namespace = fresh_namespace()
        operator.serve(namespace.name)
        add_volume(node)
        return NodeStage(namespace, operator, kube, witness, probe_image.tag)

    return make


@pytest.fixture
def stage(make_stage: Callable[[], NodeStage]) -> NodeStage:
    return make_stage()


@pytest.fixture
def measured(request: pytest.FixtureRequest) -> Callable[[str, float], None]:
    """Tells how long something took, in seconds, at the end of the run: goals are kept by benchmarks, not by tests."""

    def tell(what: str, seconds: float) -> None:
        request.config.stash[_measurements].append(f"{seconds:8.1f} s  {what}")

    return tell
