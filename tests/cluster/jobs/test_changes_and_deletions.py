"""Objects that change, go and come back while their job waits, runs, or nobody looks."""

import asyncio
import json
import time

import pytest

from support.stages import Stage, work
from support.waiting import until


def jobs_in_redis(stage: Stage) -> list[str]:
    """Ids of all records that have not ended in the environment's key space."""
    keys = stage.redis.cli("--raw", "KEYS", f"{{fluid:{stage.key_prefix}}}:job:*").split()
    alive = [
        key
        for key in keys
        if stage.redis.cli("--raw", "HGET", key, "state").strip() in ("waiting", "delayed", "active")
    ]
    return [key.rpartition("job:")[2] for key in alive]


def unacknowledged(stage: Stage) -> list[str]:
    """Ids of the jobs whose end nobody has confirmed."""
    return stage.redis.cli("--raw", "ZRANGE", f"{{fluid:{stage.key_prefix}}}:unacknowledged", "0", "-1").split()


def test_a_deleted_job_that_waits_leaves_the_queue(bare: Stage):
    bare.environment()
    bare.worker(FLUID_QUEUES="elsewhere")
    bare.operator().leading()
    bare.apply(work("waits"))
    bare.reaches("waits", "Queued")
    bare.kubectl("delete", "fj", "waits", "--wait=false")
    until(lambda: not jobs_in_redis(bare), 20, "the job has left the queue")
    assert bare.starts() == []


def test_a_deleted_job_that_runs_is_stopped(stage: Stage):
    stage.apply(work("long", seconds=300))
    stage.reaches("long", "Running")
    stage.kubectl("delete", "fj", "long")
    until(lambda: not jobs_in_redis(stage), 20, "the job has been stopped")
    assert len(stage.starts()) == 1


def test_a_job_that_is_deleted_while_the_operator_is_down_is_stopped_when_it_is_back(stage: Stage):
    stage.apply(work("long", seconds=300))
    stage.reaches("long", "Running")
    stage._operators[0].process.kill()
    stage.kubectl("delete", "fj", "long")
    assert jobs_in_redis(stage)
    stage.operator()
    until(lambda: not jobs_in_redis(stage), 30, "the job has been stopped")
    assert len(stage.starts()) == 1


def test_a_forced_replacement_waits_until_the_running_job_has_stopped(stage: Stage):
    stage.apply(work("twin", seconds=300, value="old"))
    stage.reaches("twin", "Running")
    old = stage.job("twin")["metadata"]["uid"]
    replacement = work("twin", seconds=0, value="new").json()
    stage.kubectl("replace", "--force", "-f", "-", input=replacement)
    status = stage.reaches("twin", "Succeeded")
    assert not status["jobId"].startswith(old)
    assert [start.value for start in stage.starts()] == ["old", "new"]
    assert jobs_in_redis(stage) == []


@pytest.mark.field("spec.payload", "before")
def test_a_change_while_the_job_waits_replaces_it(bare: Stage):
    bare.environment()
    waiting = bare.worker(FLUID_QUEUES="elsewhere")
    bare.operator().leading()
    bare.apply(work("changing", value="first"))
    bare.reaches("changing", "Queued")
    bare.apply(work("changing", value="second"))
    until(lambda: bare.job("changing")["metadata"]["generation"] == bare.status("changing")["observedGeneration"], 20)
    waiting.process.stop()
    bare.worker()
    assert bare.reaches("changing", "Succeeded")["run"] == 1
    assert [start.value for start in bare.starts()] == ["second"]


@pytest.mark.parametrize(
    ("name", "change", "phase"),
    [
        ("cancelled", work("x", value="new").spec(cancelled=True), "Cancelled"),
        ("misfit", work("x", colour="red"), "Failed"),
        ("held", work("x", value="new").spec(suspend=True), "Suspended"),
        ("unknown", work("x", value="new").type("no-such-type"), "Pending"),
    ],
    ids=["cancelled", "with a payload that does not fit", "suspended", "of an unknown type"],
)
def test_a_waiting_job_never_runs_the_spec_that_it_no_longer_has(bare: Stage, name, change, phase):
    bare.environment()
    bare.worker(FLUID_QUEUES="elsewhere")
    bare.operator().leading()
    bare.apply(work(name, value="old"))
    bare.reaches(name, "Queued")
    bare.apply(change.metadata(name=name))
    bare.reaches(name, phase)
    until(lambda: bare.status(name)["observedGeneration"] == 2, 20, "the change is observed")
    assert jobs_in_redis(bare) == []
    bare.worker()
    bare.apply(work("witness", value="witness"))
    bare.reaches("witness", "Succeeded")
    assert [start.value for start in bare.starts()] == ["witness"]
    assert bare.status(name)["phase"] == phase


