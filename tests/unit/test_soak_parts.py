"""The soak's other pure parts: what may be lost on everysec, the jobs and faults of a seed, and the witness's lines."""

from itertools import pairwise

import pytest

from soak.faults import schedule
from soak.losses import Era, Written, weigh
from soak.plan import PlannedJob, plan
from soak.witness import Pen, parse, read

SECOND = 1_000_000
T0 = 1_700_000_000 * SECOND

JOB = PlannedJob(name="job-1", kind="no-op")


def test_a_write_that_was_lost_within_two_seconds_of_the_kill_is_counted_and_an_older_one_breaks_the_promise():
    young, old = Written("a", "enqueue", T0 - SECOND), Written("b", "enqueue", T0 - 3 * SECOND)
    assert weigh([Era(T0, [young], {})], [], {}).lost == {"enqueue": 1, "finish": 0}
    assert weigh([Era(T0, [young], {})], [], {}).good
    broken = weigh([Era(T0, [young, old], {"a": "waiting"})], [], {})
    assert [problem.job for problem in broken.problems] == ["b"]
    assert broken.oldest_loss == 3


def test_a_finish_is_lost_when_its_job_is_not_completed_any_more():
    written = [Written("a", "finish", T0 - 5 * SECOND)]
    assert not weigh([Era(T0, written, {"a": "active"})], [], {}).good
    assert weigh([Era(T0, written, {"a": "completed"})], [], {}).good


@pytest.mark.parametrize("phase", ["Queued", "Cancelled", None])
def test_a_fluid_job_without_the_right_end_breaks_the_promise(phase):
    objects = {"job-1": {"status": {"phase": phase}}} if phase else {}
    assert not weigh([], [JOB], objects).good
    assert weigh([], [JOB], {"job-1": {"status": {"phase": "Succeeded"}}}).good


def test_a_seed_gives_the_same_jobs_and_the_same_faults():
    assert list(plan(7, 500, prefix="x")) == list(plan(7, 500, prefix="x"))
    assert list(plan(7, 500, prefix="x")) != list(plan(8, 500, prefix="x"))
    assert schedule(7, 180, 3) == schedule(7, 180, 3)
    assert schedule(7, 180, 3) != schedule(8, 180, 3)


@pytest.mark.parametrize("seed", range(20))
def test_three_minutes_have_at_least_twenty_faults_of_all_kinds(seed):
    faults = schedule(seed, 180, 3)
    assert len(faults) >= 20
    assert {fault.target for fault in faults} == {"worker", "operator", "redis"}
    assert {fault.blow for fault in faults} == {"kill", "drain", "short freeze", "long freeze"}
    assert any(fault.seconds > 3 for fault in faults)
    assert any(0 < fault.seconds < 3 for fault in faults)
    assert all(earlier.at < later.at < 180 for earlier, later in pairwise(faults))


def test_a_witness_keeps_what_two_workers_saw_in_the_order_of_time(tmp_path):
    times = iter(range(1, 5))
    first, second = (Pen(tmp_path, name, lambda: next(times)) for name in ("w1", "w2"))
    first.write("start", "a", 1, T0)
    second.write("start", "b", 1, T0)
    first.write("ok", "a", 1, T0)
    assert read(tmp_path) == [parse(f"1 start a 1 {T0} w1"), parse(f"2 start b 1 {T0} w2"), parse(f"3 ok a 1 {T0} w1")]
