"""FluidJobs as the API server would send them, for tests of what the command `fluid` makes of them."""

from datetime import UTC, datetime
from typing import Any

from fluid_cli.job import Job

NOON = datetime(2026, 11, 24, 12, tzinfo=UTC)


def cli_job(name: str = "mail", phase: str = "Queued", *, reason: str = "", message: str = "", **fields: Any) -> Job:
    """A job created a minute before noon, at generation 1. `spec`, `annotations`, `uid` and `deleting` go where they
    belong; every other field is one of the status."""
    meta: dict[str, Any] = {
        "name": name,
        "namespace": "team",
        "uid": fields.pop("uid", f"uid-{name}"),
        "generation": 1,
        "creationTimestamp": "2026-11-24T11:59:00Z",
        "annotations": fields.pop("annotations", {}),
    }
    if fields.pop("deleting", False):
        meta["deletionTimestamp"] = "2026-11-24T11:59:30Z"
    spec = {"type": "email", **fields.pop("spec", {})}
    ready = {"type": "Ready", "status": "True" if phase == "Succeeded" else "False", "reason": reason or phase}
    status = {"phase": phase, "observedGeneration": 1, "conditions": [{**ready, "message": message}], **fields}
    return Job(
        {
            "apiVersion": "jobs.fluidcalendar.com/v1alpha1",
            "kind": "FluidJob",
            "metadata": meta,
            "spec": spec,
            "status": status,
        }
    )
