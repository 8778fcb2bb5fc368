"""What ten thousands of FluidJobs cost in memory: few bytes each, large specs never, and nothing twice on a re-list."""

import gc
import tracemalloc
from collections.abc import Callable, Iterable
from typing import Any

import orjson
import pytest

from fluid_operator.jobs.view import REMEMBERED_BYTES, JobView, project, remember
from fluid_operator.kube.cache import Cache
from fluid_operator.kube.keys import ObjectKey

COUNT = 1_000
FINISHED_BYTES = 1_200
"""For one finished FluidJob, keys and indexes included: 20,000 of them take 24 MB of the 60 MB that are left beside the
libraries."""


def finished(number: int, *, succeeded: bool = True) -> dict[str, Any]:
    uid = f"{number:08x}-0000-4000-8000-000000000000"
    meta = {
        "namespace": "team-a",
        "name": f"sync-feed-{number}",
        "uid": uid,
        "resourceVersion": str(100_000 + number),
        "generation": 1,
        "creationTimestamp": "2026-11-24T06:00:00Z",
        "managedFields": [{"manager": "kubectl", "fieldsV1": {f"f:{n}": {} for n in range(40)}}],
    }
    status = {
        "observedGeneration": 1,
        "phase": "Succeeded" if succeeded else "Failed",
        "run": 1,
        "jobId": f"{uid}.1",
        "specHash": f"v1:{number:064x}",
        "environment": "default",
        "attempts": 1,
        "completionTime": "2026-11-24T06:00:01.5Z",
        "result": {"text": "x" * 500},
        "conditions": [{"type": "Ready", "status": "True", "reason": "Succeeded", "lastTransitionTime": "2026-11-24"}],
    }
    return {"metadata": meta, "spec": {"type": "sync", "payload": {"text": "y" * 500}}, "status": status}


def fired(number: int) -> dict[str, Any]:
    raw = finished(number)
    raw["metadata"] |= {
        "name": f"sync-feeds-{number:x}",
        "labels": {"jobs.fluidcalendar.com/schedule": "sync-feeds"},
        "annotations": {"jobs.fluidcalendar.com/scheduled-time": "2026-11-24T06:00:00Z"},
        "ownerReferences": [
            {
                "apiVersion": "jobs.fluidcalendar.com/v1alpha1",
                "kind": "FluidSchedule",
                "name": "sync-feeds",
                "uid": "5e0d0000-0000-4000-8000-000000000000",
                "controller": True,
            }
        ],
    }
    return raw


def pending(number: int, text: str) -> dict[str, Any]:
    raw = finished(number)
    return {**raw, "spec": {"type": "sync", "payload": {"text": text}}, "status": {"phase": "Pending"}}


def parsed(objects: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """As the client hands them over: with strings of their own."""
    return [orjson.loads(orjson.dumps(each)) for each in objects]


def cost(fill: Callable[[], Any]) -> tuple[int, Any]:
    """Bytes that are held because of what `fill` made, while its answer is kept."""
    gc.collect()
    tracemalloc.start()
    try:
        kept = fill()
        gc.collect()
        return tracemalloc.get_traced_memory()[0], kept
    finally:
        tracemalloc.stop()


def filled(objects: Iterable[dict[str, Any]]) -> Cache[JobView]:
    cache: Cache[JobView] = Cache(remember, lambda key, old, new: None)
    listed = {key: entry for each in objects for key, entry in cache.prepare(parsed([each]))}
    cache.replace("", listed, 200_000)
    return cache


@pytest.mark.parametrize("kind", [finished, fired], ids=["by itself", "of a schedule"])
def test_a_finished_job_takes_about_a_kilobyte(kind: Callable[[int], dict[str, Any]]):
    taken, cache = cost(lambda: filled(map(kind, range(COUNT))))
    assert len(cache) == COUNT
    assert taken / COUNT < FINISHED_BYTES


def test_a_large_spec_that_cannot_be_enqueued_yet_takes_no_more_than_a_small_one():
    taken, cache = cost(lambda: filled(pending(n, "z" * 20_000) for n in range(100)))
    assert all(view.abridged for _, view in cache.items())
    assert taken / 100 < FINISHED_BYTES


def test_a_list_of_what_is_known_already_is_not_held_twice():
    cache = filled(map(finished, range(COUNT)))
    taken, listed = cost(lambda: dict(cache.prepare(parsed(map(finished, range(COUNT))))))
    assert len(listed) == COUNT
    assert taken / COUNT < 250


def test_what_has_changed_since_the_last_list_is_taken_from_the_new_one():
    cache = filled(map(finished, range(3)))
    changed = finished(1, succeeded=False)
    cache.replace("", dict(cache.prepare([finished(0), changed, finished(2)])), 200_001)
    assert [view.phase for _, view in cache.items()] == ["Succeeded", "Failed", "Succeeded"]


def test_an_answer_to_our_own_write_during_a_list_does_not_change_what_was_listed():
    """The answer may come from before a restore of etcd: the list is the truth."""
    cache = filled([finished(1)])
    listed = dict(cache.prepare([finished(1)]))
    ours = finished(1, succeeded=False)
    ours["metadata"]["resourceVersion"] = "300000"
    assert cache.observe("", ours)
    cache.replace("", listed, 150_000)
    view = cache.get(ObjectKey("team-a", "sync-feed-1"))
    assert view is not None
    assert view.phase == "Succeeded"


@pytest.mark.parametrize(("text", "kept"), [("z" * (REMEMBERED_BYTES - 100), True), ("z" * REMEMBERED_BYTES, False)])
def test_a_spec_is_remembered_up_to_a_size(text: str, kept: bool):
    raw = pending(1, text)
    view = remember(raw)
    assert (view.spec is not None, view.abridged) == (kept, not kept)
    assert project(raw).spec == raw["spec"]


def test_objects_of_other_owners_are_neither_kept_nor_told():
    told: list[str] = []
    cache: Cache[JobView] = Cache(
        remember, lambda key, old, new: told.append(key.name), owns=lambda key: key.name.endswith("1")
    )
    cache.replace("", dict(cache.prepare([finished(1), finished(2)])), 200_000)
    later = [finished(number) for number in (3, 11)]
    for number, raw in enumerate(later):
        raw["metadata"]["resourceVersion"] = str(200_001 + number)
        cache.apply("", "ADDED", raw)
    assert (
        cache.observe("", {**finished(4), "metadata": {**finished(4)["metadata"], "resourceVersion": "300000"}})
        is False
    )
    assert told == ["sync-feed-1", "sync-feed-11"]
    assert cache.position("") == 200_002
