"""Users without patience, and GitOps tools that never tire: each keeps one FluidJob and does at random what the API
allows, while a watch keeps every version of every object.

Which moves are made depends on the seed alone; what meets what is up to the machine.
"""

import asyncio
import random
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, NamedTuple

from fluid_operator.api.meta import API_VERSION, GROUP, REQUEST_ANNOTATION
from fluid_operator.api.spechash import spec_hash
from fluid_operator.kube.client import Kube
from fluid_operator.kube.errors import ApiError
from fluid_operator.kube.keys import FLUID_JOBS, ObjectKey

Json = dict[str, Any]

MOVES: Mapping[str, int] = {
    "change": 25, "same": 10, "back": 8, "tune": 10, "hold": 7, "release": 9, "cancelled": 3, "rerun": 4, "recreate": 7,
    "misfit": 3, "elsewhere": 6, "retry": 7, "cancel": 4, "suspend": 6, "resume": 8, "nonsense": 1,
}  # fmt: skip
"""What a user does, and how often. The last five are requests by annotation."""

PAUSES = (0, 0.02, 0.1, 0.3, 0.6)
"""Seconds between two moves; the shorter ones hit what is not told yet."""

ENVIRONMENTS = ("default", "other")

KINDS: Mapping[str, Json] = {
    "plain": {},
    "flaky": {"payload": {"fails": 1}},
    "index": {"completions": 4, "parallelism": 2},
    "items": {"items": [{"item": "a"}, {"item": "b"}, {"item": "c"}]},
    "keyed": {"concurrencyKey": "k", "payload": {"key": "k"}},
    "twin": {"deduplication": {"key": "twins"}},
    "tracked": {"ttlSecondsAfterFinished": 1},
    "short": {"ttlSecondsAfterFinished": 1},
    "mover": {},
    "late": {"startingDeadlineSeconds": 5},
}
"""What sets the FluidJobs apart; a tracked one is Argo CD's, a mover goes from environment to environment."""


@dataclass
class Op:
    """Something that a user did. `sent` and `done` in seconds since the epoch."""

    name: str
    what: str
    sent: float
    value: str
    """What tells the spec from all others of this user."""
    hash: str
    done: float = 0.0
    refused: ApiError | None = None
    uid: str = ""
    """Of the object that it has changed."""


class Version(NamedTuple):
    """An object as the watch showed it; `gone`: the last one of a deleted object."""

    seen: float
    gone: bool
    raw: Json

    @property
    def status(self) -> Json:
        return self.raw.get("status") or {}

    @property
    def generation(self) -> int:
        return int(self.raw["metadata"]["generation"])

    @property
    def request(self) -> str:
        return str((self.raw["metadata"].get("annotations") or {}).get(REQUEST_ANNOTATION, ""))

    @property
    def reason(self) -> str:
        """Of the Ready condition."""
        return next((c["reason"] for c in self.status.get("conditions", []) if c["type"] == "Ready"), "")

    @property
    def settled(self) -> bool:
        """Nothing is left to be done for what the object asks for."""
        status = self.status
        ended = status.get("phase") in ("Succeeded", "Failed", "Cancelled")
        handled = self.request in ("", status.get("lastHandledRequest"))
        return bool(ended and handled and status.get("observedGeneration") == self.generation)


@dataclass
class Watch:
    """Every version of every object of a namespace, by uid."""

    kube: Kube
    namespace: str
    versions: dict[str, list[Version]] = field(default_factory=lambda: defaultdict(list))

    async def run(self) -> None:
        """Follow until cancelled."""
        position = (await self.kube.list_page(FLUID_JOBS, self.namespace)).resource_version
        while True:
            async with self.kube.watch(
                FLUID_JOBS, self.namespace, resource_version=position, timeout=300, silence=300
            ) as batches:
                async for batch in batches:
                    for event in batch:
                        position = event.object["metadata"]["resourceVersion"]
                        if event.type != "BOOKMARK":
                            version = Version(time.time(), event.type == "DELETED", event.object)
                            self.versions[event.object["metadata"]["uid"]].append(version)


