"""Keep leases from a thread of its own, on a connection of its own.

A handler that blocks the event loop for minutes must not lose its jobs: nothing here runs on the loop. Between
renewals the thread sleeps in
BLPOP on the worker's control list, so that a request to stop a job reaches it at once.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence

import redis

from fluid_queue.connections import Door
from fluid_queue.keys import KeySpace
from fluid_queue.scripts import script

log = logging.getLogger(__name__)

_BATCH = 500
_MARKER_SECONDS = 60
"""What nobody reads any more goes by itself."""

_PAUSE = 0.5
"""Seconds between tries while Redis is away."""

Lease = tuple[str, int]
"""A job's id and the epoch under which it is held."""

Answer = Callable[[Sequence[Lease], Sequence[Lease], int | None], None]
"""Called from the thread after each renewal, with the leases that were lost, those whose jobs have to stop, and the
version of the settings."""


class Renewal(threading.Thread):
    """Renews the leases of `held` (id -> epoch) every third of a lease, until `stop`."""

    def __init__(self, door: Door, keys: KeySpace, worker: str, lease_seconds: float, answer: Answer) -> None:
        super().__init__(name="fluid-renewal", daemon=True)
        self.held: dict[str, int] = {}
        self.renewed_at = time.monotonic()
        """When the last successful renewal was sent."""
        self._keys = keys
        self._worker = worker
        self._lease_seconds = lease_seconds
        self._interval = lease_seconds / 3
        self._answer = answer
        self._ending = threading.Event()
        # The socket outwaits the longest BLPOP, yet notices a connection that died without a word.
        timeout = self._interval + 2
        self._redis = door.blocking_client(timeout=timeout, connect_timeout=timeout)

    def stop(self) -> None:
        """End the thread: wake it for that, and wait until it has ended, a few seconds at most."""
        self._ending.set()
        try:
            control = self._keys.key(f"control:{self._worker}")
            self._redis.rpush(control, "1")
            self._redis.expire(control, _MARKER_SECONDS)
        except redis.RedisError:
            log.debug("Redis is away: the renewal thread ends at its next turn")
        self.join(self._interval + 3)
        self._redis.close()

    def run(self) -> None:
        while not self._ending.is_set():
            try:
                self._sleep()
                if not self._ending.is_set():
                    self._renew()
            except (redis.RedisError, OSError) as error:
                log.warning("leases could not be renewed, trying again", extra={"error": str(error)})
                self._ending.wait(_PAUSE)

    def _sleep(self) -> None:
        """Until the next renewal is due, or a marker on the control list asks for one now."""
        wait = self.renewed_at + self._interval - time.monotonic()
        if wait > 0:
            # BLPOP takes fractions of a second; 0 would mean for ever.
            self._redis.blpop([self._keys.key(f"control:{self._worker}")], timeout=max(wait, 0.01))

    def _renew(self) -> None:
        began = time.monotonic()
        held = self.held.copy()  # in one step: the loop adds and removes meanwhile
        ids = list(held)
        lease = round(self._lease_seconds * 1000)
        lost: list[Lease] = []
        stopping: list[Lease] = []
        version: int | None = None  # nothing was asked: nothing is known
        for start in range(0, len(ids), _BATCH):
            pairs = [part for job in ids[start : start + _BATCH] for part in (job, held[job])]
            *answers, told = self._run(self._worker, lease, *pairs)
            version = int(told)
            for found, answer in zip((lost, stopping), answers, strict=True):
                found += [(job.decode(), held[job.decode()]) for job in answer]
        self.renewed_at = began
        self._answer(lost, stopping, version)

    def _run(self, *arguments: str | int) -> tuple[list[bytes], list[bytes], bytes]:
        command = script("renew")
        try:
            answer = self._redis.evalsha(command.sha, 1, self._keys.prefix, *arguments)
        except redis.exceptions.NoScriptError:
            answer = self._redis.eval(command.text, 1, self._keys.prefix, *arguments)
        lost, stopping, version = answer
        return lost, stopping, version
