"""The expressions of the Flux Kustomization, evaluated by the CEL of a real API server over real objects.

A ValidatingAdmissionPolicy evaluates them: it refuses every dry run of an update, and its refusal tells their values.
Flux gives an expression the fields of the object as variables; a policy has them below `object`.
"""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from cluster.gitops.conftest import UNTOUCHED, States
from fluid_dev.errors import ClusterError
from support.waiting import until

FLUX = Path(__file__).parents[3] / "manifests" / "gitops" / "flux" / "kustomization.yaml"
ORDER = (("inProgress", "InProgress"), ("failed", "Failed"), ("current", "Current"))
"""Flux asks in this order; the first that holds counts, and InProgress if none does."""

JOBS = {
    "Pending": "InProgress",
    "Queued": "InProgress",
    "Scheduled": "InProgress",
    "Retrying": "InProgress",
    "Running": "InProgress",
    "Suspended": "InProgress",
    "Succeeded": "Current",
    "Failed": "Failed",
    "Cancelled": "Failed",
}
ENVIRONMENTS = {"default": "Current", "suspended": "Current", "trying": "InProgress", "stalled": "Failed"}


def checks() -> list[dict[str, str]]:
    found: list[dict[str, str]] = yaml.safe_load(FLUX.read_text())["spec"]["healthCheckExprs"]
    return found


def expressions(kind: str) -> dict[str, str]:
    return next(each for each in checks() if each["kind"] == kind)


def below_object(expression: str) -> str:
    """The expression with its variables named as a policy names them."""
    return re.sub(r"(?<![\w.'])(metadata|spec|status)(?=\.)", r"object.\1", expression)


def policy(namespaces: list[str], kind: str, resource: str) -> list[dict[str, Any]]:
    name = f"{resource}.{namespaces[0]}"
    group = expressions(kind)["apiVersion"].partition("/")[0]
    telling = " + ' ' + ".join(f"'{field}=' + string({below_object(expressions(kind)[field])})" for field, _ in ORDER)
    rule = {"apiGroups": [group], "apiVersions": ["*"], "operations": ["UPDATE"], "resources": [resource]}
    within = {"key": "kubernetes.io/metadata.name", "operator": "In", "values": namespaces}
    api = {"apiVersion": "admissionregistration.k8s.io/v1", "metadata": {"name": name}}
    return [
        {
            **api,
            "kind": "ValidatingAdmissionPolicy",
            "spec": {
                "failurePolicy": "Fail",
                "matchConstraints": {"resourceRules": [rule]},
                "matchConditions": [{"name": "dry-run", "expression": "request.dryRun"}],
                "validations": [{"expression": "false", "messageExpression": f"'values: ' + {telling}"}],
            },
        },
        {
            **api,
            "kind": "ValidatingAdmissionPolicyBinding",
            "spec": {
                "policyName": name,
                "validationActions": ["Deny"],
                "matchResources": {"namespaceSelector": {"matchExpressions": [within]}},
            },
        },
    ]


class Evaluator:
    """Asks the API server what the expressions are for an object."""

    def __init__(self, states: States) -> None:
        self.cluster = states.stage.cluster
        self.namespace = states.stage.namespace

    def values(self, kind: str, name: str, namespace: str = "") -> dict[str, bool]:
        """The value of each expression; {} while the policy is not in force."""
        arguments = ("annotate", kind, name, "--dry-run=server", "--overwrite", "probe=1")
        try:
            self.cluster.kubectl(f"--namespace={namespace or self.namespace}", *arguments)
        except ClusterError as refusal:
            return {field: value == "true" for field, value in re.findall(r"(\w+)=(true|false)", str(refusal))}
        return {}

    def verdict(self, kind: str, name: str) -> str:
        values = self.values(kind, name)
        return next((status for field, status in ORDER if values[field]), "InProgress")


@pytest.fixture(scope="module")
def evaluator(states: States) -> Iterator[Evaluator]:
    namespaces = [states.stage.namespace, states.elsewhere]
    kinds = {"FluidJob": "fluidjobs", "FluidEnvironment": "fluidenvironments"}
    items = [each for kind, resource in kinds.items() for each in policy(namespaces, kind, resource)]
    listed = json.dumps({"apiVersion": "v1", "kind": "List", "items": items})
    states.stage.cluster.kubectl("apply", "-f", "-", input=listed)
    made = Evaluator(states)
    until(lambda: made.values("fj", "succeeded"), 30, "the policy for jobs is in force")
    until(lambda: made.values("fe", "default"), 30, "the policy for environments is in force")
    yield made
    states.stage.cluster.kubectl("delete", "-f", "-", "--wait=false", input=listed)


@pytest.mark.parametrize(("phase", "want"), JOBS.items())
def test_a_job_of_each_phase(evaluator, phase, want):
    assert evaluator.verdict("fj", phase.lower()) == want


@pytest.mark.parametrize("phase", JOBS)
def test_exactly_one_expression_holds_for_a_job(evaluator, phase):
    assert sum(evaluator.values("fj", phase.lower()).values()) == 1


@pytest.mark.parametrize(("name", "want"), ENVIRONMENTS.items())
def test_an_environment_of_each_state(evaluator, name, want):
    assert evaluator.verdict("fe", name) == want


@pytest.mark.parametrize("kind", ["fj", "fe"])
def test_the_expressions_bear_an_object_that_nobody_has_looked_at(evaluator, states, kind):
    found = evaluator.values(kind, UNTOUCHED, states.elsewhere)
    assert found["inProgress"]


def test_the_file_checks_both_kinds_at_their_version():
    assert {(each["apiVersion"], each["kind"]) for each in checks()} == {
        ("jobs.fluidcalendar.com/v1alpha1", "FluidJob"),
        ("jobs.fluidcalendar.com/v1alpha1", "FluidEnvironment"),
    }
