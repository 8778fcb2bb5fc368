"""Which environment a job is in while environments, Redis, workers and operators come and go, and that it stays
there."""

import json
from typing import Any

from cluster.builders import fluid_environment
from support.idle_jobs import IDLE, alive, idle, worker_of
from support.stages import Stage, work
from support.waiting import until

RETRY = "jobs.fluidcalendar.com/request=retry@2026-12-01T07:00:00Z"


def is_in(stage: Stage, name: str, environment: str) -> dict[str, Any]:
    """Wait until a job waits in this environment's queue."""

    def look() -> dict[str, Any] | None:
        status = stage.status(name)
        return status if (status["phase"], status.get("environment")) == ("Queued", environment) else None

    return until(look, 30, f"{name} is queued in {environment}: {stage.status(name)}")


def versions(stage: Stage, *names: str) -> list[str]:
    jobs = stage.jobs()
    return [jobs[name]["metadata"]["resourceVersion"] for name in names]


# -- the environment that a run is bound to ---------------------------------------------------------------------------


def test_a_new_operator_writes_nothing_about_jobs_that_go_on_and_tells_their_ends(bare: Stage):
    bare.environment()
    bare.worker(FLUID_QUEUES="work")
    bare.operator().leading()
    bare.apply(work("running", seconds=300), work("ending", seconds=3), idle("queued"))
    bare.reaches("running", "Running")
    bare.reaches("ending", "Running")
    bare.reaches("queued", "Queued")
    before = versions(bare, "running", "queued")
    bare._operators[0].process.kill()
    bare.operator().leading()
    bare.apply(work("witness"))
    assert bare.reaches("ending", "Succeeded")["attempts"] == 1
    bare.reaches("witness", "Succeeded")
    assert versions(bare, "running", "queued") == before
    bare.kubectl("patch", "fj", "running", "--type=merge", "-p", '{"spec":{"cancelled":true}}')
    bare.reaches("running", "Cancelled")


def test_jobs_whose_environment_is_deleted_go_on_when_it_is_back(bare: Stage):
    bare.environment()
    bare.worker(FLUID_QUEUES="work")
    bare.operator().leading()
    bare.apply(work("ending", seconds=2), idle("queued"))
    bare.reaches("ending", "Running")
    bare.reaches("queued", "Queued")
    bare.kubectl("delete", "fe", "default")
    assert "default" in bare.reason("queued", "EnvironmentNotFound")["message"]
    status = bare.status("queued")
    assert (status["phase"], status["run"]) == ("Pending", 1)
    assert "environment" not in status, "it may go to any environment"
    bare.environment()
    assert bare.reaches("ending", "Succeeded")["run"] == 1
    bare.reaches("queued", "Queued")
    worker_of(bare, "default", IDLE)
    assert bare.reaches("queued", "Succeeded")["run"] == 1
    assert len(bare.starts()) == 2


def test_a_job_can_be_cancelled_after_its_environment_was_deleted_and_stays_so(bare: Stage):
    bare.environment()
    bare.worker(FLUID_QUEUES="work")
    bare.operator().leading()
    bare.apply(idle("left"))
    bare.reaches("left", "Queued")
    bare.kubectl("delete", "fe", "default")
    bare.reason("left", "EnvironmentNotFound")
    bare.kubectl("patch", "fj", "left", "--type=merge", "-p", '{"spec":{"cancelled":true}}')
    bare.reaches("left", "Cancelled")
    held = f"{{fluid:{bare.key_prefix}}}:suspended:{IDLE}"
    assert bare.redis.cli("EXISTS", held).strip() == "1"
    bare.environment()
    until(lambda: bare.redis.cli("EXISTS", held).strip() == "0", 20, "the job has left the queue")
    worker_of(bare, "default", IDLE)
    bare.apply(work("witness"))
    bare.reaches("witness", "Succeeded")
    assert [start.job_id for start in bare.starts()] == [bare.status("witness")["jobId"]]
    assert bare.status("left")["phase"] == "Cancelled"


