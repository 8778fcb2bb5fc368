"""Fixtures of the tests that need a real node: root, the one node of this machine, our image built for it."""

import uuid
from collections.abc import Iterator

import pytest

from fluid_dev.image_build import Image
from fluid_dev.node import Node
from fluid_dev.node_demo import restricted_namespace
from support.nodes import Namespace, project_image, redis_archive, running_node


@pytest.fixture(scope="session")
def image() -> Image:
    """Ours, of this checkout."""
    return project_image()


@pytest.fixture(scope="module")
def node(image: Image) -> Iterator[Node]:
    """One for all tests of a module: keep to your `namespace`. Modules that start nodes themselves cannot use it."""
    with running_node([image.archive, redis_archive()]) as node:
        yield node


@pytest.fixture
def namespace(node: Node) -> Namespace:
    """A fresh one that takes only pods of the profile `restricted`. It goes with the node."""
    name = f"test-{uuid.uuid4().hex[:10]}"
    node.cluster.apply([restricted_namespace(name)])
    return Namespace(node, name)
