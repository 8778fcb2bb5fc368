"""What operators, dashboards and people at a terminal do to jobs and queues: hold, hurry, repeat, limit, look. Half of
`Queue`, which brings the connection."""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from types import EllipsisType
from typing import Any, Literal, get_args

from fluid_queue import limits
from fluid_queue.checks import instance, number, text, texts, whole
from fluid_queue.errors import TEN_YEARS, InvalidJob
from fluid_queue.indexes import ranges
from fluid_queue.jobs import check_max_failed, check_parallelism, check_priority, most_failed
from fluid_queue.keys import KeySpace, check_id, check_key, check_queue
from fluid_queue.records import JobRecord, State
from fluid_queue.settings import Settings
from fluid_queue.stats import Durations, Stats, parse_durations

Leader = str
"""`<shard>:<epoch>`; the empty string for whoever is no operator."""

_LEADER = re.compile(r"[0-9]{1,16}:[0-9]{1,16}")
_DRAIN_BATCH = 200
_PAGE = 1000
_MOST_LISTED = 2**53
_NOT_STARTED: tuple[State, ...] = ("waiting", "blocked", "delayed", "suspended")


@dataclass(frozen=True, slots=True)
class Page:
    """Part of a listing: `total` ids are listed in the state, and those of them whose record has expired are left
    out."""

    total: int
    records: Sequence[JobRecord]


@dataclass(frozen=True, slots=True)
class IndexRanges:
    """Which indexes of an index job have completed and failed, as in batch/v1: "0-5,7". `truncated`: further ones did
    not fit into one of the two."""

    completed: str
    failed: str
    truncated: bool = False


