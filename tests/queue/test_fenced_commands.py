"""Whoever leads no more can change nothing, by none of the operator's commands."""

import pytest

from fluid_queue import LeaderFenced, Queue, Settings
from support.claims import claim, end, failing, states
from support.queues import job


async def drain(queue: Queue, leader: str) -> None:
    async for _ in queue.drain("q", leader=leader):
        pass


COMMANDS = {
    "enqueue": lambda queue, leader: queue.enqueue([job("new")], leader=leader),
    "cancel": lambda queue, leader: queue.cancel(["waiting"], leader=leader),
    "withdraw": lambda queue, leader: queue.withdraw(["waiting"], leader=leader),
    "acknowledge": lambda queue, leader: queue.acknowledge(["failed"], leader=leader),
    "suspend": lambda queue, leader: queue.suspend(["waiting"], leader=leader),
    "resume": lambda queue, leader: queue.resume(["suspended"], leader=leader),
    "promote": lambda queue, leader: queue.promote(["delayed"], leader=leader),
    "retry": lambda queue, leader: queue.retry(["failed"], leader=leader),
    "reprioritize": lambda queue, leader: queue.reprioritize(["waiting"], 5, leader=leader),
    "pause": lambda queue, leader: queue.pause("q", leader=leader),
    "unpause": lambda queue, leader: queue.unpause("paused", leader=leader),
    "drain": drain,
    "configure": lambda queue, leader: queue.configure(Settings(suspend=True), leader=leader),
}


async def everything(queue: Queue) -> dict[bytes, bytes]:
    """The whole key space, as Redis would dump it."""
    keys = [key async for key in queue._redis.scan_iter(f"{queue.keys.prefix}*")]
    return {key: await queue._redis.dump(key) for key in keys}


@pytest.mark.parametrize("name", COMMANDS)
async def test_a_command_of_an_older_leader_is_refused_as_a_whole(queue, name):
    await queue.enqueue([job("failed", acknowledged=True)])
    await end(queue, await claim(queue), failing("Error", final="PermanentError"))
    await queue.enqueue([job("waiting"), job("delayed", delay_seconds=3600), job("suspended")])
    await queue.suspend(["suspended"])
    await queue.pause("paused")
    old = await queue.lead(0, "one")
    new = await queue.lead(0, "two")
    before = await everything(queue)
    with pytest.raises(LeaderFenced):
        await COMMANDS[name](queue, old)
    assert await everything(queue) == before
    await COMMANDS[name](queue, new)
    assert await everything(queue) != before
    assert "" not in await states(queue, "waiting", "delayed", "suspended", "failed")
