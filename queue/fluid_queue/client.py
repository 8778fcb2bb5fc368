"""The client: the only place that speaks Redis. One method per Lua command; arguments in, typed values out.

It retries nothing by itself: a claim whose answer was lost must not be sent again (its jobs come back when their
lease runs out), and whoever
enqueues knows best how long to try.
"""

from __future__ import annotations

import asyncio
import secrets
import uuid
from collections.abc import AsyncIterator, Coroutine, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Any, Literal, Self, TypeVar

import orjson
from redis import asyncio as aioredis
from redis.exceptions import NoScriptError, RedisError

from fluid_queue import limits
from fluid_queue.addresses import Address, Tls
from fluid_queue.administration import Administration, Leader, check_leader
from fluid_queue.batches import by_number, by_size
from fluid_queue.checks import as_json, instance, number, several, text, texts, whole
from fluid_queue.codec import Codec
from fluid_queue.connections import Door
from fluid_queue.endings import Endings
from fluid_queue.errors import TEN_YEARS, InvalidJob, LayoutMismatch, QueueLimited, QueueUnavailable
from fluid_queue.hints import HintReader
from fluid_queue.jobs import NewJob
from fluid_queue.keys import LAYOUT, KeySpace, check_id, selector
from fluid_queue.outcomes import WORD, Ending
from fluid_queue.records import RECORD_FIELDS, Claim, ClaimedJob, Enqueued, JobRecord
from fluid_queue.scripts import script
from fluid_queue.server_state import ServerState
from fluid_queue.translate import is_elsewhere, translate
from fluid_queue.values import Values

_MOST_SHARDS = 2**31
_IMAGE = 1024
_OWNER_NAME = 317
"""A namespace, a slash and a name of Kubernetes, at their longest."""

COMMAND_TIMEOUT = 5.0
"""Seconds after which a command on a dead connection gives up."""

MAX_STALLED = 3
"""The stall that fails a job: the first is bad luck, the third is the job itself."""

WITHDRAWN = "Withdrawn"
"""The reason of a job that was taken back by whoever enqueued it, which is no cancel."""

MAX_CLAIM = 1000
"""Jobs that one call claims at most."""

_FEW = 50
"""Jobs in one call of a command for which a job may stand for thousands: its children or indexes."""

_INDEX_BYTES = limits.CALL_BYTES // 1000
"""What one index that is fed weighs, as a share of a call."""

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class KeySpaceInfo:
    """Which data this is: a changed incarnation means that everything known about it is void."""

    incarnation: str
    redis_version: str
    run_id: str


