"""Redis behind TLS: the server's certificate is checked against the CA that was given, for every kind of connection."""

import asyncio
from collections.abc import Iterator

import pytest

from fluid_dev.pki import Authority
from fluid_dev.redis import RedisServer
from fluid_queue import Queue, QueueUnavailable, Tls
from support.folders import fresh_folder
from support.queues import consuming, ended, following, job
from support.topologies import RedisCluster, Sentinels
from support.waiting import auntil


@pytest.fixture(scope="module")
def authority() -> Authority:
    return Authority(fresh_folder("ca"))


@pytest.fixture(scope="module")
def secure(authority: Authority) -> Iterator[RedisServer]:
    """A Redis that speaks TLS only; it takes clients with a certificate of the same CA, or with none."""
    server = RedisServer(fresh_folder("redis"), die_with_parent=True, authority=authority)
    server.start()
    yield server
    server.stop(wipe=True)


async def _works(queue: Queue) -> None:
    """Commands, claims, wake-ups, renewals and hints, each on a connection of its own."""

    async def handler(_):
        await asyncio.sleep(0.5)  # long enough for a renewal

    async with following(queue) as reader, consuming(queue, handler, lease_seconds=1) as consumer:
        await auntil(lambda: consumer.last_claim, 10)  # the job has to wake it
        await queue.enqueue([job("a")])
        found = await ended(queue, "a")
        assert (found.state, found.attempt) == ("completed", 1)
        assert (await reader.read()).ids == {"a"}


async def test_the_ca_may_be_a_file_in_the_url(secure, authority, key_prefix):
    async with Queue.from_url(f"{secure.url}?ssl_ca_certs={authority.certificate_file}", key_prefix) as queue:
        await _works(queue)


async def test_the_ca_may_be_text_that_is_handed_over(secure, authority, key_prefix):
    tls = Tls(ca_pem=authority.certificate_file.read_text())
    async with Queue.from_url(secure.url, key_prefix, tls=tls) as queue:
        await _works(queue)


async def test_a_client_can_show_a_certificate(secure, authority, key_prefix):
    secure.cli("CONFIG", "SET", "tls-auth-clients", "yes")
    try:
        certificate, key = authority.client("worker", "worker")
        ca = str(authority.certificate_file)
        async with Queue.from_url(secure.url, key_prefix, tls=Tls(ca_file=ca)) as queue:
            with pytest.raises(QueueUnavailable):
                await queue.ping()
        tls = Tls(ca_file=ca, certificate_file=str(certificate), key_file=str(key))
        async with Queue.from_url(secure.url, key_prefix, tls=tls) as queue:
            await _works(queue)
            await queue._redis.config_set("tls-auth-clients", "optional")
    finally:
        secure.restart()


@pytest.mark.parametrize("how", ["another CA", "no CA"])
async def test_a_server_of_another_ca_is_refused(secure, key_prefix, how, tmp_path):
    tls = Tls(ca_file=str(Authority(tmp_path / "other").certificate_file)) if how == "another CA" else None
    async with Queue.from_url(secure.url, key_prefix, tls=tls) as queue:
        with pytest.raises(QueueUnavailable, match=r"its certificate is not trusted .*; give the CA that signed it"):
            await queue.ping()


async def test_a_server_that_has_another_name_is_refused(secure, authority, key_prefix):
    named = secure.url.replace("127.0.0.1", "127.0.0.2")
    secure.cli("CONFIG", "SET", "bind", "127.0.0.1 127.0.0.2")
    async with Queue.from_url(named, key_prefix, tls=Tls(ca_file=str(authority.certificate_file))) as queue:
        with pytest.raises(QueueUnavailable, match=r"not valid for '127\.0\.0\.2'"):
            await queue.ping()


async def test_a_ca_file_that_is_not_there_is_told(secure, key_prefix):
    async with Queue.from_url(secure.url, key_prefix, tls=Tls(ca_file="/nowhere/ca.crt")) as queue:
        with pytest.raises(QueueUnavailable, match="a CA, certificate, key or socket"):
            await queue.ping()


async def test_a_worker_outlives_a_restart_of_a_redis_behind_tls(secure, authority, key_prefix):
    tls = Tls(ca_file=str(authority.certificate_file))
    ran: list[str] = []

    async def handler(active):
        ran.append(active.id)

    async with Queue.from_url(secure.url, key_prefix, tls=tls) as queue, consuming(queue, handler):
        await queue.enqueue([job("before")])
        await ended(queue, "before")
        await asyncio.to_thread(secure.restart)
        async with Queue.from_url(secure.url, key_prefix, tls=tls) as other:
            await other.enqueue([job("after")])
            await ended(other, "after")
    assert ran == ["before", "after"]


@pytest.mark.parametrize("kind", [Sentinels, RedisCluster])
async def test_sentinels_and_clusters_may_be_behind_tls_too(kind, authority, key_prefix):
    topology = kind(authority)
    try:
        tls = Tls(ca_file=str(authority.certificate_file))
        async with Queue.from_url(topology.url, key_prefix, tls=tls) as queue:
            await _works(queue)
    finally:
        topology.stop()
