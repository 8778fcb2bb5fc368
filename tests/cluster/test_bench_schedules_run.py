"""The schedules' benchmark with few of them: every phase works on the real parts, and says what it measured."""

import asyncio
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from benchmarks.schedules.bench import Bench, Scale
from benchmarks.schedules.measures import UNITS
from benchmarks.schedules.objects import attend, follow, for_each
from benchmarks.schedules.phases import PHASES
from benchmarks.schedules.sides import FLUID, NATIVE
from benchmarks.schedules.stage import Stage
from fluid_dev.errors import ProcessDied
from fluid_operator.kube.client import connect
from fluid_operator.kube.errors import NotFound
from fluid_operator.kube.keys import CONFIG_MAPS, ObjectKey
from support.clusters import find_binaries
from support.folders import fresh_folder

COUNT = 20
TINY = Scale(schedules=COUNT, rest_seconds=1.0, singles=5, spread_seconds=2, ahead=20.0)


@asynccontextmanager
async def bench(side):
    """One side on a stage of its own, with its schedules known."""
    with Stage(fresh_folder("bench"), find_binaries(), side) as stage:
        async with connect(stage.client) as kube:
            bench = Bench(stage, side, TINY, kube)
            yield bench, await PHASES["known"].run(bench)


def config_map(namespace, number):
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"namespace": namespace, "name": f"map-{number}"}}


@pytest.mark.timeout(240)
async def test_every_phase_measures_what_it_is_named_after():
    async with bench(FLUID) as (ours, known):
        found = [known, await PHASES["rest"].run(ours), await PHASES["restart"].run(ours)]
        # Both wait for a full minute; their jobs do not meet.
        found += await asyncio.gather(PHASES["fire"].run(ours), PHASES["due"].run(ours))
    measured = {name: value for each in found for name, value in each.items()}
    assert measured.keys() == UNITS.keys()
    assert (measured["due_missing"], measured["due_doubled"]) == (0, 0)
    assert all(value > 0 for name, value in measured.items() if name not in ("due_missing", "due_doubled", "rest_cpu"))


@pytest.mark.timeout(180)
async def test_cron_jobs_are_seen_to_create_their_jobs():
    async with bench(NATIVE) as (theirs, _):
        measured = await PHASES["due"].run(theirs)
    assert (measured["due_missing"], measured["due_doubled"]) == (0, 0)
    assert measured["due_created"] > 0
    assert "due_complete" not in measured


async def test_objects_are_followed_from_those_that_are_there_to_the_last_that_comes(cluster, namespace):
    wanted, shown, told = {f"map-{number}" for number in range(COUNT)}, set(), []
    async with connect(cluster.kubeconfig) as kube:
        await kube.create(CONFIG_MAPS, config_map(namespace, 0))
        following = follow(
            kube,
            CONFIG_MAPS,
            namespace,
            lambda found: shown.add(found["metadata"]["name"]),
            lambda: len(wanted & shown) == COUNT,
        )
        task = asyncio.create_task(following)
        maps = [config_map(namespace, number) for number in range(1, COUNT)]
        await for_each(maps, lambda body: kube.create(CONFIG_MAPS, body), told.append)
        await asyncio.wait_for(task, 30)
    assert shown >= wanted
    assert sorted(told) == list(range(1, COUNT))


async def test_work_that_does_not_end_in_time_is_given_up():
    assert not await attend(asyncio.sleep(60), "nothing", 1, lambda: 0, lambda: None, within=0.1)


async def test_work_is_given_up_when_a_component_has_died():
    def check():
        raise ProcessDied("operator", Path("operator.log"), "out of order")

    with pytest.raises(ProcessDied, match="out of order"):
        await attend(asyncio.sleep(60), "nothing", 1, lambda: 0, check, within=60)


async def test_what_goes_wrong_with_one_of_many_ends_them_all(cluster, namespace):
    told = []
    async with connect(cluster.kubeconfig) as kube:
        keys = [ObjectKey(namespace, f"not-there-{number}") for number in range(COUNT)]
        with pytest.raises(NotFound, match="not-there"):
            await for_each(keys, lambda key: kube.get(CONFIG_MAPS, key), told.append)
    assert not told