class Administration(ABC):
    """The commands of this module, for a class that can send them."""

    keys: KeySpace

    @abstractmethod
    async def _run(self, name: str, *arguments: Any) -> Any: ...

    @abstractmethod
    async def _coded(self, name: str, arguments: Sequence[Any], ids: Sequence[str]) -> list[str]: ...

    @abstractmethod
    async def _plain(self, command: str, *arguments: Any) -> Any: ...

    @abstractmethod
    async def inspect(self, ids: Sequence[str]) -> list[JobRecord | None]: ...

    # -- jobs ---------------------------------------------------------------------------------------------------------

    async def suspend(self, ids: Sequence[str], *, leader: Leader = "") -> list[str]:
        """Hold jobs back until `resume`; running attempts are stopped and do not count. For each: suspended, stopping
        (it runs), unchanged (it waits for its children), `finished <state>`, or gone."""
        return await self._coded("suspend", [check_leader(leader)], ids)

    async def resume(self, ids: Sequence[str], *, leader: Leader = "") -> list[str]:
        """Let suspended jobs go on. For each: resumed, unchanged, `finished <state>` (also when it had to start by a
        time that has passed meanwhile), or gone."""
        return await self._coded("resume", [check_leader(leader)], ids)

    async def promote(self, ids: Sequence[str], *, leader: Leader = "") -> list[str]:
        """Delayed jobs need not wait any longer. For each: promoted, unchanged, or gone."""
        return await self._coded("promote", [check_leader(leader)], ids)

    async def retry(self, ids: Sequence[str], *, leader: Leader = "") -> list[str]:
        """Run jobs again that failed or were cancelled, with all their retries. For each: retried, unchanged, or
        gone."""
        return await self._coded("retry", [check_leader(leader)], ids)

    async def reprioritize(self, ids: Sequence[str], priority: int, *, leader: Leader = "") -> list[str]:
        """Give jobs another priority. For each: reprioritized, `finished <state>`, or gone."""
        return await self._coded("reprioritize", [check_leader(leader), check_priority(priority)], ids)

    async def resize(
        self,
        ids: Sequence[str],
        *,
        parallelism: int | None = None,
        max_failed: int | EllipsisType | None = ...,
        leader: Leader = "",
    ) -> list[str]:
        """Let index jobs run more or fewer indexes at once from now on, or let more or fewer of them fail (None: any
        number); what is not given stays. Indexes that run go on. For each: resized, unchanged, `finished <state>`, or
        gone."""
        most = "" if parallelism is None else str(check_parallelism(parallelism))
        failing = ""
        if max_failed is not ...:
            check_max_failed(max_failed)
            failing = str(most_failed(max_failed))
        return await self._coded("resize", [check_leader(leader), most, failing], ids)

    async def indexes(self, job_id: str, *, limit: int | None = limits.INDEX_RANGES_CHARACTERS) -> IndexRanges:
        """How the indexes of an index job have ended so far, each in at most `limit` characters (None: whatever it
        takes)."""
        if limit is not None:
            whole("limit", limit, 0, _MOST_LISTED)
        completed, failed = [
            await self._plain("GET", self.keys.key(f"{kind}-indexes:{check_id(job_id)}"))
            for kind in ("completed", "failed")
        ]
        done, lost = ranges(completed or b"", limit), ranges(failed or b"", limit)
        return IndexRanges(done.text, lost.text, done.truncated or lost.truncated)

    async def list_jobs(self, queue: str, state: State, *, offset: int = 0, limit: int = 100) -> Page:
        """Jobs of a queue in one state: waiting and blocked ones in the order in which they will run, delayed ones by
        due time, all others by when they got there. Of ended ones the last 10,000 are listed, as long as their records
        are kept."""
        if state not in get_args(State):
            raise InvalidJob("state", f"one of {', '.join(get_args(State))}")
        key = self.keys.key(f"{state}:{check_queue(queue)}")
        whole("limit", limit, 1, _PAGE)
        whole("offset", offset, 0, _MOST_LISTED)
        total = await self._plain("ZCARD", key)
        ids = [member.decode() for member in await self._plain("ZRANGE", key, offset, offset + limit - 1)]
        records = await self.inspect(ids)
        return Page(
            total, [found for found in records if found is not None and found.state == state and not found.tombstone]
        )

    # -- queues -------------------------------------------------------------------------------------------------------

    async def pause(self, queue: str, *, leader: Leader = "") -> bool:
        """Start no more jobs of this queue; what runs goes on. Whether that is new."""
        return bool(await self._run("pause", check_leader(leader), check_queue(queue), 1) == b"done")

    async def unpause(self, queue: str, *, leader: Leader = "") -> bool:
        """Let jobs of this queue start again. Whether that is new."""
        return bool(await self._run("pause", check_leader(leader), check_queue(queue), 0) == b"done")

    async def paused(self) -> list[str]:
        """Queues that somebody paused, sorted; those that the settings pause are not among them."""
        return sorted(name.decode() for name in await self._plain("SMEMBERS", self.keys.key("paused")))

    async def limit(self, queue: str, seconds: float, *, key: str = "") -> int:
        """Start nothing of this queue, or of one concurrency key of it, for so long; 0 lifts the limit. Until when it
        holds, in ms of the server's clock: a later end that was asked before stands."""
        number("seconds", seconds, 0, 31_536_000)
        if text("key", key):
            check_key("key", key)
        return int(await self._run("limit", check_queue(queue), key, round(seconds * 1000)))

    async def drain(
        self, queue: str, *, states: Sequence[State] = ("waiting", "blocked"), leader: Leader = ""
    ) -> AsyncIterator[int]:
        """Take jobs out of a queue that have not started; they end as cancelled, with the reason Drained. Yields how
        many went with each step, so that a long one can be watched, or left."""
        wrong = [state for state in texts("states", states) if state not in _NOT_STARTED]
        if wrong or not states:
            raise InvalidJob("states", f"one or more of {', '.join(_NOT_STARTED)}")
        while True:
            drained, left = await self._run("drain", check_leader(leader), check_queue(queue), _DRAIN_BATCH, *states)
            if drained:
                yield drained
            if not drained or not left:
                return

    async def configure(self, settings: Settings, *, leader: Leader = "") -> int:
        """Replace the environment's settings. Their version, which is the old one when nothing has changed."""
        return int(
            await self._run("configure", check_leader(leader), *instance("settings", settings, Settings).fields())
        )

    async def settings(self) -> tuple[int, Settings]:
        """The settings and their version; 0 when nobody ever configured anything."""
        found = await self._plain("HGETALL", self.keys.key("settings"))
        fields = {name.decode(): value for name, value in _pairs(found)}
        return int(fields.pop("version", 0)), Settings.from_fields(fields)

    async def stats(self) -> Stats:
        """Counts and ages of every queue."""
        return Stats.parse(await self._run("stats"))

    async def count_unacknowledged(self) -> int:
        """How many jobs whose owner acknowledges the outcome have not been acknowledged, finished or not."""
        return int(await self._plain("ZCARD", self.keys.key("unacknowledged")))

    async def durations(self, queue: str) -> dict[str, Durations]:
        """How long jobs of a queue waited and ran, by type, since the key space began."""
        found = await self._plain("HGETALL", self.keys.key(f"histogram:{check_queue(queue)}"))
        return parse_durations(dict(_pairs(found)))

    # -- side effects -------------------------------------------------------------------------------------------------

    async def once(
        self, key: str, owner: str, word: Literal["begin", "sent", "release"], *, keep_seconds: float = 691_200
    ) -> str:
        """A ledger for side effects that must not be repeated: `begin` before, `sent` after, `release` if it certainly
        did not happen.

        For begin: begun (go on), again (the same owner had begun before, and nobody knows how that went), sending
        (another owner has begun), or sent (leave it). For the others: sent, released, or lost (the key is not, or no
        longer, this owner's)."""
        check_key("key", key)
        if word not in ("begin", "sent", "release"):
            raise InvalidJob("word", "begin, sent or release")
        number("keep_seconds", keep_seconds, 0.001, TEN_YEARS)
        answer: bytes = await self._run("once", key, word, check_id(owner), round(keep_seconds * 1000))
        return answer.decode()


def check_leader(leader: Leader) -> Leader:
    """The token itself. Raises InvalidJob."""
    if text("leader", leader) and not _LEADER.fullmatch(leader):
        raise InvalidJob("leader", "what `lead` answered, or nothing")
    return leader


def _pairs(found: Any) -> Sequence[tuple[bytes, bytes]]:
    """HGETALL's answer: a mapping from redis-py's own parser, a flat list from a bare command."""
    if isinstance(found, dict):
        return list(found.items())
    return list(zip(found[::2], found[1::2], strict=True))
