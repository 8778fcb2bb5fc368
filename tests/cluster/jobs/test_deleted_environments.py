"""What becomes of FluidJobs when their environment is deleted: what runs ends, the rest waits for another one, and
nothing runs twice."""

import json
import signal
import time

import pytest

from cluster.builders import fluid_environment
from fluid_dev.redis import RedisServer
from support.idle_jobs import IDLE, alive, idle, worker_of
from support.stages import Stage, work
from support.waiting import until


def left(stage: Stage, environment: str = "default") -> None:
    """Wait until the operator has given the key space of a deleted environment up."""
    owner = f"{{fluid:{stage.namespace}.{environment}}}:owner"
    until(lambda: stage.redis.cli("EXISTS", owner).strip() == "0", 60, f"{environment} has been left")


def test_a_running_job_comes_to_its_end_and_a_waiting_one_can_not_start_any_more(bare: Stage):
    bare.environment()
    bare.worker(FLUID_QUEUES="work")
    bare.operator().leading()
    bare.apply(work("ending", seconds=4), idle("waiting"))
    bare.reaches("ending", "Running")
    bare.reaches("waiting", "Queued")
    bare.kubectl("delete", "fe", "default")
    bare.reason("waiting", "EnvironmentNotFound")
    assert bare.status("ending")["phase"] == "Running"
    ended = bare.reaches("ending", "Succeeded")
    assert (ended["attempts"], ended["run"]) == (1, 1)
    left(bare)
    worker_of(bare, "default", IDLE)
    bare.apply(work("new"))
    bare.reason("new", "EnvironmentNotFound")
    time.sleep(2)  # what must not happen has no event: the worker of the deleted environment claims nothing
    assert [start.job_id for start in bare.starts()] == [ended["jobId"]]


def test_waiting_jobs_go_to_the_environment_that_is_left_and_run_once(bare: Stage):
    """The worker of the first is still there, and so is its Redis."""
    for name in ("default", "bulk"):
        bare.environment(name)
        worker_of(bare, name)
    bare.operator().leading()
    bare.apply(*(idle(f"free-{number}") for number in range(5)), idle("bound").environment("default"))
    for number in range(5):
        bare.reaches(f"free-{number}", "Queued")
    bare.reaches("bound", "Queued")
    bare.kubectl("delete", "fe", "default")
    for name in ("default", "bulk"):
        worker_of(bare, name, IDLE)
    for number in range(5):
        status = bare.reaches(f"free-{number}", "Succeeded")
        assert (status["environment"], status["run"]) == ("bulk", 1)
    assert "no FluidEnvironment default" in bare.reason("bound", "EnvironmentNotFound")["message"]
    assert len(bare.starts()) == 5


def test_a_job_that_went_elsewhere_does_not_run_again_when_its_old_environment_is_back(bare: Stage):
    bare.environment()
    for name in ("default", "bulk"):
        worker_of(bare, name)  # they tell which types there are
    bare.operator().leading()
    bare.apply(idle("moved"))
    bare.reaches("moved", "Queued")
    bare.kubectl("delete", "fe", "default")
    bare.reason("moved", "EnvironmentNotFound")
    left(bare)
    bare.environment("bulk")
    until(lambda: "bulk" in alive(bare), 20, "the job is in the new environment")
    bare.reaches("moved", "Queued")
    bare.environment()
    worker_of(bare, "default", IDLE)
    held = f"{{fluid:{bare.key_prefix}}}:suspended:{IDLE}"
    until(lambda: bare.redis.cli("EXISTS", held).strip() == "0", 20, "nothing of it is left in the old environment")
    worker_of(bare, "bulk", IDLE)
    assert bare.reaches("moved", "Succeeded")["environment"] == "bulk"
    assert len(bare.starts()) == 1


def test_a_job_that_its_worker_hands_back_goes_on_in_another_environment_under_its_number(bare: Stage):
    """As a pod that is deleted with its environment, whose grace period is shorter than the job."""
    for name in ("default", "bulk"):
        bare.environment(name)
    worker_of(bare, "bulk")
    worker = bare.worker(FLUID_GRACE_SECONDS="1")
    bare.operator().leading()
    bare.apply(work("long", seconds=8))
    first = bare.reaches("long", "Running")
    bare.kubectl("delete", "fe", "default")
    worker.kill(signal.SIGTERM)
    ended = bare.reaches("long", "Succeeded", within=60)
    assert (ended["environment"], ended["jobId"], ended["attempts"]) == ("bulk", first["jobId"], 2)
    assert [(start.job_id, start.attempt) for start in bare.starts()] == [(first["jobId"], 1), (first["jobId"], 2)]


def test_a_job_that_never_ends_is_stopped_at_last_and_runs_again_under_its_old_number(bare: Stage):
    """As if the time for leaving were over: the worker that does not leave is asked to stop."""
    bare.environment()
    bare.worker(FLUID_QUEUES="work")
    bare.operator().leading()
    bare.apply(work("long", seconds=300))
    first = bare.reaches("long", "Running")
    bare.kubectl("delete", "fe", "default")
    bare.kubectl("wait", "--for=delete", "fe/default", "--timeout=10s")
    condition = bare.reason("long", "EnvironmentNotFound", within=130)
    assert "default" in condition["message"]
    status = bare.status("long")
    assert (status["phase"], status["run"], status["attempts"]) == ("Pending", 1, 1)
    bare.environment()
    again = bare.reaches("long", "Running", within=60)
    assert again["jobId"] == first["jobId"], "it has the same idempotency key"
    assert [start.job_id for start in bare.starts()] == [first["jobId"]] * 2


def test_jobs_of_an_environment_whose_redis_went_with_it_run_again_in_another(bare: Stage, own_redis: RedisServer):
    bare.environment("other")
    worker_of(bare, "other")
    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "own"}, "stringData": {"url": own_redis.url}}
    bare.kubectl("apply", "-f", "-", input=json.dumps(secret))
    bare.apply(fluid_environment("default").spec(image="example.org/app:1", workers=[]).external_redis("own"))
    worker = bare.worker(FLUID_REDIS_URL=own_redis.url)
    bare.operator().leading()
    bare.apply(work("running", seconds=300, value="first"))
    first = bare.reaches("running", "Running")
    worker.process.kill()
    bare.kubectl("delete", "fe", "default")
    own_redis.stop()
    until(lambda: len(bare.starts()) == 2, 90, "it runs again")
    until(lambda: bare.status("running").get("environment") == "other", 20, "its status tells where")
    assert bare.reaches("running", "Running")["jobId"] == first["jobId"], "it has the same idempotency key"


@pytest.mark.parametrize("spec", ["suspend", "cancelled"])
def test_a_waiting_job_can_be_held_or_cancelled_while_there_is_no_environment(bare: Stage, spec: str):
    bare.environment()
    worker_of(bare, "default")
    bare.operator().leading()
    bare.apply(idle("left"))
    bare.reaches("left", "Queued")
    bare.kubectl("delete", "fe", "default")
    bare.reason("left", "EnvironmentNotFound")
    bare.kubectl("patch", "fj", "left", "--type=merge", "-p", json.dumps({"spec": {spec: True}}))
    bare.environment()
    worker_of(bare, "default", IDLE)
    bare.reaches("left", "Suspended" if spec == "suspend" else "Cancelled")
    bare.apply(work("witness"))
    witness = bare.reaches("witness", "Succeeded")
    assert [start.job_id for start in bare.starts()] == [witness["jobId"]]
