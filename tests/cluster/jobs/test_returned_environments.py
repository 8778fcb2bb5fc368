"""An environment that is created again on its old data: what is still wanted runs, what ended elsewhere, was cancelled
or deleted meanwhile does not run again."""

import asyncio
import json

from cluster.builders import fluid_environment
from fluid_dev.redis import RedisServer
from support.idle_jobs import IDLE, idle, worker_of
from support.stages import Stage, work
from support.waiting import until


def on_own_redis(stage: Stage, redis: RedisServer) -> None:
    """The environment `default` on a Redis that this test may stop."""
    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "own"}, "stringData": {"url": redis.url}}
    stage.kubectl("apply", "-f", "-", input=json.dumps(secret))
    stage.apply(fluid_environment("default").spec(image="example.org/app:1", workers=[]).external_redis("own"))


def setting(stage: Stage, redis: RedisServer, name: str) -> str:
    """What the queue's settings say, their version among it; empty where they say nothing."""
    return redis.cli("--raw", "HGET", f"{{fluid:{stage.key_prefix}}}:settings", name).strip()


def put_back(stage: Stage, redis: RedisServer) -> None:
    """Create the environment again, and wait until it has closed what it found."""
    before = int(setting(stage, redis, "version"))
    on_own_redis(stage, redis)
    until(lambda: int(setting(stage, redis, "version")) > before, 30, "what was left is closed")


def test_only_what_is_still_wanted_starts_when_old_data_come_back(bare: Stage, own_redis: RedisServer):
    """The Redis was away when its environment was deleted, so that nobody could take anything out of it."""
    on_own_redis(bare, own_redis)
    worker = bare.worker(FLUID_REDIS_URL=own_redis.url, FLUID_QUEUES="work")  # it tells which types there are
    bare.operator().leading()
    free, bound = [f"free-{number}" for number in range(3)], ["deleted", "cancelled", "held", "wanted"]
    bare.apply(*map(idle, free), *(idle(name).environment("default") for name in bound))
    for name in (*free, *bound):
        bare.reaches(name, "Queued")
    wanted = bare.status("wanted")["jobId"]
    own_redis.stop()
    worker.process.kill()
    bare.kubectl("delete", "fe", "default")
    bare.environment("bulk")
    worker_of(bare, "bulk")
    worker_of(bare, "bulk", IDLE)
    bare.kubectl("delete", "fj", "deleted")
    bare.kubectl("patch", "fj", "held", "--type=merge", "-p", '{"spec": {"suspend": true}}')
    bare.kubectl("patch", "fj", "cancelled", "--type=merge", "-p", '{"spec": {"cancelled": true}}')
    ended = [bare.reaches(name, "Succeeded", within=60) for name in free]
    assert {status["environment"] for status in ended} == {"bulk"}
    bare.reason("wanted", "EnvironmentNotFound")
    own_redis.start()
    put_back(bare, own_redis)
    bare.worker(FLUID_REDIS_URL=own_redis.url, FLUID_QUEUES=IDLE)
    assert bare.reaches("wanted", "Succeeded")["environment"] == "default"
    bare.reaches("cancelled", "Cancelled")
    bare.reaches("held", "Suspended")
    bare.apply(idle("witness").environment("default"))
    witness = bare.reaches("witness", "Succeeded")["jobId"]
    started = sorted(start.job_id for start in bare.starts())
    assert started == sorted([*(status["jobId"] for status in ended), wanted, witness])


def test_a_job_of_a_program_waits_as_well_until_the_environment_is_back(bare: Stage):
    async def add() -> str:
        async with bare.queue() as queue:
            return await queue.add("work", queue=IDLE)

    bare.environment()
    worker_of(bare, "default")
    bare.operator().leading()
    bare.apply(work("first"))
    first = bare.reaches("first", "Succeeded")["jobId"]
    bare.kubectl("delete", "fe", "default")
    until(lambda: setting(bare, bare.redis, "suspend") == "1", 20, "nothing starts any more")
    worker_of(bare, "default", IDLE)
    job_id = asyncio.run(add())
    until(lambda: bare.redis.cli("EXISTS", f"{{fluid:{bare.key_prefix}}}:owner").strip() == "0", 60, "it has been left")
    assert [start.job_id for start in bare.starts()] == [first]
    bare.environment()
    assert [start.job_id for start in bare.started(2)] == [first, job_id]
