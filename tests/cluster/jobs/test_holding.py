"""Jobs that are held back and released again: by their spec, by request, before and while they run."""

import time
from datetime import datetime

from support.stages import Stage, work
from support.waiting import until


def test_a_suspended_job_is_held_before_the_queue_and_runs_when_it_is_released(stage: Stage):
    stage.apply(work("held").spec(suspend=True))
    stage.reaches("held", "Suspended")
    assert stage.condition("held", "Suspended")["reason"] == "Suspended"
    stage.apply(work("witness"))
    stage.reaches("witness", "Succeeded")
    assert len(stage.starts()) == 1
    stage.apply(work("held").spec(suspend=False))
    assert stage.reaches("held", "Succeeded")["run"] == 1
    assert len(stage.starts()) == 2


def test_suspending_a_running_job_stops_its_attempt_and_releasing_it_starts_it_with_a_fresh_clock(stage: Stage):
    job = work("runs", seconds=300).spec(backoffLimit=0, activeDeadlineSeconds=600)
    stage.apply(job)
    first = stage.reaches("runs", "Running")
    stage.apply(job.spec(suspend=True))
    held = stage.reaches("runs", "Suspended")
    assert "startTime" not in held
    assert (held["run"], held["jobId"]) == (first["run"], first["jobId"])
    stage.apply(job.spec(suspend=False))
    again = stage.reaches("runs", "Running")
    assert again["startTime"] > first["startTime"]
    assert [start.job_id for start in stage.starts()] == [first["jobId"]] * 2
    stage.ask("fj/runs", "cancel")
    stage.reaches("runs", "Cancelled")


def test_an_attempt_that_was_stopped_for_a_suspend_does_not_count(stage: Stage):
    job = work("counted", seconds=1, succeedAt=9).spec(backoffLimit=1, backoff={"delaySeconds": 0})
    stage.apply(job)
    stage.reaches("counted", "Running")
    stage.ask("fj/counted", "suspend")
    stage.reaches("counted", "Suspended")
    stage.ask("fj/counted", "resume")
    status = stage.reaches("counted", "Failed")
    assert [attempt["outcome"] for attempt in status["attemptHistory"]].count("Failed") == 2
    assert stage.condition("counted", "Failed")["reason"] == "BackoffLimitExceeded"


def test_a_job_that_is_held_by_request_waits_for_the_request_to_go_on(bare: Stage):
    bare.environment()
    bare.worker(FLUID_QUEUES="elsewhere")
    bare.operator().leading()
    bare.apply(work("asked"))
    bare.reaches("asked", "Queued")
    bare.ask("fj/asked", "suspend")
    status = bare.reaches("asked", "Suspended")
    assert status["lastHandledRequest"].startswith("suspend@")
    assert bare.condition("asked", "Suspended")["reason"] == "SuspendedByRequest"
    bare.ask("fj/asked", "retry")
    until(lambda: bare.status("asked")["lastHandledRequest"].startswith("retry@"), 20, "the retry is acknowledged")
    bare.worker()
    bare.apply(work("witness"))
    bare.reaches("witness", "Succeeded")
    assert bare.status("asked")["phase"] == "Suspended"
    bare.ask("fj/asked", "resume")
    assert bare.reaches("asked", "Succeeded")["run"] == 1


def test_a_job_that_is_held_by_request_stays_so_when_redis_has_lost_everything(own_stage: Stage):
    own_stage.apply(work("asked", seconds=300))
    own_stage.reaches("asked", "Running")
    own_stage.ask("fj/asked", "suspend")
    own_stage.reaches("asked", "Suspended")
    own_stage.redis.cli("FLUSHALL")
    own_stage.apply(work("witness"))
    own_stage.reaches("witness", "Succeeded")
    assert own_stage.status("asked")["phase"] == "Suspended"
    own_stage.ask("fj/asked", "resume")
    own_stage.reaches("asked", "Running", within=60)
    assert len(own_stage.starts()) == 3


def test_a_job_that_is_held_by_request_stays_so_over_an_outage_of_redis(own_stage: Stage):
    own_stage.apply(work("asked", seconds=300))
    own_stage.reaches("asked", "Running")
    own_stage.ask("fj/asked", "suspend")
    own_stage.reaches("asked", "Suspended")
    own_stage.redis.stop()
    own_stage.apply(work("new"))
    own_stage.reason("new", "QueueUnavailable")
    own_stage.redis.start()
    own_stage.apply(work("witness"))
    own_stage.reaches("witness", "Succeeded", within=60)
    assert own_stage.status("asked")["phase"] == "Suspended"
    assert len([start for start in own_stage.starts() if start.job_id == own_stage.status("asked")["jobId"]]) == 1


def test_a_job_that_started_in_time_may_be_held_beyond_its_starting_deadline(stage: Stage):
    job = work("late", seconds=300).spec(startingDeadlineSeconds=3)
    stage.apply(job)
    stage.reaches("late", "Running")
    stage.apply(job.spec(suspend=True))
    stage.reaches("late", "Suspended")
    created = stage.job("late")["metadata"]["creationTimestamp"]
    until(lambda: time.time() > datetime.fromisoformat(created).timestamp() + 4, 10, "the deadline has passed")
    stage.apply(job.spec(suspend=False))
    assert stage.reaches("late", "Running", "Failed")["phase"] == "Running"


def test_a_start_at_the_end_of_all_dates_has_no_deadline(stage: Stage):
    stage.apply(work("far").spec(startAfter="9999-12-31T23:59:00Z", startingDeadlineSeconds=600))
    stage.reaches("far", "Scheduled")


def test_a_new_spec_of_a_held_job_takes_the_place_of_the_old_one_and_is_held_too(bare: Stage):
    bare.environment()
    bare.worker(FLUID_QUEUES="elsewhere")
    bare.operator().leading()
    bare.apply(work("changing", value="old"))
    bare.reaches("changing", "Queued")
    bare.ask("fj/changing", "suspend")
    bare.reaches("changing", "Suspended")
    bare.apply(work("changing", value="new"))
    until(lambda: bare.status("changing")["observedGeneration"] == 2, 20, "the new spec is observed")
    bare.worker()
    bare.apply(work("witness", value="witness"))
    bare.reaches("witness", "Succeeded")
    assert bare.status("changing")["phase"] == "Suspended"
    bare.ask("fj/changing", "resume")
    bare.reaches("changing", "Succeeded")
    assert [start.value for start in bare.starts()] == ["witness", "new"]


def test_a_job_that_has_not_started_in_time_fails_and_never_starts(bare: Stage):
    bare.environment()
    bare.worker(FLUID_QUEUES="elsewhere")
    bare.operator().leading()
    bare.apply(work("late").spec(startingDeadlineSeconds=2), work("patient").spec(startingDeadlineSeconds=600))
    status = bare.reaches("late", "Failed")
    assert bare.condition("late", "Failed")["reason"] == "StartingDeadlineExceeded"
    assert status["attempts"] == 0
    bare.worker()
    bare.reaches("patient", "Succeeded")
    assert len(bare.starts()) == 1


def test_a_job_that_finds_no_environment_in_time_fails(bare: Stage):
    bare.operator().leading()
    began = time.time()
    bare.apply(work("late").spec(startingDeadlineSeconds=2))
    bare.reason("late", "EnvironmentNotFound")
    bare.reaches("late", "Failed")
    assert bare.condition("late", "Failed")["reason"] == "StartingDeadlineExceeded"
    assert time.time() - began >= 1
