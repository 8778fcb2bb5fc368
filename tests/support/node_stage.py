"""A FluidEnvironment as real pods, kept by the operator as it ships: what tests do to it, and what they see of it."""

import asyncio
import base64
import itertools
import json
import uuid
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

from fluid_dev import node_config
from fluid_dev.errors import DevError, TimedOut
from fluid_dev.node import Node
from fluid_operator.api.meta import API_VERSION, REQUEST_ANNOTATION
from fluid_operator.kube.client import Kube
from fluid_operator.kube.keys import FLUID_JOBS, ObjectKey
from fluid_queue import Queue, QueueUnavailable
from support.node_probe import WITNESS
from support.node_witness import Run, Witness
from support.nodes import Namespace
from support.operator_pods import OperatorPods
from support.waiting import auntil

T = TypeVar("T")

LEASE_SECONDS = 3
"""Of the workers: a test waits for it when it has killed one."""
USUAL_LEASE_SECONDS = 15
"""The product's own: where no job may run twice, however busy this machine is meanwhile."""
_ENDED = ("Succeeded", "Failed", "Cancelled")
_UNENDED = ",".join(f"status.phase!={phase}" for phase in _ENDED)
_AT_ONCE = 16
"""Requests that create jobs side by side."""


@dataclass(eq=False)
class NodeStage:
    """One environment and the jobs of its namespace. `spec` is what it was applied with last."""

    namespace: Namespace
    operator: OperatorPods
    kube: Kube
    witness: Witness
    image: str
    name: str = "default"
    spec: dict[str, Any] = field(default_factory=dict)

    # -- the environment ----------------------------------------------------------------------------------------------

    def pool(self, name: str = "default", *, lease_seconds: int = LEASE_SECONDS, **fields: Any) -> dict[str, Any]:
        """A pool of workers that report to the witness."""
        env = {WITNESS: self.witness.address, "FLUID_LEASE_SECONDS": str(lease_seconds)}
        usual = {
            "name": name,
            "concurrency": 20,
            "terminationGracePeriodSeconds": 30,
            "env": [{"name": key, "value": value} for key, value in env.items()],
        }
        return usual | fields

    def apply(self, **spec: Any) -> None:
        """Apply the environment, each field as it was last unless it is named; None takes a field away."""
        usual = {"image": self.image, "redis": {"managed": {"maxMemory": "100mb"}}, "workers": [self.pool()]}
        merged = (self.spec or usual) | spec
        self.spec = {name: value for name, value in merged.items() if value is not None}
        metadata = {"name": self.name, "namespace": self.namespace.name}
        kind = {"apiVersion": API_VERSION, "kind": "FluidEnvironment"}
        self.namespace.apply({**kind, "metadata": metadata, "spec": self.spec})

    async def ready(self, within: float = 90) -> None:
        """Wait until it is as it was applied last, and ready."""

        def look() -> bool:
            found = self.environment()
            condition = self.condition("Ready", found)
            return (
                condition.get("status") == "True" and condition["observedGeneration"] == found["metadata"]["generation"]
            )

        await self.wait(look, within, "the environment is ready", pause=0.3)

    def environment(self) -> dict[str, Any]:
        return self.namespace.get("fluidenvironment", self.name)

    def condition(self, kind: str, environment: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """One condition of the environment, {} where it is not there."""
        found = environment or self.environment()
        conditions = found.get("status", {}).get("conditions", [])
        return next((dict(each) for each in conditions if each["type"] == kind), {})

    def ask(self, verb: str) -> str:
        """Make a request by annotation; the annotation's value."""
        moment = datetime.now(UTC).isoformat().replace("+00:00", "Z")
        request = f"{verb}@{moment}"
        self.namespace.kubectl(
            "annotate", "--overwrite", f"fluidenvironment/{self.name}", f"{REQUEST_ANNOTATION}={request}"
        )
        return request

    def pods(self, component: str) -> list[dict[str, Any]]:
        """Its pods of this component (`redis`, `worker`), those that are ending included."""
        labels = f"jobs.fluidcalendar.com/environment={self.name},app.kubernetes.io/component={component}"
        return list(json.loads(self.namespace.kubectl("get", "pods", f"--selector={labels}", "--output=json"))["items"])

    def secret(self) -> dict[str, str]:
        """What the Secret of the managed Redis holds, as text."""
        data = self.namespace.get("secret", f"{self.name}-redis")["data"]
        return {key: base64.b64decode(text).decode() for key, text in data.items()}

    def url(self, user: str, password: str | None = None) -> str:
        """Of the managed Redis, from outside of the cluster's network names."""
        address = self.namespace.get("service", f"{self.name}-redis")["spec"]["clusterIP"]
        return f"redis://{user}:{password or self.secret()[f'{user}-password']}@{address}:6379/0"

    @asynccontextmanager
    async def queue(self, within: float = 30) -> AsyncIterator[Queue]:
        """The opened queue, as soon as the Service leads to the pod."""
        prefix = self.spec["redis"].get("keyPrefix", f"{self.namespace.name}.{self.name}")
        async with Queue.from_url(self.url("operator"), prefix) as queue:

            async def opened() -> bool:
                try:
                    await queue.open()
                except QueueUnavailable:
                    return False
                return True

            await self.wait(opened, within, "Redis is reached", pause=0.2)
            yield queue

    # -- its jobs -----------------------------------------------------------------------------------------------------

    async def create(self, *names: str, milliseconds: int = 0, gate: str = "", **spec: Any) -> dict[str, str]:
        """Create probes as many clients would; their uids by name."""
        turns = asyncio.Semaphore(_AT_ONCE)
        payload = {"milliseconds": milliseconds} | ({"gate": gate} if gate else {})

        async def one(name: str) -> str:
            metadata = {"name": name, "namespace": self.namespace.name}
            fields = {"environment": self.name, "type": "probe", "payload": payload, **spec}
            body = {"apiVersion": API_VERSION, "kind": "FluidJob", "metadata": metadata, "spec": fields}
            async with turns:
                created = await self.kube.create(FLUID_JOBS, body)
            return str(created["metadata"]["uid"])

        return dict(zip(names, await asyncio.gather(*map(one, names)), strict=True))

    @asynccontextmanager
    async def load(
        self, *, every: float = 0.1, milliseconds: int = 100, name: str = "load"
    ) -> AsyncIterator[dict[str, str]]:
        """Create a probe every so many seconds for as long as the block lasts; their uids by name, so far."""
        created: dict[str, str] = {}
        stop = asyncio.Event()

        async def go() -> None:
            for number in itertools.count():
                created.update(await self.create(f"{name}-{number}", milliseconds=milliseconds))
                try:
                    await asyncio.wait_for(stop.wait(), every)
                except TimeoutError:
                    continue
                return

        task = asyncio.create_task(go())
        try:
            yield created
        finally:
            stop.set()
            await task

    async def job(self, name: str) -> dict[str, Any]:
        return await self.kube.get(FLUID_JOBS, ObjectKey(self.namespace.name, name))

    async def reaches(self, name: str, *phases: str, within: float = 30) -> dict[str, Any]:
        """Wait until a job is in one of these phases; its status."""

        async def look() -> dict[str, Any] | None:
            status = (await self.job(name)).get("status", {})
            return status if status.get("phase") in phases else None

        found = await self.wait(look, within, f"{name} is {' or '.join(phases)}", pause=0.05)
        assert found
        return found

    async def jobs(self) -> dict[str, dict[str, Any]]:
        """Every FluidJob of the namespace by name."""
        found: dict[str, dict[str, Any]] = {}
        token = ""
        while True:
            page = await self.kube.list_page(FLUID_JOBS, self.namespace.name, continue_token=token)
            found |= {each["metadata"]["name"]: dict(each) for each in page.items}
            token = page.continue_token
            if not token:
                return found

    async def all_end(self, within: float = 90) -> Counter[str]:
        """Wait until every job of the namespace has ended; how many are in which phase."""

        async def look() -> bool:
            page = await self.kube.list_page(
                FLUID_JOBS, self.namespace.name, limit=1, selectors={"fieldSelector": _UNENDED}
            )
            return not page.items

        await self.wait(look, within, "every job has ended", pause=0.5)
        return Counter(job["status"]["phase"] for job in (await self.jobs()).values())

    async def started(self, count: int, within: float = 60) -> list[Run]:
        """Wait until the witness has seen so many starts."""
        found = await self.wait(
            lambda: len(self.witness.runs()) >= count and self.witness.runs(), within, f"{count} runs", pause=0.05
        )
        assert found
        return found

    async def patiently(self, *arguments: str) -> str:
        """kubectl in the namespace, for what takes its time: the load goes on meanwhile."""
        return await asyncio.to_thread(self.namespace.kubectl, *arguments)

    async def wait(self, look: Callable[[], T | Awaitable[T]], within: float, what: str, *, pause: float = 0.1) -> T:
        """As `auntil`; if it takes too long, the error shows the environment, its pods, and what the operator said."""
        try:
            return await auntil(look, within, what, pause=pause)
        except TimedOut as error:
            for show in (self._told, self._shown, self.operator.log):
                try:
                    error.add_note(show()[-5000:])
                except DevError as problem:
                    error.add_note(str(problem))
            raise

    def _told(self) -> str:
        return json.dumps(self.environment().get("status", {}), indent=1)

    def _shown(self) -> str:
        kinds = "statefulsets,deployments,pods,persistentvolumeclaims"
        events = self.namespace.kubectl("get", "events", "--sort-by=.lastTimestamp")
        return self.namespace.kubectl("get", kinds, "--output=wide") + events


def numbered(count: int, name: str = "job") -> Sequence[str]:
    return [f"{name}-{number}" for number in range(count)]


def tomorrow() -> str:
    """For jobs that are not to start while the test lasts."""
    return (datetime.now(UTC) + timedelta(days=1)).isoformat(timespec="seconds").replace("+00:00", "Z")


def add_volume(node: Node) -> None:
    """One more empty volume: those of environments that are gone stay used."""
    name = f"stage-{uuid.uuid4().hex[:10]}"
    path = node.state / "volumes" / name
    path.mkdir(parents=True)
    node.cluster.apply([node_config.volume(name, path)])
