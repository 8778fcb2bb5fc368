"""May the job of a schedule go, so that its name becomes free?

The name of such a job is a lock: while it is taken, the time that it stands for cannot fire again. The schedule needs
the lock until its status has recorded the time, and a crash between the creation of the job and the write of the status
leaves a job whose time is not recorded. So whoever wants to delete one asks here first, whether because its time to
live is over, because there are too many, or because of the history limits of the schedule.

Nothing is deleted here, and nothing is known here of why somebody wants to.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

from fluid_operator.jobs.view import JobView
from fluid_operator.kube.client import Kube
from fluid_operator.kube.errors import NotFound
from fluid_operator.kube.keys import FLUID_SCHEDULES, ObjectKey

_REMEMBERED: Final = 20_000
"""Schedules; one that was forgotten costs a request."""


class Owners:
    """What schedules have recorded. It only grows, so what is remembered remains a proof, and is asked for again only
    where it does not suffice."""

    def __init__(self, kube: Kube) -> None:
        """Ask this API server."""
        self._kube = kube
        self._recorded: dict[str, float] = {}
        """By uid of the schedule, in seconds since the epoch."""

    def learn(self, uid: str, status: Mapping[str, Any]) -> None:
        """The schedule with this uid has this raw status at the API server: saves a request later."""
        self._remember(uid, recorded_until(status))

    async def may_go(self, namespace: str, view: JobView) -> bool:
        """Whether no schedule needs the name of this job any more. Raises KubeError when that cannot be found out."""
        if not view.scheduled:
            return True
        key = ObjectKey(namespace, view.schedule)
        return view.scheduled <= await self.recorded(key, view.schedule_uid, at_least=view.scheduled)

    async def recorded(self, schedule: ObjectKey, uid: str, *, at_least: float) -> float:
        """Up to which time this very schedule will not fire again, in seconds since the epoch; for ever (infinite) when
        it is gone. It is read when what is remembered is before `at_least`. Raises KubeError."""
        known = self._recorded.get(uid, 0.0)
        return known if known >= at_least else self._remember(uid, await self._ask(schedule, uid))

    async def _ask(self, schedule: ObjectKey, uid: str) -> float:
        try:
            raw = await self._kube.get(FLUID_SCHEDULES, schedule)
        except NotFound:
            return math.inf
        if raw["metadata"]["uid"] != uid:
            return math.inf
        return recorded_until(raw.get("status") or {})

    def _remember(self, uid: str, recorded: float) -> float:
        best = max(recorded, self._recorded.get(uid, 0.0))
        self._recorded[uid] = best
        if len(self._recorded) > _REMEMBERED:
            del self._recorded[next(iter(self._recorded))]
        return best


def recorded_until(status: Mapping[str, Any]) -> float:
    """Up to which time a schedule with this status will not fire again, in seconds since the epoch; 0: it may anywhen.

    What lies before `notBefore` never fires, that moment itself may. The time whose job waits for another to end has
    been looked at, and yet will its job be created later.
    """
    recorded = max(_seconds(status.get("lastScheduleTime")), _before(_seconds(status.get("notBefore"))))
    waiting = _seconds(status.get("waitingTime"))
    return min(recorded, _before(waiting)) if waiting else recorded


def _before(moment: float) -> float:
    return math.nextafter(moment, 0.0)


def _seconds(moment: str | None) -> float:
    return datetime.fromisoformat(moment).timestamp() if moment else 0.0
