"""Jobs under a key, on a real Redis: nothing readable at rest, rotation without losing a job, and wrong keys told."""

import asyncio
import base64
import random

import orjson
import pytest

from fluid_dev.redis import RedisServer
from fluid_queue import Codec, Indexes, InvalidJob, KeyRing, PermanentError, Queue
from support.queues import consuming, ended, job, record
from support.waiting import auntil
from support.workers import install_probes, worker_process

SECRET = "do-not-show"
OLD, NEW = bytes(range(32)), bytes(range(1, 33))


def opened(server: RedisServer, key_prefix: str, *keys: tuple[str, bytes], plain: bool = True) -> Queue:
    return Queue.from_url(server.url, key_prefix, codec=Codec(KeyRing(dict(keys)), accept_plain=plain))


async def everything(queue: Queue) -> bytes:
    """All that Redis holds of this key space."""
    found = b""
    read = {
        b"hash": queue._redis.hgetall,
        b"list": lambda key: queue._redis.lrange(key, 0, -1),
        b"string": queue._redis.get,
    }
    async for key in queue._redis.scan_iter(match=queue.keys.prefix + "*"):
        kind = await queue._redis.type(key)
        if kind in read:
            found += repr(await read[kind](key)).encode()
    return found


async def chatty(active):
    await active.log(f"line {SECRET}")
    await active.progress(100, f"progress {SECRET}")
    return {"result": SECRET, "payload": active.payload["text"]}


async def test_nothing_that_a_job_carries_is_readable_in_redis(redis_server, key_prefix):
    async with opened(redis_server, key_prefix, ("k1", OLD)) as queue:
        await queue.open()

        async def failing(active):
            await chatty(active)
            raise ValueError(f"message {SECRET}")

        payload = {"text": SECRET, "long": SECRET * 1000}
        await queue.enqueue([job("good", payload=payload), job("bad", payload=payload)])
        waiting = await everything(queue)
        async with consuming(queue, lambda active: chatty(active) if active.id == "good" else failing(active)):
            good = await ended(queue, "good")
            bad = await ended(queue, "bad")
        stored = waiting + await everything(queue)
        lines = await queue.log_lines("good")
    assert SECRET.encode() not in stored
    assert b"ValueError" in stored  # an error's type stays open
    assert good.value == {"result": SECRET, "payload": SECRET}
    assert good.progress == {"percent": 100, "message": f"progress {SECRET}"}
    assert lines == [f"line {SECRET}"]
    assert bad.error["message"] == f"message {SECRET}"
    assert [attempt.error["message"] for attempt in bad.attempts] == [f"message {SECRET}"] * 2


async def test_children_indexes_and_their_items_are_encrypted_too(redis_server, key_prefix):
    async with opened(redis_server, key_prefix, ("k1", OLD)) as queue:
        await queue.open()

        async def handler(active):
            if active.id == "parent":
                await active.enqueue("t", {"text": SECRET}, key="child", queue="q")
            if active.index == 1:
                raise PermanentError(f"message {SECRET}")
            return active.payload.get("text")

        items = [{"text": f"{SECRET} {number}"} for number in range(2)]
        await queue.enqueue([job("parent"), job("indexed", indexes=Indexes(2, items=items))])
        waiting = await everything(queue)
        async with consuming(queue, handler):
            assert (await ended(queue, "parent")).state == "completed"
            assert (await ended(queue, "parent/child")).value == SECRET
            indexed = await ended(queue, "indexed")
        stored = waiting + await everything(queue)
    assert SECRET.encode() not in stored
    assert (indexed.succeeded, indexed.failed) == (1, 1)
    assert indexed.error["message"] == f"message {SECRET}"


async def test_without_a_key_the_same_look_at_redis_finds_everything(queue):
    await queue.enqueue([job("a", payload={"text": SECRET})])
    async with consuming(queue, chatty):
        await ended(queue, "a")
    assert f"line {SECRET}".encode() in await everything(queue)


async def test_jobs_from_before_encryption_still_run(redis_server, key_prefix, queue):
    await queue.enqueue([job("before", payload={"text": "t"})])
    async with opened(redis_server, key_prefix, ("k1", OLD)) as encrypting, consuming(encrypting, chatty):
        assert (await ended(encrypting, "before")).value["payload"] == "t"


async def test_a_rotation_loses_no_job(redis_server, key_prefix):
    first = opened(redis_server, key_prefix, ("k1", OLD))
    added = opened(redis_server, key_prefix, ("k1", OLD), ("k2", NEW))
    turned = opened(redis_server, key_prefix, ("k2", NEW), ("k1", OLD))
    async with first, added, turned:
        await first.open()
        async with consuming(added, chatty, worker="w1"):
            await first.enqueue([job("one", payload={"text": "1"})])
            await turned.enqueue([job("two", payload={"text": "2"})])
            for name in ("one", "two"):
                assert (await ended(turned, name)).value["payload"] == name.replace("one", "1").replace("two", "2")


async def test_a_worker_process_reads_its_keys_from_a_file(redis_server, key_prefix, tmp_path):
    (tmp_path / "keys").write_text(f"k1: {base64.b64encode(OLD).decode()}\n")
    async with opened(redis_server, key_prefix, ("k1", OLD)) as queue:
        await queue.open()
        await queue.enqueue([job("a", type="probe-async", queue="probes", payload={"secret": SECRET})])
        keys = {"FLUID_ENCRYPTION_KEYS_FILE": str(tmp_path / "keys"), "FLUID_ENCRYPTION_REQUIRED": "true"}
        async with worker_process(queue, tmp_path, install_probes(tmp_path, "worker_probes"), **keys) as worker:
            await worker.ready()
            assert (await ended(queue, "a")).state == "completed"
        assert SECRET.encode() not in await everything(queue)


