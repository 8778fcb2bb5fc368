"""A network that can fail: a TCP proxy in front of a server whose connections can be cut, frozen, stranded and refused.

A frozen connection is what a lost node or a silent load balancer leaves behind: open at our end, nothing arrives. The
proxy does not look into the bytes; TLS goes through it to the real server.
"""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import yaml


class Proxy:
    """Forwards connections to one port of this machine, `target`; it may be changed. `port` is its own."""

    def __init__(self, target: int) -> None:
        self.target = target
        self._flowing = asyncio.Event()
        self._flowing.set()
        self._refusing = False
        self._writers: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self.port = 0
        self.accepted = 0
        """Connections accepted so far."""

    def freeze(self) -> None:
        """Stop all bytes, of open connections and of new ones, without closing anything."""
        self._flowing.clear()

    def thaw(self) -> None:
        """Let all bytes flow again, those that were held back included."""
        self._flowing.set()

    def strand(self) -> None:
        """Let no byte through the open connections ever again, as a firewall that has forgotten them; new ones work."""
        self._flowing.clear()
        self._flowing = asyncio.Event()
        self._flowing.set()

    def cut(self) -> None:
        """Close all connections and refuse new ones until `mend`."""
        self._refusing = True
        for writer in self._writers:
            writer.transport.abort()

    def mend(self) -> None:
        """Accept connections again."""
        self._refusing = False

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.accepted += 1
        flowing = self._flowing
        ends = [writer]
        self._writers.add(writer)
        try:
            up_reader, up_writer = await asyncio.open_connection("127.0.0.1", self.target)
            ends.append(up_writer)
            self._writers.add(up_writer)
            await asyncio.gather(self._pump(reader, up_writer, flowing), self._pump(up_reader, writer, flowing))
        except OSError:
            pass  # the other side is gone, which is what the tests are about
        finally:
            self._writers.difference_update(ends)
            for end in ends:
                end.transport.abort()
            await asyncio.gather(*(end.wait_closed() for end in ends), return_exceptions=True)

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, flowing: asyncio.Event) -> None:
        while chunk := await reader.read(65536):
            await flowing.wait()
            writer.write(chunk)
            await writer.drain()
        writer.transport.abort()

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._refusing:
            writer.transport.abort()
            return
        task = asyncio.get_running_loop().create_task(self._serve(reader, writer))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    @asynccontextmanager
    async def listening(self) -> AsyncIterator[None]:
        """Serve inside the block; every connection is gone after it."""
        server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        try:
            yield
        finally:
            server.close()
            self.cut()
            tasks = list(self._tasks)
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)


@asynccontextmanager
async def proxied(kubeconfig: Path, port: int, folder: Path) -> AsyncIterator[tuple[Proxy, Path]]:
    """Put a proxy before the API server on this port; yields it and a kubeconfig that goes through it."""
    proxy = Proxy(port)
    async with proxy.listening():
        yield proxy, _redirected(kubeconfig, proxy.port, folder)


def _redirected(kubeconfig: Path, port: int, folder: Path) -> Path:
    config = yaml.safe_load(kubeconfig.read_text())
    for each in config["clusters"]:
        each["cluster"]["server"] = f"https://127.0.0.1:{port}"
    path = folder / f"proxied-{port}.kubeconfig"
    path.touch(mode=0o600)
    path.write_text(json.dumps(config))
    return path
