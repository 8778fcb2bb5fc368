"""The operator's settings: pinned defaults, and all problems at once, each with its variable."""

from pathlib import Path

import pytest

from fluid_operator import settings as settings_module
from fluid_operator.admission.settings import OwnNames, WebhookSettings
from fluid_operator.errors import SettingsError
from fluid_operator.kube.lease import LeaseSettings
from fluid_operator.settings import OperatorSettings, describe, from_environment


@pytest.fixture(autouse=True)
def pod_namespace(tmp_path, monkeypatch):
    """The file in which a pod finds the name of its namespace; outside of a pod there is none."""
    file = tmp_path / "namespace"
    monkeypatch.setattr(settings_module, "_POD_NAMESPACE", file)
    return file


def problems(**environment):
    with pytest.raises(SettingsError) as refusal:
        from_environment(environment)
    return {problem.variable: problem.message for problem in refusal.value.problems}


def test_the_defaults_are_the_promised_ones():
    assert from_environment({}).model_dump() == {
        "namespaces": (),
        "shard": {"number": 1, "count": 1},
        "lease_namespace": "default",
        "lease_name": "fluid-operator",
        "lease_duration_seconds": 15,
        "lease_renew_deadline_seconds": 10.0,
        "lease_retry_seconds": 2.0,
        "http_host": "",
        "http_port": 8080,
        "metrics_service": "",
        "webhook_host": "",
        "webhook_port": None,
        "webhook_cert_dir": "",
        "webhook_service": "",
        "webhook_configuration": "fluid-operator",
        "kube_qps": 1000.0,
        "kube_burst": 2000,
        "kube_in_flight": 200,
        "reconcile_workers": 64,
        "status_hold_seconds": 0.2,
        "progress_interval_seconds": 1.0,
        "unknown_type_grace_seconds": 600.0,
        "shutdown_seconds": 5.0,
        "log_level": "info",
        "log_format": "json",
    }


def test_the_times_of_the_election_are_those_of_client_go():
    assert from_environment({}).lease == LeaseSettings(duration=15, renew_deadline=10.0, retry=2.0)


def test_in_a_pod_the_lease_lies_in_the_namespace_of_the_pod(pod_namespace):
    pod_namespace.write_text("fluid-system\n")
    assert from_environment({}).lease_namespace == "fluid-system"


def test_every_field_is_set_by_its_variable():
    settings = from_environment(
        {
            "FLUID_NAMESPACES": "team-a, team-b,team-a",
            "FLUID_LEASE_NAMESPACE": "fluid-system",
            "FLUID_HTTP_PORT": "0",
            "FLUID_LOG_LEVEL": "DEBUG",
            "FLUID_LOG_FORMAT": "Text",
            "FLUID_STATUS_HOLD_SECONDS": "0.05",
        }
    )
    assert settings.namespaces == ("team-a", "team-b")
    assert settings.lease_namespace == "fluid-system"
    assert settings.http_port == 0
    assert (settings.log_level, settings.log_format) == ("debug", "text")
    assert settings.status_hold_seconds == 0.05


def test_keda_reads_the_metrics_from_the_pods_own_port():
    told = {"FLUID_METRICS_SERVICE": "fluid-operator.fluid-system", "FLUID_HTTP_PORT": "9090"}
    assert from_environment(told).metrics_url == "http://fluid-operator.fluid-system:9090/metrics"
    assert from_environment({}).metrics_url == ""
    assert "FLUID_METRICS_SERVICE" in problems(FLUID_METRICS_SERVICE="http://fluid-operator:8080")


def test_an_empty_variable_counts_as_unset():
    assert from_environment({"FLUID_NAMESPACES": "", "FLUID_HTTP_PORT": " "}) == OperatorSettings()


