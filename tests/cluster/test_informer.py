"""The informer against real API servers: what it knows, and how it comes back from what can go wrong.

ConfigMaps stand for any kind. `Follower` records each change that the informer tells.
"""

import asyncio
import base64
import json
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import pytest

from fluid_dev.cluster import Cluster
from fluid_operator.kube.client import Kube, Page, connect
from fluid_operator.kube.connection import open_connection
from fluid_operator.kube.informer import Informer, InformerSettings
from fluid_operator.kube.keys import ObjectKey, Resource
from support.folders import fresh_folder
from support.proxies import proxied
from support.waiting import auntil

CONFIG_MAPS = Resource("", "v1", "configmaps", "ConfigMap")
OURS = {"labelSelector": "of=informer-test"}
QUICK = InformerSettings(silence=3.0, first_pause=0.05, longest_pause=0.5)


@dataclass(frozen=True, slots=True)
class Seen:
    """What these tests keep of a ConfigMap."""

    uid: str
    version: int
    text: str


def seen(raw: dict[str, Any]) -> Seen:
    meta = raw["metadata"]
    return Seen(meta["uid"], int(meta["resourceVersion"]), raw.get("data", {}).get("text", ""))


def config_map(namespace: str, name: str, text: str = "") -> dict[str, Any]:
    metadata = {"namespace": namespace, "name": name, "labels": {"of": "informer-test"}}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": {"text": text}}


class Follower:
    """An informer that runs, and everything that it has told."""

    def __init__(self, kube: Kube, *namespaces: str, settings: InformerSettings = QUICK, **more: Any) -> None:
        self.changes: list[tuple[str, Seen | None, Seen | None]] = []
        self.relists: list[set[str]] = []
        self.informer = Informer(
            kube,
            CONFIG_MAPS,
            project=seen,
            on_change=lambda key, old, new: self.changes.append((key.name, old, new)),
            on_relist=lambda objects: self.relists.append({key.name for key in objects}),
            namespaces=namespaces,
            selectors=OURS,
            settings=settings,
            **more,
        )

    def texts(self) -> dict[str, str]:
        return {key.name: value.text for key, value in self.informer.items()}

    async def sees(self, **want: str) -> None:
        await auntil(lambda: self.texts() == want, what=f"the cache holds {want}")

    async def loses_contact(self) -> None:
        await auntil(lambda: not self.informer.connected, what="the informer notices that its watch is dead")

    @asynccontextmanager
    async def running(self) -> AsyncIterator["Follower"]:
        task = asyncio.create_task(self.informer.run())
        try:
            async with asyncio.timeout(30):
                await self.informer.synced()
            yield self
        finally:
            task.cancel()
            (result,) = await asyncio.gather(task, return_exceptions=True)
        assert isinstance(result, asyncio.CancelledError), "the informer ended by itself"


@asynccontextmanager
async def clients(cluster: Cluster, kind: type[Kube] = Kube) -> AsyncIterator[tuple[Kube, Kube]]:
    """A client for the informer and another one for the rest of the world."""
    async with open_connection(cluster.kubeconfig) as connection, connect(cluster.kubeconfig) as kube:
        yield kind(connection), kube


async def write(kube: Kube, namespace: str, **texts: str) -> dict[str, Any]:
    """Create the named ConfigMaps with these texts; returns the last one."""
    for name, text in texts.items():
        last = await kube.create(CONFIG_MAPS, config_map(namespace, name, text))
    return last


async def edit(kube: Kube, namespace: str, name: str, text: str) -> dict[str, Any]:
    return await kube.patch(CONFIG_MAPS, ObjectKey(namespace, name), {"data": {"text": text}})


async def remove(kube: Kube, namespace: str, name: str) -> None:
    await kube.delete(CONFIG_MAPS, ObjectKey(namespace, name))


# -- what it knows


