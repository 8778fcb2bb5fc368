"""What dies, freezes, forgets or goes back in time: afterwards every FluidJob has the right end, and nothing ran
twice that must not."""

import asyncio
import signal
import time
from collections import Counter

from support.stages import ENDED, Stage, work
from support.waiting import until


def assert_each_ran_once(stage: Stage, count: int) -> None:
    runs = Counter(start.job_id for start in stage.starts())
    assert len(runs) == count
    assert set(runs.values()) == {1}


# -- the operator -----------------------------------------------------------------------------------------------------


def test_an_operator_killed_between_enqueue_and_status_loses_and_repeats_nothing(bare: Stage):
    """With a long hold, nothing but enqueues happens before the kill."""
    bare.environment()
    bare.worker()
    first = bare.operator(FLUID_STATUS_HOLD_SECONDS="10").leading()
    bare.apply(*(work(f"job-{n}", seconds=3) for n in range(10)))
    bare.started(10)
    first.process.kill()
    assert all(job["status"]["phase"] == "Pending" for job in bare.jobs().values())
    bare.operator()
    assert bare.all_end(10) == {"Succeeded": 10}
    assert_each_ran_once(bare, 10)


def test_what_ended_while_no_operator_looked_is_written_when_one_does(stage: Stage):
    stage.apply(*(work(f"job-{n}", seconds=2) for n in range(10)))
    stage.started(10)
    stage._operators[0].process.kill()
    counts = f"{{fluid:{stage.key_prefix}}}:counts"
    until(
        lambda: stage.redis.cli("HGET", counts, "work:completed:work").strip() == "10",
        20,
        "ten jobs have ended in Redis",
    )
    stage.operator()
    assert stage.all_end(10) == {"Succeeded": 10}
    assert_each_ran_once(stage, 10)


def test_a_second_replica_takes_over_in_mid_run(stage: Stage):
    second = stage.operator()
    stage.apply(*(work(f"job-{n}", seconds=5) for n in range(10)))
    stage.started(10)
    stage._operators[0].terminate()
    second.leading(within=10)
    assert stage.all_end(10) == {"Succeeded": 10}
    assert_each_ran_once(stage, 10)


def test_a_leader_frozen_for_three_leases_changes_nothing_when_it_wakes(lonely_stage: Stage):
    """Another replica finishes 500 jobs meanwhile; the frozen one had queued some of them."""
    stage = lonely_stage
    stage.worker(FLUID_CONCURRENCY="100")
    first = stage.operator().leading()
    stage.apply(*(work(f"early-{n}", seconds=1) for n in range(50)))
    stage.started(1)
    first.process.signal(signal.SIGSTOP)
    second = stage.operator().leading()
    frozen_at = time.monotonic()
    stage.apply(*(work(f"late-{n}") for n in range(450)))
    assert stage.all_end(500, within=90) == {"Succeeded": 500}
    until(lambda: time.monotonic() - frozen_at > 9, 20, "three leases are over")
    before = {name: job["metadata"]["resourceVersion"] for name, job in stage.jobs().items()}
    first.process.signal(signal.SIGCONT)
    until(lambda: first.said("Lost the Lease.") or not first.leads, 20, "the first replica knows that it leads no more")
    stage.apply(work("witness"))
    stage.reaches("witness", "Succeeded")
    after = {name: job["metadata"]["resourceVersion"] for name, job in stage.jobs().items() if name != "witness"}
    assert after == before
    assert second.leads
    assert_each_ran_once(stage, 501)


# -- the worker -------------------------------------------------------------------------------------------------------


def test_the_jobs_of_a_killed_worker_run_again_on_another(stage: Stage):
    stage.apply(*(work(f"job-{n}", seconds=4) for n in range(5)))
    stage.started(5)
    stage._workers[0].kill(signal.SIGKILL)
    stage.worker()
    assert stage.all_end(5) == {"Succeeded": 5}
    assert Counter(start.attempt for start in stage.starts()) == {1: 5, 2: 5}
    assert stage.status("job-0")["attemptHistory"][0]["outcome"] == "Stalled"


