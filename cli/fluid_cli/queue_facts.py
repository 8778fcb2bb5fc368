"""What the queue knows about a job and Kubernetes does not: its place, what holds its queue, who works.

The facts are a help: where Redis cannot be asked, the command says so in one line and shows the rest.
"""

from __future__ import annotations

from dataclasses import dataclass

from fluid_cli.environments import find_environment
from fluid_cli.errors import BadUsage, CliError, MissingRight
from fluid_cli.job import Job
from fluid_cli.queue_access import open_queue
from fluid_cli.session import Session
from fluid_cli.translation import queue_sentence
from fluid_queue import JobRecord, Queue, QueueError, QueueStats

_LOOKED_THROUGH = 1000
"""How many waiting jobs are looked through for the place of one."""

_WOULD_SHOW = "its place in the queue, what holds the queue, the oldest waiting job and whether workers are alive"


@dataclass(frozen=True, slots=True)
class QueueFacts:
    """The queue at one moment. `record`: the job there; `place`: how many start before it, None where that is not
    known; `stats`: None for a queue in which nothing ever was."""

    queue: str
    workers: int
    suspended: bool
    stats: QueueStats | None = None
    record: JobRecord | None = None
    place: int | None = None


async def queue_facts(session: Session, job: Job, redis_url: str) -> QueueFacts | str:
    """The facts, or a sentence that says why there are none and what they would have been."""
    try:
        environment = await find_environment(session, job.environment)
        async with open_queue(session, environment, redis_url) as queue:
            return await read_facts(queue, job)
    except MissingRight as error:
        why = f"for that you need the right to {error.verb} {error.resource} in namespace {error.namespace}"
    except QueueError as error:
        why = queue_sentence(error)
    except BadUsage:
        raise
    except CliError as error:
        why = str(error)
    return f"Not shown: {_WOULD_SHOW}. {why[:1].upper()}{why[1:].rstrip('.')}."


async def read_facts(queue: Queue, job: Job) -> QueueFacts:
    """Ask the queue. Raises QueueError."""
    stats = await queue.stats()
    _, settings = await queue.settings()
    record = (await queue.inspect([job.job_id]))[0] if job.job_id else None
    name = (record.queue if record else "") or job.queue or job.type
    row = next((each for each in stats.queues if each.queue == name), None)
    waits = record is not None and record.state in ("waiting", "blocked")
    place = await _place(queue, name, record) if waits and record else None
    return QueueFacts(name, stats.workers, settings.suspend, row, record, place)


async def _place(queue: Queue, name: str, record: JobRecord) -> int | None:
    page = await queue.list_jobs(name, record.state, limit=_LOOKED_THROUGH)
    ids = [each.id for each in page.records]
    return ids.index(record.id) if record.id in ids else None