def test_all_problems_are_told_at_once_without_the_values():
    found = problems(
        FLUID_NAMESPACES="team-a,Sesame",
        FLUID_LEASE_NAME="Not A Name",
        FLUID_HTTP_PORT="high",
        FLUID_RECONCILE_WORKERS="0",
        FLUID_LOG_FORMAT="xml",
    )
    assert set(found) == {
        "FLUID_NAMESPACES",
        "FLUID_LEASE_NAME",
        "FLUID_HTTP_PORT",
        "FLUID_RECONCILE_WORKERS",
        "FLUID_LOG_FORMAT",
    }
    assert found["FLUID_NAMESPACES"] == "must be names of namespaces, separated by commas; not so: number 2"
    assert found["FLUID_LOG_FORMAT"] == "must be 'json' or 'text'"
    assert "Sesame" not in str(found)


def test_times_of_the_election_that_do_not_go_together_name_both_variables():
    found = problems(FLUID_LEASE_DURATION_SECONDS="5", FLUID_LEASE_RETRY_SECONDS="20")
    assert found == {
        "FLUID_LEASE_RENEW_DEADLINE_SECONDS": "must be below FLUID_LEASE_DURATION_SECONDS, which is 5 s",
        "FLUID_LEASE_RETRY_SECONDS": "must be below FLUID_LEASE_RENEW_DEADLINE_SECONDS, which is 10 s",
    }


def test_a_field_that_is_wrong_by_itself_does_not_hide_what_is_wrong_between_others():
    assert set(problems(FLUID_HTTP_PORT="high", FLUID_LEASE_DURATION_SECONDS="5")) == {
        "FLUID_HTTP_PORT",
        "FLUID_LEASE_RENEW_DEADLINE_SECONDS",
    }


def test_every_variable_has_a_meaning():
    assert [variable for variable, _, _ in describe()] == [
        f"FLUID_{name.upper()}" for name in OperatorSettings.model_fields
    ]
    assert all(meaning for _, _, meaning in describe())


def test_without_a_port_there_is_no_webhook():
    assert from_environment({}).webhook is None


def test_a_webhook_has_one_source_for_its_certificate():
    port = {"FLUID_WEBHOOK_PORT": "9443", "FLUID_NAMESPACES": "team-a"}
    files = from_environment(port | {"FLUID_WEBHOOK_CERT_DIR": "/certificate"}).webhook
    assert files == WebhookSettings("", 9443, folder=Path("/certificate"), namespaces=("team-a",))
    own = from_environment(port | {"FLUID_WEBHOOK_SERVICE": "hook.fluid-system"}).webhook
    names = OwnNames("hook", "fluid-system", "fluid-operator")
    assert own == WebhookSettings("", 9443, own=names, namespaces=("team-a",))
    assert names.secret == ("fluid-system", "hook-certificate")


@pytest.mark.parametrize(
    ("environment", "variable"),
    [
        ({"FLUID_WEBHOOK_PORT": "9443"}, "FLUID_WEBHOOK_PORT"),
        ({"FLUID_WEBHOOK_CERT_DIR": "/a"}, "FLUID_WEBHOOK_CERT_DIR"),
        ({"FLUID_WEBHOOK_SERVICE": "a.b"}, "FLUID_WEBHOOK_SERVICE"),
        ({"FLUID_WEBHOOK_SERVICE": "a", "FLUID_WEBHOOK_PORT": "1"}, "FLUID_WEBHOOK_SERVICE"),
        (
            {"FLUID_WEBHOOK_PORT": "1", "FLUID_WEBHOOK_SERVICE": "a.b", "FLUID_WEBHOOK_CERT_DIR": "/a"},
            "FLUID_WEBHOOK_SERVICE",
        ),
        ({"FLUID_WEBHOOK_PORT": "high", "FLUID_WEBHOOK_SERVICE": "a.b"}, "FLUID_WEBHOOK_PORT"),
    ],
)
def test_half_a_webhook_is_refused_naming_what_is_missing_or_too_much(environment, variable):
    assert set(problems(**environment)) == {variable}
