"""The worker as a process: found types, health, metrics, signals, and a Redis that is late or loses everything."""

import signal
import socket
from functools import partial
from pathlib import Path

import pytest

from fluid_queue import Backoff, NewJob, Queue
from support.waiting import auntil
from support.workers import install_probes, worker_process


@pytest.fixture
def start(queue, tmp_path):
    """Starts a worker process on the test's key space."""
    return partial(worker_process, queue, tmp_path, install_probes(tmp_path, "worker_probes"))


async def put(queue: Queue, name: str, kind: str, **payload) -> None:
    quick = Backoff(type="Fixed", delay_seconds=0)
    origin = {"kind": "FluidJob", "namespace": "staging", "name": "probe"}
    job = NewJob(id=name, type=f"probe-{kind}", queue="probes", payload=payload, backoff=quick, origin=origin)
    await queue.enqueue([job])


async def ended(queue: Queue, name: str):
    async def look():
        (found,) = await queue.inspect([name])
        return found if found and found.ended else None

    return await auntil(look, 30, f"the end of {name}")


def lines(path: Path) -> list[str]:
    return path.read_text().splitlines() if path.exists() else []


async def test_a_worker_publishes_its_types_runs_jobs_and_counts_them(queue, start):
    async with start(FLUID_IMAGE="example.org/app:1") as worker:
        await worker.ready()
        published = await queue.types("example.org/app:1")
        assert {"email", "demo-flaky", "probe-async", "probe-thread"} <= published.keys()
        assert published["email"]["settings"]["backoffLimit"] == 8
        assert published["probe-async"]["schema"]["properties"]["secret"]["x-sensitive"] is True

        await put(queue, "one", "async")
        await put(queue, "two", "thread", do="refuse")
        await ended(queue, "one")
        await ended(queue, "two")
        assert await worker.get("/livez") == (200, "ok\n")
        status, metrics = await worker.get("/metrics")
    assert status == 200
    assert 'fluid_worker_jobs_finished_total{outcome="completed",type="probe-async"} 1.0' in metrics
    assert 'fluid_worker_jobs_finished_total{outcome="failed",type="probe-thread"} 1.0' in metrics
    assert 'fluid_worker_jobs_started_total{type="email"} 0.0' in metrics
    assert "fluid_worker_jobs_running 0.0" in metrics
    assert "fluid_worker_claim_age_seconds" in metrics


async def test_sigterm_lets_the_running_job_finish_and_exits_with_0(queue, start, tmp_path):
    mark = tmp_path / "mark"
    async with start() as worker:
        await worker.ready()
        await put(queue, "job", "async", do="wait", seconds=1, mark=str(mark))
        await auntil(lambda: lines(mark), 10, "the start of the job")
        worker.process.send_signal(signal.SIGTERM)

        async def draining():
            return await worker.get("/readyz") == (503, "draining\n")

        await auntil(draining, 5, "the worker says that it drains")
        assert (await worker.get("/livez"))[0] == 200
        assert await worker.exited() == 0
    assert (await ended(queue, "job")).state == "completed"


async def test_a_second_signal_ends_the_worker_at_once(queue, start, tmp_path):
    mark = tmp_path / "mark"
    async with start() as worker:
        await worker.ready()
        await put(queue, "job", "async", do="wait", seconds=60, mark=str(mark))
        await auntil(lambda: lines(mark), 10, "the start of the job")
        worker.process.send_signal(signal.SIGINT)
        await auntil(lambda: worker.entries("draining"), 5, "the first signal is taken")
        worker.process.send_signal(signal.SIGINT)
        assert await worker.exited(5) == 128 + signal.SIGINT


async def test_a_thread_that_ignores_its_stop_ends_the_worker_and_its_job_runs_elsewhere(queue, start, tmp_path):
    mark = tmp_path / "mark"
    async with start(FLUID_GRACE_SECONDS="60") as worker:
        await worker.ready()
        await put(queue, "job", "thread", do="stubborn", seconds=60, mark=str(mark))
        await auntil(lambda: lines(mark), 10, "the start of the job")
        await queue.cancel(["job"])
        assert await worker.exited() == 1
        assert worker.entries("a thread ignores its stop; the worker drains and exits")[0]["name"] == "probe"
    async with start():
        assert (await ended(queue, "job")).state == "cancelled"
    assert lines(mark) == ["start 1"]


async def test_a_worker_waits_for_a_redis_that_is_not_there_yet_and_publishes_again_what_it_lost(
    own_redis, key_prefix, start
):
    own_redis.stop()
    async with start(FLUID_REDIS_URL=own_redis.url, FLUID_KEY_PREFIX=key_prefix) as worker:

        async def waiting():
            return await worker.get("/readyz") == (503, "no claim has been answered by Redis yet\n")

        await auntil(waiting, 20, "the worker waits")
        assert (await worker.get("/livez"))[0] == 200
        own_redis.start()
        await worker.ready()
        async with Queue.from_url(own_redis.url, key_prefix) as queue:
            await auntil(lambda: queue.types("local"), 20, "the types are published")
            own_redis.cli("FLUSHALL")
            await auntil(lambda: queue.types("local"), 30, "the types are published again")
            await put(queue, "job", "async")
            assert (await ended(queue, "job")).state == "completed"
        assert own_redis.password not in worker.log.read_text()


async def test_log_lines_of_a_job_tell_where_it_came_from(queue, start):
    async with start(FLUID_WORKER_NAME="w1") as worker:
        await worker.ready()
        await put(queue, "job", "async", do="refuse")
        await ended(queue, "job")
        [entry] = await auntil(lambda: worker.entries("attempt failed"), 5, "the log line")
    expected = {"worker": "w1", "job": "job", "type": "probe-async", "queue": "probes", "attempt": 1}
    expected |= {"namespace": "staging", "name": "probe", "error": "PermanentError", "detail": "never"}
    assert {key: entry.get(key) for key in expected} == expected


async def test_a_taken_health_port_is_one_clear_line_and_exit_2(start):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        async with start(FLUID_HEALTH_PORT=str(taken.getsockname()[1])) as worker:
            assert await worker.exited() == 2
            assert "FLUID_HEALTH_PORT" in worker.log.read_text()
            assert "Traceback" not in worker.log.read_text()


async def test_a_mail_goes_from_the_queue_to_a_real_smtp_server(queue, start, smtp):
    async with start(SMTP_URL=f"smtp://127.0.0.1:{smtp.port}", EMAIL_FROM="Calendar <noreply@example.org>") as worker:
        await worker.ready()
        payload = {"to": "ada@example.org", "subject": "From the queue", "text": "Hello"}
        await queue.enqueue([NewJob(id="mail", type="email", payload=payload)])
        done = await ended(queue, "mail")
    assert done.state == "completed"
    [mail] = [each for each in smtp.mails() if each["Subject"] == "From the queue"]
    assert mail["Message-ID"] in done.result.decode()


async def test_without_an_smtp_server_in_the_settings_the_job_says_what_to_set(queue, start):
    async with start() as worker:
        await worker.ready()
        payload = {"to": "ada@example.org", "subject": "s", "text": "t"}
        await queue.enqueue([NewJob(id="mail", type="email", payload=payload, backoff_limit=0)])
        done = await ended(queue, "mail")
    assert done.error["type"] == "SettingsError"
    assert "SMTP_URL" in done.error["message"]