async def test_listed_objects_and_later_changes_reach_the_cache(cluster, namespace):
    async with clients(cluster) as (inner, kube):
        await write(kube, namespace, a="1", b="1", c="1")
        # A page of two makes the list take more than one request.
        async with Follower(inner, namespace, settings=InformerSettings(page=2)).running() as follower:
            assert follower.texts() == {"a": "1", "b": "1", "c": "1"}
            await write(kube, namespace, d="1")
            await edit(kube, namespace, "a", "2")
            await remove(kube, namespace, "b")
            await follower.sees(a="2", c="1", d="1")
    told = [(name, old and old.text, new and new.text) for name, old, new in follower.changes[3:]]
    assert told == [("d", None, "1"), ("a", "1", "2"), ("b", "1", None)]
    assert follower.relists == [{"a", "b", "c"}]


async def test_several_namespaces_are_followed_and_others_are_not(cluster, namespace):
    others = [f"{namespace}-second", f"{namespace}-third"]
    for name in others:
        cluster.kubectl("create", "namespace", name)
    async with clients(cluster) as (inner, kube):
        await write(kube, namespace, a="1")
        async with Follower(inner, namespace, others[0]).running() as follower:
            await write(kube, others[1], x="1")
            await write(kube, others[0], b="1")
            await follower.sees(a="1", b="1")
            assert follower.informer.observe(await edit(kube, others[1], "x", "2")) is False
            assert follower.texts() == {"a": "1", "b": "1"}
    assert follower.relists == [{"a"}], "the hook waits until every namespace has been listed"


async def test_a_name_created_again_is_told_as_a_deletion_and_an_addition(cluster, namespace):
    async with (
        connect(cluster.kubeconfig) as kube,
        proxied(cluster.kubeconfig, cluster.port, fresh_folder("proxy")) as (proxy, path),
        connect(path) as through,
    ):
        old = seen(await write(kube, namespace, a="1"))
        async with Follower(through, namespace).running() as follower:
            proxy.cut()
            await follower.loses_contact()
            await remove(kube, namespace, "a")
            new = seen(await write(kube, namespace, a="1"))
            proxy.mend()
            await auntil(lambda: len(follower.changes) == 3, what="both changes are told")
            assert follower.changes[1:] == [("a", old, None), ("a", None, new)]
            assert follower.informer.by_uid(old.uid) is None
            assert follower.informer.by_uid(new.uid) == (ObjectKey(namespace, "a"), new)


async def test_a_defect_in_a_callback_reaches_the_owner(cluster, namespace):
    def broken(raw: dict[str, Any]) -> Seen:
        raise OSError("a defect that looks like a lost connection")

    async with clients(cluster) as (inner, kube):
        informer = Informer(inner, CONFIG_MAPS, project=broken, on_change=lambda *_: None, namespaces=[namespace])
        run = asyncio.create_task(informer.run())
        await write(kube, namespace, a="1")
        with pytest.raises(ExceptionGroup) as caught:
            await asyncio.wait_for(run, 30)
    assert caught.group_contains(OSError, match="a defect")


# -- the answers to our own writes


async def test_an_observed_answer_is_known_before_the_watch_tells_it_and_is_told_once(cluster, namespace):
    async with (
        connect(cluster.kubeconfig) as kube,
        proxied(cluster.kubeconfig, cluster.port, fresh_folder("proxy")) as (proxy, path),
        connect(path) as through,
    ):
        await write(kube, namespace, a="1")
        async with Follower(through, namespace, settings=InformerSettings()).running() as follower:
            proxy.freeze()
            await edit(kube, namespace, "a", "2")
            answer = await edit(kube, namespace, "a", "3")
            assert follower.informer.observe(answer) is True
            assert follower.texts() == {"a": "3"}
            proxy.thaw()
            await write(kube, namespace, b="1")
            await follower.sees(a="3", b="1")
        told = [new and new.text for name, _, new in follower.changes if name == "a"]
        assert told == ["1", "3"], "the watch's older and equal versions change nothing"


async def test_an_answer_older_than_the_watch_changes_nothing(cluster, namespace):
    async with clients(cluster) as (inner, kube):
        await write(kube, namespace, a="1", b="1")
        async with Follower(inner, namespace).running() as follower:
            late = await edit(kube, namespace, "a", "2")
            also_late = await edit(kube, namespace, "b", "2")
            await edit(kube, namespace, "a", "3")
            await remove(kube, namespace, "b")
            await follower.sees(a="3")
            assert follower.informer.observe(late) is False
            assert follower.informer.observe(also_late) is False, "what was deleted does not come back"
            assert follower.texts() == {"a": "3"}


