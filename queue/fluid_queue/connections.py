"""The door to Redis: connections for one key space, to whatever serves it at the moment.

A connection looks up its server each time that it connects: Sentinels are asked for the master, Cluster nodes for the
owner of the key space's slot, which is one, so that a plain connection to it is all that is needed. A connection whose
server says that it is not the right one (any more) closes itself; the next command on it connects anew, and so looks
again. Nothing is remembered that could be wrong, nothing is retried here, and no command is known here.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

import redis
from redis import asyncio as aioredis
from redis import connection as blocking
from redis.asyncio import connection as awaiting
from redis.asyncio.retry import Retry as AwaitingRetry
from redis.backoff import NoBackoff
from redis.crc import key_slot
from redis.exceptions import AuthenticationError, RedisError
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.retry import Retry

from fluid_queue.addresses import Address, Node
from fluid_queue.translate import is_elsewhere

_LOOKUP_SECONDS = 2.0
"""How long one Sentinel or Cluster node may take to say where to go."""

_CONNECTIONS = 50
"""Connections of one client at most; whoever finds them all in use waits its turn, as long as for a connection."""

Locate = Callable[[], Node]


class Door:
    """Opens connections to the server that holds `key` and all keys of its slot. May be used from any thread."""

    def __init__(self, address: Address, key: str) -> None:
        self.address = address
        self._slot = key_slot(key.encode())
        self._known = address.nodes
        """Cluster nodes to ask, those of the last answer first: the ones of the address may be gone by then."""

    def client(
        self, *, timeout: float | None, connect_timeout: float, connecting: Callable[[], None] | None = None
    ) -> aioredis.Redis:
        """An asyncio client whose commands give up after `timeout` seconds (None: never). Connects when it is used;
        `connecting` is told each time, because a client that finds its connection closed says nothing to its user."""
        options = self._options(timeout, connect_timeout) | {"retry": AwaitingRetry(NoBackoff(), 0)}
        options["connecting"] = connecting
        if self.address.kind == "sentinel":
            options["redis_connect_func"] = _greet_master
        kind = _AWAITING[self.address.kind == "socket", self.address.tls is not None]
        pool = aioredis.BlockingConnectionPool(
            max_connections=_CONNECTIONS, timeout=connect_timeout, connection_class=kind, **options
        )
        return aioredis.Redis.from_pool(pool)

    def blocking_client(self, *, timeout: float | None, connect_timeout: float) -> redis.Redis:
        """The same for a thread."""
        options = self._options(timeout, connect_timeout) | {"retry": Retry(NoBackoff(), 0)}
        if self.address.kind == "sentinel":
            options["redis_connect_func"] = _greet_master_blocking
        kind = _BLOCKING[self.address.kind == "socket", self.address.tls is not None]
        return redis.Redis.from_pool(redis.ConnectionPool(connection_class=kind, **options))

    def _options(self, timeout: float | None, connect_timeout: float) -> dict[str, Any]:
        address = self.address
        options: dict[str, Any] = {
            "socket_timeout": timeout,
            "socket_connect_timeout": connect_timeout,
            "username": address.username or None,
            "password": address.password or None,
            "db": address.database,
            # What every server and proxy speaks; nothing of ours needs more. And no introductions: a user with the
            # least rights may not make them.
            "protocol": 2,
            "driver_info": None,
        }
        if address.kind == "socket":
            return options | {"path": address.path}
        host, port = address.nodes[0]
        options |= {"host": host, "port": port, "locate": self._locator()}
        return options | address.tls.arguments() if address.tls else options

    def _locator(self) -> Locate | None:
        return {"sentinel": self._master, "cluster": self._owner}.get(self.address.kind)

    # -- who serves the key space? Blocking; takes _LOOKUP_SECONDS for each server that does not answer ---------------

    def _master(self) -> Node:
        """The master, as the first Sentinel that knows it says."""
        address = self.address
        credentials = (address.sentinel_username, address.sentinel_password)
        command = ("SENTINEL", "GET-MASTER-ADDR-BY-NAME", address.master)

        def read(answer: Any, _: Node) -> Node:
            if not answer:
                raise RedisError(f"it knows no master {address.master!r}")
            return answer[0].decode(), int(answer[1])

        return self._ask("Sentinel", address.nodes, credentials, command, read)

    def _owner(self) -> Node:
        """The node that owns the slot, as the first node that answers says."""
        address = self.address

        def read(answer: Any, asked: Node) -> Node:
            owner, self._known = _read_slots(answer, asked, self._slot, address.nodes)
            return owner

        return self._ask("Cluster node", self._known, (address.username, address.password), ("CLUSTER", "SLOTS"), read)

    def _ask(
        self,
        what: str,
        nodes: Sequence[Node],
        credentials: tuple[str, str],
        command: tuple[str, ...],
        read: Callable[[Any, Node], Node],
    ) -> Node:
        problems = []
        for node in nodes:
            try:
                return read(self._call(node, credentials, command), node)
            except AuthenticationError:
                raise
            except (RedisError, OSError) as error:
                problems.append(f"{node[0]}:{node[1]}: {error}")
        raise RedisConnectionError(f"no {what} can say where to go: {'; '.join(problems)}")

    def _call(self, node: Node, credentials: tuple[str, str], command: tuple[str, ...]) -> Any:
        """One command on a connection of its own, answered without any interpretation."""
        options = self._options(_LOOKUP_SECONDS, _LOOKUP_SECONDS)
        options |= {"host": node[0], "port": node[1], "locate": None, "db": 0}
        options |= {"username": credentials[0] or None, "password": credentials[1] or None}
        connection = _BLOCKING[False, self.address.tls is not None](**options)
        try:
            connection.connect()
            connection.send_command(*command)
            return connection.read_response()
        finally:
            connection.disconnect()


def _read_slots(answer: Any, asked: Node, slot: int, seeds: Sequence[Node]) -> tuple[Node, tuple[Node, ...]]:
    """The owner of a slot in the answer to CLUSTER SLOTS, and whom to ask next time: the owner last, because the others
    know when it has failed."""
    owner: Node | None = None
    others: list[Node] = []
    for first, last, *nodes in answer:
        for position, (host, port, *_) in enumerate(nodes):
            # An empty host stands for the one that was asked.
            node = ((host or b"").decode() or asked[0], int(port))
            if position == 0 and first <= slot <= last:
                owner = node
            others.append(node)
    if owner is None:
        raise RedisError(f"nobody serves slot {slot}")
    known = dict.fromkeys(node for node in (*others, *seeds) if node != owner)
    return owner, (*known, owner)


# -- the two kinds of connection -------------------------------------------------------------------------------------


class _Awaiting(awaiting.AbstractConnection):
    """What our asyncio connections do more than redis-py's."""

    def __init__(
        self, *, locate: Locate | None = None, connecting: Callable[[], None] | None = None, **options: Any
    ) -> None:
        super().__init__(**options)
        self._locate = locate
        self._connecting = connecting

    async def _connect(self) -> None:
        if self._connecting is not None:
            self._connecting()
        if self._locate is not None:
            self.host, self.port = await asyncio.to_thread(self._locate)
        parent: Any = super()  # the class after this one among the bases
        await parent._connect()

    async def read_response(self, *args: Any, **options: Any) -> Any:
        try:
            return await super().read_response(*args, **options)
        except RedisError as error:
            if is_elsewhere(error):
                await self.disconnect(nowait=True)
            raise


