"""Kopf in a thread and a loop of its own: it watches FluidEnvironments and wakes their controller.

A thread, because Kopf takes every task of its loop for its own and cancels it when it ends. It never writes: peering
(`standalone`), posting of events, and whatever puts finalizers or annotations onto objects are off; the Lease decides
who leads. It does not scan for namespaces and CRDs either, so that Roles are enough. What it cannot be trusted with
(after a lost connection it resumes its watch, and misses deletions) is made up for by the controller, which looks
again by itself.

Its end is never silent: `follow` raises, and the process ends.
"""

import asyncio
import contextlib
import logging
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future, InvalidStateError

import kopf
import uvloop

from fluid_operator.errors import KopfEnded
from fluid_operator.handlers import REGISTRY, Memo
from fluid_operator.kube.connection import Connection
from fluid_operator.kube.keys import ObjectKey

log = logging.getLogger(__name__)

_STOP_SECONDS = 3.0
"""Kopf stops within milliseconds. A thread cannot be killed, and since it never writes, it may also be left behind."""

_CONNECT_SECONDS = 5.0


async def follow(
    connection: Connection,
    namespaces: Sequence[str],
    *,
    environments: Callable[[ObjectKey], None],
) -> None:
    """Call this, in our loop, with the key of each FluidEnvironment that exists or changes, until cancelled.

    No namespace means all. Raises KopfEnded when Kopf gives up.
    """
    loop = asyncio.get_running_loop()
    memo = Memo(
        login=lambda: asyncio.wrap_future(asyncio.run_coroutine_threadsafe(connection_info(connection), loop)),
        wake_environment=lambda key: _call(loop, environments, key),
    )
    stop: Future[None] = Future()
    ended: Future[None] = Future()
    threading.Thread(target=_thread, args=(memo, namespaces, stop, ended), name="kopf", daemon=True).start()
    end = asyncio.wrap_future(ended)
    try:
        await asyncio.wait([end])
    finally:
        with contextlib.suppress(InvalidStateError):  # Kopf ended first, and took its stop flag with it
            stop.set_result(None)
        await asyncio.wait([end], timeout=_STOP_SECONDS)
    error = end.exception()
    raise KopfEnded(str(error) or type(error).__name__ if error else "without an error") from error


async def connection_info(connection: Connection) -> kopf.ConnectionInfo:
    """Return what Kopf needs to reach the same API server as the same user. Kopf asks again after each 401."""
    configuration = connection.api.configuration
    scheme, _, token = (await connection.headers()).get("Authorization", "").partition(" ")
    return kopf.ConnectionInfo(
        server=configuration.host,
        ca_path=configuration.ssl_ca_cert or None,
        insecure=not configuration.verify_ssl,
        certificate_path=configuration.cert_file or None,
        private_key_path=configuration.key_file or None,
        scheme=scheme or None,
        token=token or None,
        proxy_url=configuration.proxy or None,
        trust_env=True,
    )


def settings() -> kopf.OperatorSettings:
    """Return Kopf's settings: silent, read-only, quick to end."""
    made = kopf.OperatorSettings()
    made.posting.enabled = False
    made.scanning.disabled = True
    made.networking.connect_timeout = _CONNECT_SECONDS
    made.queueing.exit_timeout = 0.5
    # Kopf would kill its thread by a signal that ends the whole process.
    made.process.ultimate_exiting_timeout = None
    return made


def _thread(memo: Memo, namespaces: Sequence[str], stop: Future[None], ended: Future[None]) -> None:
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(_operate(memo, namespaces, stop))
    except Exception as error:  # noqa: BLE001 - whatever ends the thread is told to its owner
        ended.set_exception(error)
    else:
        ended.set_result(None)


async def _operate(memo: Memo, namespaces: Sequence[str], stop: Future[None]) -> None:
    await kopf.operator(
        registry=REGISTRY,
        settings=settings(),
        memo=memo,
        standalone=True,
        clusterwide=not namespaces,
        namespaces=namespaces,
        stop_flag=asyncio.wrap_future(stop),
    )


def _call(loop: asyncio.AbstractEventLoop, wake: Callable[[ObjectKey], None], key: ObjectKey) -> None:
    """Call `wake` in our loop, unless that is gone already."""
    with contextlib.suppress(RuntimeError):
        loop.call_soon_threadsafe(wake, key)
