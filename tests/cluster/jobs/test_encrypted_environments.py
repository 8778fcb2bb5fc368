"""With a key ring, nobody who can read Redis reads what a job carries; its FluidJob tells the result all the same."""

import base64
import os

from support.stages import Stage, work

VALUE = "the-value-that-nobody-may-read"


def ring(*names: str) -> str:
    """A key ring of new keys; the first encrypts."""
    return "".join(f"{name}: {base64.b64encode(os.urandom(32)).decode()}\n" for name in names)


def encrypted(stage: Stage, keys: str) -> None:
    """An environment with this key ring."""
    stage.kubectl("create", "secret", "generic", "ring", f"--from-literal=keys={keys}")
    stage.environment(encryption={"keySecretRef": {"name": "ring", "key": "keys"}})


def stored(stage: Stage) -> bytes:
    """Everything that Redis holds of the environment, as it would lie in a dump."""
    prefix = f"{{fluid:{stage.key_prefix}}}:"
    keys = stage.redis.cli("--raw", "KEYS", f"{prefix}*").split()
    read = {"hash": "HGETALL", "string": "GET"}
    kinds = {key: stage.redis.cli("--raw", "TYPE", key).strip() for key in keys}
    return "\n".join(stage.redis.cli(read[kind], key) for key, kind in kinds.items() if kind in read).encode()


def test_a_payload_and_its_result_are_unreadable_in_redis_and_the_result_is_told(bare: Stage):
    keys = ring("2026-11")
    encrypted(bare, keys)
    bare.operator().leading()
    worker = bare.worker(FLUID_ENCRYPTION_KEYS=keys)
    bare.apply(work("secret", value=VALUE))
    assert bare.reaches("secret", "Succeeded")["result"] == {"value": VALUE}
    assert [start.value for start in bare.starts()] == [VALUE]
    found = stored(bare)
    assert b"2026-11" in found, "values name the key that encrypts them"
    assert VALUE.encode() not in found
    worker.process.kill()
    bare.worker()
    bare.apply(work("unreadable", value=VALUE))
    failed = bare.reaches("unreadable", "Failed", "Retrying")
    assert VALUE not in str(failed)
    assert len(bare.starts()) == 1, "a worker without the keys runs nothing that it cannot read"


def test_a_new_key_takes_effect_and_what_the_old_one_encrypted_is_still_read(bare: Stage):
    old, new = ring("old"), ring("new")
    both = new + old
    encrypted(bare, old)
    bare.worker(FLUID_ENCRYPTION_KEYS=old, FLUID_QUEUES="errands")  # it tells which types there are
    bare.operator().leading()
    bare.apply(work("before", value="before"))
    bare.reaches("before", "Queued")
    data = base64.b64encode(both.encode()).decode()
    bare.kubectl("patch", "secret", "ring", "--type=merge", "-p", f'{{"data":{{"keys":"{data}"}}}}')
    bare.worker(FLUID_ENCRYPTION_KEYS=both)
    assert bare.reaches("before", "Succeeded")["result"] == {"value": "before"}
    bare.apply(work("after", value="after"))
    assert bare.reaches("after", "Succeeded")["result"] == {"value": "after"}
