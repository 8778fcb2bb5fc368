"""A way to the queue in Redis with the caller's own rights: the environment's Secret, or an address of their own.

An address is a secret as a whole: it is never printed, never in a message and never in an argument list.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from urllib.parse import urlsplit, urlunsplit

from fluid_cli.environments import Environment, read_url
from fluid_cli.errors import BadUsage, NoQueueAccess
from fluid_cli.port_forward import command, forwarded, service_named
from fluid_cli.session import Session
from fluid_queue import Address, Codec, InvalidAddress, InvalidKeyRing, KeyRing, Queue

_KEYS = "FLUID_ENCRYPTION_KEYS"

_DIRECT_SECONDS = 2.0
"""For a TCP connection to tell whether Redis is reached directly: a name of the cluster fails at once outside of it,
and a packet filter that says nothing must not hold up a command."""


@asynccontextmanager
async def open_queue(session: Session, environment: Environment, redis_url: str) -> AsyncIterator[Queue]:
    """The environment's queue; `redis_url` replaces the one in the Secret. Nothing of it is left after the block.

    Raises BadUsage, MissingRight, NoQueueAccess."""
    url = redis_url or await read_url(session, environment)
    try:
        address = Address.parse(url)
    except InvalidAddress as error:
        raise _unusable(error, given=bool(redis_url)) from error
    async with AsyncExitStack() as stack:
        if not redis_url and not await _answers(address):
            url = await _through_the_cluster(session, address, stack)
        yield await stack.enter_async_context(
            Queue.from_url(url, environment.key_prefix, codec=codec_of(os.environ.get(_KEYS, "")))
        )


def codec_of(keys: str) -> Codec:
    """What reads the values of an encrypted environment, from the workers' key ring; plain ones without it. A key
    comes by environment variable only: arguments are seen by others. Raises BadUsage."""
    try:
        return Codec(KeyRing.parse(keys)) if keys else Codec()
    except InvalidKeyRing as error:
        raise BadUsage(_KEYS, str(error)) from error


def moved(url: str, port: int) -> str:
    """The same URL at a port of this machine.

    With TLS the certificate still has to be of its CA, but names the Service and not 127.0.0.1; who is at the other
    end is what the API server has vouched for."""
    parts = urlsplit(url)
    userinfo, at, _ = parts.netloc.rpartition("@")
    query = parts.query
    if parts.scheme == "rediss":
        query = "&".join([*filter(None, [query]), "ssl_check_hostname=false"])
    return urlunsplit((parts.scheme, f"{userinfo}{at}127.0.0.1:{port}", parts.path, query, ""))


async def _through_the_cluster(session: Session, address: Address, stack: AsyncExitStack) -> str:
    if address.kind != "server":
        raise NoQueueAccess("its Redis (Sentinel or Cluster) is not reached from here: give --redis-url")
    host, port = address.nodes[0]
    service = service_named(host, session.namespace)
    if service is None:
        raise NoQueueAccess("its Redis is not reached from here, and is no Service of the cluster: give --redis-url")
    local = await stack.enter_async_context(forwarded(command(session, service, port), service))
    return moved(address.url, local)


async def _answers(address: Address) -> bool:
    """Whether something listens where the address leads, at any of its nodes."""
    if address.kind == "socket":
        return True
    for host, port in address.nodes:
        with suppress(OSError, TimeoutError):
            _, writer = await asyncio.wait_for(asyncio.open_connection(host, port), _DIRECT_SECONDS)
            writer.close()
            return True
    return False


def _unusable(error: InvalidAddress, *, given: bool) -> Exception:
    if given:
        return BadUsage("--redis-url", f"{error.field} {error.message}" if error.field != "url" else error.message)
    return NoQueueAccess(f"the URL in the environment's Secret {error.message}")
