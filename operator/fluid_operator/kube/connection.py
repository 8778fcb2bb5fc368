"""How to reach the API server and prove who we are: kubeconfig or service account, one session, fresh tokens.

The official client reads the configuration, because exec plugins, token files and certificates in a dozen
notations are not worth writing twice. From it this module takes three things: the address, the aiohttp
session that both the official client and ours use, and the Authorization header of the moment. It must not
know any kind or verb.
"""

import asyncio
import os
import socket
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass
from weakref import WeakSet

import aiohttp
from kubernetes.aio import client
from kubernetes.aio import config as official
from yaml import YAMLError

from fluid_operator.kube.errors import BadConfiguration

# The loaders of the official client carry no annotations.
_config: Any = official

# Idle connections are probed by the kernel: a peer that vanished without a word (load balancer, lost node) is
# noticed after 15 + 3 * 5 s on a quiet watch, long before the watch's own limit for silence.
_KEEPALIVE = {"TCP_KEEPIDLE": 15, "TCP_KEEPINTVL": 5, "TCP_KEEPCNT": 3}

# One read takes at most twice this many bytes, so that a burst of watch events is parsed in slices of some
# milliseconds and never holds up a lease renewal.
_READ_BUFFER = 128 * 1024


@dataclass(frozen=True, slots=True)
class Connection:
    """A session with one API server; `api` is the official ApiClient on it, for low-rate typed calls."""

    api: Any
    session: aiohttp.ClientSession
    options: Mapping[str, Any]

    async def headers(self) -> dict[str, str]:
        """Return the headers of the next request; a token that is about to expire is read again first."""
        auth = (await self.api.configuration.auth_settings()).get("BearerToken")
        return {"Authorization": auth["value"]} if auth and auth["value"] else {}

    def url(self, path: str) -> str:
        """Return the absolute URL of a path of the API."""
        return f"{self.api.configuration.host}{path}"


@asynccontextmanager
async def open_connection(
    kubeconfig: Path | None, *, context: str | None = None, program: str = "fluid-operator"
) -> AsyncIterator[Connection]:
    """Open a session by this kubeconfig; None looks where a program in a pod and kubectl look.

    That is: $KUBECONFIG, else the pod's service account, else ~/.kube/config. `context` is one of the kubeconfig's;
    `program` is what the server's log calls us. Raises BadConfiguration.
    """
    configuration = client.Configuration()
    loader = await _load(configuration, kubeconfig, context)
    try:
        api: Any = client.ApiClient(configuration)
    except OSError as error:  # ssl.SSLError among them: a certificate or key that cannot be read
        raise BadConfiguration(f"{_source(kubeconfig)}: {error}") from error
    api.user_agent = f"{program}/{version('fluid-jobs')}"
    sockets = _Sockets()
    session = aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(
            ssl=api.rest_client.ssl_context,
            limit=0,  # workers bound the load; a lease renewal must never queue behind them for a connection
            socket_factory=sockets.make,
        ),
        headers={"User-Agent": api.user_agent},
        read_bufsize=_READ_BUFFER,
    )
    api.rest_client.pool_manager = session
    refresher = asyncio.create_task(_refresh(loader, configuration), name="kubeconfig token refresh")
    try:
        yield Connection(api, session, _options(configuration))
    finally:
        refresher.cancel()
        await asyncio.gather(refresher, return_exceptions=True)
        await api.close()
        await sockets.close()


async def _load(configuration: client.Configuration, kubeconfig: Path | None, context: str | None) -> Any:
    """Fill the configuration; return the loader that can refresh it, None if it does so itself."""
    in_cluster = "KUBERNETES_SERVICE_HOST" in os.environ and "KUBECONFIG" not in os.environ
    try:
        if kubeconfig is None and context is None and in_cluster:
            _config.load_incluster_config(client_configuration=configuration)
            return None
        path = str(kubeconfig) if kubeconfig else None
        return await _config.load_kube_config(
            path, context=context, client_configuration=configuration, persist_config=False
        )
    except (official.ConfigException, YAMLError, OSError, ValueError, KeyError, TypeError) as error:
        # A kubeconfig of a wrong shape surfaces as whatever the official loader stumbled over.
        raise BadConfiguration(f"{_source(kubeconfig)}: {error}") from error


def _source(kubeconfig: Path | None) -> str:
    return str(kubeconfig) if kubeconfig else "default kubeconfig or service account"


async def _refresh(loader: Any, configuration: client.Configuration) -> None:
    """Keep the tokens of exec plugins fresh; ends at once where there are none."""
    if loader is not None:
        await _config.refresh_token(loader, configuration)


def _options(configuration: client.Configuration) -> dict[str, Any]:
    """Return what every request needs beyond its headers: proxy and TLS name, where they are set."""
    options = {
        "proxy": configuration.proxy or _proxy_of_environment(configuration.host),
        "proxy_headers": configuration.proxy_headers,
        "server_hostname": configuration.tls_server_name,
    }
    return {name: value for name, value in options.items() if value}


def _proxy_of_environment(server: str) -> str | None:
    """What HTTPS_PROXY and NO_PROXY say about the API server. Asked once: a session that trusts the environment looks
    into it, and into ~/.netrc, for each request, in a thread."""
    parts = urlsplit(server)
    if proxy_bypass(parts.hostname or ""):
        return None
    return getproxies().get(parts.scheme)


class _Sockets:
    """The sockets of a session: made with keep-alive probes, and really closed at its end."""

    def __init__(self) -> None:
        self._made: WeakSet[socket.socket] = WeakSet()

    def make(self, address: Any) -> socket.socket:
        """Make a socket for the session, with keep-alive probes where the platform has them."""
        family, kind, protocol, _, _ = address
        made = socket.socket(family, kind, protocol)
        self._made.add(made)
        made.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        for name, value in _KEEPALIVE.items():
            if hasattr(socket, name):
                made.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)
        return made

    async def close(self) -> None:
        """End connections that still wait for the other side's TLS goodbye, which a dead peer never says.

        Closing the session leaves them to the event loop for up to half a minute, beyond the end of most
        loops.
        """
        for each in self._open():
            with suppress(OSError):  # not connected, or closed meanwhile
                each.shutdown(socket.SHUT_RDWR)
        deadline = time.monotonic() + 1
        # The event loop tells nobody when it has closed a socket: there is no event to wait for.
        while self._open() and time.monotonic() < deadline:  # noqa: ASYNC110
            await asyncio.sleep(0.001)

    def _open(self) -> list[socket.socket]:
        return [each for each in self._made if each.fileno() != -1]
