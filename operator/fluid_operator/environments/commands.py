"""What a leader tells the queue of one environment: many single wishes, gathered into few calls.

Each goes out under the leader's epoch, and only as long as the key space is ours. Half of EnvironmentLink; it knows
nothing of what the jobs are.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

from fluid_operator.environments.batching import Batcher
from fluid_operator.environments.ownership import Ownership
from fluid_operator.kube.lease import Leadership
from fluid_queue import Enqueued, JobRecord, Leader, LeaderFenced, NewJob, Queue, QueueUnavailable

log = logging.getLogger(__name__)

Answer = TypeVar("Answer")

_REFUSED = (
    "The leader's epoch was refused: another operator leads this shard of the key space. Said again and again, two "
    "operators use one key prefix, or run with different counts of shards."
)


class Commands:
    """See the module. Every command may be given from many places at once, and raises QueueUnavailable while Redis is
    away or the key space somebody else's, and NotLeader when this replica does not lead any more."""

    def __init__(self, queue: Queue, ownership: Ownership, leadership: Leadership, shard: int) -> None:
        self.queue = queue
        self.held = ""
        """Why nothing new may be enqueued; what is in the queue goes on."""
        self.leaving = False
        """The environment is gone: what runs comes to its end, and nothing else starts."""
        self._ownership = ownership
        self._leadership = leadership
        self._shard = shard
        self._leader: Leader | None = None
        self._leading = asyncio.Lock()
        self.inspect: Batcher[str, JobRecord | None] = Batcher(queue.inspect)
        self.enqueue: Batcher[NewJob, Enqueued] = Batcher(self._enqueue)
        self.cancel: Batcher[str, str] = Batcher(self._cancel)
        self.withdraw: Batcher[str, str] = Batcher(self._withdraw)
        self.acknowledge: Batcher[str, str] = Batcher(self._acknowledge)
        self.suspend: Batcher[str, str] = Batcher(self._suspend)
        self.resume: Batcher[str, str] = Batcher(self._resume)

    async def _enqueue(self, jobs: Sequence[NewJob]) -> Sequence[Enqueued]:
        if self.held or self.leaving:  # whoever asked before that comes again
            raise QueueUnavailable(self.held or "the environment was deleted")
        return await self._led(lambda leader: self.queue.enqueue(jobs, leader=leader))

    async def _cancel(self, ids: Sequence[str]) -> Sequence[str]:
        return await self._led(lambda leader: self.queue.cancel(ids, leader=leader))

    async def _withdraw(self, ids: Sequence[str]) -> Sequence[str]:
        return await self._led(lambda leader: self.queue.withdraw(ids, leader=leader))

    async def _acknowledge(self, ids: Sequence[str]) -> Sequence[str]:
        return await self._led(lambda leader: self.queue.acknowledge(ids, leader=leader))

    async def _suspend(self, ids: Sequence[str]) -> Sequence[str]:
        return await self._led(lambda leader: self.queue.suspend(ids, leader=leader))

    async def _resume(self, ids: Sequence[str]) -> Sequence[str]:
        return await self._led(lambda leader: self.queue.resume(ids, leader=leader))

    async def reprioritize(self, job_id: str, priority: int) -> str:
        """Give one job another priority; see Queue.reprioritize."""
        (code,) = await self._led(lambda leader: self.queue.reprioritize([job_id], priority, leader=leader))
        return code

    async def resize(self, job_id: str, parallelism: int, max_failed: int | None) -> str:
        """Let an index job run, and lose, more or fewer indexes; see Queue.resize."""
        (code,) = await self._led(
            lambda leader: self.queue.resize([job_id], parallelism=parallelism, max_failed=max_failed, leader=leader)
        )
        return code

    async def _led(self, command: Callable[[Leader], Awaitable[Answer]]) -> Answer:
        """Run a write as the leader. A refusal is answered by looking at the Lease first, and only then by a new
        epoch."""
        self._leadership.check()
        await self._ownership.require()
        refused = await self._token(None)
        try:
            return await command(refused)
        except LeaderFenced as error:
            facts = {"key_prefix": self.queue.keys.name, "shard": self._shard + 1, "error": str(error)}
            log.warning(_REFUSED, extra={"fields": facts})
        self._leadership.check()
        await self._ownership.renew(0.0)  # somebody else may have taken the key space over while we stood still
        return await command(await self._token(refused))

    async def _token(self, refused: Leader | None) -> Leader:
        """The leader's token; a new one when there is none or it is the refused one."""
        async with self._leading:
            if self._leader is None or self._leader == refused:
                self._leadership.check()
                self._leader = await self.queue.lead(self._shard, self._leadership.identity)
            return self._leader
