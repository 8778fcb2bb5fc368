"""Who may write: one replica at a time, by a coordination.k8s.io/v1 Lease.

The rules are client-go's. A candidate takes the Lease when it has seen no change of it for the duration that
the Lease itself states, by the candidate's own monotonic clock; the times inside the Lease are for people.
The holder renews every `retry` seconds with a resourceVersion, and stops leading once `renew_deadline`
seconds have passed since it *sent* its last successful renewal, which is before anybody else may take over.
On a clean end it gives the Lease back, and the next candidate need not wait.

`Elector.check` answers from the clock alone, so it holds also where no task of ours could run: a process that
was stopped (SIGSTOP, a frozen container) for longer than the deadline learns it at its first check after
waking up, before its first write. The clock is CLOCK_MONOTONIC, which goes on while a process is stopped but
not while a virtual machine is suspended; against that, and against a write that was already on its way, stand
the resourceVersion of every status write and the epochs of the queue. This module knows nothing of either.
"""

import asyncio
import logging
import random
import socket
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Protocol

from fluid_operator.kube.client import Json, Kube
from fluid_operator.kube.errors import Conflict, KubeError, NotFound, NotLeader
from fluid_operator.kube.keys import LEASES, ObjectKey

log = logging.getLogger(__name__)


class Leadership(Protocol):
    """Who may write; what an Elector is to everybody else."""

    identity: str

    def check(self) -> None:
        """Raise NotLeader when this replica does not lead."""


@dataclass(frozen=True, slots=True)
class LeaseSettings:
    """Times of the election in seconds: retry < renew_deadline < duration, the same for all replicas."""

    duration: int = 15
    """How long candidates wait for a silent holder. Whole seconds, as in the Lease."""
    renew_deadline: float = 10.0
    """The holder stops leading when its last renewal is this old. The rest is a margin for writes under
    way."""
    retry: float = 2.0
    """Pause between renewals. A candidate looks twice as often, to take a returned Lease soon."""

    def __post_init__(self) -> None:
        """Refuse times that cannot work, with the field's name."""
        if self.duration < 1:
            raise ValueError(f"duration must be at least 1 second, not {self.duration}")
        if not self.renew_deadline < self.duration:
            raise ValueError(f"renew_deadline ({self.renew_deadline} s) must be below duration ({self.duration} s)")
        if not 0 < self.retry < self.renew_deadline:
            raise ValueError(
                f"retry ({self.retry} s) must be above 0 and below renew_deadline ({self.renew_deadline} s)"
            )

    @property
    def request_timeout(self) -> float:
        """Limit of one request: one that hangs on a dead connection leaves time for others."""
        return self.renew_deadline / 3


def new_identity() -> str:
    """Return a name for this process, never used before: a restarted pod is another candidate."""
    return f"{socket.gethostname()}_{uuid.uuid4()}"


