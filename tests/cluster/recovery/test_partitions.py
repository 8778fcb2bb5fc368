"""Redis cannot be reached, by all or by some, for longer than any lease: what runs ends, what is new waits, and the
statuses catch up. Times are those of the tests' workers, whose leases last 2 s."""

import asyncio
import json
import signal
import urllib.error
import urllib.request
from collections import Counter
from typing import Any

from cluster.builders import fluid_environment
from support.proxies import Proxy
from support.stages import Stage, Worker, work
from support.waiting import auntil, until

OUTAGE_SECONDS = 6.0
"""Three leases of the workers."""


def condition(stage: Stage, kind: str) -> dict[str, Any]:
    """One condition of the environment, {} where it is not there."""
    status = json.loads(stage.kubectl("get", "fluidenvironment", "default", "--output=json")).get("status", {})
    return next((each for each in status.get("conditions", []) if each["type"] == kind), {})


def redis_up(stage: Stage) -> float | None:
    labels = f'environment="default",namespace="{stage.namespace}"'
    return stage._operators[0].metric(f"fluid_operator_redis_up{{{labels}}}")


async def test_an_outage_of_redis_is_told_and_costs_no_attempt(stage: Stage):
    """Who holds leases has time to renew them before anybody may take them back."""
    stage.worker()
    await asyncio.to_thread(until, lambda: condition(stage, "Ready").get("status") == "True", 30, "it is ready")
    stage.apply(*(work(f"running-{number}", seconds=3) for number in range(5)))
    await asyncio.to_thread(stage.started, 5)
    stage.redis.stop()
    await auntil(lambda: condition(stage, "RedisReady").get("reason") == "RedisUnavailable", 30, "it is told")
    assert condition(stage, "Ready")["reason"] == "RedisUnavailable"
    assert redis_up(stage) == 0
    stage.apply(work("new"))
    await asyncio.to_thread(stage.reason, "new", "QueueUnavailable")
    await asyncio.sleep(OUTAGE_SECONDS)
    stage.redis.start()
    assert await asyncio.to_thread(stage.all_end, 6) == {"Succeeded": 6}
    await auntil(lambda: condition(stage, "Ready").get("status") == "True", 30, "it is ready again")
    assert redis_up(stage) == 1
    assert ran_once(stage)


def ran_once(stage: Stage) -> bool:
    """Whether every job that was started was started once."""
    return set(Counter(start.job_id for start in stage.starts()).values()) == {1}


def lives(worker: Worker) -> bool:
    """What its liveness probe is answered."""
    lines = [json.loads(line) for line in worker.process.log.read_text().splitlines() if line.startswith("{")]
    port = next(line["healthPort"] for line in lines if line["message"] == "worker started")
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/livez", timeout=5) as answer:
            return bool(answer.status == 200)
    except urllib.error.HTTPError as refusal:
        refusal.close()
        return False


def test_a_worker_that_is_restarted_during_an_outage_has_its_jobs_run_again(stage: Stage):
    """Without a claim for too long its liveness probe fails, and the kubelet asks it to stop."""
    worker = stage.worker(FLUID_LIVENESS_SECONDS="5", FLUID_GRACE_SECONDS="1")
    stage.apply(*(work(f"job-{number}", seconds=1) for number in range(5)))
    stage.started(5)
    assert lives(worker)
    stage.redis.stop()
    until(lambda: not lives(worker), 30, "the worker is found dead")
    worker.kill(signal.SIGTERM)
    worker.process.wait(20)
    stage.redis.start()
    stage.worker()
    assert stage.all_end(5) == {"Succeeded": 5}
    assert set(Counter(start.job_id for start in stage.starts()).values()) == {2}


def environment_through(stage: Stage, proxy: Proxy) -> None:
    """The operator reaches Redis through the proxy, and nobody else does."""
    url = f"redis://:{stage.redis.password}@127.0.0.1:{proxy.port}/0"
    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "proxied"}, "stringData": {"url": url}}
    stage.kubectl("apply", "--filename=-", input=json.dumps(secret))
    stage.apply(fluid_environment("default").spec(image="example.org/app:1").external_redis("proxied"))


async def test_while_the_operator_alone_is_cut_off_jobs_run_and_their_statuses_catch_up(stage: Stage):
    proxy = Proxy(stage.redis.port)
    async with proxy.listening():
        environment_through(stage, proxy)
        stage.worker()
        stage.apply(work("first"))
        await asyncio.to_thread(stage.reaches, "first", "Succeeded")
        stage.apply(*(work(f"job-{number}", seconds=4) for number in range(5)))
        await asyncio.to_thread(stage.started, 6)
        assert proxy.accepted
        proxy.freeze()
        await auntil(lambda: condition(stage, "Ready").get("reason") == "RedisUnavailable", 60, "it is told")
        proxy.thaw()
        assert await asyncio.to_thread(stage.all_end, 6) == {"Succeeded": 6}
        assert ran_once(stage)
        stage._operators[0].process.stop()


async def test_a_worker_that_is_cut_off_runs_on_beside_the_one_that_has_taken_its_job(stage: Stage):
    """Nobody can stop it; what it does outside carries an older fencing token, and what it reports is refused."""
    proxy = Proxy(stage.redis.port)
    async with proxy.listening():
        stage.worker(FLUID_REDIS_URL=f"redis://:{stage.redis.password}@127.0.0.1:{proxy.port}/0")
        stage.apply(work("contested", seconds=5))
        await asyncio.to_thread(stage.started, 1)
        proxy.freeze()
        stage.worker()
        await asyncio.to_thread(stage.started, 2)
        proxy.thaw()
        status = await asyncio.to_thread(stage.reaches, "contested", "Succeeded")
        assert status["attempts"] == 2
        assert [attempt["outcome"] for attempt in status["attemptHistory"]] == ["Stalled", "Succeeded"]
        assert len(stage.starts()) == 2
        for each in (*stage._workers, *stage._operators):
            each.process.stop(within=1)