def test_a_worker_that_is_asked_to_stop_finishes_what_it_has(stage: Stage):
    stage.apply(*(work(f"job-{n}", seconds=2) for n in range(5)))
    stage.started(5)
    stage._workers[0].kill(signal.SIGTERM)
    assert stage.all_end(5) == {"Succeeded": 5}
    assert_each_ran_once(stage, 5)


# -- Redis ------------------------------------------------------------------------------------------------------------


def test_jobs_wait_for_a_redis_that_is_down_at_the_start(lonely_stage: Stage):
    stage = lonely_stage
    stage.redis.stop()
    stage.worker()
    stage.operator().leading()
    stage.apply(work("patient"))
    assert "Redis" in stage.reason("patient", "QueueUnavailable")["message"]
    assert stage.status("patient")["phase"] == "Pending"
    stage.redis.start()
    stage.reaches("patient", "Succeeded")
    assert_each_ran_once(stage, 1)


def test_a_restart_of_redis_in_mid_run_repeats_nothing(own_stage: Stage):
    own_stage.apply(*(work(f"job-{n}", seconds=3) for n in range(20)))
    own_stage.started(20)
    own_stage.redis.restart()
    own_stage.apply(*(work(f"after-{n}") for n in range(5)))
    assert own_stage.all_end(25) == {"Succeeded": 25}
    assert_each_ran_once(own_stage, 25)


def test_an_emptied_redis_costs_running_jobs_one_more_run_and_loses_none(own_stage: Stage):
    stage = own_stage
    stage.apply(
        *(work(f"running-{n}", seconds=3) for n in range(5)),
        *(work(f"later-{n}").spec(startAfter=_soon()) for n in range(5)),
    )
    stage.started(5)
    for n in range(5):
        stage.reaches(f"running-{n}", "Running")
        stage.reaches(f"later-{n}", "Scheduled")
    done = work("done-before")
    stage.apply(done)
    stage.reaches("done-before", "Succeeded")
    stage.redis.cli("FLUSHALL")
    assert stage.all_end(11, within=60) == {"Succeeded": 11}
    runs = Counter(start.job_id for start in stage.starts())
    for name, job in stage.jobs().items():
        assert runs[job["status"]["jobId"]] == (2 if name.startswith("running") else 1), name
    assert stage.status("running-0")["attempts"] == 2  # the number goes on


def _soon() -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + 15))


def test_a_full_redis_refuses_new_jobs_which_wait_and_lets_running_ones_end(own_stage: Stage):
    stage = own_stage
    stage.apply(*(work(f"running-{n}", seconds=2) for n in range(5)))
    stage.started(5)
    stage.redis.cli("CONFIG", "SET", "maxmemory", "1mb")
    stage.apply(work("late"))
    for n in range(5):
        stage.reaches(f"running-{n}", "Succeeded")
    assert stage.status("late")["phase"] == "Pending"
    stage.redis.cli("CONFIG", "SET", "maxmemory", "0")
    stage.reaches("late", "Succeeded")
    assert_each_ran_once(stage, 6)


# -- the API server ---------------------------------------------------------------------------------------------------


def _serving_stage(stage: Stage) -> Stage:
    stage.worker(FLUID_CONCURRENCY="100")
    stage.operator().leading()
    return stage


def test_a_frozen_and_then_restarted_api_server_loses_and_repeats_nothing(lonely_stage: Stage):
    stage = _serving_stage(lonely_stage)
    stage.apply(*(work(f"job-{n}", seconds=5) for n in range(20)))
    stage.started(20)
    stage.cluster.signal_apiserver(signal.SIGSTOP)
    time.sleep(30)  # the number: longer than every lease, shorter than a watch's silence
    stage.cluster.signal_apiserver(signal.SIGCONT)
    stage.apply(*(work(f"thawed-{n}") for n in range(5)))
    assert stage.all_end(25) == {"Succeeded": 25}
    stage.cluster.kill_apiserver()
    stage.cluster.restart_apiserver()
    stage.apply(*(work(f"after-{n}") for n in range(5)))
    assert stage.all_end(30) == {"Succeeded": 30}
    assert_each_ran_once(stage, 30)


