"""Every error that this package raises on purpose.

What a processor may raise to steer the queue comes from `fluid_queue` and is only re-exported by the
package's face. The class name of whatever ends an attempt becomes `error.type` in the job's status, so the
names below are part of the contract:

    PermanentError (fluid_queue)        no retry
      InvalidPayload                    the payload does not fit the processor's model
    Postponed (fluid_queue)             not now, and nothing failed
      UnknownType                       this worker has no processor of that type; another one may
    ProcessorCrashed                    the child process of an attempt died, or could not be started
      MemoryLimitExceeded               it was killed because it held more memory than it may
    WorkerError                         the worker's own family, raised at start, never as an outcome of a job
      InvalidProcessor                  a definition that cannot work
      DuplicateType                     two processors with one type
      ProcessorLoadError                an entry point that cannot be imported, or holds no processor
      HealthServerError                 the port of the health endpoints cannot be opened
      SettingsError                     environment variables, all problems at once
"""

from collections.abc import Sequence
from dataclasses import dataclass

from fluid_queue import PermanentError, Postponed

HAND_ON_SECONDS = 5.0
"""How long a job waits for a worker that knows its type, before it is offered again."""


@dataclass(frozen=True, slots=True)
class FieldProblem:
    """One thing wrong with one field. `path` is written like `attachments[0].filename`; empty means the
    object as a whole.
    """

    path: str
    message: str

    def __str__(self) -> str:
        return f"{self.path}: {self.message}" if self.path else self.message


class InvalidPayload(PermanentError):
    """The payload does not fit; `problems` name fields and reasons, never values."""

    def __init__(self, problems: Sequence[FieldProblem]) -> None:
        self.problems = tuple(problems)
        super().__init__("; ".join(map(str, self.problems)), reason="InvalidPayload")


class UnknownType(Postponed):
    """A job reached a worker that lacks its type: claims go by queue, not by type.

    While workers of two versions share a queue this is no failure; the operator refuses types that no worker knows.
    """

    def __init__(self, job_type: str, known: Sequence[str]) -> None:
        self.job_type = job_type
        self.known = tuple(known)
        found = ", ".join(known) or "none"
        super().__init__(
            f"this worker has no processor of type {job_type!r}; its types are: {found}", after=HAND_ON_SECONDS
        )


class ProcessorCrashed(Exception):
    """A child process did not live to tell how its attempt ended: the attempt failed, and may be repeated.

    `exit_code` is the child's own, or None; `signal` is the name of what killed it ("SIGSEGV"), or "".
    """

    def __init__(self, message: str, *, exit_code: int | None = None, signal: str = "") -> None:
        self.exit_code = exit_code
        self.signal = signal
        super().__init__(message)


class MemoryLimitExceeded(ProcessorCrashed):
    """The child held `used` megabytes with a limit of `limit`, and was killed."""

    def __init__(self, used: int, limit: int) -> None:
        self.used = used
        self.limit = limit
        super().__init__(
            f"the child process held {used} MB, its limit is {limit} MB: raise memory_limit_megabytes, or use less",
            signal="SIGKILL",
        )


class WorkerError(Exception):
    """Base of what goes wrong with definitions and settings, before any job runs."""


class InvalidProcessor(WorkerError):
    """A `@processor` definition that cannot work."""

    def __init__(self, job_type: str, reason: str) -> None:
        self.job_type = job_type
        self.reason = reason
        super().__init__(f"processor {job_type!r}: {reason}")


class DuplicateType(WorkerError):
    """Two processors claim one type; both sources are named."""

    def __init__(self, job_type: str, first: str, second: str) -> None:
        self.job_type = job_type
        self.first = first
        self.second = second
        super().__init__(
            f"type {job_type!r} is defined twice: by {first} and by {second}; rename or remove one of them"
        )


class ProcessorLoadError(WorkerError):
    """An entry point of the group `fluid.processors` is of no use."""

    def __init__(self, source: str, reason: str) -> None:
        self.source = source
        self.reason = reason
        super().__init__(f"{source}: {reason}")


class SettingsError(WorkerError):
    """Environment variables that cannot be used: every problem, by the variable's name, without its value."""

    def __init__(self, problems: Sequence[FieldProblem]) -> None:
        self.problems = tuple(problems)
        super().__init__("; ".join(map(str, self.problems)))


class HealthServerError(WorkerError):
    """The health endpoints cannot be served at `host` and `port`."""

    def __init__(self, host: str, port: int, reason: str) -> None:
        self.host = host
        self.port = port
        super().__init__(f"cannot listen on {host} port {port}: {reason}; set FLUID_HEALTH_HOST and FLUID_HEALTH_PORT")
