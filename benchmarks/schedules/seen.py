"""What a watch has shown so far, and when. Pure but for the clock that is read at each look."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

from benchmarks.schedules.manifests import Json


@dataclass(slots=True)
class Jobs:
    """Jobs of schedules whose names begin with `prefix`; moments are seconds since the epoch, by the owner's uid."""

    prefix: str
    first: dict[str, Json] = field(default_factory=dict)
    """The first job of each, as it was first shown."""
    created: dict[str, float] = field(default_factory=dict)
    complete: dict[str, float] = field(default_factory=dict)

    def look(self, job: Json) -> None:
        """At one version of a job."""
        if not job["metadata"]["name"].startswith(self.prefix):
            return
        now, owner = time.time(), job["metadata"]["ownerReferences"][0]["uid"]
        self.first.setdefault(owner, job)
        self.created.setdefault(owner, now)
        if owner not in self.complete and _complete(job):
            self.complete[owner] = now


def _complete(job: Json) -> bool:
    conditions = job.get("status", {}).get("conditions", ())
    return any(each["type"] == "Complete" and each["status"] == "True" for each in conditions)


@dataclass(slots=True)
class Schedules:
    """Of the schedules whose names begin with `prefix`, those that the operator knows as they are now."""

    prefix: str
    known: set[str] = field(default_factory=set)

    def look(self, schedule: Json) -> None:
        """At one version of a schedule."""
        meta = schedule["metadata"]
        if not meta["name"].startswith(self.prefix):
            return
        if schedule.get("status", {}).get("observedGeneration") == meta["generation"]:
            self.known.add(meta["name"])
        else:
            self.known.discard(meta["name"])
