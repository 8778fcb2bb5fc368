"""Time for a key space that has no other clock than Redis: what lies ahead is moved into the past. Each function does
what the passing of time does to one thing, and to nothing else.
"""

from __future__ import annotations

import redis

from support.queue_snapshot import Snapshot

PAST = 1000
"""Milliseconds since the epoch: long over, whoever asks."""


class Time:
    """Makes moments come, in the key space with this prefix."""

    def __init__(self, server: redis.Redis, prefix: str) -> None:
        self._server = server
        self._prefix = prefix

    def lease_runs_out(self, job_id: str) -> None:
        self._server.zadd(f"{self._prefix}leases", {job_id: PAST}, xx=True)

    def falls_due(self, job_id: str, queue: str) -> None:
        self._server.zadd(f"{self._prefix}delayed:{queue}", {job_id: PAST}, xx=True)
        self._server.hset(f"{self._prefix}job:{job_id}", "dueAt", PAST)

    def deadline_passes(self, job_id: str) -> None:
        """The job began so long ago that no active deadline lies ahead."""
        self._server.hset(f"{self._prefix}job:{job_id}", "startedAt", PAST)

    def start_is_missed(self, job_id: str) -> None:
        """The time by which the job had to start, as long as it has not."""
        self._server.hset(f"{self._prefix}job:{job_id}", "startBy", PAST)
        self._server.zadd(f"{self._prefix}starting", {job_id: PAST}, xx=True)

    def limits_end(self, now: Snapshot) -> None:
        for scope in now.get("limits"):
            self._server.zadd(f"{self._prefix}limits", {scope: PAST})

    def windows_pass(self, queue: str) -> None:
        """What rate and creation limits remember is over."""
        self._server.delete(f"{self._prefix}rate:{queue}", f"{self._prefix}creation:{queue}")

    def probe_is_due(self, queue: str) -> None:
        if self._server.hexists(f"{self._prefix}circuit:{queue}", "until"):
            self._server.hset(f"{self._prefix}circuit:{queue}", "until", PAST)

    def expires(self, now: Snapshot, *names: str) -> None:
        """Of these keys those go that go by themselves."""
        for name in set(names) & now.expiring:
            self._server.delete(f"{self._prefix}{name}")

    def tombstone_goes(self, job_id: str) -> None:
        self._server.hdel(f"{self._prefix}tombstones", job_id)
        self._server.zrem(f"{self._prefix}tombstones:expiry", job_id)
