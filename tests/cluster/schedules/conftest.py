"""Fixtures of the tests of FluidSchedule."""

from collections.abc import AsyncIterator

import pytest

from fluid_dev.cluster import Cluster
from support.schedules import Play, noon, playing


@pytest.fixture
async def play(cluster: Cluster, namespace: str) -> AsyncIterator[Play]:
    """Half a minute before noon of a day far ahead. No controller runs; `play.controller()` starts one."""
    async with playing(cluster, namespace, noon(seconds=-30)) as play:
        yield play
