"""The scripts for Argo CD, run as it runs them (Lua 5.1 without string and math, `os` only by require), on real
objects of every phase; what the actions return is applied to the cluster."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from lupa import lua51

from support.stages import Stage, work

ARGOCD = Path(__file__).parents[3] / "manifests" / "gitops" / "argocd"
STATUSES = ("Progressing", "Healthy", "Suspended", "Degraded")
REQUEST = "jobs.fluidcalendar.com/request"

SANDBOX = """
function(source, obj, date, time)
  getmetatable("").__index = nil
  local allowed = {
    obj = obj, table = table, pairs = pairs, ipairs = ipairs, next = next, type = type, tostring = tostring,
    tonumber = tonumber, select = select, unpack = unpack, error = error, assert = assert, pcall = pcall,
    require = function(name)
      if name ~= "os" then error("module " .. name .. " not found") end
      return { date = date, time = time }
    end,
  }
  local script = assert(loadstring(source))
  setfenv(script, allowed)
  return script()
end
"""


def run(script: str, raw: Any) -> Any:
    """The script's value for an object, as JSON values."""
    lua = lua51.LuaRuntime(unpack_returned_tuples=True, register_eval=False, register_builtins=False)
    os = lua.globals().os
    return _plain(lua.eval(SANDBOX)(script, lua.table_from(raw, recursive=True), os.date, os.time))


def _plain(value: Any) -> Any:
    if lua51.lua_type(value) != "table":
        return value
    if len(value):
        return [_plain(each) for each in value.values()]
    return {key: _plain(each) for key, each in value.items()}


def health(kind: str, raw: Any) -> dict[str, str]:
    found = run((ARGOCD / kind / "health.lua").read_text(), raw)
    assert found["status"] in STATUSES
    return found


def actions() -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load((ARGOCD / "fluidjob" / "actions.yaml").read_text())
    return found


def offered(raw: Any) -> set[str]:
    """Names of the actions that are not greyed out."""
    return {name for name, action in run(actions()["discovery.lua"], raw).items() if not action["disabled"]}


def act(name: str, raw: Any) -> Any:
    (script,) = [each["action.lua"] for each in actions()["definitions"] if each["name"] == name]
    return run(script, raw)


@pytest.mark.parametrize(
    ("phase", "want"),
    [
        ("untouched", "Progressing"),
        ("Pending", "Progressing"),
        ("Queued", "Progressing"),
        ("Scheduled", "Progressing"),
        ("Retrying", "Progressing"),
        ("Running", "Progressing"),
        ("Suspended", "Suspended"),
        ("Succeeded", "Healthy"),
        ("Failed", "Degraded"),
        ("Cancelled", "Degraded"),
    ],
)
def test_the_health_of_a_job_of_each_phase(states, phase, want):
    assert health("fluidjob", states.jobs[phase])["status"] == want


def test_the_message_is_that_of_the_ready_condition(states):
    assert health("fluidjob", states.jobs["Pending"])["message"].startswith("EnvironmentNotFound: there is no Fluid")
    assert "ValueError" in health("fluidjob", states.jobs["Failed"])["message"]


def test_a_status_of_an_older_spec_says_nothing(states):
    for phase, raw in states.jobs.items():
        newer = {**raw, "metadata": {**raw["metadata"], "generation": raw["metadata"]["generation"] + 1}}
        assert health("fluidjob", newer)["status"] == "Progressing", phase


@pytest.mark.parametrize(
    ("name", "want"),
    [("default", "Healthy"), ("suspended", "Suspended"), ("trying", "Progressing"), ("stalled", "Degraded")],
)
def test_the_health_of_an_environment(states, name, want):
    found = health("fluidenvironment", states.environments[name])
    assert (found["status"], ": " in found["message"]) == (want, True)


@pytest.mark.parametrize(
    ("conditions", "spec", "want"),
    [
        ({}, {}, "Progressing"),
        ({"Ready": "True"}, {}, "Healthy"),
        ({"Ready": "True"}, {"suspend": True}, "Suspended"),
        ({"Ready": "False", "Stalled": "True"}, {}, "Degraded"),
        ({"Ready": "False", "Reconciling": "True"}, {}, "Progressing"),
    ],
)
def test_the_health_of_a_schedule(conditions, spec, want):
    listed = [{"type": each, "status": holds, "reason": "R", "message": "m"} for each, holds in conditions.items()]
    raw = {"metadata": {"generation": 2}, "spec": spec, "status": {"observedGeneration": 2, "conditions": listed}}
    assert health("fluidschedule", raw)["status"] == want
    assert health("fluidschedule", raw | {"status": {"observedGeneration": -1}})["status"] == "Progressing"


