"""The elector against a real API server: one leader at a time whatever happens, and a quick hand-over."""

import asyncio
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from fluid_operator.kube.client import Kube, connect
from fluid_operator.kube.errors import NotFound, NotLeader
from fluid_operator.kube.keys import LEASES, ObjectKey
from fluid_operator.kube.lease import Elector, LeaseSettings
from support.folders import fresh_folder
from support.proxies import proxied
from support.waiting import auntil

BRISK = LeaseSettings(duration=2, renew_deadline=1.2, retry=0.3)
# With this one nobody outlives a silent holder within a test: who takes over was handed the Lease.
PATIENT = LeaseSettings(duration=600, renew_deadline=500, retry=0.3)


class Candidates:
    """Some electors for one Lease. `log` holds ("a", "leads") and ("a", "stops") in the order of events."""

    def __init__(self, namespace: str) -> None:
        self.key = ObjectKey(namespace, "the-lease")
        self.log: list[tuple[str, str]] = []
        self.electors: dict[str, Elector] = {}
        self.tasks: dict[str, asyncio.Task[None]] = {}

    def stand(self, name: str, kube: Kube, settings: LeaseSettings = BRISK) -> Elector:
        elector = self.electors[name] = Elector(
            kube,
            self.key,
            name,
            settings=settings,
            on_started=lambda: self._leads(name),
            on_stopped=lambda: self.log.append((name, "stops")),
        )
        self.tasks[name] = asyncio.create_task(elector.run())
        return elector

    def _leads(self, name: str) -> None:
        leaders = [each for each, elector in self.electors.items() if elector.leading]
        self.log.append((name, "leads"))
        assert leaders == [name], "two leaders at once"

    async def leads(self, name: str) -> None:
        await auntil(lambda: self._leader_or_fail() == name, what=f"{name} leads")

    def _leader_or_fail(self) -> str | None:
        for task in self.tasks.values():
            if task.done() and not task.cancelled():
                task.result()
        leaders = [name for name, elector in self.electors.items() if elector.leading]
        assert len(leaders) <= 1, "two leaders at once"
        return leaders[0] if leaders else None

    async def stop(self, name: str) -> None:
        self.tasks[name].cancel()
        await asyncio.gather(self.tasks[name], return_exceptions=True)


@asynccontextmanager
async def candidates(namespace: str) -> AsyncIterator[Candidates]:
    group = Candidates(namespace)
    try:
        yield group
    finally:
        for name in group.tasks:
            await group.stop(name)


async def spec(kube: Kube, key: ObjectKey) -> dict[str, Any]:
    lease = await kube.get(LEASES, key)
    return dict(lease["spec"])


async def test_the_first_candidate_creates_the_lease_and_leads(cluster, namespace):
    async with connect(cluster.kubeconfig) as kube, candidates(namespace) as group:
        a = group.stand("a", kube, LeaseSettings())
        with pytest.raises(NotLeader):
            a.check()
        await group.leads("a")
        a.check()
        want = {"holderIdentity": "a", "leaseDurationSeconds": 15, "leaseTransitions": 0}
        now = await spec(kube, group.key)
        assert {name: now[name] for name in want} == want
        assert now["acquireTime"] == now["renewTime"]


async def test_the_leader_renews_and_stays(cluster, namespace):
    async with connect(cluster.kubeconfig) as kube, candidates(namespace) as group:
        group.stand("a", kube)
        await group.leads("a")
        group.stand("b", kube)
        first = await spec(kube, group.key)

        async def renewed() -> bool:
            return (await spec(kube, group.key))["renewTime"] > first["renewTime"]

        await auntil(renewed, what="the Lease is renewed")
        now = await spec(kube, group.key)
        assert now["acquireTime"] == first["acquireTime"]
        assert now["leaseTransitions"] == 0
        assert group.log == [("a", "leads")]


async def test_a_leader_that_ends_hands_over_without_a_wait(cluster, namespace):
    async with connect(cluster.kubeconfig) as kube, candidates(namespace) as group:
        group.stand("a", kube, PATIENT)
        await group.leads("a")
        b = group.stand("b", kube, PATIENT)
        await auntil(lambda: b.holder == "a", what="b has seen that a leads")
        await group.stop("a")
        assert not group.electors["a"].leading
        await group.leads("b")
        assert group.log == [("a", "leads"), ("a", "stops"), ("b", "leads")]
        assert (await spec(kube, group.key))["leaseTransitions"] == 1


