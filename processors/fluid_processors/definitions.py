"""What a processor is: a type, a payload model, a function, and the settings that its jobs start from.

Pure data and the `@processor` decorator. Nothing is registered by decorating: a module is found through the
entry-point group `fluid.processors` (registry.py), so importing one has no side effects.
"""

import inspect
import re
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Generic, Literal, TypeVar

from pydantic import BaseModel

from fluid_processors.context import Context
from fluid_processors.errors import InvalidProcessor
from fluid_processors.resources import Resource
from fluid_queue import Backoff

P = TypeVar("P", bound=BaseModel)
Function = Callable[[Context, P], Awaitable[Any]] | Callable[[Context, P], Any]

MOST_SECONDS = 86_400
LEAST_MEGABYTES = 64

_TYPE = re.compile(r"[a-z0-9]([a-z0-9.-]{0,61}[a-z0-9])?")


class Isolation(StrEnum):
    """Where a processor's function runs."""

    ASYNC = "async"  # on the worker's event loop
    THREAD = "thread"  # in a thread of the worker
    PROCESS = "process"  # in a child process, which can be killed


@dataclass(frozen=True, slots=True)
class Retry:
    """How often a failed attempt is repeated. What is None is left to the environment, then to the built-in
    default.

    `limit` counts retries after the first attempt. A job or an environment that sets its own wins over both.
    """

    limit: int | None = None
    backoff: Backoff | None = None


@dataclass(frozen=True, slots=True)
class Processor(Generic[P]):
    """One job type. `queue`: where its jobs go by default. `attempt_deadline`: seconds for one attempt.

    What is None among the last three is left to the worker's settings.
    """

    job_type: str
    payload: type[P]
    function: Function[P]
    queue: str
    isolation: Isolation
    retry: Retry = field(default_factory=Retry)
    attempt_deadline: int | None = None
    sensitive_payload: bool = False
    resources: tuple[Resource[Any], ...] = ()
    stop_grace: float | None = None
    max_jobs_per_child: int | None = None
    memory_limit_megabytes: int | None = None

    @property
    def asynchronous(self) -> bool:
        """Whether the function runs on an event loop; a plain one runs in a thread beside it."""
        return inspect.iscoroutinefunction(self.function)

    @property
    def source(self) -> str:
        """Where the function stands, for messages: `module:function`."""
        return f"{self.function.__module__}:{self.function.__qualname__}"

    def published(self) -> dict[str, Any]:
        """What the operator needs to know: `{schema, settings}`. Settings that were left open are absent."""
        settings: dict[str, Any] = {
            "queue": self.queue,
            "backoffLimit": self.retry.limit,
            "backoff": self.retry.backoff.to_json() if self.retry.backoff else None,
            "attemptDeadlineSeconds": self.attempt_deadline,
            "sensitivePayload": self.sensitive_payload,
            "isolation": str(self.isolation),
            "stopGraceSeconds": self.stop_grace,
            "maxJobsPerChild": self.max_jobs_per_child,
            "memoryLimitMegabytes": self.memory_limit_megabytes,
        }
        schema = self.payload.model_json_schema(by_alias=True)
        return {"schema": schema, "settings": {key: value for key, value in settings.items() if value is not None}}


