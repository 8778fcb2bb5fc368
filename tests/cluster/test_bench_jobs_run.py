"""The two processes of the FluidJobs' benchmark, on a real API server: one creates, one sees the jobs Complete."""

import json

import pytest

from benchmarks.common.errors import SideFailed
from benchmarks.jobs import requests
from benchmarks.jobs.helpers import Helper
from benchmarks.jobs.processes.orders import Creation, Watching
from benchmarks.jobs.requests import Request
from support.folders import fresh_folder

COUNT = 30


def condition(kind):
    time = "2026-11-24T12:00:00.000000Z"
    return {"type": kind, "status": "True", "reason": kind, "message": f"it is {kind}", "lastTransitionTime": time}


def finished(kind, phase):
    return {"phase": phase, "observedGeneration": 1, "conditions": [condition(kind)]}


@pytest.fixture
def helpers(cluster, namespace):
    """Makes a watcher and a creator of FluidJobs in the test's namespace."""
    log = fresh_folder("bench") / "helpers.log"
    where = {"kubeconfig": str(cluster.kubeconfig), "namespace": namespace, "side": "bare", "prefix": "job"}

    def make(**creation):
        watching = Watching(**where, count=COUNT)
        creating = Creation(**where, count=COUNT, concurrency=8, **creation)
        return Helper(watching, log, lambda: None), Helper(creating, log, lambda: None)

    return make


def names(cluster, namespace):
    listed = json.loads(cluster.kubectl(f"--namespace={namespace}", "get", "fluidjobs", "--output=json"))
    return {each["metadata"]["name"] for each in listed["items"]}


def test_every_job_is_created_and_seen_complete_after_that(helpers, cluster, namespace):
    watcher, creator = helpers(status=finished("Complete", "Succeeded"))
    with watcher, creator:
        completed, created = watcher.answer(60).moments, creator.answer(60).moments
    assert created.keys() == completed.keys() == names(cluster, namespace)
    assert all(created[name] < completed[name] for name in created)


def test_jobs_are_created_at_the_rate_that_was_ordered(helpers):
    watcher, creator = helpers(status=finished("Complete", "Succeeded"), per_second=20.0)
    with watcher, creator:
        moments = sorted(creator.answer(60).moments.values())
    assert moments[-1] - moments[0] >= (COUNT - 1) / 20 * 1e9 * 0.9


def test_a_job_that_fails_ends_the_load_and_is_named(helpers):
    watcher, creator = helpers(status=finished("Failed", "Failed"))
    with watcher, creator, pytest.raises(SideFailed, match=r"watcher: job-\d+ failed: it is Failed"):
        watcher.answer(60)


def test_a_refused_create_ends_the_load_and_says_why(helpers):
    watcher, creator = helpers(status={"phase": "NoSuchPhase"})
    with watcher, creator, pytest.raises(SideFailed, match=r"creator: .*NoSuchPhase"):
        creator.answer(60)


def test_the_api_server_tells_what_it_was_asked(helpers, cluster, namespace):
    before = requests.read(cluster.get("/metrics").decode())
    watcher, creator = helpers(status=finished("Complete", "Succeeded"))
    with watcher, creator:
        watcher.answer(60)
        creator.answer(60)
    asked = requests.since(before, requests.read(cluster.get("/metrics").decode()))
    # Others may use this API server at the same time, but not fewer requests than ours.
    assert asked[Request("POST", "fluidjobs", "")] >= COUNT
    assert requests.status_writes(asked, "fluidjobs") >= COUNT
