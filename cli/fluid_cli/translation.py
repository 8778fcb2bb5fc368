"""Errors of the rooms below, each in one line that says what to do. Pure.

A terminal is no place for tracebacks: whatever the API server, the kubeconfig or Redis may answer has its sentence
here, and what has none is a defect of ours.
"""

from fluid_operator.api.meta import GROUP
from fluid_operator.kube.errors import (
    ApiError,
    BadConfiguration,
    Conflict,
    Forbidden,
    Invalid,
    KubeError,
    NotFound,
    ServerError,
    TooManyRequests,
    Unauthorized,
    Unreachable,
)
from fluid_queue import QueueAccessDenied, QueueError, QueueUnavailable, UnreadableValue

CRDS_MISSING = "the FluidJob CRD is not installed: kubectl apply -f crds/"

_NO_SUCH_KIND = ("the server could not find the requested resource", "404 page not found")
"""What the API server says of a kind, and of a group, that it does not know; of objects it says their names."""


def kube_sentence(error: KubeError) -> str:
    """What the door to the API server raised, for the person at the terminal."""
    if isinstance(error, BadConfiguration):
        return f"no cluster can be reached with this configuration: {error} (see --kubeconfig and --context)"
    if isinstance(error, Unreachable):
        return f"the API server does not answer ({error.reason}): does the cluster run, and is --context right?"
    if isinstance(error, ApiError):
        return _refusal(error)
    return str(error)


def kinds_are_missing(error: KubeError) -> bool:
    """Whether the API server does not know our kinds at all."""
    return isinstance(error, NotFound) and f"/apis/{GROUP}/" in error.path and error.message.strip() in _NO_SUCH_KIND


def _refusal(error: ApiError) -> str:
    if kinds_are_missing(error):
        return CRDS_MISSING
    if isinstance(error, Unauthorized):
        return "the API server does not accept your credentials: log in again, or choose another --context"
    if isinstance(error, Forbidden):
        return f"you may not do that: {error.message}"
    if isinstance(error, Invalid):
        return _invalid(error)
    if isinstance(error, TooManyRequests):
        return f"the API server is busy: try again in {error.retry_after or 1:g} s"
    if isinstance(error, ServerError):
        return f"the API server failed ({error.status} {error.reason}): {error.message}; try again"
    if isinstance(error, Conflict):
        return f"somebody else changed it at the same time: {error.message}; try again"
    return error.message or str(error)


def _invalid(error: Invalid) -> str:
    """The fields that were refused, where the server names them."""
    if error.causes:
        return "refused: " + "; ".join(f"{field}: {message}" if field else message for field, message in error.causes)
    return f"refused: {error.message}"


def queue_sentence(error: QueueError) -> str:
    """What the queue raised, for the person at the terminal. Holds no part of an address."""
    if isinstance(error, QueueAccessDenied):
        return f"Redis does not let this user in: {error}"
    if type(error) is QueueUnavailable:
        # What a socket says holds the host, and an address is nobody's business.
        return "Redis cannot be reached, or cannot serve at the moment"
    if isinstance(error, UnreadableValue):
        return f"{error}; the command needs the workers' FLUID_ENCRYPTION_KEYS to read it"
    return str(error)