def test_a_job_that_was_held_with_a_new_spec_runs_that_one_when_it_is_released(bare: Stage):
    bare.environment()
    bare.worker(FLUID_QUEUES="elsewhere")
    bare.operator().leading()
    bare.apply(work("held", value="old"))
    bare.reaches("held", "Queued")
    bare.apply(work("held", value="new").spec(suspend=True))
    bare.reaches("held", "Suspended")
    bare.worker()
    bare.apply(work("held", value="new").spec(suspend=False))
    bare.reaches("held", "Succeeded")
    assert [start.value for start in bare.starts()] == ["new"]


def test_a_job_that_is_held_before_its_status_was_written_runs_when_it_is_released(bare: Stage):
    """With a long hold nothing but the queue knows that there was a first run, and that it was taken out."""
    bare.environment()
    bare.worker(FLUID_QUEUES="elsewhere")
    bare.operator(FLUID_STATUS_HOLD_SECONDS="10").leading()
    bare.apply(work("hasty"))
    until(lambda: jobs_in_redis(bare), 20, "the job is in the queue")
    bare.apply(work("hasty").spec(suspend=True))
    bare.reaches("hasty", "Suspended")
    assert jobs_in_redis(bare) == []
    bare.worker()
    bare.apply(work("hasty").spec(suspend=False))
    bare.reaches("hasty", "Succeeded")
    assert len(bare.starts()) == 1


@pytest.mark.field("spec.priority", "effect", "before")
@pytest.mark.field("spec.startAfter", "before")
def test_priority_and_start_of_a_waiting_job_can_be_changed_and_nothing_else_moves_it(bare: Stage):
    bare.environment()
    bare.worker(FLUID_QUEUES="elsewhere")
    bare.operator().leading()
    later = "2099-01-01T07:00:00Z"
    for name in ("first", "second", "third", "early"):
        bare.apply(work(name, value=name).spec(startAfter=later if name == "early" else None))
        bare.reaches(name, "Queued", "Scheduled")
    bare.apply(
        work("first", value="first").spec(ttlSecondsAfterFinished=9, tags={"user": "u1"}),
        work("third", value="third").spec(priority=10),
        work("early", value="early").spec(startAfter="2020-01-01T07:00:00Z", priority=5),
    )
    for name in ("first", "third", "early"):
        until(lambda name=name: bare.status(name)["observedGeneration"] == 2, 20, f"the change of {name} is observed")
    bare.worker(FLUID_CONCURRENCY="1")
    assert bare.all_end(4) == {"Succeeded": 4}
    assert [start.value for start in bare.starts()] == ["third", "early", "first", "second"]
    assert {job["status"]["run"] for job in bare.jobs().values()} == {1}


@pytest.mark.field("spec.payload", "during")
def test_a_change_while_the_job_runs_makes_the_next_run(stage: Stage):
    stage.apply(work("changing", seconds=2, value="first"))
    stage.reaches("changing", "Running")
    stage.apply(work("changing", seconds=0, value="second"))
    status = stage.reaches("changing", "Succeeded", run=2)
    assert status["observedGeneration"] == 2
    assert status["result"] == {"value": "second"}
    assert [start.value for start in stage.starts()] == ["first", "second"]


def test_a_change_that_does_not_define_the_run_runs_nothing(stage: Stage):
    stage.apply(work("steady"))
    stage.reaches("steady", "Succeeded")
    stage.apply(work("steady").spec(priority=5, ttlSecondsAfterFinished=100))
    until(lambda: stage.status("steady")["observedGeneration"] == 2, 20, "the new generation is observed")
    assert stage.status("steady")["run"] == 1
    assert len(stage.starts()) == 1


@pytest.mark.field("spec.payload", "after")
def test_going_back_and_forth_between_two_specs_runs_three_times(stage: Stage):
    for run, value in enumerate(("a", "b", "a"), 1):
        stage.apply(work("pendulum", value=value))
        stage.reaches("pendulum", "Succeeded", run=run)
    assert [start.value for start in stage.starts()] == ["a", "b", "a"]