class Queue(Administration):
    """One environment's queues.

    >>> async with Queue.from_url("redis://127.0.0.1:6379/0", "default") as queue:
    ...     await queue.enqueue([NewJob(id="mail-1", type="email", payload={"to": "a@example.com"})])
    """

    def __init__(
        self, address: Address, key_prefix: str, *, timeout: float = COMMAND_TIMEOUT, codec: Codec | None = None
    ) -> None:
        self.keys = KeySpace(key_prefix)
        self.codec = codec or Codec()
        """How what jobs carry is stored."""
        self._values = Values(self.codec, key_prefix)
        self._endings = Endings(self.inspect, lambda: HintReader(self))
        self.door = Door(address, self.keys.prefix)
        """Opens connections to where this key space is; for whoever needs one of its own."""
        self._redis = self.door.client(timeout=timeout, connect_timeout=timeout)
        # Without a limit of its own: see `_patiently`.
        self._unhurried = self.door.client(timeout=None, connect_timeout=timeout, connecting=self._connecting)
        self.claim_connects = 0
        """Connections opened for claims so far. Another one may lead to another Redis."""

    @classmethod
    def from_url(
        cls,
        url: str,
        key_prefix: str,
        *,
        timeout: float = COMMAND_TIMEOUT,
        tls: Tls | None = None,
        codec: Codec | None = None,
    ) -> Self:
        """A queue on the Redis at `url`: redis://, redis+sentinel://, redis+cluster://, or rediss for TLS; see
        `fluid_queue.addresses`. Nothing is sent before the first command. `timeout` in seconds; `codec`
        encrypts what jobs carry. Raises InvalidAddress."""
        return cls(Address.parse(url, tls=tls), key_prefix, timeout=timeout, codec=codec)

    @property
    def url(self) -> str:
        """The address as it was given. A secret."""
        return self.door.address.url

    def _connecting(self) -> None:
        self.claim_connects += 1

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Close every connection."""
        await self._endings.aclose()
        await self._redis.aclose()
        await self._unhurried.aclose()

    # -- the key space
    # ------------------------------------------------------------------------------------------------------------

    async def open(self) -> KeySpaceInfo:
        """Create the key space where it does not exist, and tell which one it is. Raises LayoutMismatch."""
        async with self._translated():
            server = await self._redis.info("server")
        incarnation, layout = await self._run("open", secrets.token_hex(16), LAYOUT)
        if layout.decode() != LAYOUT:
            raise LayoutMismatch(LAYOUT, layout.decode())
        return KeySpaceInfo(incarnation.decode(), str(server["redis_version"]), str(server["run_id"]))

    async def incarnation(self) -> str | None:
        """The incarnation as it stands now; None in an emptied Redis."""
        async with self._translated():
            value = await self._redis.hget(self.keys.key("meta"), "incarnation")
        return _text(value) if value else None

    async def ping(self) -> None:
        """An authenticated PING. Raises QueueUnavailable."""
        async with self._translated():
            await self._redis.ping()

    async def server(self) -> ServerState:
        """What the server that holds the key space says about itself; a few kilobytes, so not for every moment."""
        async with self._translated():
            return ServerState.parse(await self._redis.info())

    async def lead(self, shard: int, identity: str) -> Leader:
        """The token of a new leader; every older one is refused from now on."""
        epoch = await self._run("lead", whole("shard", shard, 0, _MOST_SHARDS), text("identity", identity))
        return f"{shard}:{epoch.decode()}"

    async def own(self, owner: str, name: str, seconds: float) -> str:
        """Claim the key space for `owner` (an id without spaces) for so many seconds, or longer by saying so again. ""
        when it is ours, else the name for people of whoever has it. Nothing is refused to who does not ask: all that
        share one Redis have to."""
        lasting = round(number("seconds", seconds, 0.001, TEN_YEARS) * 1000)
        code, holder = await self._run("own", check_id(owner), text("name", name, _OWNER_NAME), lasting)
        return (_printable(holder) or "somebody without a name") if code == b"taken" else ""

    async def disown(self, owner: str) -> None:
        """Give the key space up, if it is this owner's."""
        await self._run("own", check_id(owner), "", 0)

    async def adopt(self, owner: str, shard: int, compared: Literal["", "mine", "all"] = "") -> int:
        """How many shards of a new owner have yet to compare what a former one has left here: jobs that have ended
        elsewhere meanwhile must not start. 0 where there was no other owner. `compared`: this shard has done so, or
        none is waited for any longer."""
        if compared not in ("", "mine", "all"):
            raise InvalidJob("compared", "mine, all or nothing")
        return int(await self._run("adopt", check_id(owner), whole("shard", shard, 0, _MOST_SHARDS), compared))

    # -- producers and operators
    # --------------------------------------------------------------------------------------------------

    async def add(
        self,
        type: str,  # noqa: A002 - the field's name in the API
        payload: Mapping[str, Any] | None = None,
        *,
        id: str = "",  # noqa: A002 - likewise
        **options: Any,
    ) -> str:
        """Enqueue one job; its id, which is made up unless given: with an id of your own it is safe to send again.
        `options` are fields of NewJob. Raises QueueLimited where the queue takes no more for now."""
        job = NewJob(id=id or uuid.uuid4().hex, type=type, payload=payload or {}, **options)
        (answer,) = await self.enqueue([job])
        if answer.code == "limited":
            raise QueueLimited(job.queue or job.type, answer.wait_seconds)
        return job.id

    async def wait(self, job_id: str, timeout: float | None = None) -> JobRecord:
        """The record of a job once it has ended, told by an event; Redis may come and go meanwhile. Raises JobNotFound,
        and TimeoutError after `timeout` seconds (None: never)."""
        return await self._endings.wait(job_id, timeout)

    async def enqueue(self, jobs: Sequence[NewJob], *, leader: Leader = "") -> list[Enqueued]:
        """Put jobs into their queues, in order; an answer for each. Safe to send again."""
        for job in several("jobs", jobs):
            instance("jobs", job, NewJob)
            if job.indexes is not None and job.indexes.items:
                await self._lay_down_items(job.id, job.indexes.items)
        answers: list[Enqueued] = []
        for batch in by_size(((job, *self._arguments(job)) for job in jobs), _weight):
            arguments = [argument for _, *words in batch for argument in words]
            codes = await self._run("enqueue", check_leader(leader), *arguments)
            answers += [Enqueued.parse(code.decode()) for code in codes]
        return answers

    async def _lay_down_items(self, job_id: str, items: Sequence[Mapping[str, Any]]) -> None:
        stored = (
            (index, self._values.write("item", f"{job_id}.{index}", as_json("items", item, limits.PAYLOAD_BYTES)))
            for index, item in enumerate(items)
        )
        for batch in by_size(stored, lambda pair: len(pair[1])):
            await self._run("items", job_id, *(word for pair in batch for word in pair))

    def _arguments(self, job: NewJob) -> tuple[bytes, bytes]:
        header, spec = job.arguments()
        return header, self._values.write("spec", job.id, spec)

    async def cancel(self, ids: Sequence[str], *, leader: Leader = "", reason: str = "Cancelled") -> list[str]:
        """End waiting jobs, ask running ones to stop. For each: cancelled, stopping, `finished <state>`, or gone."""
        if not WORD.fullmatch(text("reason", reason)):
            raise InvalidJob("reason", "one word of letters and digits, such as Cancelled")
        return await self._coded("cancel", [check_leader(leader), reason], ids)

    async def withdraw(self, ids: Sequence[str], *, leader: Leader = "") -> list[str]:
        """Take back jobs that have not been claimed; their records end with the reason WITHDRAWN. For each:
        cancelled, active
        (it runs, and goes on), `finished <state>`, or gone."""
        return await self._coded("cancel", [check_leader(leader), WITHDRAWN], ids)

    async def acknowledge(self, ids: Sequence[str], *, leader: Leader = "") -> list[str]:
        """The outcomes are written down elsewhere; the records may expire. For each: done, unfinished, or gone."""
        return await self._coded("acknowledge", [check_leader(leader)], ids)

    async def inspect(self, ids: Sequence[str]) -> list[JobRecord | None]:
        """The records, or what is left of them; None for an id that nobody knows."""
        records: list[JobRecord | None] = []
        for batch in by_number(list(texts("ids", ids))):
            answers = await self._run("inspect", len(RECORD_FIELDS), *RECORD_FIELDS, *batch)
            records += [
                JobRecord.parse(job_id, answer, self._values) for job_id, answer in zip(batch, answers, strict=True)
            ]
        return records

    async def unacknowledged(self) -> AsyncIterator[list[str]]:
        """Page through the ids whose outcome has not been acknowledged, finished or not. An id may come twice."""
        cursor = 0
        while True:
            async with self._translated():
                cursor, page = await self._redis.zscan(self.keys.key("unacknowledged"), cursor, count=limits.CALL_ITEMS)
            if page:
                yield [_text(member) for member, _ in page]
            if cursor == 0:
                return

    async def log_lines(self, job_id: str) -> list[str]:
        """The log of a job, oldest line first."""
        async with self._translated():
            lines: Any = await self._redis.lrange(self.keys.key(f"log:{check_id(job_id)}"), 0, -1)
        return [self._values.read_line(job_id, line) for line in lines]

    async def types(self, image: str) -> dict[str, Any]:
        """What the workers of `image` can run: type -> {schema, settings}, or None for an entry that is no JSON.
        Empty: no
        worker of it ever started."""
        async with self._translated():
            found = await self._redis.hgetall(self.keys.key(f"types:{text('image', image, _IMAGE)}"))
        return {_text(name): _json(value) for name, value in found.items()}

    # -- workers
    # ------------------------------------------------------------------------------------------------------------------

    async def register(
        self,
        worker: str,
        info: Mapping[str, Any],
        types: Mapping[str, Mapping[str, Any]],
        image: str,
        *,
        queues: Sequence[str] = ("*",),
    ) -> None:
        """Introduce a worker and publish the types of its image, replacing what the image published before."""
        text("worker", worker, least=1)
        text("image", image, _IMAGE, least=1)
        published = [
            word
            for name, value in instance("types", types, Mapping).items()
            for word in (text("types", name), as_json(f"types.{name}", value, limits.PAYLOAD_BYTES))
        ]
        about = as_json("info", instance("info", info, Mapping), limits.ORIGIN_BYTES)
        await self._run("register", worker, selector(queues), image, about, *published)

    async def claim(
        self,
        worker: str,
        queues: Sequence[str],
        n: int,
        lease_seconds: float,
        *,
        max_stalled: int = MAX_STALLED,
        suspects: int = MAX_CLAIM,
    ) -> Claim:
        """Up to `n` jobs (at most MAX_CLAIM) under a lease. With n = 0 nothing is claimed, but what is due moves on.
        `suspects`: how many of them may be one stall away from failing."""
        arguments = (
            text("worker", worker),
            selector(queues),
            min(whole("n", n, 0, 2**31), MAX_CLAIM),
            round(number("lease_seconds", lease_seconds, 0, TEN_YEARS) * 1000),
            whole("max_stalled", max_stalled, 1, 2**31),
            whole("suspects", suspects, 0, 2**31),
        )
        now, wait, version, *rows = await _patiently(
            self._run("claim", *arguments, redis=self._unhurried), COMMAND_TIMEOUT
        )
        return Claim(now, wait / 1000, [ClaimedJob.parse(row, self._values) for row in rows], int(version))

    async def sweep(self) -> float:
        """Let whatever is due move on: delayed jobs, starts that were missed, and leases that ran out. For times when
        no worker claims. After how many seconds something else may be due; at most 5."""
        return (await self.claim("", ["*"], 0, 0)).wait_seconds

    async def finish(self, endings: Sequence[tuple[str, int, Ending]]) -> list[str]:
        """End attempts, given as (id, epoch, ending). For each: done, again (it was done before), stale, or gone."""
        codes: list[str] = []
        for job_id, _, ending in several("endings", endings):
            instance("endings", ending, Ending)
            check_id(job_id)
        for batch in by_size(endings, lambda end: len(end[2].result) + len(end[2].error)):
            lines = "\n".join([ending.line(job_id, epoch) for job_id, epoch, ending in batch])
            values = [value for job_id, _, ending in batch for value in ending.values(job_id, self._values)]
            codes += [code.decode() for code in await self._run("finish", lines, *values)]
        return codes

    async def progress(self, job_id: str, epoch: int, percent: int, message: str = "") -> str:
        """Note how far an attempt is: done, stale, or gone."""
        said = (
            instance("message", message, str)[: limits.PROGRESS_MESSAGE_CHARACTERS].encode("utf-8", "replace").decode()
        )
        value = orjson.dumps({"percent": min(100, max(0, instance("percent", percent, int))), "message": said})
        answer: bytes = await self._run(
            "progress", check_id(job_id), whole("epoch", epoch, 0, 2**53), self._values.write("progress", job_id, value)
        )
        return answer.decode()

    async def log(self, job_id: str, epoch: int, lines: Sequence[str]) -> str:
        """Append lines to the job's log: done, stale, or gone."""
        said = (instance("lines", line, str)[: limits.LOG_LINE_CHARACTERS] for line in several("lines", lines))
        kept = [self._values.write_line(check_id(job_id), line) for line in said]
        answer: bytes = await self._run("log", job_id, whole("epoch", epoch, 0, 2**53), *kept)
        return answer.decode()

    async def wake(self, queues: Sequence[str]) -> None:
        """Wake one worker of exactly this selector; for a worker that goes away and may have taken a marker with it."""
        async with self._translated():
            await self._redis.rpush(self.keys.key(f"wake:{selector(queues)}"), "1")

    # -- how commands are sent
    # ----------------------------------------------------------------------------------------------------

    async def _plain(self, command: str, *arguments: Any) -> Any:
        """A read-only command of Redis itself; the answer as redis-py parses it."""
        async with self._translated():
            # redis-py has no types for this one.
            return await self._redis.execute_command(command, *arguments)  # type: ignore[no-untyped-call]

    async def _coded(self, name: str, arguments: Sequence[Any], ids: Sequence[str]) -> list[str]:
        codes: list[str] = []
        most = _FEW if name in ("cancel", "suspend", "resume", "retry", "resize") else limits.CALL_ITEMS
        for batch in by_number(list(texts("ids", ids)), most):
            codes += [code.decode() for code in await self._run(name, *arguments, *batch)]
        return codes

    async def _run(self, name: str, *arguments: Any, redis: aioredis.Redis | None = None) -> Any:
        """Send a command by its hash, with its text when the server does not know it yet."""
        command = script(name)
        redis = redis or self._redis
        async with self._translated():
            try:
                return await redis.evalsha(command.sha, 1, self.keys.prefix, *arguments)
            except NoScriptError:
                return await redis.eval(command.text, 1, self.keys.prefix, *arguments)
            except RedisError as error:
                if not is_elsewhere(error):
                    raise
                # Nothing was carried out, and the connection has closed itself: the next one looks for the server anew.
                return await redis.eval(command.text, 1, self.keys.prefix, *arguments)

    @asynccontextmanager
    async def _translated(self) -> AsyncIterator[None]:
        try:
            yield
        except (RedisError, OSError, TimeoutError) as error:
            translated = translate(error)
            if isinstance(translated, QueueUnavailable):
                # One dead connection means that the idle ones are dead too: without this, each would fail one command.
                for redis in (self._redis, self._unhurried):
                    # Closing a dead TLS connection may fail in its turn, and says nothing new.
                    with suppress(RedisError, OSError):
                        await redis.connection_pool.disconnect(inuse_connections=False)
            raise translated from error