class User:
    """Keeps one FluidJob by server-side apply, as from Git, and makes requests as a person does."""

    def __init__(self, kind: str, number: int, seed: int, kube: Kube, namespace: str, ops: list[Op]) -> None:
        self.kind, self.name = kind, f"{kind}-{number}"
        self._key = ObjectKey(namespace, self.name)
        self._chances = random.Random(seed * 1000 + number)
        self._kube = kube
        self._ops = ops
        self._changes = self._reruns = 0
        self._payloads: list[Json] = []
        backoff = {"type": "Fixed", "delaySeconds": 0, "jitterPercent": 0}
        self.spec: Json = {"type": "errand-of-users", "backoff": backoff, **KINDS[kind]}
        self._renew()

    async def live(self, until: float) -> None:
        """Make one move after the other."""
        while time.time() < until:
            (what,) = self._chances.choices(list(MOVES), list(MOVES.values()))
            await self._move(what)
            await asyncio.sleep(self._chances.choice(PAUSES))

    async def release(self) -> None:
        """Take back what holds the job in Git."""
        if self.spec.get("suspend"):
            self.spec["suspend"] = False
            await self._apply("release")

    async def ask(self, verb: str) -> None:
        """Make a request by annotation."""
        moment = datetime.now(UTC).isoformat().replace("+00:00", "Z")
        text = f"{verb}@{moment}"
        body = {"metadata": {"annotations": {REQUEST_ANNOTATION: text}}}
        await self._do(verb, lambda: self._kube.patch(FLUID_JOBS, self._key, body, query={"fieldManager": "person"}))

    async def _move(self, what: str) -> None:
        if what in ("retry", "cancel", "suspend", "resume", "nonsense"):
            await self.ask(what)
        elif what == "recreate":
            await self._recreate()
        else:
            self._edit(what)
            await self._apply(what)

    def _edit(self, what: str) -> None:
        """Change the manifest."""
        if what in ("change", "back", "rerun", "elsewhere"):
            self._uncancel()
        if what == "change":
            self._renew()
        elif what == "back":
            recent = self._payloads[-2:] if self._chances.random() < 0.7 else self._payloads
            self.spec["payload"] = dict(self._chances.choice(recent))
        elif what == "tune":
            self.spec["priority"] = self._chances.randint(-5, 5)
            if "parallelism" in self.spec:
                self.spec["parallelism"] = self._chances.randint(1, 4)
        elif what in ("hold", "release"):
            self.spec["suspend"] = what == "hold"
        elif what == "cancelled":
            self.spec["cancelled"] = True
        elif what == "rerun":
            self._rerun()
        elif what == "misfit":
            self.spec["payload"]["colour"] = "red"
        elif what == "elsewhere" and self.kind == "mover":
            self.spec["environment"] = self._chances.choice(ENVIRONMENTS)

    def _renew(self) -> None:
        """Another payload than ever before."""
        self._changes += 1
        kept = {name: value for name, value in self.spec.get("payload", {}).items() if name != "colour"}
        seconds = self._chances.choice([0, 0, 0.05, 0.3, 1.0])
        self.spec["payload"] = kept | {"value": f"{self.name}:{self._changes}", "seconds": seconds}
        self._payloads.append(dict(self.spec["payload"]))

    def _rerun(self) -> None:
        self._reruns += 1
        self.spec["runId"] = f"r{self._reruns}"

    def _uncancel(self) -> None:
        if self.spec.get("cancelled"):
            self.spec["cancelled"] = False
            self._rerun()

    async def _recreate(self) -> None:
        await self._do("delete", lambda: self._kube.delete(FLUID_JOBS, self._key))
        await asyncio.sleep(self._chances.choice(PAUSES))
        self._uncancel()
        if self._chances.random() < 0.5:
            self._renew()
        await self._apply("recreate")

    async def _apply(self, what: str) -> None:
        tracking = f"shop:{GROUP}/FluidJob:{self._key.namespace}/{self.name}"
        annotations = {"argocd.argoproj.io/tracking-id": tracking} if self.kind == "tracked" else {}
        meta = {"namespace": self._key.namespace, "name": self.name, "annotations": annotations}
        body = {"apiVersion": API_VERSION, "kind": "FluidJob", "metadata": meta, "spec": self.spec}
        query = {"fieldManager": "git", "force": "true", "fieldValidation": "Strict"}
        content_type = "application/apply-patch+yaml"
        await self._do(
            what, lambda: self._kube.patch(FLUID_JOBS, self._key, body, content_type=content_type, query=query)
        )

    async def _do(self, what: str, call: Callable[[], Awaitable[Json | None]]) -> None:
        op = Op(self.name, what, time.time(), self.spec["payload"]["value"], spec_hash(self.spec))
        self._ops.append(op)
        try:
            answer = await call()
        except ApiError as error:  # gone, just going, or not allowed: a user reads it and goes on
            op.refused = error
        else:
            op.uid = answer["metadata"]["uid"] if answer else ""
        op.done = time.time()


async def all_settle(kube: Kube, namespace: str, users: Sequence[User], within: float) -> list[str]:
    """Release what is held until every object has ended; answers those that have not, in words."""
    by_name = {user.name: user for user in users}
    for user in users:
        await user.release()
    deadline, asked = time.monotonic() + within, 0.0
    while True:
        page = await kube.list_page(FLUID_JOBS, namespace, limit=0)
        left = [version for raw in page.items if not (version := Version(time.time(), False, raw)).settled]
        if not left or time.monotonic() > deadline:
            return [f"never ended: {each.raw['metadata']['name']}: {each.raw['spec']} {each.status}" for each in left]
        if time.monotonic() - asked > 3:
            asked = time.monotonic()
            for each in left:
                if each.status.get("phase") == "Suspended":
                    await by_name[each.raw["metadata"]["name"]].ask("resume")
        await asyncio.sleep(0.2)
