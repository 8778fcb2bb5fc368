"""The watches of environments' children against a real API server: who is woken, by what, and what it takes to stop
that."""

import asyncio
import json
import uuid
from collections import Counter
from contextlib import asynccontextmanager, suppress

import pytest

from cluster.environments.conftest import Stage
from fluid_operator.environments.rendering import naming
from fluid_operator.environments.rendering.kinds import LISTED
from fluid_operator.environments.watching import ChildWatches, WatchSettings
from fluid_operator.kube.client import connect
from fluid_operator.kube.keys import ObjectKey
from support.environments import environment
from support.folders import fresh_folder
from support.proxies import proxied
from support.waiting import auntil

MINIMAL = environment("minimal")["spec"]
QUICK = WatchSettings(gather=0.0, first_pause=0.05, longest_pause=0.3, refused_pause=0.1)

NAMES = {
    "serviceaccount": "default-default",
    "service": "default-redis",
    "networkpolicy": "default-redis",
    "statefulset": "default-redis",
    "deployment": "default-default",
    "poddisruptionbudget": "default-default",
}
"""One child of each kind that is watched."""


class Wakes(list):
    """Whom the watches woke, in order."""

    async def of(self, key, since=0):
        """Wait until somebody woke this environment after so many others."""
        await auntil(lambda: key in self[since:], 30, f"{key} is woken")


@asynccontextmanager
async def watching(kube, *namespaces, settings=QUICK):
    """Watches that run; yields them and whom they wake."""
    wakes = Wakes()
    watches = ChildWatches(kube, wakes.append, settings=settings)
    for namespace in namespaces:
        watches.follow(namespace)
    task = asyncio.create_task(watches.run())
    try:
        yield watches, wakes
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


@asynccontextmanager
async def counting(kubeconfig):
    """A client, and how often each request was sent: by verb and code."""
    calls = Counter()
    async with connect(kubeconfig, observe=lambda call: calls.update([(call.verb, call.code)])) as kube:
        yield kube, calls


async def quiet(stage, wakes):
    """Wait until the environment stood still for some looks: nothing of its beginning is under way any more."""
    versions = None

    async def still():
        nonlocal versions
        before, versions = versions, (stage.kubectl("get", ",".join(NAMES), "--output=yaml"), len(wakes))
        return before == versions

    await auntil(still, 60, "nothing changes any more", pause=0.3)


def label(stage, kind, *labels):
    stage.kubectl("label", "--overwrite", kind, NAMES[kind], *labels)


async def test_every_kind_that_is_watched_is_tried_here(stage):
    await stage.apply(stage.environment(MINIMAL))
    kinds = {json.loads(stage.kubectl("get", kind, name, "--output=json"))["kind"] for kind, name in NAMES.items()}
    assert kinds == {each.kind for each in LISTED}


@pytest.mark.parametrize("kind", NAMES)
async def test_a_change_wakes_the_environment(stage, kube, kind):
    await stage.apply(stage.environment(MINIMAL))
    key = ObjectKey(stage.namespace, "default")
    async with watching(kube, stage.namespace) as (_, wakes):
        await wakes.of(key)
        await quiet(stage, wakes)
        for change in (
            lambda: label(stage, kind, "team=blue"),
            lambda: label(stage, kind, f"{naming.ENVIRONMENT_LABEL}-"),
            lambda: label(stage, kind, f"{naming.ENVIRONMENT_LABEL}=default"),
            lambda: stage.kubectl("delete", kind, NAMES[kind], "--wait=false"),
        ):
            since = len(wakes)
            change()
            await wakes.of(key, since)
        assert set(wakes) == {key}


async def test_what_exists_already_wakes_its_environment(stage, kube):
    """So nobody has to ask whether an event came before the watch."""
    await stage.apply(stage.environment(MINIMAL))
    await stage.apply(stage.environment(MINIMAL, name="other"))
    async with watching(kube, stage.namespace) as (_, wakes):
        for name in ("default", "other"):
            await wakes.of(ObjectKey(stage.namespace, name))


async def test_objects_of_somebody_else_wake_nobody(stage, kube):
    async with watching(kube, stage.namespace) as (_, wakes):
        stage.kubectl("create", "service", "clusterip", "theirs", "--tcp=80")
        stage.kubectl("label", "service", "theirs", f"{naming.ENVIRONMENT_LABEL}=theirs")
        stage.kubectl("create", "service", "clusterip", "chart", "--tcp=80")
        stage.kubectl("label", "service", "chart", f"{naming.MANAGER_LABEL}={naming.MANAGER}")
        await stage.apply(stage.environment(MINIMAL))
        await wakes.of(ObjectKey(stage.namespace, "default"))
        await quiet(stage, wakes)
        assert set(wakes) == {ObjectKey(stage.namespace, "default")}


async def test_a_namespace_is_followed_and_left_at_any_time(cluster, stage, kube):
    other = Stage(cluster, f"test-{uuid.uuid4().hex[:10]}", kube)
    cluster.kubectl("create", "namespace", other.namespace)
    for each in (stage, other):
        await each.apply(each.environment(MINIMAL))
    first, second = (ObjectKey(each.namespace, "default") for each in (stage, other))
    async with watching(kube, stage.namespace) as (watches, wakes):
        await wakes.of(first)
        assert second not in wakes
        watches.follow(other.namespace)
        await wakes.of(second)
        watches.unfollow(stage.namespace)
        watches.unfollow(stage.namespace)
        assert watches.namespaces == {other.namespace}
        since = len(wakes)
        label(stage, "service", "team=blue")
        label(other, "service", "team=blue")
        await wakes.of(second, since)
        await quiet(other, wakes)
        assert first not in wakes[since:]
        watches.follow(stage.namespace)
        await wakes.of(first, since)


