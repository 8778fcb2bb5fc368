"""The queue's benchmark with ours alone and few jobs: every load works on the real parts, and says what it measured."""

from dataclasses import replace

import pytest

from benchmarks.common.errors import SideFailed
from benchmarks.queue.catalogue import Side, fluid
from benchmarks.queue.loads import LOADS, QUICK, recovery
from benchmarks.queue.measures import UNITS
from benchmarks.queue.stage import Stage
from support.folders import fresh_folder

TINY = replace(QUICK, enqueued=100, processed=100, probes=10, probe_seconds=5.0)


@pytest.fixture
def stage():
    with Stage(fresh_folder("bench")) as stage:
        yield stage


@pytest.mark.parametrize("load", LOADS)
def test_a_load_measures_what_it_is_named_after(stage, load):
    measured = LOADS[load](stage, fluid(), TINY)
    assert measured
    assert set(measured) <= set(UNITS)
    assert all(value > 0 for value in measured.values())


def test_a_killed_workers_jobs_are_seen_to_run_again(stage):
    found = recovery(stage, [fluid()], TINY)
    assert found.median("recovery_lost", "fluid jobs") == 0
    assert 0 < (found.median("recovery", "fluid jobs") or 0) < TINY.recovery_cap


def test_a_side_whose_worker_ends_is_named_with_its_log(stage):
    broken = replace(fluid(), worker=lambda *_: [["sh", "-c", "echo out of order; exit 3"]])
    with pytest.raises(SideFailed, match=r"fluid jobs: its worker ended with 3.*\n.*out of order"):
        LOADS["noop_concurrency_10"](stage, broken, TINY)


def test_a_side_whose_producer_ends_is_named_with_its_log(stage):
    broken: Side = replace(fluid(), producer=("sh", "-c", "echo no such queue >&2"))
    with pytest.raises(SideFailed, match=r"fluid jobs: its producer ended.*\n.*no such queue"):
        LOADS["enqueue"](stage, broken, TINY)
