"""Parts that a machine may lack: a test without its part is skipped with the reason, or fails when all are required."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NoReturn

import pytest

from fluid_dev.errors import MissingTool


def everything_required() -> bool:
    """FLUID_TEST_REQUIRE=all: as in CI, where a skipped test would hide that something was not tested."""
    return os.environ.get("FLUID_TEST_REQUIRE") == "all"


def missing(reason: str) -> NoReturn:
    if everything_required():
        pytest.fail(f"required by FLUID_TEST_REQUIRE=all: {reason}", pytrace=False)
    pytest.skip(reason)


@contextmanager
def required_parts() -> Iterator[None]:
    """Around code that looks for programs: a MissingTool becomes a skip or a failure."""
    try:
        yield
    except MissingTool as error:
        missing(str(error))
