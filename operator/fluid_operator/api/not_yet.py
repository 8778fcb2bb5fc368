"""Fields that the API already has and whose effect does not exist yet.

A field that is silently ignored is a lie to its user. The controllers ask here which such fields an object
sets, and answer with a condition that names them. When an issue brings a field to life, its line goes; when
the tables are empty, so does this module.
"""

from collections.abc import Mapping
from typing import Any, Final, NamedTuple


class Unsupported(NamedTuple):
    """A field of an object without an effect: its path from the root, and what that means for the user."""

    field: str
    sentence: str


_FLUID_JOB: Final[Mapping[str, str]] = {
    "suspend": "holds back a job that has not started; one that runs goes on",
    "startingDeadlineSeconds": "a job may start later than this",
    "failurePolicy": "every error counts as an attempt",
    "concurrencyKey": "jobs with the same key may run at once",
    "deduplication": "twins are not recognised; every job runs",
    "completions": "indexed jobs cannot run yet",
    "items": "indexed jobs cannot run yet",
    "itemsFrom": "indexed jobs cannot run yet",
    "parallelism": "indexed jobs cannot run yet",
    "maxFailedIndexes": "indexed jobs cannot run yet",
    "ttl": "finished jobs are not deleted by the operator yet",
    "ttlSecondsAfterFinished": "finished jobs are not deleted by the operator yet",
    "runPolicy": "a job that is created again runs again",
}

_FLUID_SCHEDULE: Final[Mapping[str, str]] = {
    "schedule": "schedules create no jobs yet",
    "schedules": "schedules create no jobs yet",
}

_FLUID_ENVIRONMENT: Final[Mapping[str, str]] = {
    "suspend": "workers go on claiming jobs",
    "redis.managed": "the operator runs no Redis yet; use redis.external",
    "redis.onChange": "a changed address takes effect at once",
    "workers": "the operator runs no workers yet; start them by hand",
    "queues": "queues have no settings yet",
    "database": "processors get no database yet",
    "outbound.mode": "everything that processors send goes out",
    "outbound.redirectTo": "everything that processors send goes out",
    "outbound.allow": "everything that processors send goes out",
    "retention": "finished jobs are not deleted by the operator yet",
    "encryption": "payloads and results are not encrypted in Redis",
    "deletionPolicy": "the operator runs no Redis yet, so there is nothing to keep or delete",
}

UNSUPPORTED: Final[Mapping[str, Mapping[str, str]]] = {
    "FluidJob": _FLUID_JOB,
    "FluidSchedule": _FLUID_SCHEDULE,
    "FluidEnvironment": _FLUID_ENVIRONMENT,
}

# Values that ask for what happens anyway, by the path of their field.
_ALREADY_SO: Final[Mapping[str, tuple[Any, ...]]] = {
    "runPolicy": ("Auto", "Always"),
    "suspend": (False,),
    "outbound.mode": ("Live",),
    "outbound.redirectTo": ("",),
}


def unsupported_fields(kind: str, spec: Mapping[str, Any]) -> list[Unsupported]:
    """The fields of a raw spec that ask for an effect which does not exist yet, in the order of the table."""
    return [
        Unsupported(f"spec.{path}", sentence)
        for path, sentence in UNSUPPORTED[kind].items()
        if _asks(path, _at(spec, path))
    ]


def _asks(path: str, value: Any) -> bool:
    return value is not None and value != [] and value not in _ALREADY_SO.get(path, ())


def _at(spec: Mapping[str, Any], path: str) -> Any:
    value: Any = spec
    for step in path.split("."):
        if not isinstance(value, Mapping):
            return None
        value = value.get(step)
    return value
