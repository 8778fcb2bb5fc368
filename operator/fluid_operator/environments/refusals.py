"""What the API server's refusal of a child means for the user of the environment: which field, and what to do. Pure.

The API server names fields of the object that it was sent, and users know only those of the FluidEnvironment. Nothing
that it says about a Secret is repeated.
"""

import re
from collections.abc import Mapping
from enum import StrEnum
from typing import Any, Final, NamedTuple

from fluid_operator.environments.rendering.naming import POOL_LABEL
from fluid_operator.kube.errors import ApiError, Conflict, Forbidden, NotFound, ServerError, TooManyRequests


class Trouble(StrEnum):
    """What keeps a child from being what it should be."""

    FORBIDDEN = "Forbidden"
    INVALID = "Invalid"
    NAME_TAKEN = "NameTaken"
    BEING_DELETED = "BeingDeleted"
    BEING_REPLACED = "BeingReplaced"
    CHANGED_MEANWHILE = "ChangedMeanwhile"
    NOT_NOW = "NotNow"


PASSING: Final = frozenset({Trouble.BEING_DELETED, Trouble.BEING_REPLACED, Trouble.CHANGED_MEANWHILE, Trouble.NOT_NOW})
"""Troubles that end by themselves, or are none of the environment's."""


class ChildProblem(NamedTuple):
    """Of one child, or of a kind as a whole (then without a name). The message is a sentence, and says what to do."""

    kind: str
    name: str
    trouble: Trouble
    message: str

    @property
    def passing(self) -> bool:
        """Whether it ends by itself; otherwise somebody has to do something."""
        return self.trouble in PASSING


_CONTAINER: Final = r"spec\.template\.spec\.containers\[\w+(?:=\"\w+\")?\]"
_POD: Final = r"spec\.template\.spec"
_SOURCES: Final[Mapping[str, tuple[tuple[str, str], ...]]] = {
    "Deployment": (
        (rf"{_CONTAINER}\.resources", "resources"),
        (rf"{_CONTAINER}\.envFrom", "envFrom"),
        (rf"{_CONTAINER}\.env", "env"),
        (rf"{_CONTAINER}\.image", "image"),
        (rf"{_POD}\.affinity", "affinity"),
        (rf"{_POD}\.tolerations", "tolerations"),
        (rf"{_POD}\.nodeSelector", "nodeSelector"),
        (rf"{_POD}\.serviceAccountName", "serviceAccountName"),
        (r"spec\.replicas", "minReplicas"),
    ),
    "StatefulSet": (
        (rf"{_CONTAINER}\.resources", "resources"),
        (rf"{_CONTAINER}\.image", "image"),
        (r"spec\.volumeClaimTemplates\[\d+\]\.spec\.storageClassName", "storageClassName"),
        (r"spec\.volumeClaimTemplates", "storage"),
    ),
}


def problem_of(error: ApiError, verb: str, manifest: Mapping[str, Any]) -> ChildProblem:
    """The problem behind the refusal of a request to `verb` (a word such as apply) this child."""
    kind, name = manifest["kind"], manifest["metadata"]["name"]
    namespace = manifest["metadata"]["namespace"]
    said = "" if kind == "Secret" else error.message
    match error:
        case Forbidden():
            return ChildProblem(kind, name, Trouble.FORBIDDEN, _forbidden(error, f"{verb} {kind} {name}", namespace))
        case Conflict():
            return ChildProblem(
                kind, name, Trouble.CHANGED_MEANWHILE, f"{kind} {name} was changed meanwhile; it is tried again."
            )
        case NotFound():
            message = f"The cluster does not know the kind {kind}, or namespace {namespace} is gone."
            return ChildProblem(kind, name, Trouble.INVALID, message)
        case ServerError() | TooManyRequests() if not _undeclared(error):
            message = (
                f"The API server could not {verb} {kind} {name}, which is tried again{': ' + said if said else '.'}"
            )
            return ChildProblem(kind, name, Trouble.NOT_NOW, message)
    field = source_of(error, manifest)
    where = f"correct {field}" if field else "correct the field of the environment that this comes from"
    message = f"{kind} {name} is refused; {where}{': ' + said if said else '.'}"
    return ChildProblem(kind, name, Trouble.INVALID, message)


def _undeclared(error: ApiError) -> bool:
    """A field that the schema does not know is an internal error to server-side apply."""
    return "field not declared in schema" in error.message


def problem_of_kind(error: Forbidden, kind: str, namespace: str, *, verb: str = "list") -> ChildProblem:
    """The problem behind the refusal to list a kind, or to read one of it."""
    return ChildProblem(kind, "", Trouble.FORBIDDEN, _forbidden(error, f"{verb} objects of kind {kind}", namespace))


def source_of(error: ApiError, manifest: Mapping[str, Any]) -> str:
    """The field of the FluidEnvironment that was refused in this child, "" when that is not known."""
    pool = (manifest["metadata"].get("labels") or {}).get(POOL_LABEL, "")
    base = f"spec.workers[{pool}]" if pool else "spec.redis.managed"
    told = " ".join([*(field for field, _ in error.causes), error.message])
    for pattern, field in _SOURCES.get(manifest["kind"], ()):
        if re.search(pattern, told):
            return f"{base}.{field}"
    return ""


def _forbidden(error: Forbidden, deed: str, namespace: str) -> str:
    if "being terminated" in error.message:
        return f"The operator cannot {deed}: namespace {namespace} is being deleted."
    if "exceeded quota" in error.message or "must specify" in error.message:
        return f"A quota of namespace {namespace} does not let the operator {deed}; raise it: {error.message}"
    if "cannot " in error.message:
        return (
            f"The operator may not {deed}; bind it to the Role fluid-operator-workloads in namespace {namespace}, "
            "as the release has it."
        )
    return f"The cluster does not let the operator {deed}: {error.message}"
