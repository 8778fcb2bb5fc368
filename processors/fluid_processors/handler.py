"""The one handler that a worker gives to the queue's consumer: from a claimed job to its processor and back.

Everything that a processor must not have to think about happens here: validation, the context, resources,
masking of what is sensitive, and the log line of each attempt. Retry decisions are not made here; they
follow from the type of what is raised.
"""

import asyncio
import logging
import traceback
from typing import Any

import orjson
from pydantic import BaseModel

from fluid_processors import logs
from fluid_processors.context import Context, Job
from fluid_processors.definitions import Isolation, Processor
from fluid_processors.errors import UnknownType
from fluid_processors.execution import Threads, execute
from fluid_processors.outbound import LIVE, Outbound
from fluid_processors.payloads import validate
from fluid_processors.processes.pool import Children
from fluid_processors.registry import Registry
from fluid_processors.reporting import Reporter
from fluid_processors.resources import ResourcePool
from fluid_processors.sensitive import NOTHING_TO_MASK, Masker, masker_of
from fluid_queue import PermanentError, Postponed, RateLimited, RetryLater

_log = logging.getLogger(__name__)


class JobHandler:
    """Callable with a claimed job; returns the result as JSON data, or raises what ended the attempt."""

    def __init__(
        self,
        registry: Registry,
        *,
        threads: Threads,
        resources: ResourcePool,
        outbound: Outbound = LIVE,
        children: Children | None = None,
    ) -> None:
        """Types with `isolation="process"` run in `children`; None inside of such a child, where they run here."""
        self._children = children
        self._registry = registry
        self._threads = threads
        self._resources = resources
        self.outbound = outbound
        """The rule for jobs that start from now on; an environment may change it."""

    async def __call__(self, job: Job) -> Any:
        """Raises InvalidPayload, UnknownType, CancelledError, or what the processor raised, masked."""
        logger = logs.for_job(_log, job)
        processor = self._registry.get(job.type)
        if processor is None:
            unknown = UnknownType(job.type, [each.job_type for each in self._registry])
            _log_failure(logger, unknown, NOTHING_TO_MASK)
            raise unknown
        if processor.isolation is Isolation.PROCESS and self._children is not None:
            return await self._children.run(processor, job, logger, self.outbound)
        return await self._run_here(processor, job, logger)

    async def _run_here(
        self, processor: Processor[Any], job: Job, logger: "logging.LoggerAdapter[logging.Logger]"
    ) -> Any:
        try:
            payload = validate(processor.payload, job.payload, sensitive=processor.sensitive_payload)
        except PermanentError as error:
            _log_failure(logger, error, NOTHING_TO_MASK)
            raise
        masker = masker_of(payload, everything=processor.sensitive_payload)
        try:
            result = await self._attempt(processor, job, payload, masker, logger)
        except asyncio.CancelledError:
            logger.info("attempt stopped", extra={"fields": {"reason": job.stop_reason}})
            raise
        except Exception as error:
            _log_failure(logger, error, masker)
            masked = mask_error(error, masker)
            if masked is error:
                raise
        else:
            logger.debug("attempt succeeded")
            return result
        # Outside of the except block: chained to the original, its text would be one traceback away.
        raise masked

    async def _attempt(
        self,
        processor: Processor[Any],
        job: Job,
        payload: BaseModel,
        masker: Masker,
        logger: "logging.LoggerAdapter[logging.Logger]",
    ) -> Any:
        resources = await self._resources.open(processor.resources)
        reporter = Reporter(job)
        context = Context.of(
            job, logger=logger, resources=resources, masker=masker, reporter=reporter, outbound=self.outbound
        )
        try:
            result = await execute(processor, context, payload, self._threads)
        except asyncio.CancelledError:
            reporter.close()
            raise
        finally:
            await reporter.flush()
        return as_result(result, masker)


def as_result(result: Any, masker: Masker) -> Any:
    """A return value without sensitive values. What is not JSON is left to the queue, which drops it and says so."""
    if isinstance(result, BaseModel):
        result = result.model_dump(mode="json", by_alias=True)
    if result is None or masker is NOTHING_TO_MASK:
        return result
    try:
        return masker.json(orjson.loads(orjson.dumps(result)))
    except TypeError:
        return result


def mask_error(error: Exception, masker: Masker) -> Exception:
    """The error itself when its text is clean, else one of the same name and meaning with the text masked."""
    text = str(error)
    masked = masker.text(text)
    if masked == text:
        return error
    if isinstance(error, PermanentError):
        return PermanentError(masked, type=error.type, reason=error.reason)
    if isinstance(error, RetryLater):
        return RetryLater(masked, after=error.after)
    if isinstance(error, RateLimited):
        return RateLimited(masked, after=error.after, scope=error.scope)
    if isinstance(error, Postponed):
        return Postponed(masked, after=error.after)
    # The class name is all that the queue takes from any other error; failure policies match on it.
    name = str(getattr(error, "type", None) or type(error).__name__)
    namesake: type[Exception] = type(name, (Exception,), {})
    return namesake(masked)


def _log_failure(logger: "logging.LoggerAdapter[logging.Logger]", error: Exception, masker: Masker) -> None:
    fields = {"error": type(error).__name__, "detail": masker.text(str(error))}
    if not isinstance(error, (PermanentError, RetryLater, Postponed)):  # those are said on purpose, not stumbled over
        fields["traceback"] = masker.text("".join(traceback.format_exception(error)))
    logger.warning("attempt failed", extra={"fields": fields})
