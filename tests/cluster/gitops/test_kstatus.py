"""What tools that follow kstatus (Flux, kpt, cli-utils) make of our objects, by its published rules for custom
resources."""

from collections.abc import Mapping
from typing import Any

import pytest

JOBS = {
    "untouched": "InProgress",
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


def kstatus(raw: Mapping[str, Any]) -> str:
    """Deletion first, then the generation, then Reconciling and Stalled, then Ready; without any of them Current."""
    if raw["metadata"].get("deletionTimestamp"):
        return "Terminating"
    status = raw.get("status", {})
    if status.get("observedGeneration", raw["metadata"]["generation"]) != raw["metadata"]["generation"]:
        return "InProgress"
    conditions = status.get("conditions", [])
    for condition in conditions:
        if condition["status"] == "True" and condition["type"] in ("Reconciling", "Stalled"):
            return "InProgress" if condition["type"] == "Reconciling" else "Failed"
    ready = [condition["status"] for condition in conditions if condition["type"] == "Ready"]
    return "InProgress" if ready and ready[0] != "True" else "Current"


@pytest.mark.parametrize(("phase", "want"), JOBS.items())
def test_a_job_of_each_phase(states, phase, want):
    assert kstatus(states.jobs[phase]) == want


@pytest.mark.parametrize(("name", "want"), ENVIRONMENTS.items())
def test_an_environment_of_each_state(states, name, want):
    assert kstatus(states.environments[name]) == want


def test_a_changed_spec_is_in_progress_until_the_status_speaks_of_it(states):
    job = states.jobs["Succeeded"]
    changed = {**job, "metadata": {**job["metadata"], "generation": job["metadata"]["generation"] + 1}}
    assert kstatus(changed) == "InProgress"


def test_reconciling_and_stalled_are_never_true_together(states):
    for name, raw in states.every().items():
        true = {each["type"] for each in raw["status"].get("conditions", []) if each["status"] == "True"}
        assert not {"Reconciling", "Stalled"} <= true, name