async def test_a_leader_behind_a_dead_connection_stops_before_another_begins(cluster, namespace):
    async with (
        connect(cluster.kubeconfig) as kube,
        proxied(cluster.kubeconfig, cluster.port, fresh_folder("proxy")) as (proxy, path),
        connect(path) as through,
        candidates(namespace) as group,
    ):
        a = group.stand("a", through)
        await group.leads("a")
        group.stand("b", kube)
        proxy.freeze()
        await group.leads("b")
        with pytest.raises(NotLeader):
            a.check()
        assert group.log == [("a", "leads"), ("a", "stops"), ("b", "leads")]
        proxy.thaw()
        await auntil(lambda: a.holder == "b", what="a sees who leads now")
        assert group.log[3:] == []


async def test_a_lease_edited_by_others_is_kept(cluster, namespace):
    async with connect(cluster.kubeconfig) as kube, candidates(namespace) as group:
        group.stand("a", kube)
        await group.leads("a")
        group.stand("b", kube)
        first = await kube.patch(LEASES, group.key, {"metadata": {"labels": {"team": "calendar"}}})

        async def renewed() -> bool:
            return (await spec(kube, group.key))["renewTime"] > first["spec"]["renewTime"]

        await auntil(renewed, what="the Lease is renewed over the edit")
        assert (await kube.get(LEASES, group.key))["metadata"]["labels"] == {"team": "calendar"}
        assert group.log == [("a", "leads")]


async def test_a_deleted_lease_is_not_taken_from_its_holder(cluster, namespace):
    async with connect(cluster.kubeconfig) as kube, candidates(namespace) as group:
        group.stand("a", kube)
        await group.leads("a")
        b = group.stand("b", kube)
        await auntil(lambda: b.holder == "a", what="b has seen that a leads")
        await kube.delete(LEASES, group.key)

        async def back() -> bool:
            try:
                return (await spec(kube, group.key))["holderIdentity"] == "a"
            except NotFound:
                return False

        await auntil(back, what="a has made its Lease anew")
        assert group.log == [("a", "leads")]


async def test_a_leader_without_api_server_stops_and_leads_again_later(own_cluster):
    async with connect(own_cluster.kubeconfig) as kube, candidates("default") as group:
        a = group.stand("a", kube)
        await group.leads("a")
        await asyncio.to_thread(own_cluster.kill_apiserver)
        await auntil(lambda: ("a", "stops") in group.log, what="a stops")
        with pytest.raises(NotLeader):
            a.check()
        await asyncio.to_thread(own_cluster.restart_apiserver)
        await group.leads("a")
        assert (await spec(kube, group.key))["leaseTransitions"] == 0, "the holder never changed"


# Leads in the main thread and answers, from another one, each line of its input by what a write would have to
# hear: whatever the event loop is doing, or not yet doing after a long stop.
_REPLICA = """
import asyncio, sys, threading
from pathlib import Path
from fluid_operator.kube.client import connect
from fluid_operator.kube.errors import NotLeader
from fluid_operator.kube.keys import ObjectKey
from fluid_operator.kube.lease import Elector, LeaseSettings

def answer(elector):
    for _ in sys.stdin:
        try:
            elector.check()
            print("may write", flush=True)
        except NotLeader:
            print("may not write", flush=True)

async def main(kubeconfig, namespace):
    async with connect(Path(kubeconfig)) as kube:
        settings = LeaseSettings(duration=2, renew_deadline=1.2, retry=0.3)
        elector = Elector(kube, ObjectKey(namespace, "the-lease"), "replica", settings=settings)
        threading.Thread(target=answer, args=(elector,), daemon=True).start()
        await elector.run()

asyncio.run(main(*sys.argv[1:]))
"""


class Replica:
    """A process that stands for the Lease and can be asked whether it may write."""

    def __init__(self, kubeconfig: Path, namespace: str) -> None:
        command = [sys.executable, "-c", _REPLICA, str(kubeconfig), namespace]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1)

    def ask(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write("?\n")
        self.process.stdin.flush()

    async def answer(self) -> str:
        assert self.process.stdout is not None
        return (await asyncio.to_thread(self.process.stdout.readline)).strip()

    async def may_write(self) -> bool:
        self.ask()
        return await self.answer() == "may write"


@pytest.fixture
def replica(cluster, namespace) -> Iterator[Replica]:
    replica = Replica(cluster.kubeconfig, namespace)
    try:
        yield replica
    finally:
        replica.process.kill()
        replica.process.communicate()


async def test_a_stopped_process_knows_when_it_wakes_that_it_leads_no_more(cluster, namespace, replica):
    async with connect(cluster.kubeconfig) as kube, candidates(namespace) as group:
        await auntil(replica.may_write, what="the replica leads")
        replica.process.send_signal(signal.SIGSTOP)
        group.stand("b", kube)
        await group.leads("b")
        replica.ask()
        replica.process.send_signal(signal.SIGCONT)
        assert await replica.answer() == "may not write"
        assert (await spec(kube, group.key))["leaseTransitions"] == 1
