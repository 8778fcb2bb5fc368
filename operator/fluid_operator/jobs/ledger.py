"""What became of FluidJobs that our own retention has deleted, in ConfigMap `fluid-ledger` of their namespace.

A tool that keeps a cluster in step with Git creates such an object again within seconds, and would have the same work
done again. So an object under OncePerSpec leaves an entry behind, written just before it is deleted, and its successor
of the same spec mirrors the outcome instead of running.

An entry speaks of an object that is gone, and it is spent by the next object of its name: as soon as that one has a
run, whether mirrored or real, or is deleted by somebody else than us. That is why a user's own delete + apply runs
again. Nothing is deleted here, and nothing is known here of when objects are.

The functions are pure; `Ledger` does the reading and writing. The ConfigMap is not watched, because that would need
the right to list ConfigMaps: it is read when somebody asks and the last reading is older than half a minute.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final, NamedTuple

import orjson

from fluid_operator.api.conditions import Reason
from fluid_operator.api.fields import format_time
from fluid_operator.api.fluidjob_status import Phase
from fluid_operator.jobs import status
from fluid_operator.jobs.runs import Target
from fluid_operator.jobs.states import State
from fluid_operator.jobs.view import TERMINAL, JobView
from fluid_operator.kube.client import Json, Kube
from fluid_operator.kube.errors import Conflict, Forbidden, KubeError, NotFound
from fluid_operator.kube.keys import CONFIG_MAPS, ObjectKey

log = logging.getLogger(__name__)

NAME: Final = "fluid-ledger"

MAX_ENTRIES: Final = 3000
MAX_BYTES: Final = 900 * 1024
"""Of keys and values, also of what others put there: a ConfigMap ends at 1 MiB."""

YOUNG_SECONDS: Final = 3600.0
"""An entry is not pushed out before that: its object may be on its way back. The deletion that needs the room waits."""

_READ_SECONDS = 30.0
_FLUSH_SECONDS = 1.0
"""Spent entries are gathered for so long before they are taken out."""

_TRIES = 5
"""Of one write that others get in the way of."""

_NEVER = float("-inf")

_REASONS: Final = {
    Phase.SUCCEEDED: Reason.ALREADY_SUCCEEDED,
    Phase.FAILED: Reason.ALREADY_FAILED,
    Phase.CANCELLED: Reason.ALREADY_CANCELLED,
}


class Entry(NamedTuple):
    """The last outcome of an object that we deleted. Times are seconds since the epoch."""

    hash: str
    """Of the spec that the outcome is for."""
    outcome: str
    """A terminal phase."""
    finished: float
    recorded: float
    job: str
    """Id of the job, `<uid of the object>.<run>`."""
    environment: str
    """The FluidEnvironment that it ran in; empty when it ran in none."""

    @property
    def uid(self) -> str:
        """Of the object that was deleted."""
        return self.job.partition(".")[0]


def entry_of(view: JobView, now: float) -> Entry:
    """What a settled object leaves behind."""
    finished = view.finished or view.created
    return Entry(view.spec_hash, view.phase, finished, now, f"{view.uid}.{view.run}", view.environment)


def write_entry(entry: Entry) -> str:
    """The value under the object's name."""
    told = entry._asdict() | {"finished": _text(entry.finished), "recorded": _text(entry.recorded)}
    return orjson.dumps(told).decode()


def read_entry(text: str | None) -> Entry | None:
    """The entry, or None for what is none: everybody who may edit ConfigMaps may write anything there."""
    try:
        told = orjson.loads(text or "")
    except orjson.JSONDecodeError:
        return None
    match told:
        case {
            "hash": str(spec_hash),
            "outcome": str(outcome),
            "finished": str(finished),
            "recorded": str(recorded),
            "job": str(job),
            "environment": str(environment),
        } if outcome in TERMINAL:
            try:
                return Entry(spec_hash, outcome, _seconds(finished), _seconds(recorded), job, environment)
            except ValueError:
                return None
    return None


def mirrors(view: JobView) -> bool:
    """Whether the status tells what an earlier object of this name has done: then the job has another's uid."""
    return bool(view.job_id) and view.job_id.partition(".")[0] != view.uid


