"""Follow the changes of a key space. Hints carry ids, nothing else: whoever reads one looks at the record.

A reader that may have missed something says so with `resync`, and never guesses what it was: its connection broke,
its position was trimmed
away, or the data is another (emptied, restored, failed over).
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from redis.exceptions import RedisError

from fluid_queue.errors import QueueUnavailable
from fluid_queue.translate import translate

if TYPE_CHECKING:
    from fluid_queue.client import Queue

log = logging.getLogger(__name__)

BLOCK_SECONDS = 2.0
"""The longest sleep in one read, and so how soon an emptied Redis is noticed when nothing else happens."""

_COUNT = 1000


@dataclass(frozen=True, slots=True)
class Hints:
    """`ids` changed. `resync`: read everything again. `lost`: and what was known is void, because the data is
    another."""

    ids: frozenset[str] = field(default_factory=frozenset)
    resync: bool = False
    lost: bool = False
    types: bool = False
    """A worker has published its types."""


class HintReader:
    """One reader of one key space, on a connection of its own."""

    def __init__(self, queue: Queue) -> None:
        self._queue = queue
        self._stream = queue.keys.key("events")
        self._meta = queue.keys.key("meta")
        limit = BLOCK_SECONDS + 3
        self._redis = queue.door.client(timeout=limit, connect_timeout=limit, connecting=self._connecting)
        self._connects = 0
        self._checked = 0
        """The connect after which the server was last asked who it is."""
        self._position: str | None = None
        self._last: str | None = None
        """The last position that was reached; it outlives a failure, to tell a stream that has gone back."""
        self._incarnation = ""
        self._run_id = ""

    async def aclose(self) -> None:
        """Close the connection."""
        await self._redis.aclose()

    async def read(self) -> Hints:
        """The next changes, or empty hints after BLOCK_SECONDS. The first read, and the first after a failure, is a
        resync.

        Raises QueueUnavailable while Redis is away; read again.
        """
        try:
            if self._position is None:
                return await self._start()
            return await self._follow(self._position)
        except (RedisError, OSError, TimeoutError) as error:
            self._position = None
            raise translate(error) from error
        except QueueUnavailable:
            self._position = None
            raise

    def _connecting(self) -> None:
        self._connects += 1

    async def _start(self) -> Hints:
        """Take the stream's end as position, before the resync that follows: what changes meanwhile is read again,
        not missed."""
        info = await self._queue.open()
        server: Any = await self._redis.info("server")
        self._checked = self._connects
        if str(server["run_id"]) != info.run_id:
            # In the middle of a fail-over two connections of one address can end at two servers.
            await self._redis.connection_pool.disconnect()
            raise QueueUnavailable("Redis cannot serve now: its address leads to two different servers")
        end = await self._end()
        known = bool(self._incarnation)
        lost = known and (info.incarnation, info.run_id) != (self._incarnation, self._run_id)
        lost = lost or (self._last is not None and await self._has_gone_back(self._last, end))
        self._incarnation, self._run_id = info.incarnation, info.run_id
        self._position = self._last = end
        return Hints(resync=True, lost=lost)

    async def _has_gone_back(self, position: str, end: str) -> bool:
        """Whether the stream that was read up to `position` is another one now: it ends before that, or what stood
        there is not there any more, although older entries are."""
        if _order(end) < _order(position):
            return True
        if _order(position) == (0, 0):
            return False
        upto: Any = await self._redis.xrevrange(self._stream, max=position, count=1)
        return bool(upto) and upto[0][0].decode() != position

    async def _end(self) -> str:
        try:
            info: Any = await self._redis.xinfo_stream(self._stream)
        except RedisError as error:
            if "no such key" in str(error):
                return "0-0"
            raise
        return str(info["last-generated-id"].decode())

    async def _follow(self, position: str) -> Hints:
        answer: Any = await self._redis.xread({self._stream: position}, count=_COUNT, block=round(BLOCK_SECONDS * 1000))
        entries = _entries(answer)
        if self._connects != self._checked or await self._is_another():
            # The connection was found closed and opened again on the way, or the server was emptied under it.
            return await self._start()
        if len(entries) == _COUNT and await self._was_trimmed(position):
            self._position = self._last = await self._end()
            return Hints(resync=True)
        if entries:
            self._position = self._last = entries[-1][0].decode()
        return _hints(fields for _, fields in entries)

    async def _is_another(self) -> bool:
        incarnation: Any = await self._redis.hget(self._meta, "incarnation")
        return (incarnation or b"").decode() != self._incarnation

    async def _was_trimmed(self, position: str) -> bool:
        """Whether entries after `position` are gone. Only a reader that is far behind can be overtaken, so only it
        asks."""
        first: Any = await self._redis.xrange(self._stream, count=1)
        return bool(first) and _order(first[0][0].decode()) > _order(position)


def _entries(answer: Any) -> list[tuple[bytes, dict[bytes, bytes]]]:
    """The entries of the one stream that was asked for."""
    return list(answer[0][1]) if answer else []


def _hints(entries: Iterable[dict[bytes, bytes]]) -> Hints:
    ids: set[str] = set()
    types = False
    for fields in entries:
        named = fields.get(b"ids", b"").decode().split()
        types = types or not named
        ids.update(named)
    return Hints(ids=frozenset(ids), types=types)


def _order(entry_id: str) -> tuple[int, int]:
    milliseconds, _, number = entry_id.partition("-")
    return int(milliseconds), int(number or 0)