def test_a_compacted_history_is_listed_again(lonely_stage: Stage):
    stage = _serving_stage(lonely_stage)
    stage.apply(work("before"))
    stage.reaches("before", "Succeeded")
    stage.cluster.kill_apiserver()
    stage.cluster.compact_etcd()
    stage.cluster.restart_apiserver()
    stage.apply(work("after"))
    stage.reaches("after", "Succeeded")
    assert_each_ran_once(stage, 2)


def test_an_etcd_restored_from_before_500_jobs_ended_runs_none_of_them_again(lonely_stage: Stage, tmp_path):
    """The operator is not restarted, and the revisions are not bumped: the API server hands out numbers that were
    used before."""
    stage = _serving_stage(lonely_stage)
    stage.apply(work("first"))
    stage.reaches("first", "Succeeded")
    stage.apply(*(work(f"job-{n}").spec(suspend=True) for n in range(500)))
    until(
        lambda: Counter(job["status"]["phase"] for job in stage.jobs().values())["Suspended"] == 500, 60, "500 are held"
    )
    stage.cluster.save_etcd(tmp_path / "backup")
    _release(stage)
    assert stage.all_end(501, within=120) == {"Succeeded": 501}
    assert_each_ran_once(stage, 501)
    stage.cluster.restore_etcd(tmp_path / "backup")
    assert all(job["spec"]["suspend"] for name, job in stage.jobs().items() if name != "first")
    _release(stage)
    assert stage.all_end(501, within=120) == {"Succeeded": 501}
    stage.apply(work("later"))
    stage.reaches("later", "Succeeded")
    stage.apply(work("first", value="changed"))
    stage.reaches("first", "Succeeded", run=2)
    assert_each_ran_once(stage, 503)


def test_an_etcd_restored_from_the_middle_of_500_runs_repeats_none(lonely_stage: Stage, tmp_path):
    """As above, but the backup holds objects that were Pending and Queued: nobody releases them again, the operator
    must find out."""
    stage = lonely_stage
    stage.worker(FLUID_CONCURRENCY="100")
    stage.apply(*(work(f"job-{n}") for n in range(500)))
    stage.cluster.save_etcd(tmp_path / "backup")
    stage.operator().leading()
    assert stage.all_end(500, within=120) == {"Succeeded": 500}
    stage.cluster.restore_etcd(tmp_path / "backup")
    assert stage.all_end(500, within=120) == {"Succeeded": 500}
    stage.apply(work("later"))
    stage.reaches("later", "Succeeded")
    assert_each_ran_once(stage, 501)


def _release(stage: Stage) -> None:
    stage.apply(*(work(f"job-{n}").spec(suspend=False) for n in range(500)))


def test_a_dropped_watch_is_noticed(lonely_stage: Stage):
    """Every connection of the operator is cut, again and again, while jobs come and go."""
    stage = _serving_stage(lonely_stage)
    for turn in range(3):
        stage.apply(*(work(f"turn-{turn}-{n}") for n in range(5)))
        stage.cluster.kill_apiserver()
        stage.cluster.restart_apiserver()
    assert stage.all_end(15, within=90) == {"Succeeded": 15}
    assert_each_ran_once(stage, 15)


async def test_a_stale_worker_cannot_end_a_job_that_was_given_to_another(stage: Stage):
    """The first worker is frozen past its lease, the second succeeds, the first wakes up and is refused."""
    stage.apply(work("contested", seconds=3))
    await asyncio.to_thread(stage.started, 1)
    stage._workers[0].kill(signal.SIGSTOP)
    stage.worker()
    await asyncio.to_thread(stage.started, 2)
    stage._workers[0].kill(signal.SIGCONT)
    status = await asyncio.to_thread(stage.reaches, "contested", "Succeeded")
    assert status["attempts"] == 2
    assert status["phase"] in ENDED
