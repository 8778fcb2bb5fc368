"""Which finished FluidJobs of a namespace have to go, and when is the next one due? Pure: views, rules and time in,
a plan out.

An object stays for its own time to live, else for its environment's, else for what is built in. One that a schedule
fired stays as long as the schedule keeps it in its history, unless it has a time to live of its own. Whatever these
say, a namespace keeps only so many finished objects, and those that ended first go first.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal, NamedTuple, Self, get_args

from fluid_operator.api.fluidenvironment import Retention as RetentionSpec
from fluid_operator.api.fluidjob_status import Phase
from fluid_operator.jobs.ledger import mirrors
from fluid_operator.jobs.view import JobView

YOUNGEST: Final = 60.0
"""Seconds after its creation in which the name of a schedule's job stays taken, whatever else says it may go. A former
leader's request to create the job for the same time may still be under way, and no request lives so long."""

Why = Literal["ttl", "cap"]
"""Of a deletion: its time to live is over, or there are too many."""

REASONS: Final = get_args(Why)


class Limits(NamedTuple):
    """What an environment says about finished objects; times in seconds."""

    succeeded: int = 3600
    failed: int = 604_800
    """Also of cancelled ones."""
    at_most: int = 1000
    """In the whole namespace."""

    @classmethod
    def of(cls, spec: RetentionSpec | None) -> Self:
        """The environment's own values, each else as built in."""
        if spec is None:
            return cls()
        said = {"succeeded": spec.succeeded_seconds, "failed": spec.failed_seconds, "at_most": spec.max_finished}
        return cls(**{name: value for name, value in said.items() if value is not None})


@dataclass(frozen=True, slots=True)
class Rules:
    """What holds in one namespace."""

    environments: Mapping[str, Limits | None]
    """All that exist; None for one whose settings cannot be read now. What it wants to keep must not be deleted."""
    fallback: str | None = None
    """The environment of an object that was never bound to one."""
    shards: int = 1
    """Operators that share the objects of the namespace; each keeps its part of what may stay."""

    def seconds(self, view: JobView) -> int | None:
        """How long the object stays after its end; None while that is not known, or is its schedule's business."""
        if view.ttl is not None or view.fired:
            return view.ttl
        limits = self.environments.get(view.environment or self.fallback or "", Limits())
        if limits is None:
            return None
        return limits.succeeded if view.phase == Phase.SUCCEEDED else limits.failed

    @property
    def at_most(self) -> int | None:
        """Finished objects that may stay: what the most generous environment says; None while that is not known."""
        known = [limits.at_most for limits in self.environments.values() if limits is not None]
        if len(known) < len(self.environments):
            return None
        return math.ceil(max(known, default=Limits().at_most) / self.shards)


class Deletion(NamedTuple):
    """One object that has to go, as it was seen."""

    name: str
    view: JobView
    why: Why


class Plan(NamedTuple):
    """What has to go now, the earliest end first, and when the next has to (seconds since the epoch, infinite: never,
    unless something changes)."""

    deletions: list[Deletion]
    next_at: float


def removable(view: JobView) -> bool:
    """Whether the object may be deleted at all, some time.

    Not while anything is left to do for it. Nor when it mirrors an outcome: it is there because somebody created it
    again after we had deleted it, and would do so for ever.
    """
    return view.settled and not view.deleting and not (view.once and mirrors(view))


def ended(view: JobView) -> float:
    """Seconds since the epoch. A status without its completionTime is not ours; the creation has to do."""
    return view.finished or view.created


def _grown(view: JobView) -> float:
    """When the name of the object may become free, at the earliest."""
    return view.created + YOUNGEST if view.scheduled else 0.0


def plan(finished: Mapping[str, JobView], rules: Rules, now: float) -> Plan:
    """What to do about the removable objects of a namespace, by name."""
    gone: list[tuple[float, str, Why]] = []
    kept: list[tuple[float, str]] = []
    young: list[float] = []
    next_at = math.inf
    for name, view in finished.items():
        end, seconds, grown = ended(view), rules.seconds(view), _grown(view)
        over = math.inf if seconds is None else end + seconds
        if over <= now and grown <= now:
            gone.append((end, name, "ttl"))
            continue
        next_at = min(next_at, max(over, grown))
        if grown > now:
            young.append(grown)
        else:
            kept.append((end, name))
    if (at_most := rules.at_most) is not None and (surplus := len(kept) + len(young) - at_most) > 0:
        gone += [(end, name, "cap") for end, name in heapq.nsmallest(surplus, kept)]
        if surplus > len(kept):
            next_at = min(next_at, *young)
    return Plan([Deletion(name, finished[name], why) for _, name, why in sorted(gone)], next_at)