def mirrored(view: JobView, wanted: Target, entry: Entry, *, now: datetime) -> Json:
    """The status of a new object whose spec has had its run under an earlier object of the same name."""
    phase = Phase(entry.outcome)
    message = (
        f"an earlier object of this name ended as {entry.outcome} with the same spec and was deleted by retention; "
        "change spec.runId to run it again"
    )
    told = status.without_record(view, wanted, State(phase, _REASONS[phase].value, message), now)
    told |= {"completionTime": _text(entry.finished), "jobId": entry.job}
    return told | ({"environment": entry.environment} if entry.environment else {})


class Fit(NamedTuple):
    """A change of the ConfigMap's data: values by key, None takes one out; and the names that found room."""

    changes: Mapping[str, str | None]
    names: frozenset[str]


def fit(data: Mapping[str, str], new: Mapping[str, Entry], now: float) -> Fit:
    """Make room for new entries. The oldest go first, what is young stays, and so does what is none of ours."""
    values = {name: write_entry(entry) for name, entry in new.items()}
    left = dict(data) | values
    size = sum(map(_size, left, left.values()))
    old = sorted(
        (entry.recorded, name)
        for name, text in data.items()
        if name not in new and (entry := read_entry(text)) and entry.recorded < now - YOUNG_SECONDS
    )
    # Those that were deleted last are the first to wait, should there be no room for all.
    givers = [name for _, name in old] + list(reversed(values))
    for name in givers:
        if len(left) <= MAX_ENTRIES and size <= MAX_BYTES:
            break
        size -= _size(name, left.pop(name))
    names = frozenset(values) & frozenset(left)
    gone = dict.fromkeys(data.keys() - left.keys())
    return Fit({**gone, **{name: values[name] for name in names}}, names)


