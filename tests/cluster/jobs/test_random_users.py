"""Everything at once: users and GitOps tools that do at random whatever the API allows, while the leading operator is
killed, Redis forgets everything and a worker freezes. Afterwards the world must make sense.

FLUID_USERS_SEED repeats the moves of a run that failed, FLUID_USERS and FLUID_USERS_SECONDS make a longer one.
"""

import asyncio
import contextlib
import os
import random
import signal
import time
from pathlib import Path
from typing import Any

import pytest

from fluid_dev.cluster import Cluster
from fluid_dev.errors import DevError
from fluid_dev.redis import RedisServer
from fluid_operator.kube.client import connect
from support.folders import fresh_folder
from support.operators import Operator
from support.random_users import ENVIRONMENTS, KINDS, Op, User, Watch, all_settle
from support.stages import TESTS, Stage, stage_on
from support.user_verdict import Disaster, Evidence, Line, verdict
from support.waiting import until

SEED = int(os.environ.get("FLUID_USERS_SEED") or random.SystemRandom().randrange(10**6))
USERS = int(os.environ.get("FLUID_USERS", "15"))
SECONDS = float(os.environ.get("FLUID_USERS_SECONDS", "8"))

LOST_LEASE_SECONDS = 3.0
"""The workers of the stage have leases of 2 s: by then each knows what it has lost."""


@pytest.mark.timeout(SECONDS + 150)
async def test_whatever_users_and_tools_do_at_random_each_object_ends_with_the_outcome_of_its_last_spec(
    cluster: Cluster, namespace: str, own_redis: RedisServer
) -> None:
    with stage_on(cluster, namespace, own_redis) as stage:
        await asyncio.to_thread(furnish, stage)
        async with connect(cluster.kubeconfig) as kube:
            ops: list[Op] = []
            kinds = list(KINDS)
            users = [User(kinds[n % len(kinds)], n, SEED, kube, namespace, ops) for n in range(USERS)]
            watch = Watch(kube, namespace)
            watching = asyncio.create_task(watch.run())
            end = time.time() + SECONDS
            striking = asyncio.create_task(strike(stage))
            await asyncio.gather(striking, *(user.live(end) for user in users))
            problems = await all_settle(kube, namespace, users, within=90)
            problems += await asyncio.to_thread(left_in_redis, stage)
            watching.cancel()
        lines = [Line(word, float(at), *rest) for word, at, *rest in map(str.split, ledger_of(stage))]
        assert lines
        problems += verdict(Evidence(watch.versions, ops, lines, striking.result())) + complaints(stage)
        assert not problems, f"FLUID_USERS_SEED={SEED}\n" + "\n".join(problems)


def furnish(stage: Stage) -> None:
    """Two environments, three workers, two operators."""
    site = fresh_folder("users")
    metadata = site / "user_probe-1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: user-probe\nVersion: 1.0\n")
    (metadata / "entry_points.txt").write_text("[fluid.processors]\nusers = support.user_probe\n")
    path = os.pathsep.join([str(site), str(TESTS)])
    for name, workers in zip(ENVIRONMENTS, (2, 1), strict=True):
        stage.environment(name)
        for _ in range(workers):
            stage.worker(PYTHONPATH=path, FLUID_KEY_PREFIX=f"{stage.namespace}.{name}", FLUID_CONCURRENCY="8")
    for _ in range(2):
        stage.operator()
    until(lambda: leaders(stage), 40, "one of the operators leads")


def leaders(stage: Stage) -> list[Operator]:
    found = []
    for each in stage._operators:
        with contextlib.suppress(DevError, OSError):  # killed, or just starting
            found += [each] if each.process.running and each.leads else []
    return found


async def strike(stage: Stage) -> list[Disaster]:
    """Kill the leader, empty Redis and freeze a worker, in this or another order."""
    chances = random.Random(SEED)
    disasters: list[Disaster] = []
    for what in chances.sample(["kill", "flush", "freeze"], 3):
        await asyncio.sleep(chances.uniform(0.5, SECONDS / 4))
        begun = time.time()
        if what == "kill":
            await asyncio.to_thread(kill_leader, stage)
            continue
        if what == "flush":
            await asyncio.to_thread(stage.redis.cli, "FLUSHALL")
        else:
            frozen = stage._workers[chances.randrange(2)]
            frozen.kill(signal.SIGSTOP)
            await asyncio.sleep(chances.choice([0.5, LOST_LEASE_SECONDS]))
            frozen.kill(signal.SIGCONT)
        disasters.append(Disaster(begun, time.time() + LOST_LEASE_SECONDS))
    return disasters


def kill_leader(stage: Stage) -> None:
    """The other replica takes over; one more takes its place."""
    for each in leaders(stage):
        each.process.kill()
    stage.operator()


def left_in_redis(stage: Stage) -> list[str]:
    """Records whose end nobody has confirmed, although every object has ended."""
    keys = [f"{{fluid:{stage.namespace}.{name}}}:unacknowledged" for name in ENVIRONMENTS]

    def left() -> list[str]:
        return [job_id for key in keys for job_id in stage.redis.cli("--raw", "ZRANGE", key, "0", "-1").split()]

    with contextlib.suppress(DevError):
        until(lambda: not left(), 20, "every record is acknowledged", pause=0.2)
    return [f"never acknowledged: {job_id}" for job_id in left()]


def ledger_of(stage: Stage) -> list[str]:
    return Path(stage.ledger).read_text().splitlines()


def complaints(stage: Stage) -> list[str]:
    """What operators have logged that they must not: nothing that users or disasters do is a defect."""
    return [f"logged: {line}" for operator in stage._operators for line in operator.log if is_defect(line)]


def is_defect(line: dict[str, Any]) -> bool:
    """A look that fails is one, unless the Lease was lost meanwhile: a busy machine may do that to times this brisk."""
    failed = line["message"].startswith("Reconciliation failed") and "does not hold the lease" not in line["error"]
    return failed or line["level"] in ("error", "critical") or "traceback" in line
