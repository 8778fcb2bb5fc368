"""What the operator tells of itself: log lines and series."""

import io
import json
import logging

import pytest

from fluid_operator.api.fluidjob_status import Phase
from fluid_operator.kopf_logs import KopfFacts
from fluid_operator.kube.client import Call
from fluid_operator.kube.keys import ObjectKey
from fluid_operator.kube.throttle import Throttle, ThrottleSettings
from fluid_operator.kube.workqueue import Reconciled, WorkQueue
from fluid_operator.metrics import Metrics
from fluid_queue.logs import JsonFormatter


@pytest.fixture
def logged():
    """Gives a function that logs one record as the operator does and returns the line as JSON values."""

    def log(**extra):
        stream = io.StringIO()
        handler = logging.StreamHandler(stream)
        handler.setFormatter(JsonFormatter({"replica": "r1"}))
        handler.addFilter(KopfFacts())
        logger = logging.getLogger("probe-of-operator-logs")
        logger.handlers[:], logger.propagate = [handler], False
        logger.warning("told", extra=extra)
        return json.loads(stream.getvalue())

    return log


def test_a_line_names_the_object_it_is_about(logged):
    line = logged(fields={"namespace": "team-a", "name": "mail-1", "uid": "u1", "job": "u1.1"})
    assert line.pop("time").endswith("Z")
    assert line == {
        "level": "warning",
        "logger": "probe-of-operator-logs",
        "message": "told",
        "replica": "r1",
        "namespace": "team-a",
        "name": "mail-1",
        "uid": "u1",
        "job": "u1.1",
    }


def test_a_line_of_kopf_names_the_object_in_the_same_fields(logged):
    reference = {"apiVersion": "v1", "kind": "FluidEnvironment", "namespace": "team-a", "name": "default", "uid": "u2"}
    line = logged(k8s_ref=reference, k8s_skip=True, settings=object())
    assert (line["namespace"], line["name"], line["uid"]) == ("team-a", "default", "u2")
    assert {"k8s_ref", "k8s_skip", "settings"}.isdisjoint(line)


def value(metrics, name, **labels):
    return metrics.registry.get_sample_value(name, labels)


def test_series_with_known_labels_exist_as_zero_from_the_start():
    metrics = Metrics()
    for phase in Phase:
        assert value(metrics, "fluid_operator_fluidjob_status_writes_total", phase=phase.value) == 0
        assert value(metrics, "fluid_operator_fluidjobs", phase=phase.value) == 0
    for controller in ("jobs", "environments", "schedules"):
        assert value(metrics, "fluid_operator_reconciles_total", controller=controller, result="retry") == 0
        assert value(metrics, "fluid_operator_workqueue_depth", controller=controller, state="waiting") == 0
        assert value(metrics, "fluid_operator_reconcile_wait_seconds_count", controller=controller) == 0
    assert value(metrics, "fluid_operator_informer_lists_total", resource="fluidjobs") == 0
    assert value(metrics, "fluid_operator_hints_read_total") == 0
    assert value(metrics, "fluid_operator_leader") == 0


def test_requests_are_counted_by_verb_resource_and_code():
    metrics = Metrics()
    metrics.requested(Call("patch", "fluidjobs", 409, 0.01))
    metrics.requested(Call("get", "leases", 0, 5.0))
    name = "fluid_operator_kube_requests_total"
    assert value(metrics, name, verb="patch", resource="fluidjobs", code="409") == 1
    assert value(metrics, name, verb="get", resource="leases", code="none") == 1
    assert value(metrics, "fluid_operator_kube_request_duration_seconds_sum", verb="get") == 5.0


def test_reconciliations_are_counted_by_controller_and_result():
    metrics = Metrics()
    metrics.reconciled("jobs")(Reconciled(ObjectKey("a", "b"), "retry", 0.5, 0.25))
    assert value(metrics, "fluid_operator_reconciles_total", controller="jobs", result="retry") == 1
    assert value(metrics, "fluid_operator_reconcile_wait_seconds_sum", controller="jobs") == 0.5
    assert value(metrics, "fluid_operator_reconcile_duration_seconds_sum", controller="jobs") == 0.25


