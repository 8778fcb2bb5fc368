"""Creates the FluidJob for a time, and finds out who was there first. The name is the lock, the API server the referee:
whatever two operators, a crash or a lost answer do, there is one object of a name."""

from __future__ import annotations

from typing import Any, Final

from fluid_operator.api.conditions import Reason
from fluid_operator.kube.client import Json, Kube
from fluid_operator.kube.errors import AlreadyExists, ApiError, NotFound, ServerError
from fluid_operator.kube.keys import FLUID_JOBS, ObjectKey
from fluid_operator.schedules.status import Problem

_LONGEST_REFUSAL: Final = 500


class NotCreated(Exception):
    """There is no job for a time, and the answer was clear: trying again at once does not help."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem.message)
        self.problem = problem


async def create(kube: Kube, body: Json) -> tuple[Json, bool]:
    """Create this FluidJob; returns it, and whether it is new. One that is there already, from whomever, is as good if
    its owner is the same.

    Raises NotCreated when the name is another's or the job is refused, and a KubeError when nobody knows.
    """
    try:
        return await kube.create(FLUID_JOBS, body), True
    except AlreadyExists:
        return await _who_was_first(kube, body), False
    except ApiError as error:
        # A server that fails may fail for these objects alone, because of somebody's webhook: that has to be told.
        if error.retryable and not isinstance(error, ServerError):
            raise
        verb = "cannot create" if error.retryable else "refuses"
        message = f"The API server {verb} the job: {error.message[:_LONGEST_REFUSAL]}"
        raise NotCreated(Problem(Reason.JOB_REFUSED, message)) from error


async def _who_was_first(kube: Kube, body: Json) -> Json:
    meta = body["metadata"]
    name = meta["name"]
    try:
        found = await kube.get(FLUID_JOBS, ObjectKey(meta["namespace"], name))
    except NotFound:
        raise NotCreated(_going(name)) from None
    if controller_uid(found) == meta["ownerReferences"][0]["uid"]:
        return found
    if "deletionTimestamp" in found["metadata"]:
        raise NotCreated(_going(name))
    message = (
        f"FluidJob {name} exists and is not this schedule's: delete or rename it, and the job of its time is created, "
        "if it is not too late by then."
    )
    raise NotCreated(Problem(Reason.NAME_COLLISION, message))


def _going(name: str) -> Problem:
    """The name is free in a moment."""
    return Problem(Reason.NAME_COLLISION, f"An earlier FluidJob {name} is being deleted; its name is waited for.")


def controller_uid(raw: Json) -> str:
    """The uid of the object that owns this one as its controller; empty: none."""
    owners: list[dict[str, Any]] = raw["metadata"].get("ownerReferences") or []
    return next((owner["uid"] for owner in owners if owner.get("controller")), "")
