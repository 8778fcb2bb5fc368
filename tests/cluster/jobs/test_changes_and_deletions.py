"""Objects that change, go and come back while their job waits, runs, or nobody looks."""

import json
import time

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
