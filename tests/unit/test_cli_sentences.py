"""What the command says when something goes wrong, and what it prints for programs."""

import inspect
import json

import pytest
import yaml

from fluid_cli import errors
from fluid_cli.errors import BadUsage
from fluid_cli.main import program_name
from fluid_cli.output import Output, objects
from fluid_cli.selection import Filters, phase_named
from fluid_cli.translation import CRDS_MISSING, kube_sentence, queue_sentence
from fluid_operator.kube.errors import BadConfiguration, Unreachable, from_status
from fluid_queue import NotEncrypted, QueueAccessDenied, QueueFull, QueueUnavailable
from support.cli_jobs import cli_job

JOBS = "/apis/jobs.fluidcalendar.com/v1alpha1/namespaces/team/fluidjobs"


def refusal(code, reason, message, **details):
    return from_status(code, {"reason": reason, "message": message, "details": details}, JOBS)


@pytest.mark.parametrize(
    ("error", "want"),
    [
        (BadConfiguration("config: no cluster"), "--kubeconfig"),
        (Unreachable(JOBS, "connection refused"), "does not answer (connection refused)"),
        (refusal(401, "Unauthorized", "Unauthorized"), "log in again"),
        (refusal(403, "Forbidden", 'User "ada" cannot list fluidjobs'), 'User "ada" cannot list fluidjobs'),
        (refusal(404, "NotFound", "the server could not find the requested resource"), CRDS_MISSING),
        (refusal(404, "Unknown", "404 page not found\n"), CRDS_MISSING),
        (refusal(404, "NotFound", 'namespaces "x" not found'), 'namespaces "x" not found'),
        (refusal(422, "Invalid", "long", causes=[{"field": "spec.x", "message": "no"}]), "refused: spec.x: no"),
        (refusal(422, "Invalid", "strict decoding error"), "refused: strict decoding error"),
        (refusal(409, "Conflict", "modified"), "try again"),
        (refusal(429, "TooManyRequests", "slow down", retryAfterSeconds=3), "try again in 3 s"),
        (refusal(503, "ServiceUnavailable", "etcd is away"), "etcd is away"),
    ],
)
def test_every_refusal_has_its_sentence(error, want):
    assert want in kube_sentence(error)
    assert "\n" not in kube_sentence(error)


def test_a_redis_that_is_away_is_told_without_its_address():
    told = queue_sentence(
        QueueUnavailable("Redis cannot be reached: Error 111 connecting to redis.secret.example:6379")
    )
    assert told == "Redis cannot be reached, or cannot serve at the moment"


@pytest.mark.parametrize(
    ("error", "want"),
    [
        (QueueAccessDenied("wrong password"), "does not let this user in"),
        (QueueFull("Redis is at its memory limit"), "memory limit"),
        (NotEncrypted("team.default log u.1"), "FLUID_ENCRYPTION_KEYS"),
    ],
)
def test_the_queue_has_its_sentences_too(error, want):
    assert want in queue_sentence(error)


def test_the_tree_in_the_docstring_names_every_error():
    families = [cls for _, cls in inspect.getmembers(errors, inspect.isclass) if issubclass(cls, errors.CliError)]
    assert all(cls.__name__ in (errors.__doc__ or "") for cls in families)


def test_the_plugin_calls_itself_as_it_was_called():
    assert program_name("/usr/bin/kubectl-fluid") == "kubectl fluid"
    assert program_name("/usr/bin/fluid") == "fluid"


def test_names_can_be_handed_to_kubectl():
    assert objects([cli_job("a").raw, cli_job("b").raw], Output.NAME, single=False) == (
        "fluidjob.jobs.fluidcalendar.com/a\nfluidjob.jobs.fluidcalendar.com/b\n"
    )


def test_several_objects_are_a_list_that_can_be_applied():
    found = json.loads(objects([cli_job("a").raw, cli_job("b").raw], Output.JSON, single=False))
    assert (found["kind"], found["apiVersion"], len(found["items"])) == ("List", "v1", 2)


def test_one_object_is_itself_without_bookkeeping():
    raw = cli_job("a").raw
    raw["metadata"]["managedFields"] = [{"manager": "x"}]
    found = yaml.safe_load(objects([raw], Output.YAML, single=True))
    assert (found["kind"], "managedFields" in found["metadata"]) == ("FluidJob", False)


def test_filters_are_selectors_of_the_server():
    assert Filters("a=b", "email", "bulk", "Failed").selectors() == {
        "labelSelector": "a=b",
        "fieldSelector": "spec.type=email,status.queue=bulk,status.phase=Failed",
    }


def test_a_watch_is_not_told_what_may_change_and_looks_itself():
    filters = Filters(type="email", queue="bulk", phase="Failed")
    assert filters.selectors(live=True) == {"fieldSelector": "spec.type=email"}
    assert filters.match(cli_job(phase="Failed", queue="bulk"))
    assert not filters.match(cli_job(phase="Failed", queue="other"))
    assert not filters.match(cli_job(phase="Queued", queue="bulk"))


def test_a_value_cannot_smuggle_in_another_selector():
    with pytest.raises(BadUsage, match="--type"):
        Filters(type="email,status.phase=Failed").selectors()


def test_a_phase_is_written_as_one_likes():
    assert (phase_named("failed"), phase_named("RUNNING"), phase_named("")) == ("Failed", "Running", "")
    with pytest.raises(BadUsage, match="one of Pending"):
        phase_named("broken")
