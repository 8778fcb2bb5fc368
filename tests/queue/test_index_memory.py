"""An index job of 100,000 indexes: a window in Redis, never the whole."""

import redis

from fluid_queue import Indexes, Queue
from support.claims import DONE, claim
from support.queues import job, record

INDEXES = 100_000
PARALLELISM = 500


async def test_a_hundred_thousand_indexes_need_the_room_of_a_window(own_redis, key_prefix):
    """1,000 records at a time, two bitmaps of 12.5 KB, and what the event stream holds in any case."""
    server = redis.Redis.from_url(own_redis.url)
    most_keys = most_bytes = started = 0
    async with Queue.from_url(own_redis.url, key_prefix) as queue:
        await queue.open()
        before = server.info("memory")["used_memory"]
        await queue.enqueue([job("i", payload={"text": "x" * 1000}, indexes=Indexes(INDEXES, PARALLELISM))])
        while got := await claim(queue, 1000, lease=300):
            started += len(got)
            assert len(got) <= PARALLELISM
            if started % 5000 == 0:
                most_keys = max(most_keys, server.dbsize())
                most_bytes = max(most_bytes, server.info("memory")["used_memory"] - before)
            await queue.finish([(each.id, each.epoch, DONE) for each in got])
        found = await record(queue, "i")
        assert (await queue.indexes("i")).completed == f"0-{INDEXES - 1}"
        left = server.dbsize()
    server.close()
    assert (started, found.state, found.succeeded) == (INDEXES, "completed", INDEXES)
    assert most_keys <= 2 * PARALLELISM + 40
    assert most_bytes < 6_000_000
    assert left < 40
