"""The thin client: Kubernetes verbs on raw JSON, over one session, through one funnel.

Bodies are plain dictionaries as they stand in the API, encoded and decoded by orjson; no models, because a
model per object costs more than the request. `Kube.request` is the one funnel of all whole answers and
`Kube.watch` the one of streams: who wants to count, to delay or to break a verb (tests do) overrides these
two.

The client neither retries nor caches, with one exception that the caller must ask for: waiting once where the
server said for how long. It must not know what the objects mean.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import aclosing, asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NamedTuple, Self, TypeAlias

import aiohttp
import orjson

from fluid_operator.kube.connection import Connection, open_connection
from fluid_operator.kube.decoding import decode
from fluid_operator.kube.errors import ApiError, TooManyRequests, Unreachable, from_status
from fluid_operator.kube.keys import LEASES, ObjectKey, Resource
from fluid_operator.kube.streams import Event, read_events
from fluid_operator.kube.throttle import Throttle

Json: TypeAlias = dict[str, Any]
Verb: TypeAlias = Literal["get", "list", "watch", "create", "update", "patch", "delete"]

MERGE_PATCH = "application/merge-patch+json"
JSON_PATCH = "application/json-patch+json"
APPLY_PATCH = "application/apply-patch+yaml"

_METHODS: Mapping[Verb, str] = {
    "get": "GET",
    "list": "GET",
    "watch": "GET",
    "create": "POST",
    "update": "PUT",
    "patch": "PATCH",
    "delete": "DELETE",
}

_NEVER_HELD_BACK = LEASES.plural
"""A leader that waits behind its own burst loses its Lease."""


class Call(NamedTuple):
    """One finished request, for metrics.

    `code` is HTTP's, or 0 when no answer came; `seconds` run until the whole answer, of a watch until its
    headers.
    """

    verb: Verb
    resource: str
    code: int
    seconds: float


class _Request(NamedTuple):
    """One request, ready to be sent. `timeout` in seconds."""

    verb: Verb
    path: str
    resource: str
    query: Mapping[str, str] | None
    data: bytes | None
    headers: Mapping[str, str]
    timeout: float

    @property
    def writes(self) -> bool:
        return _METHODS[self.verb] != "GET"


class Page(NamedTuple):
    """A part of a list. `resource_version` is the whole snapshot's; the last `continue_token` is empty."""

    items: list[Json]
    resource_version: str
    continue_token: str


@dataclass(frozen=True, slots=True)
class ClientSettings:
    """Limits of the client. All in seconds."""

    request_timeout: float = 15.0
    """For a whole answer, connecting included. An API server under load answers 429 long before that."""
    connect_timeout: float = 5.0
    """For TCP and TLS of a new connection, also of a watch."""
    longest_retry_after: float = 30.0
    """A server that asks to wait longer is not waited for: the caller gets the error."""


