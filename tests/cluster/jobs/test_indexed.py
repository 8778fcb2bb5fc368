"""Jobs with indexes: one object, one run for each of them, counted in the status."""

import json
from collections import Counter

import pytest

from support.stages import Stage, work
from support.waiting import until


def indexes(stage: Stage, run: int = 1) -> Counter[int]:
    """How often each index of a run was started."""
    started = [start.job_id.split(".") for start in stage.starts()]
    return Counter(int(parts[2]) for parts in started if len(parts) == 3 and parts[1] == str(run))


def config_map(stage: Stage, name: str, **data: str) -> None:
    manifest = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": data}
    stage.kubectl("apply", "-f", "-", input=json.dumps(manifest))


@pytest.mark.field("spec.completions", "effect")
def test_a_job_with_completions_runs_once_for_each_index(stage: Stage):
    stage.apply(work("many").spec(completions=20, parallelism=3))
    status = stage.reaches("many", "Succeeded")
    assert indexes(stage) == Counter(range(20))
    assert (status["succeeded"], status["failed"], status["active"]) == (20, 0, 0)
    assert status["completedIndexes"] == "0-19"
    assert "20 of 20 indexes succeeded" in stage.condition("many")["message"]


@pytest.mark.field("spec.items", "effect")
def test_items_are_merged_over_the_payload(stage: Stage):
    stage.apply(work("some", value="base").spec(items=[{"value": "a"}, {}, {"value": "c"}]))
    stage.reaches("some", "Succeeded")
    assert Counter(start.value for start in stage.starts()) == Counter(["a", "base", "c"])


def test_an_item_that_does_not_fit_ends_the_job_and_is_named(stage: Stage):
    stage.apply(work("misfit").spec(items=[{"value": "a"}, {"seconds": "long"}]))
    assert "spec.items[1].seconds" in stage.reaches("misfit", "Failed")["error"]["message"]
    assert stage.starts() == []


@pytest.mark.parametrize("spec", [{"completions": 0}, {"items": []}], ids=["completions", "items"])
def test_a_job_without_an_index_has_succeeded(stage: Stage, spec):
    stage.apply(work("none").spec(**spec))
    status = stage.reaches("none", "Succeeded")
    assert status["succeeded"] == 0
    assert stage.starts() == []


def test_items_come_from_lines_of_config_maps(stage: Stage):
    config_map(stage, "one", lines='{"value":"a"}\n\n{"value":"b"}\n')
    config_map(stage, "two", lines='{"value":"c"}')
    refs = [{"configMapKeyRef": {"name": name, "key": "lines"}} for name in ("one", "two")]
    stage.apply(work("read").spec(itemsFrom=refs))
    assert stage.reaches("read", "Succeeded")["succeeded"] == 3
    assert Counter(start.value for start in stage.starts()) == Counter("abc")


def test_a_line_that_is_no_object_is_named_without_its_value(stage: Stage):
    config_map(stage, "bad", lines='{"value":"a"}\nsk_live_value\n')
    stage.apply(work("bad").spec(itemsFrom=[{"configMapKeyRef": {"name": "bad", "key": "lines"}}]))
    message = stage.reaches("bad", "Failed")["error"]["message"]
    assert "ConfigMap bad, key lines, line 2" in message
    assert "sk_live" not in json.dumps(stage.job("bad"))


def test_a_retry_runs_the_failed_indexes_alone(stage: Stage):
    items = [{"value": "good"}, {"value": "bad", "succeedAt": 9}, {"value": "good"}]
    stage.apply(work("mixed").spec(items=items, backoffLimit=0))
    status = stage.reaches("mixed", "Failed")
    assert (status["completedIndexes"], status["failedIndexes"]) == ("0,2", "1")
    stage.ask("fj/mixed", "retry")
    status = stage.reaches("mixed", "Failed", run=2)
    assert (status["succeeded"], status["failed"], status["completedIndexes"]) == (2, 1, "0,2")
    assert indexes(stage, 1) == Counter([0, 1, 2])
    assert indexes(stage, 2) == Counter([1])


def test_a_new_spec_runs_all_indexes(stage: Stage):
    stage.apply(work("twice").spec(completions=2))
    stage.reaches("twice", "Succeeded")
    stage.apply(work("twice").spec(completions=2, runId="again"))
    stage.reaches("twice", "Succeeded", run=2)
    assert indexes(stage, 2) == Counter([0, 1])


@pytest.mark.field("spec.maxFailedIndexes", "effect")
def test_no_index_starts_any_more_when_too_many_have_failed(stage: Stage):
    items = [{"succeedAt": 9}] * 3 + [{}] * 50
    stage.apply(work("doomed").spec(items=items, backoffLimit=0, parallelism=1, maxFailedIndexes=1))
    status = stage.reaches("doomed", "Failed")
    assert status["failed"] == 2
    assert sum(indexes(stage).values()) < 10