# -- outages


async def test_deletions_during_an_outage_are_told_after_it(cluster, namespace):
    async with (
        connect(cluster.kubeconfig) as kube,
        proxied(cluster.kubeconfig, cluster.port, fresh_folder("proxy")) as (proxy, path),
        connect(path) as through,
    ):
        await write(kube, namespace, a="1", b="1", c="1")
        async with Follower(through, namespace).running() as follower:
            proxy.cut()
            await follower.loses_contact()
            before = len(follower.changes)
            await remove(kube, namespace, "a")
            await edit(kube, namespace, "b", "2")
            proxy.mend()
            await follower.sees(b="2", c="1")
            told = [(name, new and new.text) for name, _, new in follower.changes[before:]]
            assert told == [("a", None), ("b", "2")], "c did not change, so nothing is told about it"
            assert follower.relists[-1] == {"b", "c"}


async def test_a_dead_connection_is_noticed_by_its_silence(cluster, namespace):
    async with (
        connect(cluster.kubeconfig) as kube,
        proxied(cluster.kubeconfig, cluster.port, fresh_folder("proxy")) as (proxy, path),
        connect(path) as through,
        Follower(through, namespace).running() as follower,
    ):
        proxy.freeze()
        await write(kube, namespace, a="1")
        await follower.loses_contact()
        assert follower.texts() == {}
        proxy.thaw()
        await follower.sees(a="1")


async def test_a_watch_that_ends_on_time_is_resumed_without_a_list(cluster, namespace):
    async with clients(cluster) as (inner, kube):
        brief = InformerSettings(watch_timeout=1)
        async with Follower(inner, namespace, settings=brief).running() as follower:
            calls: list[str] = []
            inner._observe = lambda call: calls.append(call.verb)
            await auntil(lambda: calls.count("watch") >= 2, what="two watches were resumed")
            await write(kube, namespace, a="1")
            await follower.sees(a="1")
            assert follower.informer.lists == 1
            assert "list" not in calls


async def test_a_watch_that_ends_politely_before_its_time_is_not_trusted(cluster, namespace):
    class Shortened(Kube):
        """Asks the server for a second only, as if that had to end its watches early to shut down."""

        def watch(self, resource: Resource, namespace: str = "", **more: Any) -> Any:
            return super().watch(resource, namespace, **more | {"timeout": 1})

    async with clients(cluster, Shortened) as (inner, _), Follower(inner, namespace).running() as follower:
        await auntil(lambda: follower.informer.lists >= 3, what="each end has led to a fresh list")


async def test_a_frozen_api_server_is_noticed_and_followed_again_when_it_wakes(own_cluster):
    async with clients(own_cluster) as (inner, kube):
        await write(kube, "default", a="1")
        async with Follower(inner).running() as follower:
            own_cluster.signal_apiserver(signal.SIGSTOP)
            try:
                await follower.loses_contact()
            finally:
                own_cluster.signal_apiserver(signal.SIGCONT)
            await write(kube, "default", b="1")
            await follower.sees(a="1", b="1")


async def test_a_killed_api_server_is_followed_again_after_its_restart(own_cluster):
    async with clients(own_cluster) as (inner, kube):
        await write(kube, "default", a="1")
        async with Follower(inner).running() as follower:
            await asyncio.to_thread(own_cluster.kill_apiserver)
            await follower.loses_contact()
            await asyncio.to_thread(own_cluster.restart_apiserver)
            await remove(kube, "default", "a")
            await write(kube, "default", b="1")
            await follower.sees(b="1")


async def test_a_compacted_resource_version_leads_to_a_fresh_list(own_cluster, caplog):
    class Stale(Kube):
        """Asks its first watch to begin at the beginning of time."""

        asked = 0

        def watch(self, resource: Resource, namespace: str = "", **more: Any) -> Any:
            self.asked += 1
            if self.asked == 1:
                more["resource_version"] = "1"
            return super().watch(resource, namespace, **more)

    await asyncio.to_thread(compact, own_cluster)
    async with clients(own_cluster, Stale) as (inner, kube), Follower(inner).running() as follower:
        await auntil(lambda: inner.asked >= 2, what="a second watch was opened")
        await write(kube, "default", a="1")
        await follower.sees(a="1")
        assert follower.informer.lists == 2
    (lost,) = [record.error for record in caplog.records if record.name.endswith("kube.informer")]
    assert lost.startswith("410 Expired")


