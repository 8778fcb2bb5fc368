"""A job while it runs: what a handler gets. Notes progress, keeps a log, enqueues children; decides nothing."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from typing import Any

from fluid_queue.client import Queue
from fluid_queue.errors import QueueError, QueueLimited, StaleAttempt
from fluid_queue.jobs import NewJob, Parent
from fluid_queue.outcomes import StopReason
from fluid_queue.records import ClaimedJob

log = logging.getLogger(__name__)

_PROGRESS_EVERY = 1.0
"""Seconds between two notes of progress of one job; the last one before the end always goes out."""


class ActiveJob:
    """A job while it runs; what a handler gets."""

    def __init__(self, claimed: ClaimedJob, queue: Queue, deadline_seconds: float | None) -> None:
        self.claimed = claimed
        self.deadline_seconds = deadline_seconds
        """On the clock of time.monotonic(); None: no deadline."""
        self.stop_reason: StopReason | None = None
        """Why the task is being cancelled; set before it is."""
        self._queue = queue
        self._next_progress = 0.0

    @property
    def id(self) -> str:
        """Stable over all attempts."""
        return self.claimed.id

    @property
    def epoch(self) -> int:
        """The fencing token of this attempt; larger than that of every earlier one."""
        return self.claimed.epoch

    @property
    def type(self) -> str:
        return self.claimed.type

    @property
    def queue(self) -> str:
        return self.claimed.queue

    @property
    def attempt(self) -> int:
        """1 for the first."""
        return self.claimed.attempt

    @property
    def payload(self) -> Mapping[str, Any]:
        return self.claimed.payload

    @property
    def tags(self) -> Mapping[str, str]:
        return self.claimed.tags

    @property
    def origin(self) -> Mapping[str, Any]:
        return self.claimed.origin

    @property
    def index(self) -> int | None:
        """Of an index job: which one this is."""
        return self.claimed.index

    async def enqueue(
        self,
        type: str,  # noqa: A002 - the field's name in the API
        payload: Mapping[str, Any] | None = None,
        *,
        key: str,
        detached: bool = False,
        concurrency_key: str = "",
        **options: Any,
    ) -> str:
        """Enqueue a child, and answer its id, `<id of this job>/<key>`: the same key again is the same child, also in a
        later attempt, where one that failed runs again. This job has not ended before its children have, unless
        `detached`. `concurrency_key` is `key` of NewJob, `options` are further
        fields of it.

        Raises InvalidJob, QueueUnavailable, and StaleAttempt when the lease is lost.
        """
        origin = {"kind": "Child", "parent": self.id}
        child = NewJob(
            id=f"{self.id}/{key}",
            type=type,
            payload=payload or {},
            origin=origin,
            parent=None if detached else Parent(self.id, self.epoch),
            key=concurrency_key,
            **options,
        )
        (answer,) = await self._queue.enqueue([child])
        if answer.code == "stale":
            raise StaleAttempt(self.id, self.epoch)
        if answer.code == "limited":
            raise QueueLimited(child.queue or child.type, answer.wait_seconds)
        return child.id

    async def progress(self, percent: int, message: str = "") -> None:
        """Note how far the attempt is, at most once a second; 100 always goes out. Silent when the lease is lost or
        Redis away."""
        now = time.monotonic()
        if now < self._next_progress and percent < 100:
            return
        self._next_progress = now + _PROGRESS_EVERY
        try:
            await self._queue.progress(self.id, self.epoch, percent, message)
        except QueueError as error:
            log.debug("progress was not noted", extra={"job": self.id, "error": str(error)})

    async def log(self, line: str) -> None:
        """Append a line to the job's log. Silent when the lease is lost or Redis away."""
        try:
            await self._queue.log(self.id, self.epoch, [line])
        except QueueError as error:
            log.debug("a log line was not kept", extra={"job": self.id, "error": str(error)})
