"""What every kind of isolation must keep, on a real worker and a real Redis: a new one is a new parameter of `kind`."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from fluid_processors import Registry
from fluid_processors.settings import from_environment
from fluid_processors.worker import Worker
from fluid_queue import Backoff, NewJob, Queue
from support.waiting import auntil
from support.worker_probes import PROBES

QUICK = Backoff(type="Fixed", delay_seconds=0)


@pytest.fixture(params=["async", "thread", "process", "process-loop"])
def kind(request) -> str:
    return request.param


@asynccontextmanager
async def working(queue: Queue, **settings: str) -> AsyncIterator[Worker]:
    """A worker in this loop; drained at the end."""
    variables = {"REDIS_URL": queue.url, "KEY_PREFIX": queue.keys.name, "HEALTH_HOST": "127.0.0.1", "HEALTH_PORT": "0"}
    chosen = {**variables, "GRACE_SECONDS": "0", "LEASE_SECONDS": "3", **settings}
    worker = Worker(from_environment({f"FLUID_{name}": value for name, value in chosen.items()}), Registry(PROBES))
    task = asyncio.create_task(worker.run())
    try:
        yield worker
    finally:
        worker.drain()
        await asyncio.wait_for(task, 30)


@pytest.fixture
async def worker(queue) -> AsyncIterator[Worker]:
    async with working(queue) as running:
        yield running


async def put(queue: Queue, kind: str, payload=None, **options) -> None:
    usual = {"id": "job", "type": f"probe-{kind}", "queue": "probes", "backoff": QUICK, "backoff_limit": 3}
    await queue.enqueue([NewJob(**{**usual, "payload": payload or {}, **options})])


async def record(queue: Queue):
    (found,) = await queue.inspect(["job"])
    assert found
    return found


async def ended(queue: Queue):
    async def look():
        found = await record(queue)
        return found if found.ended else None

    return await auntil(look, 20, "the end of the job")


def lines(path) -> list[str]:
    return path.read_text().splitlines() if path.exists() else []


async def test_a_job_that_returns_is_completed_with_its_result(queue, worker, kind):
    await put(queue, kind)
    done = await ended(queue)
    assert done.state == "completed"
    assert done.result == b'{"attempt":1,"key":"job"}'


async def test_an_exception_is_retried_until_the_job_succeeds(queue, worker, kind):
    await put(queue, kind, {"do": "flaky"})
    done = await ended(queue)
    assert (done.state, done.attempt) == ("completed", 3)
    assert [attempt.error["type"] for attempt in done.attempts] == ["ConnectionError", "ConnectionError"]


async def test_retries_end_with_the_limit(queue, worker, kind):
    await put(queue, kind, {"do": "flaky"}, backoff_limit=1)
    done = await ended(queue)
    assert (done.state, done.attempt, done.reason) == ("failed", 2, "BackoffLimitExceeded")
    assert done.error == {"type": "ConnectionError", "message": "attempt 2 fails", "attempt": 2}


async def test_a_permanent_error_is_not_retried(queue, worker, kind):
    await put(queue, kind, {"do": "refuse"})
    done = await ended(queue)
    assert (done.state, done.attempt) == ("failed", 1)
    assert done.error["type"] == "PermanentError"


async def test_retry_later_is_tried_again(queue, worker, kind):
    await put(queue, kind, {"do": "later"}, backoff=Backoff(type="Fixed", delay_seconds=3600))
    done = await ended(queue)
    assert (done.state, done.attempt) == ("completed", 2)


async def test_an_attempt_past_its_deadline_is_stopped_and_counts(queue, worker, kind, tmp_path):
    mark = tmp_path / "mark"
    await put(queue, kind, {"do": "wait", "mark": str(mark)}, attempt_deadline_seconds=0.3, backoff_limit=1)
    done = await ended(queue)
    assert (done.state, done.reason, done.attempt) == ("failed", "AttemptTimeout", 2)
    assert lines(mark) == ["start 1", "end deadline", "start 2", "end deadline"]


async def test_a_cancelled_job_stops_while_it_runs(queue, worker, kind, tmp_path):
    mark = tmp_path / "mark"
    await put(queue, kind, {"do": "wait", "mark": str(mark)})
    await auntil(lambda: lines(mark), 10, "the start of the job")
    await queue.cancel(["job"])
    done = await ended(queue)
    assert done.state == "cancelled"
    assert lines(mark) == ["start 1", "end cancel"]


async def test_a_drained_worker_hands_its_job_back_uncounted_and_another_one_runs_it(queue, kind, tmp_path):
    mark = tmp_path / "mark"
    async with working(queue, WORKER_NAME="first"):
        await put(queue, kind, {"do": "wait", "seconds": 2, "mark": str(mark)}, backoff_limit=0)
        await auntil(lambda: lines(mark), 10, "the start of the job")
    assert lines(mark) == ["start 1", "end drain"]
    assert (await record(queue)).state == "waiting"
    assert (await record(queue)).failures == 0
    async with working(queue, WORKER_NAME="second", GRACE_SECONDS="20"):
        await auntil(lambda: len(lines(mark)) > 2, 10, "the second start")
    assert (await record(queue)).state == "completed"


async def test_a_job_that_ends_within_the_grace_is_completed_by_the_draining_worker(queue, kind, tmp_path):
    mark = tmp_path / "mark"
    async with working(queue, GRACE_SECONDS="20"):
        await put(queue, kind, {"do": "wait", "seconds": 0.5, "mark": str(mark)})
        await auntil(lambda: lines(mark), 10, "the start of the job")
    assert (await record(queue)).state == "completed"
    assert lines(mark) == ["start 1", "end None"]


async def test_a_payload_that_does_not_fit_fails_at_once_naming_the_field(queue, worker, kind):
    await put(queue, kind, {"do": "dance", "seconds": 100})
    done = await ended(queue)
    assert (done.state, done.reason, done.attempt) == ("failed", "InvalidPayload", 1)
    assert done.error["type"] == "InvalidPayload"
    assert "do: must be 'succeed'" in done.error["message"]
    assert "seconds: must be less than or equal to 60" in done.error["message"]
    assert "dance" not in done.error["message"]


async def test_a_sensitive_value_is_nowhere_to_be_seen(queue, worker, kind):
    await put(queue, kind, {"do": "tell", "secret": "open sesame"})
    done = await ended(queue)
    assert done.result == b'{"secret":"***"}'
    assert done.attempts[0].error["message"] == "cannot use ***"
    assert set(await queue.log_lines("job")) == {"the secret is ***"}
    assert "sesame" not in str(done)


async def test_a_type_that_the_worker_lacks_is_handed_on_and_says_what_it_has(queue, worker):
    """An old worker may meet a new type during a rollout; that must not fail the job."""
    await put(queue, "", type="mystery")

    async def postponed():
        (found,) = await queue.inspect(["job"])
        return found if found.state == "delayed" else None

    found = await auntil(postponed, what="the job to be handed on")
    assert (found.failures, found.error["type"]) == (0, "UnknownType")
    assert "probe-async, probe-process, probe-process-loop, probe-thread" in found.error["message"]


async def test_a_stopped_thread_keeps_its_lease_until_it_has_returned(queue, tmp_path):
    mark = tmp_path / "mark"
    async with working(queue, LEASE_SECONDS="1", WORKER_NAME="first"), working(queue, LEASE_SECONDS="1"):
        await put(
            queue,
            "thread",
            {"do": "stubborn", "seconds": 3, "mark": str(mark)},
            attempt_deadline_seconds=0.2,
            backoff_limit=0,
        )
        done = await ended(queue)
    assert done.reason == "AttemptTimeout"
    assert lines(mark) == ["start 1"]
    assert done.finished_at - done.started_at >= 2900
