"""Who keeps an object in step with Git, and so: may it run again when it is created again? Pure.

A tool that tracks an object re-creates it when it is gone, also when it was our own retention that deleted it. Such
an object runs once for each spec; a hook is meant to run each time; an object that a controller owns is created on
purpose.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from fluid_operator.api.fluidjob import FLUID_JOB, RunPolicy
from fluid_operator.api.meta import GROUP

_ARGO_TRACKING: Final = "argocd.argoproj.io/tracking-id"
_HOOKS: Final = ("argocd.argoproj.io/hook", "helm.sh/hook")
_FLUX: Final = ("kustomize.toolkit.fluxcd.io/name", "helm.toolkit.fluxcd.io/name")


def runs_once(meta: Mapping[str, Any], policy: str) -> bool:
    """Whether the object is under OncePerSpec, after Auto was decided by its metadata (design section 5)."""
    if policy != RunPolicy.AUTO:
        return policy == RunPolicy.ONCE_PER_SPEC
    annotations, labels = meta.get("annotations") or {}, meta.get("labels") or {}
    if any(hook in annotations for hook in _HOOKS) or _controlled(meta):
        return False
    return _tracked_by_argo(meta, annotations) or any(label in labels for label in _FLUX)


def _controlled(meta: Mapping[str, Any]) -> bool:
    return any(owner.get("controller") for owner in meta.get("ownerReferences") or ())


def _tracked_by_argo(meta: Mapping[str, Any], annotations: Mapping[str, str]) -> bool:
    """The annotation must name this very object: a copy of a tracked object carries the original's.

    Its form is `<application>:<group>/<kind>:<namespace>/<name>`.
    """
    _, _, rest = annotations.get(_ARGO_TRACKING, "").partition(":")
    return rest == f"{GROUP}/{FLUID_JOB.kind}:{meta.get('namespace', '')}/{meta['name']}"
