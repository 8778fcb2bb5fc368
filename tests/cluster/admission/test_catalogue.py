"""What a replica without links to Redis finds out about an environment: once for all who ask, and never for ever."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from cluster.builders import fluid_environment
from fluid_dev.cluster import Cluster
from fluid_operator.admission.catalogue import Catalogue, CatalogueSettings
from fluid_operator.kube.client import Call, Kube, connect
from support.stages import Stage
from support.webhooks import publish


class Clock:
    """Goes on when a test says so."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


class Reader:
    """A catalogue with a clock of its own, and how often it has asked the API server."""

    def __init__(self) -> None:
        self.calls: list[Call] = []
        self.clock = Clock()
        self.catalogue: Catalogue

    def asked(self, resource: str) -> int:
        return sum(call.resource == resource for call in self.calls)


@pytest.fixture
async def reader(cluster: Cluster) -> AsyncIterator[Reader]:
    reader = Reader()
    async with connect(cluster.kubeconfig, observe=reader.calls.append) as kube:
        reader.catalogue = catalogue_on(kube, reader)
        yield reader
        await reader.catalogue.aclose()


def catalogue_on(kube: Kube, reader: Reader) -> Catalogue:
    return Catalogue(kube, settings=CatalogueSettings(timeout=10, entries=3), clock=reader.clock)


async def tell(stage: Stage, **schemas: Any) -> None:
    await asyncio.to_thread(publish, stage, **schemas)


async def test_all_who_ask_within_ten_seconds_share_one_reading(stage: Stage, reader: Reader) -> None:
    found = await asyncio.gather(*(reader.catalogue.look(stage.namespace, None) for _ in range(50)))
    assert {id(each) for each in found} == {id(found[0])}
    assert set(found[0].types) == {"mail"}
    await tell(stage, post={})
    reader.clock.now += 9.9
    assert set((await reader.catalogue.look(stage.namespace, None)).types) == {"mail"}
    assert reader.asked("secrets") == 1
    reader.clock.now += 0.2
    assert set((await reader.catalogue.look(stage.namespace, None)).types) == {"post"}


async def test_whoever_wants_it_fresh_gets_it_fresh(stage: Stage, reader: Reader) -> None:
    await reader.catalogue.look(stage.namespace, None)
    await tell(stage, post={})
    reader.clock.now += 1
    assert set((await reader.catalogue.look(stage.namespace, None, max_age=0.5)).types) == {"post"}


async def test_a_failure_is_remembered_for_two_seconds_only(stage: Stage, reader: Reader) -> None:
    look = reader.catalogue.look
    assert (await look(stage.namespace, "blue")).doubt == "there is no FluidEnvironment blue in this namespace"
    await asyncio.to_thread(stage.environment, "blue")
    reader.clock.now += 1.9
    assert (await look(stage.namespace, "blue")).doubt
    reader.clock.now += 0.2
    assert (await look(stage.namespace, "blue")).doubt == ""


async def test_a_job_that_names_no_environment_is_held_against_the_only_one(
    cluster: Cluster, namespace: str, reader: Reader
) -> None:
    apply = ("apply", f"--namespace={namespace}", "-f", "-")
    assert "not clear" in (await reader.catalogue.look(namespace, None)).doubt
    cluster.kubectl(*apply, input=fluid_environment("green").json())
    reader.clock.now += 3
    known = await reader.catalogue.look(namespace, None)
    assert known.environment == "green"
    missing = "Secret redis does not exist; create it with the URL of Redis under the key url."
    assert known.doubt == f"environment green: {missing}"
    cluster.kubectl(*apply, input=fluid_environment("blue").json())
    reader.clock.now += 3
    assert "not clear" in (await reader.catalogue.look(namespace, None)).doubt


@pytest.mark.parametrize(
    "url", ["redis://:sesame@127.0.0.1:1/0", "nonsense-sesame", "rediss://:sesame@127.0.0.1:1/0", ""]
)
async def test_an_address_that_does_not_work_is_a_doubt_that_does_not_tell_it(
    stage: Stage, reader: Reader, url: str
) -> None:
    stage.kubectl("patch", "secret", "redis", "--type=merge", "-p", json.dumps({"stringData": {"url": url}}))
    known = await reader.catalogue.look(stage.namespace, None)
    assert known.doubt
    assert "sesame" not in known.doubt


async def test_what_was_asked_for_longest_ago_is_forgotten_first(stage: Stage, reader: Reader) -> None:
    for name in (None, "a", "b", None, "c"):
        await reader.catalogue.look(stage.namespace, name)
    before = reader.asked("fluidenvironments")
    await reader.catalogue.look(stage.namespace, None)
    assert reader.asked("fluidenvironments") == before
    await reader.catalogue.look(stage.namespace, "a")
    assert reader.asked("fluidenvironments") == before + 1


async def test_whoever_gives_up_does_not_take_the_reading_away_from_others(stage: Stage, reader: Reader) -> None:
    impatient = asyncio.create_task(reader.catalogue.look(stage.namespace, None))
    patient = asyncio.create_task(reader.catalogue.look(stage.namespace, None))
    await asyncio.sleep(0)
    impatient.cancel()
    assert set((await patient).types) == {"mail"}
    assert reader.asked("secrets") == 1