class _Blocking(blocking.AbstractConnection):
    """What our connections for threads do more than redis-py's."""

    def __init__(self, *, locate: Locate | None = None, **options: Any) -> None:
        super().__init__(**options)
        self._locate = locate

    def _connect(self) -> Any:
        if self._locate is not None:
            self.host, self.port = self._locate()
        parent: Any = super()
        return parent._connect()

    def read_response(self, *args: Any, **options: Any) -> Any:
        parent: Any = super()
        try:
            return parent.read_response(*args, **options)
        except RedisError as error:
            if is_elsewhere(error):
                parent.disconnect()
            raise


class _AwaitingTcp(_Awaiting, awaiting.Connection):
    pass


class _AwaitingTls(_Awaiting, awaiting.SSLConnection):
    pass


class _AwaitingSocket(_Awaiting, awaiting.UnixDomainSocketConnection):
    pass


class _BlockingTcp(_Blocking, blocking.Connection):
    pass


class _BlockingTls(_Blocking, blocking.SSLConnection):
    pass


class _BlockingSocket(_Blocking, blocking.UnixDomainSocketConnection):
    pass


# By: is it a Unix socket, is it TLS.
_AWAITING: dict[tuple[bool, bool], Any] = {
    (False, False): _AwaitingTcp,
    (False, True): _AwaitingTls,
    (True, False): _AwaitingSocket,
}
_BLOCKING: dict[tuple[bool, bool], Any] = {
    (False, False): _BlockingTcp,
    (False, True): _BlockingTls,
    (True, False): _BlockingSocket,
}


async def _greet_master(connection: Any) -> None:
    """Sentinels tell of a fail-over a moment late: the server has to say itself that it is the master."""
    await connection.on_connect()
    await connection.send_command("ROLE", check_health=False)
    _check_role(await connection.read_response())


def _greet_master_blocking(connection: Any) -> None:
    connection.on_connect()
    connection.send_command("ROLE", check_health=False)
    _check_role(connection.read_response())


def _check_role(answer: Any) -> None:
    if answer[0] != b"master":
        raise RedisConnectionError("the server that the Sentinels named is not the master yet, or not any more")
