"""What the worker adds to every log record about a job: its facts, as fields.

`logger.info("message", extra={"fields": {...}})` is how the package logs. Payloads, results and addresses
with passwords are not logged anywhere; ids, types, queues, attempts and durations are. How a record is
written is `fluid_queue.logs`' business.
"""

import logging
from collections.abc import Mapping, MutableMapping
from typing import Any

from fluid_processors.context import Job

_ORIGIN_FIELDS = ("namespace", "name", "uid")


class JobLogger(logging.LoggerAdapter[logging.Logger]):
    """A logger whose records all carry the facts of one job."""

    def process(self, msg: Any, kwargs: MutableMapping[str, Any]) -> tuple[Any, MutableMapping[str, Any]]:
        """Puts the job's facts before those of the single record."""
        fields = {**(self.extra or {}), **kwargs.get("extra", {}).get("fields", {})}
        return msg, {**kwargs, "extra": {"fields": fields}}


def for_job(logger: logging.Logger, job: Job) -> JobLogger:
    """A logger with the job's id, type, queue and attempt, and the resource behind it, if there is one."""
    fields: dict[str, Any] = {"job": job.id, "type": job.type, "queue": job.queue, "attempt": job.attempt}
    origin: Mapping[str, Any] = getattr(job, "origin", None) or {}
    fields.update({key: origin[key] for key in _ORIGIN_FIELDS if key in origin})
    return JobLogger(logger, fields)
