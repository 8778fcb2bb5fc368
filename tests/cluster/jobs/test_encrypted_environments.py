"""With a key ring, nobody who can read Redis reads what a job carries; its FluidJob tells the result all the same."""

import base64
import itertools
import os

import redis

from support.idle_jobs import IDLE, idle
from support.stages import Stage, work
from support.waiting import until

VALUE = "the-value-that-nobody-may-read"


def line(name: str) -> str:
    """A line of a key ring, with a new key."""
    return f"{name}: {base64.b64encode(os.urandom(32)).decode()}\n"


def encrypted(stage: Stage, keys: str) -> None:
    """An environment with this key ring."""
    stage.kubectl("create", "secret", "generic", "ring", f"--from-literal=keys={keys}")
    stage.environment(encryption={"keySecretRef": {"name": "ring", "key": "keys"}})


def stored(stage: Stage) -> dict[str, bytes]:
    """The records of the environment's jobs as they stand in Redis, each in one piece."""
    with redis.Redis.from_url(stage.redis.url) as server:
        prefix = f"{{fluid:{stage.key_prefix}}}:job:"
        return {
            key.decode().removeprefix(prefix): b"\n".join(server.hgetall(key).values())
            for key in server.keys(f"{prefix}*")
        }


def test_a_payload_and_its_result_are_unreadable_in_redis_and_the_result_is_told(bare: Stage):
    keys = line("2026-11")
    encrypted(bare, keys)
    bare.operator().leading()
    worker = bare.worker(FLUID_ENCRYPTION_KEYS=keys)
    bare.apply(work("secret", value=VALUE))
    status = bare.reaches("secret", "Succeeded")
    assert status["result"] == {"value": VALUE}
    record = stored(bare)[status["jobId"]]
    assert b"2026-11" in record, "values name the key that encrypts them"
    assert VALUE.encode() not in record
    worker.process.kill()
    bare.worker()
    bare.apply(work("unreadable", value=VALUE))
    failed = bare.reaches("unreadable", "Failed", "Retrying")
    assert VALUE not in str(failed)
    assert len(bare.starts()) == 1, "a worker without the keys runs nothing that it cannot read"


def test_a_new_key_takes_effect_and_what_the_old_one_encrypted_is_still_read(bare: Stage):
    """As a rotation goes: the workers know the new key before anybody encrypts with it."""
    old, new = line("old-key"), line("new-key")
    encrypted(bare, old)
    bare.worker(FLUID_ENCRYPTION_KEYS=old + new, FLUID_QUEUES="work")
    bare.operator().leading()
    bare.apply(idle("before", value="before"))
    bare.reaches("before", "Queued")
    data = base64.b64encode((new + old).encode()).decode()
    bare.kubectl("patch", "secret", "ring", "--type=merge", "-p", f'{{"data":{{"keys":"{data}"}}}}')
    numbers = itertools.count()

    def renewed() -> bool:
        name = f"after-{next(numbers)}"
        bare.apply(idle(name, value="after"))
        job_id = bare.reaches(name, "Queued")["jobId"]
        return b"new-key" in stored(bare)[job_id]

    until(renewed, 30, "the operator encrypts with the new key", pause=0.5)
    bare.worker(FLUID_ENCRYPTION_KEYS=new + old, FLUID_QUEUES=IDLE)
    assert bare.reaches("before", "Succeeded")["result"] == {"value": "before"}
    assert bare.reaches(f"after-{next(numbers) - 1}", "Succeeded")["result"] == {"value": "after"}
