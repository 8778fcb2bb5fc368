"""How the FluidJobs' benchmark counts: time, requests, processes, and what its goals are."""

import os
from pathlib import Path

import pytest

from benchmarks.common import goals
from benchmarks.common.measures import Results
from benchmarks.common.report import rows
from benchmarks.jobs import measures, report, requests, usage
from benchmarks.jobs.loads import FULL, LOADS
from benchmarks.jobs.measures import COMPONENTS, CPU_MEASURES, RSS_MEASURES, UNITS
from benchmarks.jobs.requests import Request
from benchmarks.jobs.sides import BARE, FLUID, NATIVE, NATIVE_TUNED, US
from benchmarks.jobs.usage import Usage

GOALS = Path(measures.__file__).parent / "goals.yaml"
SECOND = 1_000_000_000

METRICS = """\
# TYPE apiserver_request_total counter
apiserver_request_total{code="200",group="jobs",resource="fluidjobs",subresource="status",verb="PATCH"} 9
apiserver_request_total{code="409",group="jobs",resource="fluidjobs",subresource="status",verb="PATCH"} 2
apiserver_request_total{code="201",group="jobs",resource="fluidjobs",subresource="",verb="POST"} 1e+01
apiserver_request_total{code="200",group="jobs",resource="fluidjobs",subresource="",verb="LIST"} 3
apiserver_request_duration_seconds_count{resource="fluidjobs",subresource="",verb="POST"} 10
"""
PATCH = Request("PATCH", "fluidjobs", "status")
POST = Request("POST", "fluidjobs", "")
LIST = Request("LIST", "fluidjobs", "")


def test_a_burst_lasts_from_the_first_create_to_the_last_complete():
    created = {"a": 5 * SECOND, "b": 6 * SECOND}
    completed = {"b": 9 * SECOND, "a": 8 * SECOND}
    assert measures.throughput(created, completed) == 0.5


def test_the_wait_of_a_job_is_its_own():
    assert measures.waits({"a": 1 * SECOND, "b": 2 * SECOND}, {"b": 2_250_000_000, "a": 1_500_000_000}) == [500, 250]


def test_requests_are_counted_by_verb_and_subresource_whatever_the_answer_was():
    assert requests.read(METRICS) == {PATCH: 11, POST: 10, LIST: 3}


def test_only_what_was_asked_between_two_readings_counts():
    assert requests.since({PATCH: 5, POST: 10}, {PATCH: 11, POST: 10, LIST: 3}) == {PATCH: 6, LIST: 3}


def test_reads_are_requests_and_no_writes():
    found = measures.request_measures({PATCH: 11, POST: 10, LIST: 3}, "fluidjobs", 10)
    assert found == {
        "burst_5000_requests": 2.4,
        "burst_5000_writes": 2.1,
        "burst_5000_status_writes": 1.1,
    }


def test_the_status_of_another_resource_is_not_that_of_the_job():
    pods = Request("PATCH", "pods", "status")
    assert requests.status_writes({pods: 7, Request("PUT", "jobs", "status"): 3, PATCH: 2}, "jobs") == 3


def test_requests_are_told_by_how_often_a_job_needs_them():
    assert requests.told({LIST: 1, POST: 1000, PATCH: 1040}, 1000) == "PATCH fluidjobs/status 1.04, POST fluidjobs 1.00"


def test_a_process_is_read_also_when_its_name_has_spaces_and_parentheses():
    ticks = os.sysconf("SC_CLK_TCK")
    stat = f"7 (a (b) c) S 1 7 7 0 -1 0 0 0 0 0 {2 * ticks} {ticks} 0 0 20 0 1 0 99 0 0"
    status = "Name:\ta\nVmHWM:\t    2048 kB\nVmRSS:\t    1024 kB\nThreads:\t1\n"
    assert usage.parse(stat, status) == Usage(3.0, 1024 * 1024, 2048 * 1024)


def test_this_process_has_used_cpu_and_memory():
    mine = usage.of(os.getpid())
    assert mine.cpu_seconds > 0
    assert 0 < mine.rss_bytes <= mine.peak_bytes


