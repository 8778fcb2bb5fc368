"""The queue for programs without an event loop: Django, Flask, scripts. Waits where `Queue` would be awaited.

One thread runs the loop and the connections for all threads of the process. It starts with the first call, and anew
in a forked child, so that an object made before a web server forks its workers can be used in each of them.
"""

from __future__ import annotations

import asyncio
import os
import selectors
import threading
import weakref
from collections.abc import Callable, Coroutine, Sequence
from concurrent.futures import Future
from typing import Any, Self, TypeVar

from fluid_queue.client import Queue
from fluid_queue.jobs import NewJob
from fluid_queue.records import Enqueued, JobRecord
from fluid_queue.stats import Stats

T = TypeVar("T")


class BlockingQueue:
    """One environment's queues, for any thread.

    >>> with BlockingQueue("redis://127.0.0.1:6379/0", "default") as queue:
    ...     job = queue.add("email", {"to": ["a@example.com"], "subject": "Hello"})
    ...     print(queue.wait(job, timeout=30).state)

    The arguments are those of `Queue.from_url`. Errors are those of `Queue`. Inside an event loop use `Queue` itself: a
    call of this one stops everything else there.
    """

    def __init__(self, url: str, key_prefix: str, **options: Any) -> None:
        self._make: Callable[[], Queue] = lambda: Queue.from_url(url, key_prefix, **options)
        self._make()  # a bad URL or prefix is told here, not at the first call
        self._lock = threading.Lock()
        self._engine: _Engine | None = None
        self._end: Callable[[], object] | None = None
        _queues.add(self)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close every connection and end the thread. A later call would start them again."""
        with self._lock:
            end, self._engine, self._end = self._end, None, None
        if end is not None:
            end()

    def add(self, type: str, payload: dict[str, Any] | None = None, **options: Any) -> str:  # noqa: A002 - the field's name in the API
        """Enqueue one job; its id. See `Queue.add`."""
        return self._call(lambda queue: queue.add(type, payload, **options))

    def enqueue(self, jobs: Sequence[NewJob]) -> list[Enqueued]:
        """Put jobs into their queues, in order; an answer for each. Safe to send again."""
        return self._call(lambda queue: queue.enqueue(jobs))

    def wait(self, job_id: str, timeout: float | None = None) -> JobRecord:
        """The record of a job once it has ended. Raises JobNotFound, and TimeoutError after `timeout` seconds."""
        return self._call(lambda queue: queue.wait(job_id, timeout))

    def cancel(self, ids: Sequence[str]) -> list[str]:
        """End waiting jobs, ask running ones to stop. For each: cancelled, stopping, `finished <state>`, or gone."""
        return self._call(lambda queue: queue.cancel(ids))

    def inspect(self, ids: Sequence[str]) -> list[JobRecord | None]:
        """The records, or what is left of them; None for an id that nobody knows."""
        return self._call(lambda queue: queue.inspect(ids))

    def log_lines(self, job_id: str) -> list[str]:
        """The log of a job, oldest line first."""
        return self._call(lambda queue: queue.log_lines(job_id))

    def stats(self) -> Stats:
        """Counts and ages of every queue."""
        return self._call(lambda queue: queue.stats())

    def _call(self, command: Callable[[Queue], Coroutine[Any, Any, T]]) -> T:
        with self._lock:
            if self._engine is None:
                self._engine = _Engine(self._make)
                self._end = weakref.finalize(self, self._engine.close)
            engine = self._engine
        return engine.run(command)

    def _forget(self) -> None:
        """In a forked child: the thread did not come along, and the connections belong to the parent."""
        if self._engine is not None:
            _left_behind.append(self._engine)
        self._lock, self._engine, self._end = threading.Lock(), None, None


class _Engine:
    """A loop in a thread of its own, with a queue on it."""

    def __init__(self, make: Callable[[], Queue]) -> None:
        self._pid = os.getpid()
        self._queue = make()
        # poll(2), because an epoll set is shared with forked children: one that cleans up would unregister our sockets.
        self._loop = asyncio.SelectorEventLoop(selectors.PollSelector())
        self._thread = threading.Thread(target=self._loop.run_forever, name="fluid-blocking", daemon=True)
        self._thread.start()

    def run(self, command: Callable[[Queue], Coroutine[Any, Any, T]]) -> T:
        """The command's result; whoever interrupts the wait cancels the command."""
        future: Future[T] = asyncio.run_coroutine_threadsafe(command(self._queue), self._loop)
        try:
            return future.result()
        finally:
            future.cancel()

    def close(self) -> None:
        """Close the queue, then the loop. Called at the latest when its owner is collected, or the program ends."""
        if self._pid != os.getpid():
            return
        if threading.current_thread() is self._thread:
            # The owner was collected in this very thread, which cannot wait for itself.
            threading.Thread(target=self.close, name="fluid-blocking-close").start()
            return
        self.run(lambda queue: queue.aclose())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()


_queues: weakref.WeakSet[BlockingQueue] = weakref.WeakSet()
_left_behind: list[_Engine] = []
"""A parent's engines, in its forked child: to collect them would close connections that the parent uses."""


def _after_fork() -> None:
    for queue in list(_queues):
        queue._forget()


os.register_at_fork(after_in_child=_after_fork)