def test_a_retry_and_a_changed_spec_wait_for_a_redis_that_is_away(own_stage: Stage):
    stage = own_stage
    stage.apply(work("retried"), work("changed", value="old"))
    for name in ("retried", "changed"):
        stage.reaches(name, "Succeeded")
    stage.redis.stop()
    stage.kubectl("annotate", "fj", "retried", RETRY)
    stage.apply(work("changed", value="new"))
    for name in ("retried", "changed"):
        stage.reason(name, "QueueUnavailable")
    stage.redis.start()
    for name in ("retried", "changed"):
        stage.reaches(name, "Succeeded", run=2)
    assert sorted(start.value for start in stage.starts()) == ["", "", "new", "old"]


# -- the choice -------------------------------------------------------------------------------------------------------


def test_a_job_waits_for_a_default_environment_that_cannot_be_opened_yet(bare: Stage):
    """The other environment is healthy, but nobody named it."""
    bare.environment("bulk")
    bare.apply(fluid_environment("default").spec(image="example.org/app:1", workers=[]).external_redis("late"))
    for name in ("bulk", "default"):
        worker_of(bare, name)
    bare.operator().leading()
    bare.apply(work("unset"), work("witness").environment("bulk"))
    assert bare.reaches("witness", "Succeeded")["environment"] == "bulk"
    assert "default" in bare.reason("unset", "EnvironmentNotFound")["message"]
    bare.kubectl("create", "secret", "generic", "late", f"--from-literal=url={bare.redis.url}")
    assert bare.reaches("unset", "Succeeded")["environment"] == "default"
    assert len(bare.starts()) == 2


def test_a_waiting_job_that_comes_to_name_another_environment_runs_there_once(bare: Stage):
    for name in ("a", "b"):
        bare.environment(name)
        worker_of(bare, name)
    bare.operator().leading()
    bare.apply(*(idle(name, value=name).environment("a") for name in ("moved", "returned", "hasty")))
    for name in ("moved", "returned", "hasty"):
        is_in(bare, name, "a")
    bare.apply(*(idle(name, value=name).environment("b") for name in ("moved", "returned", "hasty")))
    bare.apply(idle("hasty", value="hasty").environment("a"))  # nobody waits for the move
    for name in ("moved", "returned"):
        is_in(bare, name, "b")
    bare.apply(idle("returned", value="returned").environment("a"))
    is_in(bare, "returned", "a")
    for name in ("a", "b"):
        worker_of(bare, name, IDLE)
    assert bare.reaches("moved", "Succeeded")["environment"] == "b"
    assert bare.reaches("returned", "Succeeded")["environment"] == "a"
    assert bare.reaches("hasty", "Succeeded")["environment"] == "a"
    assert sorted(start.value for start in bare.starts()) == ["hasty", "moved", "returned"]


def test_a_job_that_changes_its_environment_before_its_status_tells_the_first_runs_once(bare: Stage):
    """With a long hold, a status that says Queued comes too late to bind the run."""
    for name in ("a", "b"):
        bare.environment(name)
        worker_of(bare, name)
    bare.operator(FLUID_STATUS_HOLD_SECONDS="10").leading()
    for name in ("a", "b", "a"):
        bare.apply(idle("hasty", value=name).environment(name))
        until(lambda name=name: alive(bare) == [name], 20, f"the job is in environment {name} alone")
    assert "environment" not in bare.status("hasty")
    for name in ("a", "b"):
        worker_of(bare, name, IDLE)
    assert bare.reaches("hasty", "Succeeded")["environment"] == "a"
    assert [start.value for start in bare.starts()] == ["a"]


def test_a_job_that_is_cancelled_before_there_is_an_environment_ends(bare: Stage):
    bare.operator().leading()
    bare.apply(work("lost"))
    bare.reason("lost", "EnvironmentNotFound")
    bare.kubectl("patch", "fj", "lost", "--type=merge", "-p", '{"spec":{"cancelled":true}}')
    assert bare.reaches("lost", "Cancelled")["attempts"] == 0