def test_a_user_who_deletes_and_applies_again_gets_another_run(stage: Stage):
    for _ in range(2):
        stage.apply(work("again"))
        stage.reaches("again", "Succeeded")
        stage.kubectl("delete", "fj", "again")
    assert len(stage.starts()) == 2


def test_the_record_of_an_older_run_is_acknowledged_although_the_object_has_gone_on(stage: Stage):
    """A crash after the first end was written, and before it was acknowledged."""
    stage.apply(work("again"))
    first = stage.reaches("again", "Succeeded")["jobId"]
    stage.kubectl("annotate", "fj", "again", "jobs.fluidcalendar.com/request=retry@2026-12-01T07:00:00Z")
    stage.reaches("again", "Succeeded", run=2)
    prefix = f"{{fluid:{stage.key_prefix}}}:"
    until(lambda: not unacknowledged(stage), 20, "both runs are acknowledged")
    stage._operators[0].process.kill()
    stage.redis.cli("ZADD", f"{prefix}unacknowledged", "1", first)
    stage.redis.cli("PERSIST", f"{prefix}job:{first}")
    stage.redis.cli("HDEL", f"{prefix}job:{first}", "acked")
    stage.operator()
    until(lambda: not unacknowledged(stage), 20, "the older run is acknowledged")
    assert int(stage.redis.cli("PTTL", f"{prefix}job:{first}")) > 0
    assert stage.status("again")["run"] == 2


def test_a_job_that_starts_at_once_and_succeeds_costs_at_most_two_status_writes(stage: Stage):
    """Counted by the API server itself, for this resource; other tests of this process write statuses too, so in
    turn."""

    def writes() -> int:
        total = 0
        for line in stage.cluster.kubectl("get", "--raw", "/metrics").splitlines():
            if line.startswith("apiserver_request_total{") and all(
                part in line for part in ('resource="fluidjobs"', 'subresource="status"', 'verb="PATCH"')
            ):
                total += int(float(line.rpartition(" ")[2]))
        return total

    before = writes()
    stage.apply(*(work(f"quick-{n}") for n in range(20)))
    stage.all_end(20)
    quick = writes() - before
    assert quick <= 20 * 2
    before = writes()
    stage.apply(*(work(f"slow-{n}", seconds=2) for n in range(20)))
    stage.all_end(40)
    assert 20 < writes() - before <= 20 * 2  # Running was shown, and nothing else beside the end


def test_an_object_that_was_created_before_the_operator_looked_runs_once(bare: Stage):
    bare.environment()
    bare.apply(*(work(f"early-{n}") for n in range(10)))
    assert bare.status("early-0")["phase"] == "Pending"
    bare.worker()
    bare.operator()
    assert bare.all_end(10) == {"Succeeded": 10}
    assert len(bare.starts()) == 10


def test_reapplying_every_second_runs_nothing_again(stage: Stage):
    manifest = work("declared")
    stage.apply(manifest)
    stage.reaches("declared", "Succeeded")
    for _ in range(3):
        stage.apply(manifest)
        stage.kubectl("annotate", "--overwrite", "fj", "declared", f"reconciled={time.time()}")
    stage.apply(work("witness"))
    stage.reaches("witness", "Succeeded")
    assert len(stage.starts()) == 2
    assert json.dumps(stage.status("declared")).count('"run": 1') == 1


def test_a_job_that_was_withdrawn_just_before_the_operator_died_is_not_told_as_cancelled(bare: Stage):
    """Taking a waiting job back and writing that down are two steps; a crash between them must lose nothing."""
    bare.environment()
    bare.worker(FLUID_QUEUES="elsewhere")
    first = bare.operator().leading()
    bare.apply(work("held"))
    job_id = bare.reaches("held", "Queued")["jobId"]
    first.process.kill()
    bare.kubectl("patch", "fj", "held", "--type=merge", "-p", '{"spec":{"suspend":true}}')
    assert asyncio.run(_withdraw(bare, job_id)) == ["cancelled"]
    bare.operator()
    bare.reaches("held", "Suspended")
    bare.worker()
    bare.kubectl("patch", "fj", "held", "--type=merge", "-p", '{"spec":{"suspend":false}}')
    bare.reaches("held", "Succeeded")
    assert len(bare.starts()) == 1


async def _withdraw(stage: Stage, job_id: str) -> list[str]:
    async with stage.queue() as queue:
        return await queue.withdraw([job_id])