async def test_what_only_a_leader_has_is_gone_after_its_term():
    metrics = Metrics()
    queue = WorkQueue()
    queue.add(ObjectKey("a", "b"))
    depth = {"controller": "jobs", "state": "waiting"}
    environment = {"namespace": "team-a", "environment": "default"}
    with (
        metrics.leading(),
        metrics.readings.queue("jobs", queue),
        metrics.readings.jobs(phases=lambda: {"Running": 7}, lists=lambda: 2),
    ):
        metrics.redis_up(ObjectKey("team-a", "default"), True)
        assert value(metrics, "fluid_operator_leader") == 1
        assert value(metrics, "fluid_operator_workqueue_depth", **depth) == 1
        assert value(metrics, "fluid_operator_fluidjobs", phase="Running") == 7
        assert value(metrics, "fluid_operator_informer_lists_total", resource="fluidjobs") == 2
        assert value(metrics, "fluid_operator_redis_up", **environment) == 1
    assert value(metrics, "fluid_operator_leader") == 0
    assert value(metrics, "fluid_operator_workqueue_depth", **depth) == 0
    assert value(metrics, "fluid_operator_fluidjobs", phase="Running") == 0
    assert value(metrics, "fluid_operator_redis_up", **environment) is None


def test_an_environment_that_is_gone_has_no_series_and_may_have_had_none():
    metrics = Metrics()
    key = ObjectKey("team-a", "default")
    metrics.redis_up(key, False)
    assert value(metrics, "fluid_operator_redis_up", namespace="team-a", environment="default") == 0
    metrics.environment_gone(key)
    metrics.environment_gone(key)
    assert value(metrics, "fluid_operator_redis_up", namespace="team-a", environment="default") is None


def test_events_and_waiting_for_the_api_server_are_counted_from_zero():
    metrics = Metrics()
    assert value(metrics, "fluid_operator_events_written_total") == 0
    for why in ("budget", "queue", "refused"):
        assert value(metrics, "fluid_operator_events_lost_total", why=why) == 0
    assert value(metrics, "fluid_operator_kube_throttled_seconds_total") == 0
    metrics.event_written()
    metrics.event_lost("budget")
    metrics.throttled(0.5)
    assert value(metrics, "fluid_operator_events_written_total") == 1
    assert value(metrics, "fluid_operator_events_lost_total", why="budget") == 1
    assert value(metrics, "fluid_operator_kube_throttled_seconds_total") == 0.5


async def test_requests_under_way_are_shown_as_they_are_now():
    metrics, throttle = Metrics(), Throttle(ThrottleSettings(in_flight=7))
    metrics.show_throttle(throttle)
    await throttle.enter(write=False)
    assert value(metrics, "fluid_operator_kube_in_flight") == 1
    assert value(metrics, "fluid_operator_kube_in_flight_limit") == 7
    throttle.leave(200)
    assert value(metrics, "fluid_operator_kube_in_flight") == 0


def test_answers_of_the_webhook_are_counted_by_what_became_of_them():
    metrics = Metrics()
    name = "fluid_operator_admission_reviews_total"
    for outcome in ("allowed", "refused", "unchecked", "malformed", "late"):
        assert value(metrics, name, outcome=outcome) == 0
    metrics.admission_asked("refused", 0.25)
    metrics.admission_certificate(1_900_000_000)
    assert value(metrics, name, outcome="refused") == 1
    assert value(metrics, "fluid_operator_admission_review_duration_seconds_sum") == 0.25
    assert value(metrics, "fluid_operator_admission_certificate_expiry_timestamp_seconds") == 1_900_000_000


def test_deletions_are_counted_by_reason_and_those_that_wait_by_obstacle():
    metrics = Metrics()
    deletions, waiting = "fluid_operator_retention_deletions_total", "fluid_operator_retention_postponed_total"
    for obstacle in ("archive", "ledger", "ledger-full", "changed", "schedule", "refused", "unanswered"):
        assert value(metrics, waiting, obstacle=obstacle) == 0
    assert value(metrics, deletions, reason="ttl") == value(metrics, deletions, reason="cap") == 0
    metrics.retention_deleted("cap")
    metrics.retention_postponed("ledger")
    metrics.ledger_written(20)
    assert value(metrics, deletions, reason="cap") == 1
    assert value(metrics, waiting, obstacle="ledger") == 1
    assert value(metrics, "fluid_operator_ledger_entries_written_total") == 20
