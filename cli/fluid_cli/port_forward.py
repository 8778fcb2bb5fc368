"""A way to a Service in the cluster: `kubectl port-forward` as a child that ends with us.

kubectl is there wherever people look at clusters, and finds a pod behind the Service by itself. What stands in the
child's argument list is a Service and a port, never a URL or a password.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from typing import NamedTuple

from fluid_cli.errors import NoQueueAccess
from fluid_cli.session import Session

_START_SECONDS = 15.0
_END_SECONDS = 3.0
_READY = re.compile(rb"Forwarding from 127\.0\.0\.1:(\d+) ->")
_SERVICE = re.compile(
    r"(?P<name>[a-z]([a-z0-9-]{0,61}[a-z0-9])?)"
    r"(\.(?P<namespace>[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)(\.svc(\.[a-z0-9.-]+)?)?)?"
)


class Service(NamedTuple):
    """A Service of the cluster."""

    name: str
    namespace: str


def service_named(host: str, namespace: str) -> Service | None:
    """The Service that a host name may mean for a pod of this namespace (`redis`, `redis.data`,
    `redis.data.svc.cluster.local`); None for what can be none, such as an IP address or localhost."""
    match = _SERVICE.fullmatch(host)
    if match is None or host == "localhost":
        return None
    return Service(match["name"], match["namespace"] or namespace)


def command(session: Session, service: Service, port: int) -> list[str]:
    """The child's argument list; the local port is the child's choice."""
    chosen = [f"--kubeconfig={session.kubeconfig}"] if session.kubeconfig else []
    chosen += [f"--context={session.context}"] if session.context else []
    target = [f"--namespace={service.namespace}", "port-forward", "--address=127.0.0.1", f"service/{service.name}"]
    return ["kubectl", *chosen, *target, f":{port}"]


@asynccontextmanager
async def forwarded(arguments: Sequence[str], service: Service) -> AsyncIterator[int]:
    """Run the child; the value is the local port. It is gone after the block. Raises NoQueueAccess."""
    try:
        # In a session of its own, so that Ctrl-C reaches only us: we end the child when we are done with it.
        child = await asyncio.create_subprocess_exec(
            *arguments,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            start_new_session=True,
        )
    except FileNotFoundError as error:
        raise NoQueueAccess(
            "Redis is inside the cluster, and kubectl, which would lead there, is not on the PATH: give --redis-url"
        ) from error
    try:
        yield await _port_of(child, service)
    finally:
        await _end(child)


async def _port_of(child: asyncio.subprocess.Process, service: Service) -> int:
    """Wait until the child listens. Raises NoQueueAccess with the child's own words when it ends instead."""
    assert child.stdout is not None
    assert child.stderr is not None
    with suppress(TimeoutError):
        async with asyncio.timeout(_START_SECONDS):
            while line := await child.stdout.readline():
                if match := _READY.match(line):
                    return int(match[1])
            said = (await child.stderr.read(2000)).decode(errors="replace").strip().splitlines()
            why = said[-1] if said else "it ended without a word"
            raise NoQueueAccess(f"kubectl port-forward to service/{service.name} in {service.namespace} failed: {why}")
    raise NoQueueAccess(f"kubectl port-forward to service/{service.name} does not listen after {_START_SECONDS:g} s")


async def _end(child: asyncio.subprocess.Process) -> None:
    if child.returncode is not None:
        return
    with suppress(ProcessLookupError):
        child.terminate()
    try:
        await asyncio.wait_for(child.wait(), _END_SECONDS)
    except TimeoutError:
        with suppress(ProcessLookupError):
            child.kill()
        await child.wait()