async def test_a_job_under_a_key_that_comes_later_waits_for_it_uncounted(redis_server, key_prefix):
    async with (
        opened(redis_server, key_prefix, ("k1", OLD)) as early,
        opened(redis_server, key_prefix, ("k2", NEW), ("k1", OLD)) as late,
    ):
        await early.open()
        await late.enqueue([job("a", payload={"text": "t"}, backoff_limit=0)])
        async with consuming(early, chatty):
            found = await auntil(lambda: _with_error(late, "a"), 10)
        assert (found.state, found.failures, found.error["type"]) == ("delayed", 0, "UnknownKey")
        assert "'k2'" in found.error["message"]


async def test_one_job_that_cannot_be_read_does_not_hold_up_those_beside_it(redis_server, key_prefix):
    async with (
        opened(redis_server, key_prefix, ("k1", OLD)) as worker,
        opened(redis_server, key_prefix, ("k1", NEW)) as other,
    ):
        await worker.open()
        await worker.enqueue([job("good-1", payload={"text": "t"})])
        await other.enqueue([job("bad", payload={"text": "t"})])
        await worker.enqueue([job("good-2", payload={"text": "t"})])
        async with consuming(worker, chatty):
            assert (await ended(worker, "good-1")).state == "completed"
            assert (await ended(worker, "good-2")).state == "completed"
            bad = await ended(worker, "bad")
    assert (bad.state, bad.reason, bad.attempt) == ("failed", "UnreadablePayload", 1)
    assert bad.error["type"] == "DecryptionFailed"


async def test_a_payload_that_was_moved_to_another_job_does_not_run(redis_server, key_prefix):
    async with opened(redis_server, key_prefix, ("k1", OLD)) as queue:
        await queue.open()
        await queue.enqueue([job("pay-alice", payload={"text": "a"}), job("pay-mallory", payload={"text": "m"})])
        spec = await queue._redis.hget(queue.keys.key("job:pay-alice"), "spec")
        await queue._redis.hset(queue.keys.key("job:pay-mallory"), "spec", spec)
        async with consuming(queue, chatty):
            moved = await ended(queue, "pay-mallory")
    assert (moved.state, moved.reason) == ("failed", "UnreadablePayload")


async def test_a_plain_job_is_refused_where_only_encrypted_ones_are_taken(redis_server, key_prefix, queue):
    await queue.enqueue([job("slipped-in", payload={"text": "t"})])
    async with opened(redis_server, key_prefix, ("k1", OLD), plain=False) as strict, consuming(strict, chatty):
        refused = await ended(strict, "slipped-in")
    assert (refused.reason, refused.error["type"]) == ("UnreadablePayload", "NotEncrypted")


async def test_records_are_shown_without_the_key_as_far_as_that_goes(redis_server, key_prefix, queue):
    async with opened(redis_server, key_prefix, ("k1", OLD)) as encrypting:

        async def failing(active):
            await active.log("a line")
            raise PermanentError(f"message {SECRET}", type="Refused")

        await encrypting.enqueue([job("good", payload={"text": "t"}), job("bad")])
        async with consuming(encrypting, lambda active: chatty(active) if active.id == "good" else failing(active)):
            await ended(encrypting, "good")
            await ended(encrypting, "bad")
    good, bad = await record(queue, "good"), await record(queue, "bad")
    assert "'k1'" in good.value["dropped"]
    assert (bad.error["type"], bad.reason) == ("Refused", "PermanentError")
    assert "'k1'" in bad.error["message"]
    assert "'k1'" in (await queue.log_lines("bad"))[0]


async def test_a_payload_of_a_mebibyte_goes_through_and_a_larger_one_is_refused_by_name(queue):
    text = base64.b64encode(bytes(range(256)) * 3000).decode()
    await queue.enqueue([job("large", payload={"text": text})])
    async with consuming(queue, lambda active: asyncio.sleep(0, {"length": len(active.payload["text"])})):
        assert (await ended(queue, "large")).value == {"length": len(text)}
    with pytest.raises(InvalidJob) as caught:
        await queue.enqueue([job("too-large", payload={"text": "x" * (1024 * 1024)})])
    assert caught.value.field == "payload"
    assert "1048576" in caught.value.message


async def test_a_large_payload_takes_less_room_than_its_json(queue):
    payload = {"events": [{"id": number, "title": "the same title", "allDay": False} for number in range(2000)]}
    await queue.enqueue([job("a", payload=payload)])
    stored = await queue._redis.hstrlen(queue.keys.key("job:a"), "spec")
    assert stored < len(orjson.dumps(payload)) / 4
    (got,) = (await queue.claim("w", ["*"], 1, 15)).jobs
    assert got.payload == payload


async def test_many_large_jobs_are_sent_in_calls_that_redis_can_take(own_redis, key_prefix):
    noise = random.Random(1).randbytes(300_000).hex()
    async with Queue.from_url(own_redis.url, key_prefix) as queue:
        await queue.open()
        await queue._redis.config_resetstat()
        await queue.enqueue([job(f"j{number}", payload={"n": number, "text": noise}) for number in range(40)])
        scripts = await queue._redis.info("commandstats")
        assert (await queue.stats()).queues[0].waiting == 40
        received = await queue._redis.info("stats")
    calls = sum(scripts[name]["calls"] for name in ("cmdstat_eval", "cmdstat_evalsha") if name in scripts)
    assert received["total_net_input_bytes"] / calls < 5 * 1024 * 1024


async def _with_error(queue: Queue, name: str):
    found = await record(queue, name)
    return found if found and found.error else None
