"""The worker's side of one child: a process, a socket, and a thread that watches both.

The loop hands jobs over and learns how they ended. Everything that must not wait for the loop is done by the
thread: reading, so that a child never blocks on what it reports; killing at the deadline and above the memory
limit; reaping, so that there are no zombies. So a handler that blocks the worker's loop harms no child.

Knows nothing of other children, and decides nothing about retries.
"""

import asyncio
import logging
import math
import os
import select
import socket
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import orjson

from fluid_processors.context import Job
from fluid_processors.definitions import Processor
from fluid_processors.errors import ProcessorCrashed
from fluid_processors.outbound import Outbound
from fluid_processors.processes.limits import ChildDied, Killed, Limits
from fluid_processors.processes.messages import (
    Decoder,
    Message,
    encode,
    error_data,
    error_from,
    job_message,
    options_from,
    queue_error_data,
)
from fluid_processors.processes.system import Process, exit_descriptor, resident_megabytes
from fluid_processors.reporting import Reporter
from fluid_queue import QueueError

_log = logging.getLogger(__name__)

START_SECONDS = 60.0
"""How long a child may take to import its processor."""

CLOSE_SECONDS = 5.0
"""How long a child that is no longer needed may take to close its resources."""

_MEMORY_LOOK_SECONDS = 0.1
_EXIT_SECONDS = 1.0  # between the end of the stream and the end of the process
_WORDS_BYTES = 8192


@dataclass(slots=True)
class _Attempt:
    """The job that a child runs now. `number` tells its messages from those of earlier jobs; `over`: it has ended,
    even if the loop does not know yet."""

    number: int
    job: Job
    reporter: Reporter
    ended: "asyncio.Future[Any]"
    kill_at: float | None
    sent: bool = False
    started: bool = False
    over: bool = False
    calls: "set[asyncio.Task[None]]" = field(default_factory=set)