@pytest.mark.parametrize(
    ("phase", "want"),
    [
        ("untouched", {"cancel", "suspend"}),
        ("Pending", {"cancel", "suspend"}),
        ("Running", {"cancel", "suspend"}),
        ("Suspended", {"cancel"}),  # the spec holds it: only Git can release it
        ("Succeeded", {"retry"}),
        ("Failed", {"retry"}),
        ("Cancelled", {"retry"}),
    ],
)
def test_actions_are_offered_where_they_have_an_effect(states, phase, want):
    assert offered(states.jobs[phase]) == want


def test_every_action_is_offered_and_defined(states):
    assert set(run(actions()["discovery.lua"], states.jobs["Running"])) == {
        each["name"] for each in actions()["definitions"]
    }


def test_an_action_changes_the_request_and_nothing_else(states):
    for raw in states.jobs.values():
        for name in ("retry", "cancel", "suspend", "resume"):
            after = act(name, raw)
            request = after["metadata"]["annotations"].pop(REQUEST)
            assert re.fullmatch(name + r"@\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", request)
            before = json.loads(json.dumps(raw))
            before["metadata"].setdefault("annotations", {})
            # An empty list and an empty map are the same in Lua; Argo CD keeps what was there before.
            assert _without_empty(after) == _without_empty(before)


def _without_empty(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_empty(each) for key, each in value.items() if each not in ({}, [], None)}
    return [_without_empty(each) for each in value] if isinstance(value, list) else value


def apply_action(stage: Stage, action: str, name: str) -> None:
    """As Argo CD does it: what the action changed, as a merge patch."""
    raw = stage.job(name)
    assert action in offered(raw)
    request = act(action, raw)["metadata"]["annotations"][REQUEST]
    patch = {"metadata": {"annotations": {REQUEST: request}}}
    stage.kubectl("patch", "fj", name, "--type=merge", "-p", json.dumps(patch))


def test_actions_are_carried_out_by_the_operator(states):
    stage = states.stage
    name = "acted-upon"
    stage.apply(work(name).spec(startAfter="2099-01-01T07:00:00Z"))
    stage.reaches(name, "Scheduled")
    apply_action(stage, "suspend", name)
    stage.reaches(name, "Suspended")
    assert health("fluidjob", stage.job(name))["status"] == "Suspended"
    apply_action(stage, "resume", name)
    stage.reaches(name, "Scheduled")
    apply_action(stage, "cancel", name)
    stage.reaches(name, "Cancelled", run=1)
    apply_action(stage, "retry", name)
    stage.reaches(name, "Scheduled", run=2)
    stage.kubectl("delete", "fj", name)


def test_the_kustomization_adds_its_keys_to_the_configmap_that_is_there(cluster):
    own = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "argocd-cm", "labels": {"app.kubernetes.io/part-of": "argocd"}},
        "data": {"url": "https://argocd.example.com"},
    }
    cluster.kubectl("create", "namespace", "argocd")
    cluster.kubectl("--namespace=argocd", "apply", "-f", "-", input=json.dumps(own))
    patch = cluster.kubectl("kustomize", str(ARGOCD))
    merge = ("patch", "configmap", "argocd-cm", "--type=merge", "--patch-file=/dev/stdin")
    cluster.kubectl("--namespace=argocd", *merge, input=patch)
    found = json.loads(cluster.kubectl("--namespace=argocd", "get", "configmap", "argocd-cm", "-o", "json"))
    assert found["data"].pop("url") == "https://argocd.example.com"
    prefix = "resource.customizations"
    group = "jobs.fluidcalendar.com"
    assert found["data"] == {
        f"{prefix}.health.{group}_FluidJob": (ARGOCD / "fluidjob" / "health.lua").read_text(),
        f"{prefix}.actions.{group}_FluidJob": (ARGOCD / "fluidjob" / "actions.yaml").read_text(),
        f"{prefix}.health.{group}_FluidEnvironment": (ARGOCD / "fluidenvironment" / "health.lua").read_text(),
        f"{prefix}.health.{group}_FluidSchedule": (ARGOCD / "fluidschedule" / "health.lua").read_text(),
    }
