"""Whose object may run again when it is created again."""

from typing import Any

import pytest

from fluid_operator.jobs.tracking import runs_once

ARGO = "argocd.argoproj.io/tracking-id"
OURS = "shop:jobs.fluidcalendar.com/FluidJob:staging/migrate"


def meta(**more: Any) -> dict[str, Any]:
    return {"name": "migrate", "namespace": "staging", **more}


@pytest.mark.parametrize(
    "tracked",
    [
        meta(annotations={ARGO: OURS}),
        meta(annotations={ARGO: "team_shop:jobs.fluidcalendar.com/FluidJob:staging/migrate"}),
        meta(labels={"kustomize.toolkit.fluxcd.io/name": "shop"}),
        meta(labels={"helm.toolkit.fluxcd.io/name": "shop"}),
    ],
    ids=["Argo CD", "Argo CD in an application of another namespace", "Flux with kustomize", "Flux with Helm"],
)
def test_an_object_that_a_tool_keeps_in_step_with_git_runs_once(tracked):
    assert runs_once(tracked, "Auto")


@pytest.mark.parametrize(
    "untracked",
    [
        meta(),
        meta(annotations=None, labels=None, ownerReferences=None),
        meta(annotations={ARGO: OURS.replace("migrate", "original")}),
        meta(annotations={ARGO: OURS.replace("staging", "production")}),
        meta(annotations={ARGO: OURS.replace("FluidJob", "FluidSchedule")}),
        meta(annotations={ARGO: "shop"}),
        meta(labels={"app.kubernetes.io/managed-by": "Helm"}),
    ],
    ids=["plain", "empty", "copy by name", "copy by namespace", "other kind", "other form", "Helm by hand"],
)
def test_any_other_object_runs_each_time_it_is_created(untracked):
    assert not runs_once(untracked, "Auto")


@pytest.mark.parametrize("hook", ["argocd.argoproj.io/hook", "helm.sh/hook"])
def test_a_hook_runs_each_time_although_it_is_tracked(hook):
    assert not runs_once(meta(annotations={ARGO: OURS, hook: "PreSync"}), "Auto")
    assert not runs_once(meta(annotations={hook: "x"}, labels={"helm.toolkit.fluxcd.io/name": "shop"}), "Auto")


def test_an_object_with_a_controller_was_created_on_purpose_and_one_with_a_mere_owner_was_not():
    labels = {"kustomize.toolkit.fluxcd.io/name": "shop"}
    assert not runs_once(meta(labels=labels, ownerReferences=[{"uid": "u", "controller": True}]), "Auto")
    assert runs_once(meta(labels=labels, ownerReferences=[{"uid": "u"}]), "Auto")


def test_what_the_user_says_counts_whoever_tracks_the_object():
    tracked, hook = meta(annotations={ARGO: OURS}), meta(annotations={"helm.sh/hook": "pre-install"})
    assert not runs_once(tracked, "Always")
    assert runs_once(meta(), "OncePerSpec")
    assert runs_once(hook, "OncePerSpec")
