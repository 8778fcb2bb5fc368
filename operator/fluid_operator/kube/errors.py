"""What can go wrong at the door to the API server, as types with fields, so that nobody parses a message.

    Exception
    ├── KubeError
    │   ├── BadConfiguration
    │   ├── Unreachable
    │   ├── NotLeader
    │   └── ApiError
    │       ├── Unauthorized
    │       ├── Forbidden
    │       ├── NotFound
    │       ├── Conflict
    │       │   └── AlreadyExists
    │       ├── Gone
    │       ├── Invalid
    │       ├── TooManyRequests
    │       └── ServerError
    └── Terminal

A branch is what a caller may want to catch together. `retryable` answers whether the very same request may
succeed later without anybody changing anything. `Terminal` stands outside the family on purpose: it is the
word of a reconciler to its work queue, and `except KubeError` around a request must never swallow it.

This module knows the Status object of the API server and nothing else: no HTTP library, no clock.
"""

from collections.abc import Mapping
from typing import Any, ClassVar


class KubeError(Exception):
    """Anything this package raises about the API server."""

    retryable: ClassVar[bool] = False


class BadConfiguration(KubeError):
    """The kubeconfig or the pod's service account cannot be used; the message says which file and why."""


class Unreachable(KubeError):
    """No whole answer: connection refused or lost, timeout, garbled stream. A write may have happened."""

    retryable = True

    def __init__(self, path: str, reason: str) -> None:
        super().__init__(f"no answer from the API server for {path}: {reason}")
        self.path = path
        self.reason = reason


class NotLeader(KubeError):
    """This replica may not write: its lease was not renewed in time, is held by another, or was never won."""

    def __init__(self, lease: str, identity: str) -> None:
        super().__init__(f"{identity} does not hold the lease {lease}")
        self.lease = lease
        self.identity = identity


class ApiError(KubeError):
    """The API server answered, and the answer was no.

    `status` is the HTTP code, `reason` the machine-readable word of the Status object (`AlreadyExists`,
    `Expired`), `message` the server's sentence, `path` the request's path, `causes` pairs of (field path,
    what is wrong with it), `retry_after` the seconds that the server asked to wait, or None.
    """

    def __init__(
        self,
        status: int,
        reason: str,
        message: str,
        path: str,
        *,
        causes: tuple[tuple[str, str], ...] = (),
        retry_after: float | None = None,
    ) -> None:
        super().__init__(f"{status} {reason} for {path}: {message}")
        self.status = status
        self.reason = reason
        self.message = message
        self.path = path
        self.causes = causes
        self.retry_after = retry_after


class Unauthorized(ApiError):
    """401: the credentials are missing, wrong or expired. A refreshed token may be accepted."""

    retryable = True


class Forbidden(ApiError):
    """403: RBAC, admission or a quota refuses it."""


class NotFound(ApiError):
    """404: the object, its namespace or the kind itself does not exist."""


class Conflict(ApiError):
    """409: the object changed since it was read, or a precondition failed. Read it again."""


class AlreadyExists(Conflict):
    """409 on create: the name is taken."""


class Gone(ApiError):
    """410: this resourceVersion or continue token is too old. List again."""


class Invalid(ApiError):
    """400 or 422: the body breaks the schema, a rule or strict field validation."""


class TooManyRequests(ApiError):
    """429: the server asks to slow down; `retry_after` says for how long."""

    retryable = True


class ServerError(ApiError):
    """5xx, among them 504 (the server gave up waiting; the write may have happened)."""

    retryable = True


class Terminal(Exception):
    """Raised by a reconciler: trying again cannot help; report it, count it, and wait for the next change."""


_BY_STATUS: Mapping[int, type[ApiError]] = {
    400: Invalid,
    401: Unauthorized,
    403: Forbidden,
    404: NotFound,
    409: Conflict,
    410: Gone,
    422: Invalid,
    429: TooManyRequests,
}


def from_status(code: int, status: Mapping[str, Any], path: str, *, retry_after: float | None = None) -> ApiError:
    """Return the error for an answer: `code` is HTTP's, `status` the decoded Status object (or {}).

    The code inside the Status wins: an ERROR event of a watch arrives under HTTP 200.
    """
    code = status.get("code") or code
    reason = status.get("reason") or "Unknown"
    kind = _BY_STATUS.get(code, ServerError if code >= 500 else ApiError)
    if reason == "AlreadyExists":
        kind = AlreadyExists
    details = status.get("details") or {}
    causes = tuple((c.get("field", ""), c.get("message", "")) for c in details.get("causes") or ())
    if retry_after is None:
        retry_after = details.get("retryAfterSeconds")
    return kind(code, reason, status.get("message") or "", path, causes=causes, retry_after=retry_after)