def processor(
    job_type: str,
    *,
    payload: type[P],
    queue: str | None = None,
    retry: Retry | None = None,
    attempt_deadline: int | None = None,
    isolation: Literal["thread", "process"] | None = None,
    sensitive_payload: bool = False,
    resources: Sequence[Resource[Any]] = (),
    stop_grace: float | None = None,
    max_jobs_per_child: int | None = None,
    memory_limit_megabytes: int | None = None,
) -> Callable[[Function[P]], Processor[P]]:
    """Makes a processor of a function `(ctx, payload)` that returns a JSON value, a pydantic model or None.

    An `async def` runs on the loop, a plain function in a thread: it must watch `ctx.cancelled`, since
    nothing can stop a thread. With `isolation="process"` either kind runs in a child process, which is killed
    when it does not heed a stop. `queue` defaults to the type, `attempt_deadline` is in seconds. `resources`
    are opened before the first job and found in `ctx.resources`. With `sensitive_payload` no value of the
    payload is ever shown.

    `stop_grace`: seconds that a stopped attempt may take to end; after them a child is killed, and a worker
    with such a thread drains and exits. `max_jobs_per_child` and `memory_limit_megabytes` (of resident
    memory) are for children. Raises InvalidProcessor.
    """

    def make(function: Function[P]) -> Processor[P]:
        _check(job_type, payload, attempt_deadline)
        chosen = _isolation(job_type, function, isolation)
        _check_limits(job_type, chosen, stop_grace, max_jobs_per_child, memory_limit_megabytes)
        return Processor(
            job_type=job_type,
            payload=payload,
            function=function,
            queue=queue or job_type,
            isolation=chosen,
            retry=retry or Retry(),
            attempt_deadline=attempt_deadline,
            sensitive_payload=sensitive_payload,
            resources=tuple(resources),
            stop_grace=stop_grace,
            max_jobs_per_child=max_jobs_per_child,
            memory_limit_megabytes=memory_limit_megabytes,
        )

    return make


def _check(job_type: str, payload: Any, attempt_deadline: int | None) -> None:
    if not _TYPE.fullmatch(job_type):
        raise InvalidProcessor(
            job_type, "a type is 1 to 63 lower-case letters, digits, '-' and '.', as in 'daily-summary'"
        )
    if not (isinstance(payload, type) and issubclass(payload, BaseModel)):
        raise InvalidProcessor(job_type, "payload must be a pydantic model class")
    if attempt_deadline is not None and attempt_deadline < 1:
        raise InvalidProcessor(job_type, "attempt_deadline is in seconds and at least 1")


def _check_limits(
    job_type: str, isolation: Isolation, stop_grace: float | None, max_jobs: int | None, megabytes: int | None
) -> None:
    if stop_grace is not None and isolation is Isolation.ASYNC:
        raise InvalidProcessor(job_type, "stop_grace is for threads and processes; a coroutine is cancelled")
    if stop_grace is not None and not 0 <= stop_grace <= MOST_SECONDS:
        raise InvalidProcessor(job_type, f"stop_grace is in seconds, from 0 to {MOST_SECONDS}")
    if isolation is not Isolation.PROCESS and (max_jobs is not None or megabytes is not None):
        raise InvalidProcessor(job_type, "max_jobs_per_child and memory_limit_megabytes need isolation='process'")
    if max_jobs is not None and max_jobs < 1:
        raise InvalidProcessor(job_type, "max_jobs_per_child is at least 1")
    if megabytes is not None and megabytes < LEAST_MEGABYTES:
        raise InvalidProcessor(job_type, f"memory_limit_megabytes is at least {LEAST_MEGABYTES}: Python needs some")


def _isolation(job_type: str, function: Function[P], asked: str | None) -> Isolation:
    asynchronous = inspect.iscoroutinefunction(function)
    if asked is None:
        return Isolation.ASYNC if asynchronous else Isolation.THREAD
    if asked == Isolation.PROCESS:
        _check_importable(job_type, function)
        return Isolation.PROCESS
    if asked != Isolation.THREAD:
        raise InvalidProcessor(job_type, f"unknown isolation {asked!r}; leave it out, or use 'thread' or 'process'")
    if asynchronous:
        raise InvalidProcessor(job_type, "an async function runs on the loop; isolation='thread' needs a plain def")
    return Isolation.THREAD


def _check_importable(job_type: str, function: Function[P]) -> None:
    """A child process gets no objects, only names: it imports the module and looks the type up."""
    if "<locals>" in function.__qualname__ or function.__module__ == "__main__":
        raise InvalidProcessor(
            job_type, "isolation='process' needs a function at the top of a module that a child process can import"
        )
