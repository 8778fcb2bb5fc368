"""A Redis whose data are lost, or are those of last week: FluidJobs are objects, and what they say counts."""

import shutil
from collections import Counter
from pathlib import Path

import pytest

from fluid_queue import NewJob
from support.idle_jobs import IDLE, alive, idle
from support.stages import Stage, work
from support.waiting import until

FILES = "appendonlydir"
"""Where Redis 7 keeps everything, below its folder."""

DIRECT = "enqueued-directly"


def save(stage: Stage, to: Path) -> None:
    """A copy of the volume, as a snapshot would be."""
    stage.redis.stop()
    shutil.copytree(stage.redis.state / FILES, to)
    stage.redis.start()


def restore(stage: Stage, frm: Path | None) -> None:
    """Start Redis with these data; None: with an empty volume."""
    stage.redis.stop()
    shutil.rmtree(stage.redis.state / FILES)
    if frm is not None:
        shutil.copytree(frm, stage.redis.state / FILES)
    stage.redis.start()


def introduce(stage: Stage) -> None:
    """Let a worker tell which types there are; it works on none of these tests' queues."""
    stage.worker(FLUID_QUEUES="elsewhere")


def runs(stage: Stage) -> Counter[str]:
    """How often each FluidJob was started, by its name."""
    names = {job["metadata"]["uid"]: name for name, job in stage.jobs().items()}
    return Counter(names[start.job_id.partition(".")[0]] for start in stage.starts())


async def enqueue_directly(stage: Stage) -> None:
    """A job that is no object, as a program with a client of the queue makes it."""
    async with stage.queue() as queue:
        await queue.enqueue([NewJob(id=DIRECT, type="work", queue=IDLE)])
        assert [record and record.state for record in await queue.inspect([DIRECT])] == ["waiting"]


async def test_a_lost_volume_takes_along_what_was_enqueued_directly_and_no_fluidjob(stage: Stage):
    introduce(stage)
    stage.apply(*(idle(f"waiting-{number}") for number in range(5)), idle("cancelled"))
    for number in range(5):
        stage.reaches(f"waiting-{number}", "Queued")
    stage.ask("fj/cancelled", "cancel")
    stage.reaches("cancelled", "Cancelled")
    await enqueue_directly(stage)
    restore(stage, None)
    stage.worker(FLUID_QUEUES=f"{IDLE},work")
    assert stage.all_end(6) == {"Succeeded": 5, "Cancelled": 1}
    assert runs(stage) == {f"waiting-{number}": 1 for number in range(5)}
    async with stage.queue() as queue:
        assert await queue.inspect([DIRECT]) == [None]


@pytest.fixture
def aged(stage: Stage, tmp_path: Path) -> tuple[Stage, Path]:
    """A stage, and a copy of its Redis from before five jobs ended, one was cancelled, and five more were created."""
    introduce(stage)
    stage.apply(*(idle(f"old-{number}") for number in range(5)), idle("cancelled"), work("done").spec(queue="early"))
    for number in range(5):
        stage.reaches(f"old-{number}", "Queued")
    stage.reaches("cancelled", "Queued")
    early = stage.worker(FLUID_QUEUES="early")
    stage.reaches("done", "Succeeded")
    early.process.stop()
    save(stage, tmp_path / "backup")
    stage.ask("fj/cancelled", "cancel")
    stage.reaches("cancelled", "Cancelled")
    late = stage.worker(FLUID_QUEUES=IDLE)
    for number in range(5):
        stage.reaches(f"old-{number}", "Succeeded")
    late.process.stop()
    stage.apply(*(idle(f"new-{number}") for number in range(5)))
    for number in range(5):
        stage.reaches(f"new-{number}", "Queued")
    return stage, tmp_path / "backup"


ENDED = {"done": "Succeeded", "cancelled": "Cancelled", **{f"old-{number}": "Succeeded" for number in range(5)}}
NEW = {f"new-{number}": "Succeeded" for number in range(5)}


def phases(stage: Stage) -> dict[str, str]:
    return {name: job["status"]["phase"] for name, job in stage.jobs().items()}


def test_an_old_backup_of_redis_loses_no_fluidjob_and_repeats_at_most_what_has_ended_since(aged):
    """A worker is there as soon as Redis is: it may be faster than the operator."""
    stage, backup = aged
    before = runs(stage)
    stage.worker(FLUID_QUEUES=IDLE)
    restore(stage, backup)
    until(lambda: phases(stage) == ENDED | NEW, 60, "the new jobs have ended, and the old ones are as they were")
    repeated = runs(stage) - before - Counter(NEW.keys())
    assert set(repeated) <= {name for name in ENDED if name.startswith("old-") or name == "cancelled"}
    assert set(repeated.values()) <= {1}
    assert {stage.status(name)["run"] for name in ENDED | NEW} == {1}


def test_without_workers_an_old_backup_of_redis_is_put_right_before_anything_runs_again(aged):
    """The environment is deleted, its data are replaced, and it is created again without workers."""
    stage, backup = aged
    before = runs(stage)
    stage.kubectl("delete", "fluidenvironment", "default")
    for name in NEW:
        stage.reason(name, "EnvironmentNotFound")
    restore(stage, backup)
    stage.environment()
    stage.kubectl("wait", "--for=condition=Ready", "--timeout=60s", "fluidenvironment/default")
    until(lambda: len(alive(stage)) == len(NEW), 60, "nothing waits but what is new")
    stage.worker(FLUID_QUEUES=IDLE)
    until(lambda: phases(stage) == ENDED | NEW, 60, "the new jobs have ended, and the old ones are as they were")
    assert runs(stage) - before == Counter(NEW.keys())
