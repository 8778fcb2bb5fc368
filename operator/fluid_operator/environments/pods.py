"""Why pods of an environment are not ready, in one sentence: what `kubectl describe pod` would have shown. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

_ON_ITS_WAY: Final = frozenset({"ContainerCreating", "PodInitializing"})
_LONGEST: Final = 300
"""Characters of what the kubelet says; it repeats whole requests to registries."""


def trouble_of(pods: Iterable[Mapping[str, Any]]) -> str:
    """What keeps the first of these pods from being ready, "" when each is ready or on its way."""
    for pod in pods:
        found = _of_pod(pod)
        if found:
            return f"pod {pod['metadata']['name']}: {found}"
    return ""


def _of_pod(pod: Mapping[str, Any]) -> str:
    status = pod.get("status") or {}
    for container in status.get("containerStatuses") or ():
        waiting = (container.get("state") or {}).get("waiting") or {}
        reason = waiting.get("reason") or ""
        if reason and reason not in _ON_ITS_WAY:
            return _cut(f"{reason}: {waiting['message']}" if waiting.get("message") else reason)
    for condition in status.get("conditions") or ():
        if (condition.get("type"), condition.get("status")) == ("PodScheduled", "False"):
            return _cut(condition.get("message") or "it finds no node")
    return ""


def _cut(text: str) -> str:
    return text if len(text) <= _LONGEST else text[: _LONGEST - 1] + "…"
