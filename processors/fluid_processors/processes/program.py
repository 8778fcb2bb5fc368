"""The program of a child process: import one processor, run its jobs, tell the worker what happens.

The loop is the main thread, plain functions run in one thread beside it, and a third thread listens: so a stop
is seen even while a function blocks the loop. What holds the interpreter itself (a loop in C) sees nothing, and
is killed by the worker.

When the worker dies, so does the child: the kernel sees to that on Linux, and the end of the stream elsewhere. A
child that lived on would run a job whose lease is nobody's.
"""

import asyncio
import ctypes
import faulthandler
import importlib
import logging
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from types import ModuleType
from typing import Any

import uvloop

from fluid_processors.definitions import Processor
from fluid_processors.errors import InvalidProcessor
from fluid_processors.execution import Threads
from fluid_processors.handler import JobHandler
from fluid_processors.outbound import Outbound, OutboundMode
from fluid_processors.processes.messages import Decoder, Message, encode, error_data, queue_error_from, result_data
from fluid_processors.registry import Registry
from fluid_processors.resources import ResourcePool

_PR_SET_PDEATHSIG = 1
_BUILT_IN = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}


class Line:
    """The socket to the worker. Sending is for any thread, receiving for one."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._sending = threading.Lock()
        self._decoder = Decoder()

    def send(self, say: str, **facts: Any) -> None:
        """Sends one message; to a worker that has gone, nothing."""
        data = encode({"say": say, **facts})
        with self._sending:
            try:
                self._connection.sendall(data)
            except OSError:
                return

    def messages(self) -> Iterator[Message]:
        """What the worker says, until it says no more."""
        while data := self._connection.recv(65536):
            yield from self._decoder.feed(data)


@dataclass(slots=True)
class RemoteJob:
    """The worker's job as the child sees it: what it reports goes over the line."""

    id: str
    type: str
    queue: str
    epoch: int
    attempt: int
    payload: Mapping[str, Any]
    tags: Mapping[str, str]
    index: int | None
    origin: Mapping[str, Any]
    deadline_seconds: float | None
    number: int
    line: Line
    stop_reason: str | None = None
    calls: "dict[int, asyncio.Future[str]]" = field(default_factory=dict)

    async def progress(self, percent: int, message: str = "") -> None:
        """Tells the worker."""
        self.line.send("progress", attempt=self.number, percent=percent, message=message)

    async def log(self, line: str) -> None:
        """Tells the worker."""
        self.line.send("log", attempt=self.number, line=line)

    async def enqueue(
        self,
        type: str,  # noqa: A002 - the field's name in the API
        payload: Mapping[str, Any] | None = None,
        *,
        key: str,
        detached: bool = False,
        **options: Any,
    ) -> str:
        """Asks the worker, and waits for its answer. Raises what the worker's queue raises."""
        number = len(self.calls)
        answer: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self.calls[number] = answer
        child = {"type": type, "payload": payload, "key": key, "detached": detached, "options": options}
        self.line.send("enqueue", attempt=self.number, call=number, **child)
        return await answer

    def answered(self, message: Message) -> None:
        """The worker's answer to a call, on the loop."""
        answer = self.calls[message["call"]]
        if answer.done():
            return
        if "error" in message:
            answer.set_exception(queue_error_from(message["error"]))
        else:
            answer.set_result(message["id"])


class Relay(logging.Handler):
    """Sends records of this process to the worker, which writes them in its own way."""

    def __init__(self, line: Line) -> None:
        super().__init__()
        self._line = line

    def emit(self, record: logging.LogRecord) -> None:
        """One record, with all that a formatter could want of it as data."""
        extras = {key: value for key, value in vars(record).items() if key not in _BUILT_IN}
        fields = {**extras.pop("fields", {}), **extras}
        if record.exc_info:
            fields["traceback"] = logging.Formatter().formatException(record.exc_info)
        facts = {"name": record.name, "level": record.levelno, "created": record.created}
        self._line.send("record", message=record.getMessage(), fields=fields, **facts)