async def _patiently(command: Coroutine[Any, Any, T], seconds: float) -> T:
    """The command's answer, waited for in steps of a second: a loop that a handler blocked for a minute has used up one
    step, not sixty.

    A clock would say that Redis is dead while the answer lies in the socket, and the jobs in it would stall. Raises
    QueueUnavailable.
    """
    task = asyncio.ensure_future(command)
    try:
        for _ in range(max(1, round(seconds))):
            await asyncio.wait([task], timeout=1.0)
            if task.done():
                return task.result()
    finally:
        task.cancel()
    raise QueueUnavailable(f"Redis cannot be reached: no answer within {seconds:g} s")


def _json(value: bytes | str) -> Any:
    try:
        return orjson.loads(value)
    except orjson.JSONDecodeError:
        return None


def _text(value: Any) -> str:
    """A bulk string as text; the client never decodes by itself, because payloads are bytes."""
    return bytes(value).decode()


def _printable(value: bytes) -> str:
    """A name as it can be shown: Redis may hold anything."""
    name = value.decode("utf-8", "replace")[:_OWNER_NAME]
    return "".join(each if each.isprintable() else "?" for each in name)


def _weight(entry: tuple[NewJob, bytes, bytes]) -> int:
    """How much of a call an enqueue takes: its bytes, or the records that it makes Redis write."""
    job, header, spec = entry
    fed = min(2 * job.indexes.parallelism, job.indexes.completions) if job.indexes else 0
    return max(len(header) + len(spec), fed * _INDEX_BYTES)