class Child:
    """A child process for the jobs of one processor, one at a time. Made and used on one loop."""

    def __init__(self, processor: Processor[Any], limits: Limits, on_gone: Callable[["Child"], None]) -> None:
        """Starts the process; `ready` waits for it. `on_gone` is called on the loop when it has been reaped.
        Raises OSError.
        """
        self.limits = limits
        self.jobs = 0
        """Jobs that were given to it."""
        self.idle_since = 0.0
        self.killed: Killed | None = None
        self._processor = processor
        self._loop = asyncio.get_running_loop()
        self._on_gone = on_gone
        self._process = Process()
        self._socket = self._process.socket
        self._decoder = Decoder()
        self._sending = asyncio.Lock()
        self._ready: asyncio.Future[None] = self._loop.create_future()
        self._gone = asyncio.Event()
        self._closing: asyncio.Task[None] | None = None
        self._attempt: _Attempt | None = None
        self._megabytes = 0
        self._reaping = threading.Lock()
        self._reaped = False
        threading.Thread(target=self._watch, name=f"fluid-child-{self.pid}", daemon=True).start()

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def usable(self) -> bool:
        """Whether it can take another job."""
        return self.killed is None and not self._reaped

    @property
    def worn(self) -> bool:
        """Whether it should be replaced: it has run its jobs, or is so large that the next one would suffer."""
        limit = self.limits.memory_megabytes
        return self.jobs >= self.limits.max_jobs or (
            limit is not None and resident_megabytes(self.pid) > limit * 3 // 4
        )

    # -- on the loop --------------------------------------------------------------------------------------------------

    async def ready(self) -> None:
        """Introduces the processor and waits until the child has imported it. Raises ProcessorCrashed."""
        function = self._processor.function
        greeting = {
            "say": "meet",
            "path": [each or os.getcwd() for each in sys.path],
            "module": function.__module__,
            "type": self._processor.job_type,
            "level": logging.getLogger().getEffectiveLevel(),
        }
        try:
            async with asyncio.timeout(START_SECONDS):
                await self._send(greeting)
                await self._ready
        except TimeoutError:
            raise ProcessorCrashed(f"the child process was not ready within {START_SECONDS:.0f} s") from None
        finally:
            if not self._ready.done() or self._ready.cancelled() or self._ready.exception():
                self.kill("close")

    async def run(self, job: Job, reporter: Reporter, outbound: Outbound) -> Any:
        """Runs one attempt: gives the result or raises the error that the child tells. Raises ChildDied.

        A cancellation is passed on. The child may end the attempt within its grace, then it is killed; either
        way this ends only when nothing of the attempt is left.
        """
        self.jobs += 1
        kill_at = None if job.deadline_seconds is None else job.deadline_seconds + self.limits.stop_grace_seconds
        attempt = _Attempt(self.jobs, job, reporter, self._loop.create_future(), kill_at)
        self._attempt = attempt
        try:
            await self._send(job_message(attempt.number, job, outbound))
            attempt.sent = True
            await asyncio.wait({attempt.ended})
        except asyncio.CancelledError:
            await self._stop(attempt)
            raise
        finally:
            self._attempt = None
            for call in attempt.calls:
                call.cancel()
        return attempt.ended.result()

    def retire(self) -> None:
        """Lets an idle child close its resources and end; kills it when that takes too long."""
        with suppress(OSError):
            self._socket.shutdown(socket.SHUT_WR)
        self._loop.call_later(CLOSE_SECONDS, self.kill, "close")

    def kill(self, why: Killed) -> None:
        """Ends the process and all that it started, at once. From any thread; the first reason counts."""
        with self._reaping:
            if not self._reaped:
                self.killed = self.killed or why
                self._process.kill()

    async def gone(self) -> None:
        """Waits until the process has ended and its files are closed."""
        await self._gone.wait()

    async def _stop(self, attempt: _Attempt) -> None:
        """Asks for the end, then enforces it; waits for it however often this task is cancelled meanwhile."""
        if not attempt.ended.done():
            await self._make_end(attempt)
        attempt.ended.exception()  # seen, so that asyncio does not report it as never retrieved

    async def _make_end(self, attempt: _Attempt) -> None:
        kill_at = self._loop.time() + (self.limits.stop_grace_seconds if attempt.sent else 0)
        message = {"say": "stop", "attempt": attempt.number, "reason": attempt.job.stop_reason or "stopped"}
        asking = self._loop.create_task(self._send(message))
        while not attempt.ended.done():
            left = kill_at - self._loop.time()
            if left <= 0:
                self.kill("stop")
            with suppress(asyncio.CancelledError):
                await asyncio.wait({attempt.ended}, timeout=left if left > 0 else None)
        if not asking.done():  # half a message is worse than none
            self.kill("stop")

    async def _send(self, message: Message) -> None:
        """Sends one message. A child that has died tells so otherwise."""
        async with self._sending:
            if self._closing is not None:
                return
            with suppress(OSError):
                await self._loop.sock_sendall(self._socket, encode(message))

    def _take(self, message: Message) -> None:
        """A message of the child, brought to the loop by the thread."""
        attempt, say = self._attempt, message["say"]
        if say == "ready" and not self._ready.done():
            self._ready.set_result(None)
        elif say == "unusable" and not self._ready.done():
            error = message["error"]
            self._ready.set_exception(ProcessorCrashed(f"no child process: {error['type']}: {error['message']}"))
        elif say == "started":
            return  # the thread has noted it
        elif attempt is None or attempt.number != message["attempt"] or attempt.ended.done():
            _log.debug("a late report of a job was dropped", extra={"fields": {"child": self.pid, "say": say}})
        elif say == "log":
            attempt.reporter.log(message["line"])
        elif say == "progress":
            attempt.reporter.progress(message["percent"], message["message"])
        elif say == "enqueue":
            call = self._loop.create_task(self._enqueue(attempt, message))
            attempt.calls.add(call)
            call.add_done_callback(attempt.calls.discard)
        elif say == "ended" and "error" in message:
            attempt.ended.set_exception(error_from(message["error"]))
        elif say == "ended":
            attempt.ended.set_result(message["result"])

    async def _enqueue(self, attempt: _Attempt, message: Message) -> None:
        """Enqueues a child job in the name of the attempt, and answers."""
        answer: Message = {"say": "answer", "attempt": attempt.number, "call": message["call"]}
        child, key, detached = message["type"], message["key"], message["detached"]
        try:
            options = options_from(message["options"])
            answer["id"] = await attempt.job.enqueue(child, message["payload"], key=key, detached=detached, **options)
        except QueueError as error:
            answer["error"] = queue_error_data(error)
        except Exception as error:  # noqa: BLE001 - wrong options raise anything; it belongs to who passed them
            answer["error"] = error_data(error)
        await self._send(answer)

    def _ended(self, exit_code: int, trace: str) -> None:
        """The process has been reaped."""
        attempt = self._attempt
        died = ChildDied(
            started=attempt is not None and attempt.started,
            killed=self.killed,
            exit_code=exit_code,
            megabytes=self._megabytes,
            trace=trace,
        )
        if attempt is not None and not attempt.ended.done():
            attempt.ended.set_exception(died)
        if not self._ready.done():
            self._ready.set_exception(ProcessorCrashed(f"{died} before it was ready"))
        self._closing = self._loop.create_task(self._close())
        self._on_gone(self)

    async def _close(self) -> None:
        """Closes the socket, but not under a message that is being sent: with nobody to read, that ends at once."""
        async with self._sending:
            self._process.close()
        self._gone.set()

    # -- in the thread ------------------------------------------------------------------------------------------------

    def _watch(self) -> None:
        """From the first message to the end of the process."""
        poller = select.poll()
        poller.register(self._socket, select.POLLIN)
        exited = exit_descriptor(self.pid)
        if exited is not None:
            poller.register(exited, select.POLLIN)
        alive = True
        while alive:
            ready = [descriptor for descriptor, _ in poller.poll(self._patience())]
            if self._socket.fileno() in ready:
                alive = self._read()
            alive = alive and exited not in ready
            self._enforce()
        self._reap(exited)

    def _patience(self) -> int | None:
        """Milliseconds until there is something to enforce; None: until something happens."""
        attempt = self._attempt
        if attempt is None or attempt.over or self.killed:
            return None
        left = math.inf if attempt.kill_at is None else max(0.0, attempt.kill_at - time.monotonic())
        if self.limits.memory_megabytes is not None:
            left = min(left, _MEMORY_LOOK_SECONDS)
        return None if math.isinf(left) else math.ceil(left * 1000)

    def _enforce(self) -> None:
        attempt, limit = self._attempt, self.limits.memory_megabytes
        if attempt is None or attempt.over or self.killed:
            return
        if attempt.kill_at is not None and time.monotonic() >= attempt.kill_at:
            self.kill("deadline")
        elif limit is not None and (used := resident_megabytes(self.pid)) > limit:
            self._megabytes = used
            self.kill("memory")

    def _read(self) -> bool:
        """Takes what has arrived; False at the end of the stream."""
        try:
            data = self._socket.recv(65536)
        except BlockingIOError:
            return True
        except OSError:
            return False
        try:
            messages = self._decoder.feed(data)
        except orjson.JSONDecodeError:  # somebody else has written to the socket: nothing it says can be trusted
            return False
        for message in messages:
            if message["say"] == "record":
                self._write_down(message)
            else:
                self._note(message)
                self._to_loop(self._take, message)
        return bool(data)

    def _note(self, message: Message) -> None:
        """What the thread itself must know of an attempt, however busy the loop is."""
        attempt = self._attempt
        if attempt is not None and attempt.number == message.get("attempt"):
            attempt.started = True
            attempt.over = attempt.over or message["say"] == "ended"

    def _write_down(self, message: Message) -> None:
        """A record of the child's log, as if it had been logged here."""
        logger = logging.getLogger(message["name"])
        if logger.isEnabledFor(message["level"]):
            facts = {"name": message["name"], "levelno": message["level"], "created": message["created"]}
            named = {"levelname": logging.getLevelName(message["level"]), "msg": message["message"]}
            fields = {**message["fields"], "child": self.pid}
            logger.handle(logging.makeLogRecord({**facts, **named, "fields": fields}))

    def _reap(self, exited: int | None) -> None:
        """Waits for the end, reads what was left unread, and ends what the child had started."""
        if exited is not None:
            waiting = select.poll()
            waiting.register(exited, select.POLLIN)
            waiting.poll(_EXIT_SECONDS * 1000)
            os.close(exited)
        with self._reaping:
            self._process.kill()
            exit_code = self._process.reap()
            self._reaped = True
        rest = select.poll()
        rest.register(self._socket, select.POLLIN)
        while rest.poll(0) and self._read():
            pass
        self._to_loop(self._ended, exit_code, self._process.last_words(_WORDS_BYTES))

    def _to_loop(self, function: Callable[..., None], *arguments: Any) -> None:
        with suppress(RuntimeError):  # the loop has ended, and nobody is left to be told
            self._loop.call_soon_threadsafe(function, *arguments)