async def test_a_list_whose_page_tokens_expire_is_taken_in_one_piece(own_cluster):
    class Slow(Kube):
        """So slow that the snapshot behind each token has been compacted when it is used."""

        async def list_page(self, resource: Resource, namespace: str = "", **more: Any) -> Page:
            if more["continue_token"]:
                token = json.loads(base64.urlsafe_b64decode(more["continue_token"] + "=="))
                raw = json.dumps(token | {"rv": 1}).encode()
                more["continue_token"] = base64.urlsafe_b64encode(raw).decode().rstrip("=")
            return await super().list_page(resource, namespace, **more)

    await asyncio.to_thread(compact, own_cluster)
    async with clients(own_cluster, Slow) as (inner, kube):
        await write(kube, "default", a="1", b="1", c="1")
        codes: list[tuple[str, int]] = []
        inner._observe = lambda call: codes.append((call.verb, call.code))
        async with Follower(inner, settings=InformerSettings(page=2)).running() as follower:
            assert follower.texts() == {"a": "1", "b": "1", "c": "1"}
            assert codes[:3] == [("list", 200), ("list", 410), ("list", 200)]


def compact(cluster: Cluster) -> None:
    """Make the API server forget the past: compaction alone does not empty its cache."""
    cluster.compact_etcd()
    cluster.restart_apiserver()


# -- etcd back from a backup


async def test_an_older_etcd_replaces_the_cache_and_is_followed_from_there(own_cluster):
    backup = fresh_folder("backup") / "etcd"
    async with clients(own_cluster) as (inner, kube):
        await write(kube, "default", a="1")
        async with Follower(inner).running() as follower:
            await asyncio.to_thread(own_cluster.save_etcd, backup)
            await kube_answers(kube)
            await edit(kube, "default", "a", "2")
            await write(kube, "default", b="1")
            await churn(kube, 200)
            await write(kube, "default", z="1")
            await follower.sees(a="2", b="1", z="1")
            newest = follower.informer.get(ObjectKey("default", "z"))

            await asyncio.to_thread(own_cluster.restore_etcd, backup)
            await follower.sees(a="1")
            later = await write(kube, "default", c="1")
            assert newest is not None
            assert seen(later).version < newest.version, "the change lies in the old world's past"
            await follower.sees(a="1", c="1")


async def test_a_restored_etcd_that_has_overtaken_us_is_compared_by_content(own_cluster):
    backup = fresh_folder("backup") / "etcd"
    async with (
        connect(own_cluster.kubeconfig) as kube,
        proxied(own_cluster.kubeconfig, own_cluster.port, fresh_folder("proxy")) as (proxy, path),
        connect(path) as through,
    ):
        await write(kube, "default", a="1")
        await asyncio.to_thread(own_cluster.save_etcd, backup)
        await kube_answers(kube)
        await write(kube, "default", lost="1")
        await edit(kube, "default", "a", "of the lost world")
        async with Follower(through).running() as follower:
            known = follower.informer.get(ObjectKey("default", "a"))
            assert known is not None
            proxy.cut()
            await follower.loses_contact()
            await asyncio.to_thread(own_cluster.restore_etcd, backup)
            await kube_answers(kube)
            await churn(kube, 300)
            assert seen(await edit(kube, "default", "a", "of this world")).version > known.version
            proxy.mend()
            await follower.sees(a="of this world")


async def kube_answers(kube: Kube) -> None:
    """Wait until the API server takes writes again after etcd was away."""

    async def listed() -> bool:
        await kube.list_page(CONFIG_MAPS, "default")
        return True

    await auntil(listed, what="the API server answers")


async def churn(kube: Kube, writes: int) -> None:
    """Make etcd count up, by objects that the informer does not follow."""
    key = ObjectKey("default", "churn")
    body = config_map(*key)
    del body["metadata"]["labels"]
    await kube.create(CONFIG_MAPS, body)
    for n in range(writes):
        await kube.patch(CONFIG_MAPS, key, {"data": {"text": str(n)}})
