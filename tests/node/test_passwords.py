"""Passwords are changed while jobs run: nobody is locked out meanwhile, and the old ones are worth nothing then."""

import time

import pytest

from fluid_queue import Queue, QueueAccessDenied
from support.node_stage import USUAL_LEASE_SECONDS


async def accepted(stage, user: str, password: str) -> bool:
    """Whether Redis lets this user in."""
    async with Queue.from_url(stage.url(user, password), f"{stage.namespace.name}.{stage.name}") as queue:
        try:
            await queue.ping()
        except QueueAccessDenied:
            return False
        return True


@pytest.mark.timeout(400)
async def test_new_passwords_cost_no_job_and_no_restart_of_redis(stage, measured):
    stage.apply(workers=[stage.pool(minReplicas=2, lease_seconds=USUAL_LEASE_SECONDS)])
    await stage.ready()
    before, (redis,), workers = stage.secret(), stage.pods("redis"), names(stage)
    async with stage.load(every=0.2, milliseconds=200) as created:
        began = time.time()
        request = stage.ask("rotate-passwords")

        def rotated() -> bool:
            secret = stage.secret()
            return all(
                secret[f"{user}-password"] != before[f"{user}-password"]
                and not secret.keys() & {f"{user}-password-next", f"{user}-password-previous"}
                for user in ("operator", "worker")
            )

        await stage.wait(rotated, 300, "only new passwords are left", pause=0.5)
        measured("new passwords are asked for -> only they are left", time.time() - began)

        async def refused() -> bool:
            return not any([await accepted(stage, user, before[f"{user}-password"]) for user in ("operator", "worker")])

        await stage.wait(refused, 120, "Redis refuses the old passwords", pause=0.5)
        measured("new passwords are asked for -> Redis refuses the old ones", time.time() - began)
        assert await accepted(stage, "operator", stage.secret()["operator-password"])
        await stage.ready()
    assert await stage.all_end() == {"Succeeded": len(created)}
    assert stage.witness.repeats() == {}
    assert stage.environment()["status"]["lastHandledRequest"] == request
    assert not workers & names(stage)
    (after,) = stage.pods("redis")
    assert after["metadata"]["uid"] == redis["metadata"]["uid"]
    assert after["status"]["containerStatuses"][0]["restartCount"] == 0


def names(stage) -> set[str]:
    return {pod["metadata"]["name"] for pod in stage.pods("worker")}