class Kube:
    """A client of one API server. Its methods raise an ApiError for a refusal, Unreachable for silence.

    After Unreachable or a ServerError a write may or may not have happened: read before writing again.
    """

    def __init__(
        self,
        connection: Connection,
        *,
        settings: ClientSettings | None = None,
        observe: Callable[[Call], None] | None = None,
        guard: Callable[[], None] | None = None,
        throttle: Throttle | None = None,
    ) -> None:
        """Speak over this connection. `observe` is told of each finished request; `guard`: see `guarded`;
        `throttle` holds back requests, but those for Leases and watches."""
        self.connection = connection
        self._settings = settings or ClientSettings()
        self._observe = observe or (lambda call: None)
        self._guard = guard
        self._throttle = throttle

    def guarded(self, guard: Callable[[], None]) -> Self:
        """Return this client with `guard` called before each try of a write; what it raises stops it.

        `kube.guarded(elector.check)` is a client that cannot write without leading.
        """
        return type(self)(
            self.connection, settings=self._settings, observe=self._observe, guard=guard, throttle=self._throttle
        )

    async def request(
        self,
        verb: Verb,
        path: str,
        *,
        resource: str = "",
        query: Mapping[str, str] | None = None,
        body: Any = None,
        content_type: str = "application/json",
        timeout: float | None = None,
        wait_if_throttled: bool = False,
    ) -> Json:
        """Send one request and return its decoded answer ({} when it has no JSON object).

        `resource` is the plural for metrics. `timeout` in seconds replaces the default. With
        `wait_if_throttled` a 429 that carries Retry-After is waited for and tried again, once; the second
        refusal is raised.
        """
        data = None if body is None else orjson.dumps(body)
        headers = {} if data is None else {"Content-Type": content_type}
        sending = _Request(verb, path, resource, query, data, headers, timeout or self._settings.request_timeout)
        for last_try in (not wait_if_throttled, True):
            try:
                return await self._in_turn(sending)
            except TooManyRequests as error:
                pause = error.retry_after
                if last_try or pause is None or pause > self._settings.longest_retry_after:
                    raise
            await asyncio.sleep(pause)
        raise AssertionError("the last try returns or raises")

    async def _in_turn(self, request: _Request) -> Json:
        """Send once, when the throttle allows it; waiting for that is not part of the timeout."""
        throttle = self._throttle
        if throttle is None or request.resource == _NEVER_HELD_BACK:
            return await self._exchange(request)
        await throttle.enter(request.writes)
        code = 0
        try:
            answer = await self._exchange(request)
            code = 200
            return answer
        except ApiError as error:
            code = error.status
            raise
        finally:
            throttle.leave(code)

    async def _exchange(self, request: _Request) -> Json:
        """Send now and read the whole answer."""
        if self._guard is not None and request.writes:
            self._guard()
        verb, path, resource, query, data, headers, timeout = request
        started, code = time.monotonic(), 0
        limits = aiohttp.ClientTimeout(total=timeout, sock_connect=self._settings.connect_timeout)
        try:
            with _translated(path):
                response = await self._send(verb, path, limits, query, data, headers)
                raw = await response.read()
            code = response.status
        finally:
            self._observe(Call(verb, resource, code, time.monotonic() - started))
        if code >= 400:
            raise _refusal(response, raw, path)
        answer = _decode(raw) if raw else {}
        if answer is None:
            raise Unreachable(path, "the answer is no JSON object")
        return answer

    async def _send(
        self,
        verb: Verb,
        path: str,
        timeout: aiohttp.ClientTimeout,
        query: Mapping[str, str] | None = None,
        data: bytes | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> aiohttp.ClientResponse:
        """Send one request and return its answer as soon as the headers are there."""
        return await self.connection.session.request(
            _METHODS[verb],
            self.connection.url(path),
            params=query,
            data=data,
            headers={**(headers or {}), **await self.connection.headers()},
            timeout=timeout,
            **self.connection.options,
        )

    @asynccontextmanager
    async def watch(
        self,
        resource: Resource,
        namespace: str = "",
        *,
        resource_version: str,
        timeout: int,
        silence: float,
        selectors: Mapping[str, str] | None = None,
    ) -> AsyncIterator[AsyncIterator[list[Event]]]:
        """Open a watch from this resourceVersion; the value is an iterator over batches of events.

        The server ends it after `timeout` seconds, which ends the iterator. More than `silence` seconds
        without a byte (an idle kind gets no bookmarks), a broken connection or a cut line raise Unreachable;
        an ERROR event raises its ApiError, Gone above all. `selectors` may hold labelSelector and
        fieldSelector.
        """
        path = resource.path(namespace)
        query = {
            "watch": "1",
            "resourceVersion": resource_version,
            "allowWatchBookmarks": "true",
            "timeoutSeconds": str(timeout),
            **(selectors or {}),
        }
        started, code = time.monotonic(), 0
        connect = self._settings.connect_timeout
        limits = aiohttp.ClientTimeout(total=None, sock_connect=connect, sock_read=silence)
        try:
            with _translated(path):
                response = await self._send("watch", path, limits, query)
                refusal = await response.read() if response.status >= 400 else b""
            code = response.status
        finally:
            self._observe(Call("watch", resource.plural, code, time.monotonic() - started))

        async def read() -> bytes:
            # Only the reading is translated: an OSError of the caller's own making inside the block stays
            # what it is.
            with _translated(path):
                return await response.content.readany()

        try:
            if code >= 400:
                raise _refusal(response, refusal, path)
            async with aclosing(read_events(read, path)) as events:
                yield events
        finally:
            response.release()

    async def get(self, resource: Resource, key: ObjectKey, *, timeout: float | None = None) -> Json:
        """Return the object as the API server has it now."""
        return await self.request("get", resource.path(*key), resource=resource.plural, timeout=timeout)

    async def list_page(
        self,
        resource: Resource,
        namespace: str = "",
        *,
        limit: int = 500,
        continue_token: str = "",
        selectors: Mapping[str, str] | None = None,
    ) -> Page:
        """Return one page of a consistent, up-to-date list; limit 0 is everything in one page.

        Raises Gone when the token has expired; the list must then begin anew.
        """
        query = {"limit": str(limit), **(selectors or {})}
        if continue_token:
            query["continue"] = continue_token
        answer = await self.request("list", resource.path(namespace), resource=resource.plural, query=query)
        meta = answer["metadata"]
        return Page(answer["items"], meta["resourceVersion"], meta.get("continue", ""))

    async def create(self, resource: Resource, body: Json, *, timeout: float | None = None) -> Json:
        """Create the object in its metadata.namespace; unknown and doubled fields are refused."""
        return await self.request(
            "create",
            resource.path(body["metadata"].get("namespace", "")),
            resource=resource.plural,
            query={"fieldValidation": "Strict"},
            body=body,
            timeout=timeout,
        )

    async def update(self, resource: Resource, body: Json, *, timeout: float | None = None) -> Json:
        """Replace the object; a resourceVersion in it must be the current one, else Conflict."""
        meta = body["metadata"]
        return await self.request(
            "update",
            resource.path(meta.get("namespace", ""), meta["name"]),
            resource=resource.plural,
            query={"fieldValidation": "Strict"},
            body=body,
            timeout=timeout,
        )

    async def patch(
        self,
        resource: Resource,
        key: ObjectKey,
        body: Any,
        *,
        subresource: str = "",
        content_type: str = MERGE_PATCH,
        query: Mapping[str, str] | None = None,
        wait_if_throttled: bool = False,
    ) -> Json:
        """Patch an object or a subresource; `query` takes fieldManager and force of server-side apply."""
        return await self.request(
            "patch",
            resource.path(*key, subresource),
            resource=resource.plural,
            query=query,
            body=body,
            content_type=content_type,
            wait_if_throttled=wait_if_throttled,
        )

    async def patch_status(
        self,
        resource: Resource,
        key: ObjectKey,
        status: Mapping[str, Any],
        *,
        uid: str,
        resource_version: str,
        wait_if_throttled: bool = False,
    ) -> Json:
        """Merge these fields into the status of exactly this version of the object, else Conflict.

        It is the resourceVersion that protects: the status endpoint of custom resources ignores a wrong uid.
        The uid is sent as well because other kinds do refuse it.
        """
        body = {"metadata": {"uid": uid, "resourceVersion": resource_version}, "status": status}
        return await self.patch(resource, key, body, subresource="status", wait_if_throttled=wait_if_throttled)

    async def delete(
        self,
        resource: Resource,
        key: ObjectKey,
        *,
        uid: str | None = None,
        resource_version: str | None = None,
        propagation: Literal["Background", "Foreground", "Orphan"] = "Background",
    ) -> None:
        """Delete the object if it has this uid and this version, where given; else Conflict."""
        conditions = {"uid": uid, "resourceVersion": resource_version}
        body = {
            "apiVersion": "v1",
            "kind": "DeleteOptions",
            "propagationPolicy": propagation,
            "preconditions": {name: value for name, value in conditions.items() if value is not None},
        }
        await self.request("delete", resource.path(*key), resource=resource.plural, body=body)


@asynccontextmanager
async def connect(
    kubeconfig: Path | None = None,
    *,
    context: str | None = None,
    program: str = "fluid-operator",
    settings: ClientSettings | None = None,
    observe: Callable[[Call], None] | None = None,
    throttle: Throttle | None = None,
) -> AsyncIterator[Kube]:
    """Open a client by this kubeconfig (None: see open_connection). Raises BadConfiguration."""
    async with open_connection(kubeconfig, context=context, program=program) as connection:
        yield Kube(connection, settings=settings, observe=observe, throttle=throttle)


@contextmanager
def _translated(path: str) -> Iterator[None]:
    """Say Unreachable for everything that the HTTP library and the sockets below it may raise."""
    try:
        yield
    except (aiohttp.ClientError, TimeoutError, OSError) as error:
        raise Unreachable(path, str(error) or type(error).__name__) from error


def _decode(raw: bytes) -> Json | None:
    try:
        answer = decode(raw)
    except orjson.JSONDecodeError:
        return None
    return answer if isinstance(answer, dict) else None


def _refusal(response: aiohttp.ClientResponse, raw: bytes, path: str) -> ApiError:
    """Turn an answer of 400 and above into its error; a proxy's plain text becomes the message."""
    status = _decode(raw) or {"message": raw[:500].decode(errors="replace"), "reason": response.reason}
    wait = response.headers.get("Retry-After", "")
    return from_status(response.status, status, path, retry_after=float(wait) if wait.isdecimal() else None)
