"""Several operators share the FluidJobs of one namespace: each serves its own share, and leaves the others' alone."""

import asyncio
import json
from collections import Counter
from itertools import count, islice

from fluid_operator.kube.keys import ObjectKey
from fluid_operator.sharding import Shard
from fluid_queue import Queue
from support.operators import Operator
from support.stages import Stage, work
from support.waiting import until

IDLE = "idle"
"""A queue that nobody works on."""


def names_of(stage: Stage, shard: Shard, number: int) -> list[str]:
    """So many names of FluidJobs that belong to this shard."""
    names = (f"job-{n}" for n in count())
    return list(islice((name for name in names if shard.owns(ObjectKey(stage.namespace, name))), number))


def shards(stage: Stage, *numbers: int, of: int) -> list[Operator]:
    """Operators that lead these shards."""
    operators = [stage.operator(FLUID_SHARD=str(Shard(number, of))) for number in numbers]
    return [operator.leading() for operator in operators]


def conditions(stage: Stage) -> list[str]:
    """What is told about the environment."""
    found = json.loads(stage.kubectl("get", "fluidenvironment", "default", "-o", "json"))
    return [each["type"] for each in found.get("status", {}).get("conditions", [])]


def holder(stage: Stage, number: int) -> str:
    """Who holds the Lease of this shard of two."""
    return stage.kubectl("get", "lease", f"fluid-operator-{number}-of-2", "-o", "jsonpath={.spec.holderIdentity}")


def states(stage: Stage, job_ids: list[str]) -> Counter[str]:
    """What is known in the queue about these jobs, by state."""

    async def ask(queue: Queue) -> Counter[str]:
        try:
            records = await queue.inspect(job_ids)
            return Counter(record.state if record else "gone" for record in records)
        finally:
            await queue.aclose()

    return asyncio.run(ask(stage.queue()))


def test_three_shards_run_three_hundred_jobs_once_each_and_tell_all_of_them(bare: Stage):
    bare.environment()
    bare.worker()
    operators = shards(bare, 1, 2, 3, of=3)
    bare.apply(*(work(f"job-{n}") for n in range(300)))
    assert bare.all_end(300, within=90) == {"Succeeded": 300}
    runs = Counter(start.job_id for start in bare.starts())
    assert len(runs) == 300
    assert set(runs.values()) == {1}
    served = [operator.metric('fluid_operator_fluidjobs{phase="Succeeded"}') for operator in operators]
    keys = [ObjectKey(bare.namespace, f"job-{n}") for n in range(300)]
    assert served == [sum(map(Shard(number, 3).owns, keys)) for number in (1, 2, 3)]
    leases = bare.kubectl("get", "leases", "-o", "name").split()
    assert leases == [f"lease.coordination.k8s.io/fluid-operator-{number}-of-3" for number in (1, 2, 3)]


def test_the_jobs_of_a_shard_that_is_down_wait_and_the_others_go_on(bare: Stage):
    bare.environment()
    bare.worker()
    _, second = shards(bare, 1, 2, of=2)
    second.process.kill()
    first_jobs, second_jobs = names_of(bare, Shard(1, 2), 5), names_of(bare, Shard(2, 2), 5)
    bare.apply(*map(work, second_jobs + first_jobs))
    for name in first_jobs:
        bare.reaches(name, "Succeeded")
    assert {bare.status(name)["phase"] for name in second_jobs} == {"Pending"}
    shards(bare, 2, of=2)
    assert bare.all_end(10) == {"Succeeded": 10}
    assert len(bare.starts()) == 10


def test_only_the_first_shard_answers_environments_and_the_others_use_them_all_the_same(bare: Stage):
    bare.environment()
    bare.worker()
    shards(bare, 2, of=2)
    (name,) = names_of(bare, Shard(2, 2), 1)
    bare.apply(work(name))
    bare.reaches(name, "Succeeded")
    assert conditions(bare) == []
    shards(bare, 1, of=2)
    until(lambda: "Ready" in conditions(bare), 30, "the environment is answered")


def test_what_is_left_of_deleted_jobs_is_stopped_by_their_own_shard_alone(bare: Stage):
    bare.environment()
    bare.worker(FLUID_QUEUES="elsewhere")
    operators = shards(bare, 1, 2, of=2)
    ids: dict[int, list[str]] = {}
    for number in (1, 2):
        names = names_of(bare, Shard(number, 2), 5)
        bare.apply(*(work(name).spec(queue=IDLE) for name in names))
        ids[number] = [bare.reaches(name, "Queued")["jobId"] for name in names]
    for operator in operators:
        operator.process.kill()
    bare.kubectl("delete", "fluidjobs", "--all")
    shards(bare, 1, of=2)
    until(lambda: states(bare, ids[1])["waiting"] == 0, 30, "the first shard stops what is left of its own")
    assert states(bare, ids[2]) == {"waiting": 5}
    shards(bare, 2, of=2)
    until(lambda: states(bare, ids[2])["waiting"] == 0, 30, "the second shard stops the rest")


def test_two_counts_at_once_run_nothing_twice_and_are_told(bare: Stage):
    bare.environment()
    bare.worker()
    operators = [*shards(bare, 1, 2, of=2), *shards(bare, 1, of=3)]
    bare.apply(*(work(f"job-{n}") for n in range(60)))
    assert bare.all_end(60, within=90) == {"Succeeded": 60}
    assert len(bare.starts()) == 60
    told = [line["message"] for operator in operators for line in operator.log]
    assert any("run with different counts of shards" in message for message in told)


def test_a_standby_of_one_shard_does_not_take_over_another(bare: Stage):
    first, second = shards(bare, 1, 2, of=2)
    standby = bare.operator(FLUID_SHARD="2/2")
    dead = holder(bare, 1)
    first.process.kill()
    second.terminate()
    standby.leading(within=10)
    assert holder(bare, 2) not in ("", dead)
    assert holder(bare, 1) == dead
