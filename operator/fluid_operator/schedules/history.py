"""Deletes the finished jobs of a schedule beyond its history limits, the oldest times first."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from datetime import datetime
from typing import Final

from fluid_operator.api.fluidjob_status import Phase
from fluid_operator.jobs.keeping import YOUNGEST, removable
from fluid_operator.jobs.retention import Archive
from fluid_operator.jobs.view import JobView
from fluid_operator.kube.client import Kube
from fluid_operator.kube.errors import Conflict, NotFound
from fluid_operator.kube.keys import FLUID_JOBS, ObjectKey
from fluid_operator.schedules.course import Course
from fluid_operator.schedules.rules import Rules

log = logging.getLogger(__name__)

_RETRY: Final = 30.0


class History:
    """`kube` must be guarded. `archive` keeps an object that is about to be deleted."""

    def __init__(self, kube: Kube, *, archive: Archive | None = None) -> None:
        self._kube = kube
        self._archive = archive

    async def tidy(
        self, key: ObjectKey, jobs: Mapping[str, JobView], rules: Rules, course: Course, now: datetime
    ) -> float | None:
        """Delete what is too much; returns in how many seconds to come back, None: when a job has ended. What cannot be
        deleted now is no reason for the schedule to miss its time."""
        waits = []
        for name, view in too_many(jobs, rules, course):
            young = view.created + YOUNGEST - now.timestamp()
            if young > 0:
                waits.append(young)
            elif not await self._delete(ObjectKey(key.namespace, name), view):
                waits.append(_RETRY)
        return min(waits, default=None)

    async def _delete(self, key: ObjectKey, view: JobView) -> bool:
        """Whether nothing is left to do about this version of the job."""
        try:
            if self._archive is not None:
                await self._archive(await self._kube.get(FLUID_JOBS, key))
            await self._kube.delete(FLUID_JOBS, key, uid=view.uid, resource_version=view.resource_version)
        except (NotFound, Conflict):
            return True  # it is gone or has changed; whoever did that wakes us
        except Exception as error:  # noqa: BLE001 - whatever the archive or the API server says, the job stays
            facts = {"namespace": key.namespace, "name": key.name, "error": str(error)}
            log.warning("A job beyond the history limits cannot be deleted, will try again.", extra={"fields": facts})
            return False
        return True


def too_many(jobs: Mapping[str, JobView], rules: Rules, course: Course) -> list[tuple[str, JobView]]:
    """The finished jobs beyond the limits, the oldest first. Not those that a person asked for; nor one for a time that
    the status does not tell yet: its name has to stay taken."""
    told = course.last.timestamp() if course.last else 0.0
    mine = [(name, view) for name, view in jobs.items() if not view.by_hand and view.scheduled <= told]
    mine = sorted((each for each in mine if removable(each[1])), key=lambda each: each[1].scheduled)
    succeeded = [each for each in mine if each[1].phase == Phase.SUCCEEDED]
    failed = [each for each in mine if each[1].phase != Phase.SUCCEEDED]
    return [*_beyond(succeeded, rules.keep_succeeded), *_beyond(failed, rules.keep_failed)]


def _beyond(jobs: list[tuple[str, JobView]], limit: int) -> list[tuple[str, JobView]]:
    return jobs[: max(0, len(jobs) - limit)]