class Ledger:
    """The ledgers of all namespaces, for one term. `kube` must be guarded; `written` hears how many entries were
    written."""

    def __init__(
        self,
        kube: Kube,
        *,
        written: Callable[[int], None] = lambda number: None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._kube = kube
        self._written = written
        self._clock = clock
        self._pages: dict[str, _Page] = {}
        self._spent = asyncio.Event()

    async def lookup(self, key: ObjectKey, spec_hash: str) -> Entry | None:
        """The outcome that a new object of this name and spec has to mirror. Raises a KubeError when that cannot be
        known now."""
        page = self._page(key.namespace)
        async with page.lock:
            if time.monotonic() - page.read_at > _READ_SECONDS:
                await self._read(key.namespace, page)
        entry = page.visible(key.name)
        return entry if entry and entry.hash == spec_hash else None

    async def record(self, namespace: str, entries: Mapping[str, Entry]) -> frozenset[str]:
        """Write entries by name; answers the names that stand in the ledger now, the others found no room. Raises a
        KubeError."""
        page, names = self._page(namespace), frozenset[str]()

        def change(data: Mapping[str, str]) -> Mapping[str, str | None]:
            nonlocal names
            changes, names = fit(data, entries, self._clock())
            for name in names:
                page.spent.pop(name, None)
            return changes

        await self._write(namespace, page, change)
        self._written(len(names))
        return names

    def spend(self, key: ObjectKey, uid: str) -> None:
        """The object with this uid has a run, or was deleted: an entry of an earlier object under its name is void."""
        page = self._page(key.namespace)
        if page.read_at > _NEVER and page.stale(key.name, uid) is None:
            return
        page.spent[key.name] = uid
        self._spent.set()

    def void(self, key: ObjectKey) -> None:
        """The entry under this name is wrong: its object was not deleted after all."""
        self.spend(key, "")

    async def run(self) -> None:
        """Take spent entries out of the ConfigMaps, until cancelled."""
        while True:
            await self._spent.wait()
            await asyncio.sleep(_FLUSH_SECONDS)
            self._spent.clear()
            for namespace, page in list(self._pages.items()):
                if page.spent:
                    await self._flush(namespace, page)

    async def _flush(self, namespace: str, page: _Page) -> None:
        try:
            await self._write(namespace, page, lambda data: dict.fromkeys(page.outdated()))
        except KubeError as error:
            # They stay invisible to us. A later leader may still find one: then a spec is not run that could have been.
            facts = {"namespace": namespace, "error": str(error)}
            log.warning("Spent entries could not be taken out of the ledger.", extra={"fields": facts})
        else:
            page.forget_spent()

    def _page(self, namespace: str) -> _Page:
        return self._pages.setdefault(namespace, _Page())

    async def _read(self, namespace: str, page: _Page) -> None:
        try:
            page.take(await self._kube.get(CONFIG_MAPS, ObjectKey(namespace, NAME)))
        except NotFound:
            page.take(None)
        except Forbidden as error:
            # Without the right to read, nothing was ever written: objects under OncePerSpec were not deleted.
            page.take(None)
            if not page.denied:
                facts = {"namespace": namespace, "error": error.message}
                log.warning("The operator may not read the ledger of a namespace.", extra={"fields": facts})
            page.denied = True

    async def _write(
        self, namespace: str, page: _Page, change: Callable[[Mapping[str, str]], Mapping[str, str | None]]
    ) -> None:
        """Change the data of the version that was read; when it is another by now, read again."""
        async with page.lock:
            if page.read_at == _NEVER:
                await self._read(namespace, page)
            for last_try in (False,) * (_TRIES - 1) + (True,):
                changes = change(page.data)
                if not changes:
                    return
                try:
                    page.take(await self._send(namespace, page.version, changes))
                except (Conflict, NotFound):
                    if last_try:
                        raise
                    await self._read(namespace, page)
                else:
                    return

    async def _send(self, namespace: str, version: str, changes: Mapping[str, str | None]) -> Json:
        if version:
            body: Json = {"metadata": {"resourceVersion": version}, "data": changes}
            return await self._kube.patch(CONFIG_MAPS, ObjectKey(namespace, NAME), body)
        return await self._kube.create(
            CONFIG_MAPS,
            {
                "apiVersion": CONFIG_MAPS.api_version,
                "kind": CONFIG_MAPS.kind,
                "metadata": {"namespace": namespace, "name": NAME, "labels": _LABELS},
                "data": changes,
            },
        )


_LABELS = {"app.kubernetes.io/managed-by": "fluid-operator"}


@dataclass(slots=True)
class _Page:
    """The ledger of one namespace as it was read last."""

    version: str = ""
    """resourceVersion; empty when there is no ConfigMap."""
    data: Mapping[str, str] = field(default_factory=dict)
    read_at: float = _NEVER
    """Of time.monotonic()."""
    denied: bool = False
    """That it may not be read stands in the log already."""
    spent: dict[str, str] = field(default_factory=dict)
    """Uids by name: an entry of any other object is void, although it may still stand in the ConfigMap."""
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)

    def take(self, raw: Mapping[str, Any] | None) -> None:
        self.version = raw["metadata"]["resourceVersion"] if raw else ""
        self.data = (raw.get("data") or {}) if raw else {}
        self.read_at = time.monotonic()

    def visible(self, name: str) -> Entry | None:
        entry = read_entry(self.data.get(name))
        return None if entry and self.spent.get(name, entry.uid) != entry.uid else entry

    def stale(self, name: str, uid: str) -> Entry | None:
        """The entry under this name if it is for another object than this one."""
        entry = read_entry(self.data.get(name))
        return entry if entry and entry.uid != uid else None

    def outdated(self) -> list[str]:
        return [name for name, uid in self.spent.items() if self.stale(name, uid)]

    def forget_spent(self) -> None:
        """Drop the marks whose entries are out of the ConfigMap; some may have come since."""
        self.spent = {name: uid for name, uid in self.spent.items() if self.stale(name, uid)}


def _size(name: str, text: str) -> int:
    return len(name.encode()) + len(text.encode())


def _text(seconds: float) -> str:
    return format_time(datetime.fromtimestamp(seconds, UTC))


def _seconds(moment: str) -> float:
    return datetime.fromisoformat(moment).timestamp()
