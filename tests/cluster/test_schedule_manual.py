"""Triggering and backfilling as a library: what happens between the requests, on a real API server."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from cluster.builders import fluid_job, fluid_schedule
from fluid_operator.kube.client import Kube, connect
from fluid_operator.kube.errors import NotFound, Unreachable
from fluid_operator.kube.keys import FLUID_JOBS, FLUID_SCHEDULES, ObjectKey
from fluid_operator.timetables.creation import job_for, job_name
from fluid_operator.timetables.manual import Backfilled, Outcome, backfill, carry_out, plan, trigger

NOW = datetime(2026, 11, 24, 12, 30, 15, 123_000, tzinfo=UTC)
FIRST, LAST = datetime(2026, 11, 20, tzinfo=UTC), datetime(2026, 11, 23, 23, 59, tzinfo=UTC)


class Hindered(Kube):
    """A client that loses its connection before one of its creations."""

    created = 0
    fails_at = -1

    async def request(self, verb: Any, path: str, **more: Any) -> dict[str, Any]:
        if verb == "create":
            self.created += 1
            if self.created == self.fails_at:
                raise Unreachable(path, "the cable is out")
        return await super().request(verb, path, **more)


@pytest.fixture
async def kube(cluster) -> AsyncIterator[Hindered]:
    async with connect(cluster.kubeconfig) as kube:
        yield Hindered(kube.connection)


@pytest.fixture
async def key(kube: Kube, namespace: str) -> ObjectKey:
    """A schedule that comes every day at noon and that nobody serves."""
    raw = fluid_schedule("noon").spec(schedule="0 12 * * *").metadata(namespace=namespace).manifest()
    await kube.create(FLUID_SCHEDULES, raw)
    return ObjectKey(namespace, "noon")


async def jobs(kube: Kube, key: ObjectKey) -> dict[str, str]:
    """The uids of the jobs by name."""
    page = await kube.list_page(FLUID_JOBS, key.namespace)
    return {item["metadata"]["name"]: item["metadata"]["uid"] for item in page.items}


async def test_a_backfill_that_broke_off_goes_on_where_it_stopped(kube: Hindered, key: ObjectKey):
    kube.fails_at = kube.created + 3
    seen: list[Backfilled] = []
    with pytest.raises(Unreachable):
        await backfill(kube, key, FIRST, LAST, now=NOW, progress=seen.append)
    assert [each.outcome for each in seen] == [Outcome.CREATED, Outcome.CREATED]
    before = await jobs(kube, key)
    assert set(before) == {each.name for each in seen}
    done = await backfill(kube, key, FIRST, LAST, now=NOW)
    assert [each.outcome for each in done] == [Outcome.EXISTS] * 2 + [Outcome.CREATED] * 2
    assert before.items() <= (await jobs(kube, key)).items()


async def test_times_are_created_in_order_and_told_one_by_one(kube: Hindered, key: ObjectKey):
    seen: list[Backfilled] = []
    done = await backfill(kube, key, FIRST, LAST, now=NOW, progress=seen.append)
    assert seen == done
    assert [each.time for each in done] == [FIRST + timedelta(days=day, hours=12) for day in range(4)]
    assert set(await jobs(kube, key)) == {each.name for each in done}


async def test_a_job_of_another_schedule_under_the_name_is_foreign(kube: Hindered, key: ObjectKey):
    other = fluid_schedule("other").metadata(namespace=key.namespace).manifest()
    owner = await kube.create(FLUID_SCHEDULES, other)
    planned = plan(await kube.get(FLUID_SCHEDULES, key), FIRST, LAST, now=NOW)
    theirs = job_for(owner, FIRST, planned.zone, name=job_name(key.name, planned.times[1]))
    await kube.create(FLUID_JOBS, theirs)
    before = await jobs(kube, key)
    outcomes = [each.outcome for each in await carry_out(kube, planned)]
    assert outcomes == [Outcome.CREATED, Outcome.FOREIGN, Outcome.CREATED, Outcome.CREATED]
    assert before.items() <= (await jobs(kube, key)).items()


async def test_a_name_that_is_freed_in_between_is_taken(kube: Hindered, key: ObjectKey):
    """The job that has the name goes after the creation was refused and before anybody looks at it."""
    [time] = (await backfill(kube, key, FIRST, FIRST + timedelta(days=1), now=NOW, dry_run=True))[:1]
    await kube.create(FLUID_JOBS, fluid_job(time.name).metadata(namespace=key.namespace).manifest())

    class Freeing(Hindered):
        async def get(self, resource: Any, key: ObjectKey, **more: Any) -> dict[str, Any]:
            if resource is FLUID_JOBS:
                await self.delete(FLUID_JOBS, key)
            return await super().get(resource, key, **more)

    freeing = Freeing(kube.connection)
    [done] = await backfill(freeing, key, FIRST, FIRST + timedelta(days=1), now=NOW)
    assert done.outcome is Outcome.CREATED


async def test_two_triggers_in_one_millisecond_are_two_jobs(kube: Hindered, key: ObjectKey):
    names = {(await trigger(kube, key, now=NOW))["metadata"]["name"] for _ in range(3)}
    assert len(names) == 3
    assert names == set(await jobs(kube, key))


async def test_without_a_schedule_nothing_is_triggered(kube: Hindered, key: ObjectKey):
    with pytest.raises(NotFound):
        await trigger(kube, ObjectKey(key.namespace, "midnight"), now=NOW)
    assert await jobs(kube, key) == {}


async def test_jobs_by_hand_go_with_their_schedule(kube: Hindered, key: ObjectKey):
    job = await trigger(kube, key, now=NOW)
    schedule = await kube.get(FLUID_SCHEDULES, key)
    [owner] = job["metadata"]["ownerReferences"]
    assert (owner["uid"], owner["controller"], owner["blockOwnerDeletion"]) == (
        schedule["metadata"]["uid"],
        True,
        False,
    )
