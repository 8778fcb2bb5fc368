"""Events of events.k8s.io/v1: what `kubectl describe` and `kubectl get events` show below an object.

Events are for people, and may be lost. So recording one never waits and never fails: it goes into a short queue, of
which the oldest falls out, and one task writes from it. What repeats itself becomes one series, whose count is brought
up to date now and then. Two budgets bound the writes, one for each namespace and one for all, so that a namespace whose
jobs all fail neither floods the API server nor silences the others; the caller records at most one event for each
status that it writes, and so events can never cost more than those.

This room must not know which events there are, nor what a FluidJob is.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final, Literal, NamedTuple, Protocol, TypeAlias

from fluid_operator.kube.client import Json, Kube
from fluid_operator.kube.errors import Forbidden, KubeError, NotFound, TooManyRequests
from fluid_operator.kube.keys import ObjectKey, Resource
from fluid_operator.kube.throttle import TokenBucket

log = logging.getLogger(__name__)

EVENTS: Final = Resource("events.k8s.io", "v1", "events", "Event")

REPORTER: Final = "jobs.fluidcalendar.com/operator"
"""The reportingController of all our events."""

NOTE_LIMIT: Final = 1024
"""Bytes of a note that the API server accepts."""

_MANY_NAMESPACES: Final = 100
"""Budgets that are kept before it is worth to look which ones are not needed any more."""

_INSTANCE_LIMIT: Final = 128
_NAME_LIMIT: Final = 253

EventType: TypeAlias = Literal["Normal", "Warning"]
Loss: TypeAlias = Literal["budget", "queue", "refused"]
"""Why an event was not written: its namespace had used up its share, the queue was full, the API server said no."""


class Regarding(NamedTuple):
    """The object that an event is about."""

    api_version: str
    kind: str
    key: ObjectKey
    uid: str


class Happening(NamedTuple):
    """Something worth telling. Equal ones are one series.

    `reason` is one word for machines, `action` the verb of what was done or tried, `note` a sentence for people.
    """

    regarding: Regarding
    type: EventType
    reason: str
    action: str
    note: str


class EventsObserver(Protocol):
    """What metrics want to know."""

    def event_written(self) -> None:
        """One event was created, or the count of a series was brought up to date."""

    def event_lost(self, why: Loss) -> None:
        """One event, or a count, will never be written."""


@dataclass(frozen=True, slots=True)
class EventSettings:
    """Budgets and patience. Rates are writes a second."""

    namespace_rate: float = 1.0
    namespace_burst: int = 25
    rate: float = 10.0
    burst: int = 50
    queue: int = 500
    """What waits for its turn; one more pushes out the oldest."""
    series_seconds: float = 30.0
    """A repetition is told this long after the last write of its series, and all that came meanwhile with it."""
    forget_seconds: float = 360.0
    """What repeats itself after so long a silence is a new event."""
    series: int = 4096
    """Series that are remembered; one more pushes out the one that was silent for longest."""


@dataclass(slots=True)
class _Series:
    """What is known of one happening that was recorded at least once."""

    first: datetime
    last: datetime
    heard: float
    """By the clock, when it was recorded last."""
    count: int = 1
    told: int = 0
    """The count that the API server knows."""
    waits: bool = True
    """Whether its turn to be written will come without another recording."""


class EventRecorder:
    """`record` may be called by anybody in the loop; `run` must be awaited for anything to be written."""

    def __init__(
        self,
        kube: Kube,
        instance: str,
        observer: EventsObserver,
        *,
        settings: EventSettings | None = None,
        clock: Callable[[], float] = time.monotonic,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        """`instance` names this process. `clock` is monotonic, `now` the time that people see."""
        self._kube = kube
        self._instance = instance[:_INSTANCE_LIMIT]
        self._settings = settings or EventSettings()
        self._observer = observer
        self._clock = clock
        self._now = now
        self._series: OrderedDict[Happening, _Series] = OrderedDict()
        self._due: OrderedDict[Happening, None] = OrderedDict()
        self._shares: dict[str, TokenBucket] = {}
        self._many = _MANY_NAMESPACES
        self._budget = TokenBucket(self._settings.rate, self._settings.burst)
        self._wake = asyncio.Event()

    def record(self, happening: Happening) -> None:
        """Have this told, sooner or later or never. Costs microseconds."""
        now = self._clock()
        self._forget(now)
        known = self._series.get(happening)
        if known is None:
            self._begin(happening, now)
            return
        known.count += 1
        known.last, known.heard = self._now(), now
        self._series.move_to_end(happening)
        if not known.waits:
            self._later(happening, known)

    def _begin(self, happening: Happening, now: float) -> None:
        if not self._share(happening.regarding.key.namespace, now).take(now):
            self._observer.event_lost("budget")
            return
        moment = self._now()
        self._series[happening] = _Series(moment, moment, now)
        self._enqueue(happening)

    def _later(self, happening: Happening, series: _Series) -> None:
        series.waits = True
        asyncio.get_running_loop().call_later(self._settings.series_seconds, self._repeat, happening)

    def _repeat(self, happening: Happening) -> None:
        series = self._series.get(happening)
        if series is None:
            return
        if self._share(happening.regarding.key.namespace, self._clock()).take(self._clock()):
            self._enqueue(happening)
        else:
            series.waits = False  # the next repetition tells of this one too
            self._observer.event_lost("budget")

    def _share(self, namespace: str, now: float) -> TokenBucket:
        share = self._shares.get(namespace)
        if share is None:
            if len(self._shares) >= self._many:
                # A full bucket need not be remembered: a new one is the same.
                self._shares = {name: each for name, each in self._shares.items() if not each.full(now)}
                self._many = max(_MANY_NAMESPACES, 2 * len(self._shares))
            share = TokenBucket(self._settings.namespace_rate, self._settings.namespace_burst)
            self._shares[namespace] = share
        return share

    def _forget(self, now: float) -> None:
        """Drop series that have ended, and the most silent one where there are too many."""
        while self._series:
            oldest, series = next(iter(self._series.items()))
            if len(self._series) < self._settings.series and now - series.heard < self._settings.forget_seconds:
                return
            del self._series[oldest]

    def _enqueue(self, happening: Happening) -> None:
        self._due[happening] = None
        if len(self._due) > self._settings.queue:
            lost, _ = self._due.popitem(last=False)
            self._series.pop(lost, None)
            self._observer.event_lost("queue")
        self._wake.set()

    async def run(self) -> None:
        """Write what was recorded, until cancelled. Raises only for a defect."""
        while True:
            while not self._due:
                self._wake.clear()
                await self._wake.wait()
            if pause := self._budget.reserve(self._clock()):
                await asyncio.sleep(pause)
            happening, _ = self._due.popitem(last=False)
            series = self._series.get(happening)
            if series is None:
                self._observer.event_lost("queue")  # forgotten while it waited, to make room
            else:
                await self._tell(happening, series)

    async def _tell(self, happening: Happening, series: _Series) -> None:
        """Write one event or the news of its series. Whatever goes wrong costs this one event."""
        try:
            series.told = await self._write(happening, series)
        except KubeError as error:
            self._series.pop(happening, None)
            self._observer.event_lost("refused")
            facts = {"namespace": happening.regarding.key.namespace, "reason": happening.reason, "error": str(error)}
            level = logging.WARNING if isinstance(error, Forbidden) else logging.INFO
            log.log(level, "An event could not be written.", extra={"fields": facts})
            if isinstance(error, TooManyRequests):
                await asyncio.sleep(error.retry_after or 1.0)
            return
        self._observer.event_written()
        series.waits = False
        if series.count > series.told:
            self._later(happening, series)

    async def _write(self, happening: Happening, series: _Series) -> int:
        """Returns the count that the API server knows now."""
        namespace = happening.regarding.key.namespace
        name = event_name(happening, series.first)
        if series.told:
            count = series.count
            news = {"series": {"count": count, "lastObservedTime": _micro_time(series.last)}}
            try:
                await self._kube.patch(EVENTS, ObjectKey(namespace, name), news)
            except NotFound:  # events live for an hour: what still goes on is told anew
                series.first, series.count = series.last, 1
            else:
                return count
        await self._kube.create(EVENTS, event_body(happening, series.first, self._instance))
        return 1


def event_name(happening: Happening, first: datetime) -> str:
    """`<object>.<hash>`, the same for the same happening that began at the same time."""
    told = "\0".join((happening.regarding.uid, *happening[1:], _micro_time(first)))
    digest = hashlib.blake2b(told.encode(errors="replace"), digest_size=8).hexdigest()
    return f"{happening.regarding.key.name[: _NAME_LIMIT - 17]}.{digest}"


def event_body(happening: Happening, first: datetime, instance: str) -> Json:
    """The Event as the API server wants it, of a happening that was not repeated yet."""
    about = happening.regarding
    regarding: dict[str, Any] = {
        "apiVersion": about.api_version,
        "kind": about.kind,
        "namespace": about.key.namespace,
        "name": about.key.name,
        "uid": about.uid,
    }
    return {
        "apiVersion": EVENTS.api_version,
        "kind": EVENTS.kind,
        "metadata": {"namespace": about.key.namespace, "name": event_name(happening, first)},
        "eventTime": _micro_time(first),
        "regarding": regarding,
        "type": happening.type,
        "reason": happening.reason,
        "action": happening.action,
        "note": cut_bytes(happening.note),
        "reportingController": REPORTER,
        "reportingInstance": instance,
    }


def cut_bytes(text: str, limit: int = NOTE_LIMIT) -> str:
    """The text, with an ellipsis where it is longer than `limit` bytes of UTF-8."""
    raw = text.encode(errors="replace")
    if len(raw) <= limit:
        return raw.decode()
    return raw[: limit - len("…".encode())].decode(errors="ignore") + "…"


def _micro_time(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
