"""The schedules that the benchmark creates, as data: equal in what they ask for, on both sides."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from benchmarks.jobs import manifests
from benchmarks.schedules.sides import NATIVE, Side

Json = dict[str, Any]

EVERY_MINUTE = "* * * * *"
ZONE = "Etc/UTC"
_FAR_MONTHS = 6


def schedule(side: Side, namespace: str, name: str, cron: str, *, forbid: bool = False, **spec: Any) -> Json:
    """A schedule of jobs that do nothing. `forbid`: none beside one that has not ended; `spec` adds fields."""
    job = manifests.native(namespace, name)["spec"] | {"suspend": True}
    if side is not NATIVE:
        job = manifests.fluid(namespace, name)["spec"]
    return {
        "apiVersion": side.schedules.api_version,
        "kind": side.schedules.kind,
        "metadata": {"namespace": namespace, "name": name},
        "spec": {
            "schedule": cron,
            "timeZone": ZONE,
            "concurrencyPolicy": "Forbid" if forbid else "Allow",
            "jobTemplate": {"spec": job},
            **spec,
        },
    }


def once_at(moment: datetime) -> str:
    """The expression that names this minute, in UTC, and no other of its year."""
    return f"{moment.minute} {moment.hour} {moment.day} {moment.month} *"


def far_from(now: datetime) -> str:
    """An expression whose next time is months away."""
    return f"0 0 1 {(now.month + _FAR_MONTHS - 1) % 12 + 1} *"