async def test_a_namespace_at_rest_costs_nothing_but_open_watches(cluster, stage):
    await stage.apply(stage.environment(MINIMAL))
    key = ObjectKey(stage.namespace, "default")
    async with counting(cluster.kubeconfig) as (kube, calls), watching(kube, stage.namespace) as (watches, wakes):
        watches.follow(stage.namespace)
        for team in ("blue", "red", "green"):
            since = len(wakes)
            label(stage, "service", f"team={team}")
            await wakes.of(key, since)
        await auntil(lambda: calls.total() >= len(LISTED), 30, "all watches are open")
        await quiet(stage, wakes)
        assert calls == {("watch", 200): len(LISTED)}


async def test_a_storm_wakes_less_often_than_it_blows(stage, kube):
    await stage.apply(stage.environment(MINIMAL))
    key = ObjectKey(stage.namespace, "default")
    settings = WatchSettings(gather=1.0)
    async with watching(kube, stage.namespace, settings=settings) as (_, wakes):
        await wakes.of(key)
        await quiet(stage, wakes)
        since, loop = len(wakes), asyncio.get_running_loop()
        began = loop.time()
        (services,) = [each for each in LISTED if each.kind == "Service"]
        service = ObjectKey(stage.namespace, "default-redis")
        for number in range(100):
            await kube.patch(services, service, {"metadata": {"labels": {"gust": str(number)}}})
        await wakes.of(key, since)
        await quiet(stage, wakes)
        assert len(wakes) - since <= 2 + (loop.time() - began) / settings.gather


async def test_a_watch_that_ended_in_time_is_opened_anew(cluster, stage):
    await stage.apply(stage.environment(MINIMAL))
    key = ObjectKey(stage.namespace, "default")
    settings = WatchSettings(timeout=1, gather=0.0, first_pause=0.05, longest_pause=0.3)
    async with (
        counting(cluster.kubeconfig) as (kube, calls),
        watching(kube, stage.namespace, settings=settings) as (_, wakes),
    ):
        await auntil(lambda: calls["watch", 200] > 2 * len(LISTED), 60, "all watches were opened anew")
        since = len(wakes)
        label(stage, "service", "team=blue")
        await wakes.of(key, since)


async def test_what_changed_while_the_connection_was_lost_wakes_its_environment(cluster, stage):
    await stage.apply(stage.environment(MINIMAL))
    key = ObjectKey(stage.namespace, "default")
    async with (
        proxied(cluster.kubeconfig, cluster.port, fresh_folder("proxied")) as (proxy, kubeconfig),
        connect(kubeconfig) as kube,
        watching(kube, stage.namespace) as (_, wakes),
    ):
        await wakes.of(key)
        await quiet(stage, wakes)
        proxy.cut()
        since = len(wakes)
        label(stage, "service", "team=blue")
        proxy.mend()
        await wakes.of(key, since)


async def test_a_connection_that_says_nothing_more_is_given_up(cluster, stage):
    await stage.apply(stage.environment(MINIMAL))
    key = ObjectKey(stage.namespace, "default")
    settings = WatchSettings(silence=2.0, gather=0.0, first_pause=0.05, longest_pause=0.3)
    async with (
        proxied(cluster.kubeconfig, cluster.port, fresh_folder("proxied")) as (proxy, kubeconfig),
        connect(kubeconfig) as kube,
        watching(kube, stage.namespace, settings=settings) as (_, wakes),
    ):
        await wakes.of(key)
        await quiet(stage, wakes)
        proxy.strand()
        since = len(wakes)
        label(stage, "service", "team=blue")
        await wakes.of(key, since)


async def test_a_missing_right_is_told_once_and_missed_no_longer_than_it_is_missing(cluster, stage, caplog):
    await stage.apply(stage.environment(MINIMAL))
    key = ObjectKey(stage.namespace, "default")
    user = f"user-{stage.namespace}"
    async with (
        counting(cluster.client_kubeconfig(user)) as (kube, calls),
        watching(kube, stage.namespace) as (_, wakes),
    ):
        await auntil(lambda: calls["watch", 403] > 4 * len(LISTED), 30, "all kinds are refused again and again")
        told = [record for record in caplog.records if "cannot be watched" in record.message]
        assert len(told) == len(LISTED)
        assert wakes == []
        stage.kubectl("create", "role", "watch", "--verb=watch", "--resource=services")
        stage.kubectl("create", "rolebinding", "watch", "--role=watch", f"--user={user}")
        await wakes.of(key)


async def test_a_defect_of_whoever_is_woken_is_not_swallowed(stage, kube):
    await stage.apply(stage.environment(MINIMAL))

    def wake(key):
        raise ZeroDivisionError

    watches = ChildWatches(kube, wake, settings=QUICK)
    watches.follow(stage.namespace)
    with pytest.raises(ExceptionGroup) as caught:
        async with asyncio.timeout(30):
            await watches.run()
    assert caught.group_contains(ZeroDivisionError)


async def test_an_api_server_that_cannot_be_reached_is_tried_again_and_again(stage, cluster):
    async with proxied(cluster.kubeconfig, cluster.port, fresh_folder("proxied")) as (proxy, kubeconfig):
        proxy.cut()
        async with counting(kubeconfig) as (kube, calls), watching(kube, stage.namespace):
            await auntil(lambda: calls["watch", 0] > 3 * len(LISTED), 30, "it is tried again and again")