def test_the_cost_of_a_load_is_what_components_used_meanwhile_and_helpers_are_in_no_sum():
    before = {"apiserver": Usage(10.0, 0, 0), "operator": Usage(1.0, 0, 0)}
    after = {"apiserver": Usage(12.0, 0, 300_000_000), "operator": Usage(1.5, 0, 100_000_000)}
    found = measures.cost_measures(before, after, {"client": 4.0, "watcher": 1.0}, 1000)
    assert found["burst_5000_cpu"] == pytest.approx(2.5)
    assert found["burst_5000_rss"] == pytest.approx(400)
    assert found[CPU_MEASURES["operator"]] == pytest.approx(0.5)
    assert found[CPU_MEASURES["client"]] == pytest.approx(4.0)
    assert found[RSS_MEASURES["apiserver"]] == pytest.approx(300)
    assert found.keys() <= UNITS.keys()


def test_series_of_one_metric_are_summed():
    text = '# HELP a A.\na{phase="Running"} 2.0\na{phase="Failed"} 3.0\nb 1.0\n'
    assert measures.series_sums(text) == {"a": 5.0, "b": 1.0}


def test_the_goals_of_the_file_are_readable_and_those_of_the_design():
    found = {(each.name, each.peer): (str(each.must), str(each.stretch)) for each in goals.read(GOALS, UNITS)}
    assert found["burst_1000", NATIVE.name] == found["burst_5000", NATIVE.name] == (">= 5x", "None")
    assert found["burst_1000", BARE.name] == found["burst_5000", BARE.name] == ("None", ">= 0.7x")
    assert found["burst_5000_status_writes", None] == ("<= 1.3", "<= 1.05")
    assert found["steady_p50", NATIVE.name] == ("<= 0.0333x", "<= 0.0167x")
    assert found["objects_operator_rss", None][0] == "<= 150"
    assert found["objects_restart", None][0] == "<= 10"
    assert found["indexes_status_writes", None][0] == "<= 1"


def test_every_goal_is_judged_by_a_full_run():
    measured = {name: side.name for name, load in LOADS.items() for side in load.sides}
    assert set(measured) == {"burst_1000", "burst_5000", "steady", "objects", "indexes", "fairness"}
    for goal in goals.read(GOALS, UNITS):
        load = next(load for name, load in LOADS.items() if goal.name.startswith(name))
        assert {US, goal.peer or US} <= {side.name for side in load.sides}


def test_a_full_run_measures_what_its_measures_are_named_after():
    assert (FULL.small_burst, FULL.large_burst, FULL.objects, FULL.indexes) == (1_000, 5_000, 20_000, 100_000)
    assert FULL.objects % FULL.object_namespaces == 0


def test_whoever_is_judged_by_the_small_burst_makes_it_as_often_as_we_do():
    small = LOADS["burst_1000"]
    assert {small.repetitions(side, 3) for side in (FLUID, NATIVE, NATIVE_TUNED, BARE)} == {3}


def test_only_native_jobs_make_the_large_burst_once():
    large = LOADS["burst_5000"]
    assert {side.name: large.repetitions(side, 3) for side in large.sides} == {US: 3, NATIVE.name: 1, BARE.name: 3}


def test_loads_that_last_long_enough_by_themselves_are_not_repeated():
    others = [load for name, load in LOADS.items() if not name.startswith("burst")]
    assert {load.repetitions(side, 3) for load in others for side in load.sides} == {1}


def test_a_component_that_only_we_have_is_a_row_without_peer():
    found = Results()
    found.add(FLUID.name, {CPU_MEASURES["operator"]: 1.2, CPU_MEASURES["etcd"]: 0.4})
    found.add(NATIVE.name, {CPU_MEASURES["etcd"]: 2.0})
    told = {(row.name, row.peer) for row in rows(found, [], US, UNITS)}
    assert told == {(CPU_MEASURES["operator"], None), (CPU_MEASURES["etcd"], NATIVE.name)}


def test_the_table_of_components_has_one_line_for_each():
    found = Results()
    found.add(FLUID.name, {CPU_MEASURES["operator"]: 1.25})
    shown = report.components(found)
    assert shown.row_count == len(COMPONENTS) + len(measures.HELPERS)
    assert "1.25" in list(shown.columns[1].cells)
