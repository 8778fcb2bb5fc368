"""In which environment of its namespace does a run belong, and in which is it?

The status binds a run once it has told of it; before that, the environments are asked.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from fluid_operator.api.conditions import Reason
from fluid_operator.environments.link import EnvironmentLink
from fluid_operator.environments.registry import DEFAULT, EnvironmentRegistry
from fluid_operator.jobs import status
from fluid_operator.jobs.problems import Problem, waiting
from fluid_operator.jobs.runs import Target
from fluid_operator.jobs.view import JobView
from fluid_operator.kube.keys import ObjectKey
from fluid_queue import WITHDRAWN, JobRecord, QueueError

Telling = Callable[..., dict[str, Any]]
"""A status for (view, target, now=)."""


class Placing:
    """Asks the environments of a registry; remembers nothing."""

    def __init__(self, registry: EnvironmentRegistry) -> None:
        self._registry = registry

    def silent(self, key: ObjectKey, view: JobView) -> bool:
        """Whether the object has changed since its run ended, and the environment of that run cannot be asked now."""
        if view.generation == view.observed or view.environment not in self._registry.names(key.namespace):
            return False
        link = self._registry.get(ObjectKey(key.namespace, view.environment))
        return link is None or not link.available

    async def ahead(self, key: ObjectKey, view: JobView, wanted: Target) -> Target | None:
        """The run after the one that the status tells of, if there is a job of it: the spec was changed, and changed
        back before that could be told."""
        if view.generation == view.observed:
            return None
        following = wanted.after()
        for link in [link for link in self._registry if link.key.namespace == key.namespace]:
            record = await _ask(link, following.job_id(view.uid))
            if record is not None and record.reason != WITHDRAWN and not record.acknowledged:
                return following
        return None

    async def place(self, key: ObjectKey, view: JobView, wanted: Target) -> str | None:
        """The environment for a run that the status does not bind: the one that it is in all the same, because the
        object came to name another before that could be told, else the one that the object chooses."""
        chosen = self._registry.choose(key.namespace, wish(view))
        others = [link for link in self._registry if link.key.namespace == key.namespace and link.key.name != chosen]
        for link in others:
            record = await _ask(link, wanted.job_id(view.uid))
            if record is None or record.reason == WITHDRAWN or (link.leaving and record.state == "suspended"):
                continue  # what is held in an environment that is gone stays there
            if not record.acknowledged or record.hash == wanted.hash:
                return link.key.name
        return chosen

    def no_environment(self, key: ObjectKey, wished: str | None) -> Problem:
        """Why no environment can be used, and what to do about it."""
        names = self._registry.names(key.namespace)
        if wished and wished in names:
            message = f"FluidEnvironment {wished} cannot be used yet; its status says why"
        elif wished:
            message = f"there is no FluidEnvironment {wished} in this namespace; the job waits for it"
        elif len(names) == 1:
            message = f"FluidEnvironment {names[0]} cannot be used yet; its status says why"
        elif names and DEFAULT in names:
            message = f"FluidEnvironment {DEFAULT} cannot be used yet; its status says why"
        elif names:
            message = f"spec.environment: name one of {', '.join(names)}; none of them is called {DEFAULT}"
        else:
            message = f"there is no FluidEnvironment in this namespace; create one called {DEFAULT}"
        return waiting(Reason.ENVIRONMENT_NOT_FOUND, message)

    def leaves(self, key: ObjectKey, view: JobView, link: EnvironmentLink) -> bool:
        """Whether the spec has come to name another environment than the one that the run is bound to."""
        return self._registry.choose(key.namespace, wish(view)) != link.key.name

    def elsewhere(self, key: ObjectKey, view: JobView) -> Telling:
        """The status of a run that goes to the environment that the spec has come to name, or waits for it."""
        chosen = self._registry.choose(key.namespace, wish(view))
        problem = self.no_environment(key, wish(view))
        return partial(status.refused, problem=problem) if chosen is None else partial(status.moved, environment=chosen)


async def _ask(link: EnvironmentLink, job_id: str) -> JobRecord | None:
    """The record in an environment that the object does not name; whether it can be asked is no matter of the job's."""
    try:
        return await link.inspect(job_id) if link.available else None
    except QueueError:
        return None


def wish(view: JobView) -> str | None:
    """The environment that the spec names."""
    return (view.spec or {}).get("environment") or None