class Program:
    """Runs jobs of one processor, one at a time, until the worker closes the line."""

    def __init__(self, line: Line, incoming: Iterator[Message], processor: Processor[Any]) -> None:
        self._line = line
        self._incoming = incoming
        self._registry = Registry([processor])
        self._job: RemoteJob | None = None
        self._task: asyncio.Task[Any] | None = None

    async def run(self) -> None:
        """Ready from now on; returns when the line is closed and the resources are."""
        self._loop = asyncio.get_running_loop()
        self._closed = asyncio.Event()
        # Nobody counts leaks here: a thread that ignores its stop dies with the process.
        self._threads = Threads(1, stop_grace_seconds=None, on_leak=lambda _: None)
        async with ResourcePool() as self._resources:
            threading.Thread(target=self._listen, name="fluid-line", daemon=True).start()
            self._line.send("ready")
            await self._closed.wait()
        self._threads.close()

    def _listen(self) -> None:
        """The thread that hears the worker."""
        for message in self._incoming:
            job = self._job
            if message["say"] == "job":
                self._line.send("started", attempt=message["attempt"])
                self._job = _job_of(message, self._line)
                self._loop.call_soon_threadsafe(self._begin, self._job, message["outbound"])
            elif job is not None and job.number == message["attempt"]:
                self._hear(job, message)
        if self._job is not None:
            os._exit(1)  # the worker has gone in the middle of a job
        self._loop.call_soon_threadsafe(self._closed.set)

    def _hear(self, job: RemoteJob, message: Message) -> None:
        if message["say"] == "answer":
            self._loop.call_soon_threadsafe(job.answered, message)
        else:
            job.stop_reason = message["reason"]
            self._loop.call_soon_threadsafe(self._cancel, job)

    def _cancel(self, job: RemoteJob) -> None:
        if self._job is job and self._task is not None:
            self._task.cancel()

    def _begin(self, job: RemoteJob, outbound: Mapping[str, Any]) -> None:
        rule = Outbound(OutboundMode(outbound["mode"]), outbound["redirect_to"], tuple(outbound["allow"]))
        handler = JobHandler(self._registry, threads=self._threads, resources=self._resources, outbound=rule)
        self._task = self._loop.create_task(_outcome(handler, job))
        # A callback, because a task that is cancelled before its first step runs none of its lines.
        self._task.add_done_callback(lambda task: self._end(job, task))

    def _end(self, job: RemoteJob, task: "asyncio.Task[Message]") -> None:
        self._job = self._task = None
        outcome = {"result": None} if task.cancelled() else task.result()
        self._line.send("ended", attempt=job.number, **outcome)


async def _outcome(handler: JobHandler, job: RemoteJob) -> Message:
    """How one attempt ended, as data. After a stop nobody asks for it any more."""
    try:
        return {"result": result_data(await handler(job))}
    except asyncio.CancelledError as error:
        if job.stop_reason is not None:
            raise
        return {"error": error_data(error)}  # the function cancelled itself
    except (Exception, SystemExit, KeyboardInterrupt) as error:  # noqa: BLE001 - whatever it raises is an outcome
        return {"error": error_data(error)}


def _job_of(message: Message, line: Line) -> RemoteJob:
    seconds = message["seconds"]
    deadline = None if seconds is None else time.monotonic() + seconds
    return RemoteJob(**message["job"], deadline_seconds=deadline, number=message["attempt"], line=line)


def find(module_name: str, job_type: str) -> Processor[Any]:
    """The processor of a type: a variable of that module, else one of an installed package's entry points.

    Raises InvalidProcessor, ProcessorLoadError, DuplicateType, or what the import raises.
    """
    found = _processor_in(importlib.import_module(module_name), job_type)
    found = found or Registry.from_entry_points().get(job_type)
    if found is None:
        raise InvalidProcessor(job_type, f"a child process finds it nowhere; keep it in a variable of {module_name}")
    return found


def _processor_in(module: ModuleType, job_type: str) -> Processor[Any] | None:
    found = [each for each in vars(module).values() if isinstance(each, Processor) and each.job_type == job_type]
    return found[0] if found else None


def _end_with(worker: int) -> None:
    """Die when the process that started us does."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != worker:  # it was faster
        os._exit(1)


def _heed_no_signals() -> None:
    """Only the worker ends a child. A function and not SIG_IGN, which programs started from here would inherit."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: None)


def main(arguments: Sequence[str]) -> int:
    """`arguments`: the worker's process id, and the descriptors of the socket and of the file for last words."""
    worker, connection, words = map(int, arguments)
    _end_with(worker)
    _heed_no_signals()
    faulthandler.enable(words)
    line = Line(socket.socket(fileno=connection))
    incoming = line.messages()
    greeting = next(incoming, None)
    if greeting is None:
        return 1
    sys.path[:] = greeting["path"]
    logging.basicConfig(handlers=[Relay(line)], level=greeting["level"], force=True)
    try:
        processor = find(greeting["module"], greeting["type"])
    except Exception as error:  # noqa: BLE001 - a foreign module may raise anything while it is imported
        line.send("unusable", error=error_data(error))
        return 1
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(Program(line, incoming, processor).run())
    return 0
