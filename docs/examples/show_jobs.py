"""Wait until the jobs with the given ids have ended, and show how they ran: python show_jobs.py <id>...

A hint says that some job has changed, never how: whoever wants to know reads the record.
"""

import asyncio
import os
import sys
from collections.abc import Sequence

from fluid_queue import HintReader, JobRecord, Queue


async def ended(queue: Queue, ids: Sequence[str]) -> Sequence[JobRecord | None]:
    reader = HintReader(queue)
    try:
        while True:
            await reader.read()
            records = await queue.inspect(ids)
            if all(record is None or record.ended for record in records):
                return records
    finally:
        await reader.aclose()


def line(job_id: str, record: JobRecord | None) -> str:
    if record is None:
        return f"{job_id:<18} is not known; its record is kept for an hour"
    seconds = (record.finished_at - record.started_at) / 1000 if record.started_at else 0.0
    told = (record.result or b"").decode() if record.state == "completed" else (record.error or {}).get("message", "")
    return f"{job_id:<18} {record.type:<12} {record.state:<10} {record.attempt:>8} {seconds:>7.2f} s  {told}"


async def main(ids: Sequence[str]) -> None:
    async with Queue.from_url(os.environ["FLUID_REDIS_URL"], os.environ["FLUID_KEY_PREFIX"]) as queue:
        records = await ended(queue, ids)
    print(f"{'ID':<18} {'TYPE':<12} {'STATE':<10} {'ATTEMPTS':>8}  DURATION  RESULT OR ERROR")
    for job_id, record in zip(ids, records, strict=True):
        print(line(job_id, record))


asyncio.run(main(sys.argv[1:]))