class Elector:
    """A candidate for one Lease. `run` campaigns, leads and campaigns again until cancelled."""

    def __init__(
        self,
        kube: Kube,
        key: ObjectKey,
        identity: str,
        *,
        settings: LeaseSettings | None = None,
        on_started: Callable[[], None] = lambda: None,
        on_stopped: Callable[[], None] = lambda: None,
        clock: Callable[[], float] = time.monotonic,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        rng: random.Random | None = None,
    ) -> None:
        """Stand for the Lease `key`. `identity` must be unique among all processes that ever stand.

        `on_started` is called when the Lease is won and `on_stopped` when it is lost or given up, always in
        turns and from inside the loop. `clock` must be monotonic; `now` is the wall clock of the times
        written for people.
        """
        self._kube = kube
        self._key = key
        self.identity = identity
        self._settings = settings or LeaseSettings()
        self._on_started = on_started
        self._on_stopped = on_stopped
        self._clock = clock
        self._now = now
        self._rng = rng or random.Random()
        self._lease: Json | None = None
        self._spec: Json = {}
        self._changed_at = 0.0
        self._leads_until = float("-inf")

    @property
    def leading(self) -> bool:
        """Whether this process may write, by the clock."""
        return self._clock() < self._leads_until

    @property
    def holder(self) -> str:
        """Who held the Lease when it was last seen; empty if nobody did."""
        return str(self._spec.get("holderIdentity") or "")

    def check(self) -> None:
        """Raise NotLeader unless this process may write now. Cheap; `Kube.guarded` calls it for every
        write."""
        if not self.leading:
            raise NotLeader(str(self._key), self.identity)

    async def run(self) -> None:
        """Stand, lead, and stand again if leadership is lost, until cancelled; then give the Lease back.

        Whoever owns this task stops everything that writes before cancelling it: the next leader starts at
        once.
        """
        try:
            while True:
                await self._campaign()
                log.info("Leading.", extra={"lease": str(self._key), "identity": self.identity})
                try:
                    self._on_started()
                    await self._hold()
                finally:
                    self._on_stopped()
                log.warning("No longer leading.", extra={"lease": str(self._key), "holder": self.holder})
        finally:
            await self._give_back()

    async def _campaign(self) -> None:
        """Return when the Lease is ours."""
        while True:
            if await self._attempt():
                return
            await asyncio.sleep(self._settings.retry / 2 * self._rng.uniform(0.8, 1))

    async def _hold(self) -> None:
        """Renew until the deadline passes without a renewal, or somebody else holds the Lease."""
        while self.leading:
            await asyncio.sleep(min(self._settings.retry, self._leads_until - self._clock()))
            try:
                async with asyncio.timeout(self._leads_until - self._clock()):
                    await self._attempt()
            except TimeoutError:
                return

    async def _attempt(self) -> bool:
        """Try once to take or renew the Lease; returns whether we lead. Trouble is logged, never raised."""
        sent = self._clock()
        try:
            if not self.leading:
                await self._read()
            try:
                taken = await self._take()
            except (Conflict, NotFound):
                # Edited, deleted or taken by another since we read it; only in the last case it is not ours.
                await self._read()
                taken = await self._take()
        except KubeError as error:
            log.warning("The Lease could not be read or written.", extra={"error": str(error)})
            return False
        self._leads_until = sent + self._settings.renew_deadline if taken else float("-inf")
        return self.leading  # not so if we were stopped between sending and now

    async def _read(self) -> None:
        """Read the Lease. If it is missing, what it last said still counts: its holder may not know."""
        try:
            self._note(await self._kube.get(LEASES, self._key, timeout=self._settings.request_timeout))
        except NotFound:
            self._lease = None

    def _note(self, lease: Json) -> None:
        """Remember the Lease and when its spec last changed, by our clock; edited metadata is no life."""
        self._lease = lease
        spec = lease.get("spec") or {}
        if spec != self._spec:
            self._spec = spec
            self._changed_at = self._clock()

    async def _take(self) -> bool:
        """Write our name and the time, if the Lease is ours, free or run out. Returns whether it was."""
        runs_out = self._changed_at + self._spec.get("leaseDurationSeconds", 0)
        if self.holder not in ("", self.identity) and self._clock() < runs_out:
            return False
        spec = claimed(self._spec, self.identity, self._settings.duration, self._now())
        await self._write(spec)
        return True

    async def _write(self, spec: Json) -> None:
        """Create the Lease, or update exactly the version that was read last."""
        timeout = self._settings.request_timeout
        if self._lease is None:
            metadata = {"namespace": self._key.namespace, "name": self._key.name}
            body = {"apiVersion": LEASES.api_version, "kind": LEASES.kind, "metadata": metadata, "spec": spec}
            self._note(await self._kube.create(LEASES, body, timeout=timeout))
        else:
            self._note(await self._kube.update(LEASES, {**self._lease, "spec": spec}, timeout=timeout))

    async def _give_back(self) -> None:
        """Clear our name from the Lease, so that the next candidate need not wait for it to run out."""
        self._leads_until = float("-inf")
        try:
            await self._read()
            if self._lease is not None and self.holder == self.identity:
                await self._write(released(self._spec, self._now()))
        except KubeError as error:
            log.warning("The Lease could not be given back.", extra={"error": str(error)})


def claimed(spec: Json, identity: str, duration: int, now: datetime) -> Json:
    """Return the spec of a Lease that `identity` takes or renews now."""
    stamp = _micro_time(now)
    same = spec.get("holderIdentity") == identity
    transitions = spec.get("leaseTransitions", 0)
    return {
        **spec,
        "holderIdentity": identity,
        "leaseDurationSeconds": duration,
        "acquireTime": spec.get("acquireTime", stamp) if same else stamp,
        "renewTime": stamp,
        "leaseTransitions": transitions if same or not spec else transitions + 1,
    }


def released(spec: Json, now: datetime) -> Json:
    """Return the spec of a Lease that nobody holds; the API refuses an empty holder, so the field goes."""
    rest = {name: value for name, value in spec.items() if name != "holderIdentity"}
    return {**rest, "leaseDurationSeconds": 1, "renewTime": _micro_time(now)}


def _micro_time(now: datetime) -> str:
    """Format an aware time as the API's MicroTime: UTC, always six digits, Z."""
    return now.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
