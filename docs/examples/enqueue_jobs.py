"""Put a few jobs into the queue, from a Python program that is nothing else's business; prints their ids.

Needs `pip install fluid-jobs`, a Redis, and a worker somewhere. `make demo-queue` starts all of it and runs this.
"""

import asyncio
import os
import secrets

from fluid_queue import Backoff, NewJob, Queue


async def main() -> None:
    run = secrets.token_hex(
        3
    )  # a job is enqueued once for each id; here every run of this program wants jobs of its own
    jobs = [
        NewJob(id=f"quick-{run}", type="demo-sleep", payload={"milliseconds": 20}),
        NewJob(id=f"longer-{run}", type="demo-sleep", payload={"milliseconds": 800, "steps": 4}, tags={"user": "42"}),
        NewJob(id=f"later-{run}", type="demo-sleep", payload={"milliseconds": 20}, delay_seconds=1.5),
        NewJob(
            id=f"flaky-{run}", type="demo-flaky", payload={"succeedAt": 3}, backoff=Backoff("Fixed", delay_seconds=1)
        ),
        NewJob(id=f"hopeless-{run}", type="demo-fail", backoff_limit=0),
    ]
    async with Queue.from_url(os.environ["FLUID_REDIS_URL"], os.environ["FLUID_KEY_PREFIX"]) as queue:
        await queue.enqueue(jobs)
    print(*(job.id for job in jobs))


asyncio.run(main())
