"""The client against HTTP servers that misbehave, and kubeconfigs that are of no use.

What a real API server says is the matter of tests/cluster/test_kube_client.py; here it is how HTTP can fail.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from aiohttp import web

from fluid_operator.kube.client import Call, ClientSettings, Kube, connect
from fluid_operator.kube.errors import BadConfiguration, NotLeader, ServerError, TooManyRequests, Unreachable
from fluid_operator.kube.keys import ObjectKey, Resource

CONFIG_MAPS = Resource("", "v1", "configmaps", "ConfigMap")
KEY = ObjectKey("default", "a")

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def kubeconfig(folder: Path, server: str, token: str = "") -> Path:
    path = folder / "kubeconfig"
    config = {
        "current-context": "it",
        "clusters": [{"name": "it", "cluster": {"server": server}}],
        "contexts": [{"name": "it", "context": {"cluster": "it", "user": "it"}}],
        "users": [{"name": "it", "user": {"token": token} if token else {}}],
    }
    path.write_text(json.dumps(config))
    return path


@asynccontextmanager
async def served(folder: Path, handler: Handler, **more: object) -> AsyncIterator[Kube]:
    """A client of an HTTP server with this one handler."""
    runner = web.ServerRunner(web.Server(handler), shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    port = runner.addresses[0][1]
    try:
        async with connect(kubeconfig(folder, f"http://127.0.0.1:{port}", "secret"), **more) as kube:
            yield kube
    finally:
        await runner.cleanup()


def throttling(times: int, retry_after: str | None) -> Handler:
    left = times

    async def handle(request: web.Request) -> web.Response:
        nonlocal left
        left -= 1
        if left >= 0:
            return web.json_response(
                {"kind": "Status", "code": 429, "reason": "TooManyRequests"},
                status=429,
                headers={"Retry-After": retry_after} if retry_after else {},
            )
        return web.json_response({"metadata": {"name": "a"}})

    return handle


async def test_throttling_is_waited_for_once_if_asked(tmp_path):
    calls: list[Call] = []
    async with served(tmp_path, throttling(1, "0"), observe=calls.append) as kube:
        answer = await kube.patch(CONFIG_MAPS, KEY, {}, wait_if_throttled=True)
    assert answer == {"metadata": {"name": "a"}}
    assert [call.code for call in calls] == [429, 200]


@pytest.mark.parametrize(
    ("times", "retry_after", "wait"), [(1, "0", False), (2, "0", True), (1, None, True), (1, "3600", True)]
)
async def test_throttling_is_an_error_unless_it_can_be_waited_for(tmp_path, times, retry_after, wait):
    async with served(tmp_path, throttling(times, retry_after)) as kube:
        with pytest.raises(TooManyRequests) as caught:
            await kube.patch(CONFIG_MAPS, KEY, {}, wait_if_throttled=wait)
    assert caught.value.retry_after == (float(retry_after) if retry_after else None)


async def test_a_silent_server_is_unreachable_after_the_timeout(tmp_path):
    forever = asyncio.Event()

    async def handle(request: web.Request) -> web.Response:
        await forever.wait()
        return web.Response()

    calls: list[Call] = []
    async with served(tmp_path, handle, settings=ClientSettings(request_timeout=0.1), observe=calls.append) as kube:
        with pytest.raises(Unreachable) as caught:
            await kube.get(CONFIG_MAPS, KEY)
        forever.set()
    assert isinstance(caught.value.__cause__, TimeoutError)
    assert [(call.verb, call.code) for call in calls] == [("get", 0)]


async def test_nobody_listening_is_unreachable(tmp_path, unused_tcp_port):
    async with connect(kubeconfig(tmp_path, f"http://127.0.0.1:{unused_tcp_port}")) as kube:
        with pytest.raises(Unreachable):
            await kube.get(CONFIG_MAPS, KEY)
        with pytest.raises(Unreachable):
            async with kube.watch(CONFIG_MAPS, resource_version="1", timeout=1, silence=1):
                pass


async def test_a_proxy_that_answers_in_prose_is_quoted(tmp_path):
    async def handle(request: web.Request) -> web.Response:
        return web.Response(status=502, text="<h1>no upstream</h1>")

    async with served(tmp_path, handle) as kube:
        with pytest.raises(ServerError, match="no upstream") as caught:
            await kube.get(CONFIG_MAPS, KEY)
    assert caught.value.status == 502


async def test_a_watch_that_breaks_off_is_unreachable(tmp_path):
    async def handle(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        await response.write(b'{"type":"ADDED","object":{"n":1}}\n')
        assert request.transport is not None
        request.transport.abort()
        return response

    async with served(tmp_path, handle) as kube:
        batches = []
        with pytest.raises(Unreachable):
            async with kube.watch(CONFIG_MAPS, resource_version="1", timeout=9, silence=9) as watch:
                batches += [batch async for batch in watch]


async def test_a_guard_is_asked_before_every_write_and_no_read(tmp_path):
    arrived: list[str] = []
    answers = iter([None, NotLeader("ns/lease", "me")])

    async def handle(request: web.Request) -> web.Response:
        arrived.append(request.method)
        return web.json_response({"code": 429}, status=429, headers={"Retry-After": "0"})

    def guard() -> None:
        if error := next(answers):
            raise error

    async with served(tmp_path, handle) as kube:
        with pytest.raises(NotLeader):
            await kube.guarded(guard).patch(CONFIG_MAPS, KEY, {}, wait_if_throttled=True)
        with pytest.raises(TooManyRequests):
            await kube.guarded(guard).get(CONFIG_MAPS, KEY)
    assert arrived == ["PATCH", "GET"], "leadership that ended while waiting stops the second try"


async def test_every_request_says_who_asks(tmp_path):
    seen: list[tuple[str, str]] = []

    async def handle(request: web.Request) -> web.Response:
        seen.append((request.headers["Authorization"], request.headers["User-Agent"]))
        return web.json_response({})

    async with served(tmp_path, handle) as kube:
        await kube.get(CONFIG_MAPS, KEY)
    ((authorization, agent),) = seen
    assert authorization.lower() == "bearer secret"
    assert agent.startswith("fluid-operator/0.")


@pytest.mark.parametrize("content", [None, "", "[]", "{}", "current-context: it", "{"])
async def test_a_useless_kubeconfig_is_refused_with_its_name(tmp_path, content):
    path = tmp_path / "kubeconfig"
    if content is not None:
        path.write_text(content)
    with pytest.raises(BadConfiguration, match=str(path)):
        async with connect(path):
            pass
