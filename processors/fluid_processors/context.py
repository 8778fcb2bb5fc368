"""What a processor sees of its job: the clock it is up against, where to report to, and the pools it may use.

The same object serves functions on the loop and in threads, so everything that a processor calls here is a
plain call: `log` and `progress` never wait and never fail a job; they are handed to the loop and sent in
the background.
"""

import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from fluid_processors.outbound import LIVE, Outbound
from fluid_processors.reporting import Reporter
from fluid_processors.resources import Resources
from fluid_processors.sensitive import Masker
from fluid_processors.stop import Stop


class Job(Protocol):
    """What this package asks of a claimed job; `fluid_queue.ActiveJob` is one."""

    @property
    def id(self) -> str: ...
    @property
    def type(self) -> str: ...
    @property
    def queue(self) -> str: ...
    @property
    def epoch(self) -> int: ...
    @property
    def attempt(self) -> int: ...
    @property
    def payload(self) -> Mapping[str, Any]: ...
    @property
    def tags(self) -> Mapping[str, str]: ...
    @property
    def deadline_seconds(self) -> float | None: ...
    @property
    def stop_reason(self) -> str | None: ...
    async def progress(self, percent: int, message: str = "") -> None: ...
    async def log(self, line: str) -> None: ...


@dataclass(frozen=True, slots=True)
class Context:
    """The first argument of every processor.

    `cancelled` is set when the job must stop (see Stop). `deadline` is when this attempt ends, on the clock
    of `time.monotonic()`; None without one. `attempt` counts from 1. `fencing_token` grows with every claim
    of the job: hand it to outside systems that can refuse an older writer. `idempotency_key` is the same
    for every attempt of one job.
    """

    job_id: str
    type: str
    queue: str
    attempt: int
    fencing_token: int
    deadline: float | None
    cancelled: Stop
    resources: Resources
    outbound: Outbound
    tags: Mapping[str, str]
    logger: logging.Logger | logging.LoggerAdapter[Any]
    _reporter: Reporter
    _masker: Masker
    _clock: Callable[[], float] = field(default=time.monotonic)

    @classmethod
    def of(
        cls,
        job: Job,
        *,
        logger: logging.Logger | logging.LoggerAdapter[Any],
        resources: Resources,
        masker: Masker,
        reporter: Reporter,
        outbound: Outbound = LIVE,
    ) -> "Context":
        """The context for one attempt of a claimed job."""
        return cls(
            job_id=job.id,
            type=job.type,
            queue=job.queue,
            attempt=job.attempt,
            fencing_token=job.epoch,
            deadline=job.deadline_seconds,
            cancelled=Stop(lambda: job.stop_reason),
            resources=resources,
            outbound=outbound,
            tags=job.tags,
            logger=logger,
            _reporter=reporter,
            _masker=masker,
        )

    @property
    def idempotency_key(self) -> str:
        """Stable over the attempts of one job, different for every other job and every other run."""
        return self.job_id

    def remaining(self) -> float | None:
        """Seconds until this attempt's deadline, never below 0; None without a deadline."""
        return None if self.deadline is None else max(0.0, self.deadline - self._clock())

    def log(self, line: str) -> None:
        """A line for the job's own log (and the worker's), with sensitive values masked."""
        line = self._masker.text(line)
        self.logger.info("job log", extra={"fields": {"line": line}})
        self._reporter.log(line)

    def progress(self, percent: int, message: str = "") -> None:
        """How far the job is, 0 to 100 (cut to that). Of many reports in a short time the last one is sent."""
        self._reporter.progress(min(100, max(0, percent)), self._masker.text(message))
