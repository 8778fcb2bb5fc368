"""Who ran what, as seen from outside of the cluster: a server on this machine that every attempt of a probe reports to.

A run is written down before the probe gets its answer, so what was not seen was not done. An attempt that lost its
process or was stopped breaks its connection, and its run has no end.
"""

import asyncio
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

_BACKLOG = 1000


@dataclass
class Run:
    """One attempt. The times are seconds since 1970 on this machine's clock, which is the pods' as well."""

    job: str
    attempt: int
    epoch: int
    worker: str
    outbound: str
    gate: str
    started: float
    ended: float | None = None
    """When the work was done; the queue learned it a moment later."""
    broken: float | None = None
    """When the connection went without a word: killed, stopped, or out of time."""

    @property
    def object(self) -> str:
        """The uid of the FluidJob."""
        return self.job.partition(".")[0]


@dataclass
class Witness:
    """Answers on a thread of its own; `address` is what probes must be told."""

    address: str = ""
    _runs: list[Run] = field(default_factory=list)
    _closed: dict[str, asyncio.Event] = field(default_factory=dict)
    _loop: asyncio.AbstractEventLoop | None = None
    _connections: dict[asyncio.Task[None], asyncio.StreamWriter] = field(default_factory=dict)

    def runs(self, job: str = "") -> list[Run]:
        """All runs so far in the order of their starts, or those of one FluidJob, named by its uid."""
        return [run for run in list(self._runs) if not job or run.object == job]

    def repeats(self) -> dict[str, list[Run]]:
        """The runs of every FluidJob that ran more than once, by its uid."""
        by_object: dict[str, list[Run]] = {}
        for run in self.runs():
            by_object.setdefault(run.object, []).append(run)
        return {uid: runs for uid, runs in by_object.items() if len(runs) > 1}

    def running(self) -> list[Run]:
        """Those under way."""
        return [run for run in self.runs() if run.ended is None and run.broken is None]

    def close(self, gate: str) -> None:
        """From now on attempts that name this gate wait for it."""
        self._closed.setdefault(gate, asyncio.Event())

    def open(self, gate: str) -> None:
        """Let them all go on."""
        assert self._loop
        self._loop.call_soon_threadsafe(self._closed.pop(gate).set)

    async def hang_up(self) -> None:
        """Break every connection, and wait until nobody is served any more."""
        for writer in self._connections.values():
            writer.transport.abort()
        if self._connections:
            await asyncio.wait(list(self._connections))

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task
        self._connections[task] = writer
        run: Run | None = None
        try:
            if line := (await reader.readline()).decode():
                run = _parse(line)
                self._runs.append(run)
                await self._pass(run, reader, writer)
        except ConnectionError:
            pass  # its end is told below
        finally:
            if run and run.ended is None:
                run.broken = time.time()
            writer.close()
            del self._connections[task]

    async def _pass(self, run: Run, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Let it through its gate, and wait for its end."""
        following = asyncio.ensure_future(reader.readline())
        try:
            if gate := self._closed.get(run.gate):
                opened = asyncio.ensure_future(gate.wait())
                await asyncio.wait([opened, following], return_when=asyncio.FIRST_COMPLETED)
                opened.cancel()
            writer.write(b"go\n")
            if await following:
                run.ended = time.time()
                writer.write(b"noted\n")
                await writer.drain()
        finally:
            following.cancel()


def _parse(line: str) -> Run:
    job, attempt, epoch, worker, outbound, gate = line.rstrip("\n").split(" ")
    return Run(job, int(attempt), int(epoch), worker, outbound, gate, time.time())


@contextmanager
def watching(host: str) -> Iterator[Witness]:
    """A witness on a free port of this address; nobody is answered after the block."""
    witness = Witness()
    ready, stop = threading.Event(), asyncio.Event()

    async def serve() -> None:
        witness._loop = asyncio.get_running_loop()
        server = await asyncio.start_server(witness._serve, host, 0, backlog=_BACKLOG)
        witness.address = "{}:{}".format(*_name(server.sockets))
        ready.set()
        await stop.wait()
        server.close()
        await witness.hang_up()

    thread = threading.Thread(target=asyncio.run, args=[serve()], name="witness", daemon=True)
    thread.start()
    assert ready.wait(10), "the witness does not start"
    try:
        yield witness
    finally:
        assert witness._loop
        witness._loop.call_soon_threadsafe(stop.set)
        thread.join(10)


def _name(sockets: Sequence[object]) -> tuple[str, int]:
    (socket,) = sockets
    host, port = socket.getsockname()[:2]
    return host, port