# -- trouble of one that is not the other's ---------------------------------------------------------------------------


def test_a_dead_environment_does_not_hold_up_a_job_that_is_created_again_in_another(stage: Stage):
    stage.kubectl("create", "secret", "generic", "dead", "--from-literal=url=redis://127.0.0.1:1/0")
    stage.apply(fluid_environment("dead").spec(image="example.org/app:1", workers=[]).external_redis("dead"))
    stage.kubectl("wait", "--for=condition=Reconciling", "--timeout=20s", "fe/dead")
    stage.apply(work("again", seconds=300, value="old"))
    stage.reaches("again", "Running")
    stage.kubectl("replace", "--force", "-f", "-", input=work("again", value="new").json())
    stage.reaches("again", "Succeeded")
    assert [start.value for start in stage.starts()] == ["old", "new"]


def test_keys_of_a_wrong_kind_stop_their_own_environment_and_no_other(bare: Stage):
    """Whoever has the password of a Redis can write there."""
    broken = {"hashless": "types:local", "countless": "queues", "headless": "meta"}
    bare.environment()
    bare.worker()
    for name, key in broken.items():
        bare.environment(name)
        bare.redis.cli("SET", f"{{fluid:{bare.namespace}.{name}}}:{key}", "no hash")
    operator = bare.operator().leading()
    bare.apply(*(work(f"in-{name}").environment(name) for name in broken))
    for name in broken:
        bare.reason(f"in-{name}", "QueueUnavailable")
        bare.kubectl("wait", "--for=condition=Ready=False", "--timeout=20s", f"fe/{name}")
    bare.apply(work("witness").environment("default"))
    bare.reaches("witness", "Succeeded")
    assert operator.leads
    for name, key in broken.items():
        bare.reason(f"in-{name}", "QueueUnavailable")
        bare.redis.cli("DEL", f"{{fluid:{bare.namespace}.{name}}}:{key}")
        worker_of(bare, name)
    for name in broken:
        bare.reaches(f"in-{name}", "Succeeded")


def test_types_that_are_none_do_not_hide_those_that_are(bare: Stage):
    bare.environment()
    bare.worker(FLUID_QUEUES="work")
    bare.operator().leading()
    bare.apply(work("before"))
    bare.reaches("before", "Succeeded")
    types = f"{{fluid:{bare.key_prefix}}}:types:local"
    bare.redis.cli("HSET", types, "list", "[]", "schemaless", '{"schema": "x"}', "unset", '{"settings": 3}')
    broken = {"schema": {"type": "nope"}, "settings": {}}
    loud = {"schema": {}, "settings": {"backoff": {"factor": 20, "delaySeconds": 7}, "backoffLimit": 3, "queue": IDLE}}
    bare.redis.cli("HSET", types, "broken", json.dumps(broken), "loud", json.dumps(loud))
    bare._operators[0].process.kill()
    bare.operator().leading()
    bare.apply(work("broken").type("broken"), work("loud").type("loud"), work("after"))
    bare.reaches("after", "Succeeded")
    assert "schema" in bare.reason("broken", "TypeNotYetKnown")["message"]
    effective = bare.reaches("loud", "Queued")["effective"]
    assert (effective["backoff"]["factor"], effective["backoffLimit"]) == (3, 3)


def test_a_waiting_job_says_that_there_are_no_workers_and_then_that_there_are_some(bare: Stage):
    bare.environment()
    bare.worker(FLUID_QUEUES="work")
    bare.operator().leading()
    bare.apply(idle("waits"))
    bare.reason("waits", "Queued")
    bare._workers[0].process.kill()
    # As if the minute were over in which a worker was heard of.
    bare.redis.cli("DEL", f"{{fluid:{bare.key_prefix}}}:workers")
    assert "no worker" in bare.reason("waits", "NoWorkers")["message"]
    worker_of(bare, "default")
    bare.reason("waits", "Queued")