def test_the_rest_of_a_cancelled_job_does_not_start(stage: Stage):
    stage.apply(work("long", seconds=0.3).spec(completions=200, parallelism=2))
    until(lambda: stage.status("long").get("succeeded", 0) >= 2, 30, "some indexes have ended")
    stage.ask("fj/long", "cancel")
    status = stage.reaches("long", "Cancelled")
    assert 2 <= status["succeeded"] < 200
    started = sum(indexes(stage).values())
    stage.apply(work("witness"))
    stage.reaches("witness", "Succeeded")
    assert sum(indexes(stage).values()) == started


def test_a_suspended_job_holds_the_rest_and_goes_on_where_it_was(stage: Stage):
    stage.apply(work("long", seconds=0.2).spec(completions=30, parallelism=3))
    until(lambda: stage.status("long").get("succeeded", 0) >= 3, 30, "some indexes have ended")
    stage.ask("fj/long", "suspend")
    held = stage.reaches("long", "Suspended")
    assert 3 <= held["succeeded"] < 30
    stage.ask("fj/long", "resume")
    assert stage.reaches("long", "Succeeded", within=60)["completedIndexes"] == "0-29"
    # What was stopped in the middle runs again, and nothing else does.
    assert max(indexes(stage).values()) <= 2


def test_indexes_that_are_done_stay_done_when_redis_has_lost_everything(own_stage: Stage):
    own_stage.apply(work("long", seconds=0.3).spec(completions=40, parallelism=2))
    until(lambda: own_stage.status("long").get("succeeded", 0) >= 6, 30, "some indexes have ended")
    own_stage.redis.cli("FLUSHALL")
    assert own_stage.reaches("long", "Succeeded", within=90)["completedIndexes"] == "0-39"
    again = indexes(own_stage)
    assert again[0] == 1, "the first had ended, and its status was written"
    assert sum(again.values()) < 60


def test_a_job_that_git_suspends_and_releases_repeats_nothing_that_is_done(stage: Stage):
    items = [{"succeedAt": 9}] + [{"seconds": 0.1}] * 99
    job = work("long").spec(items=items, parallelism=3, backoffLimit=0)
    stage.apply(job)
    until(lambda: stage.status("long").get("succeeded", 0) >= 10, 30, "some indexes have ended")
    stage.apply(job.spec(suspend=True))
    stage.reaches("long", "Suspended")
    stage.apply(job.spec(suspend=False))
    assert stage.reaches("long", "Failed", within=60)["failed"] == 1
    again = [index for index, times in indexes(stage).items() if times > 1]
    assert len(again) <= 3, "only those that were stopped in the middle"
    assert 0 not in again, "the one that had failed"


def test_a_new_spec_of_a_suspended_job_runs_all_its_indexes(stage: Stage):
    job = work("long", seconds=0.3, value="old").spec(completions=30, parallelism=2)
    stage.apply(job)
    until(lambda: stage.status("long").get("succeeded", 0) >= 4, 30, "some indexes have ended")
    stage.apply(job.spec(suspend=True))
    stage.reaches("long", "Suspended")
    stage.apply(work("long", seconds=0, value="new").spec(completions=30, parallelism=2))
    stage.reaches("long", "Succeeded", within=60)
    assert Counter(start.value for start in stage.starts())["new"] == 30


def test_a_held_job_keeps_its_indexes_when_redis_has_lost_everything(own_stage: Stage):
    own_stage.apply(work("long", seconds=0.3).spec(completions=20, parallelism=2))
    until(lambda: own_stage.status("long").get("succeeded", 0) >= 6, 30, "some indexes have ended")
    own_stage.ask("fj/long", "suspend")
    own_stage.reaches("long", "Suspended")
    own_stage.redis.cli("FLUSHALL")
    own_stage.apply(work("witness"))
    own_stage.reaches("witness", "Succeeded", within=60)
    own_stage.ask("fj/long", "resume")
    own_stage.reaches("long", "Succeeded", within=90)
    assert indexes(own_stage)[0] == 1


def test_a_retry_that_has_to_wait_still_runs_the_failed_indexes_alone(own_stage: Stage):
    items = [{"value": "good"}, {"value": "bad", "succeedAt": 9}, {"value": "good"}]
    own_stage.apply(work("mixed").spec(items=items, backoffLimit=0))
    own_stage.reaches("mixed", "Failed")
    own_stage.redis.stop()
    own_stage.apply(work("witness"))
    own_stage.reason("witness", "QueueUnavailable")
    own_stage.ask("fj/mixed", "retry")
    own_stage.reason("mixed", "QueueUnavailable")
    own_stage.redis.start()
    own_stage.reaches("mixed", "Failed", run=2, within=60)
    assert indexes(own_stage, 2) == Counter([1])
