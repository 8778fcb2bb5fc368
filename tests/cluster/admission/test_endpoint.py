"""What the webhook's port does with everything that is not a polite question of an API server."""

import asyncio
import io
import json
import socket
import ssl
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest

from fluid_operator.admission.endpoint import MAX_BYTES
from fluid_operator.api.meta import API_VERSION, GROUP, VERSION
from support.waiting import auntil
from support.webhooks import Served

JSON = {"Content-Type": "application/json"}


@pytest.fixture
async def http(served: Served) -> AsyncIterator[aiohttp.ClientSession]:
    """A client that trusts the webhook as the API server does."""
    context = ssl.create_default_context(cadata=served.authorities().decode())
    base = f"https://127.0.0.1:{served.port}"
    async with aiohttp.ClientSession(base, connector=aiohttp.TCPConnector(ssl=context)) as session:
        yield session


def review(served: Served, payload: Any, **request: Any) -> dict[str, Any]:
    """A question about the creation of a `mail`."""
    job = {
        "apiVersion": API_VERSION,
        "kind": "FluidJob",
        "metadata": {"name": "a"},
        "spec": {"type": "mail", "payload": payload},
    }
    asked = {
        "uid": "u1",
        "kind": {"group": GROUP, "version": VERSION, "kind": "FluidJob"},
        "operation": "CREATE",
        "namespace": served.stage.namespace,
        "object": job,
        "oldObject": None,
    }
    return {"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": asked | request}


async def ask(http: aiohttp.ClientSession, body: bytes, headers: dict[str, str] = JSON) -> tuple[int, str]:
    async with http.post("/validate", data=io.BytesIO(body), headers=headers) as answer:
        return answer.status, await answer.text()


async def test_an_answer_carries_the_uid_and_the_refusal_as_a_status(
    served: Served, http: aiohttp.ClientSession
) -> None:
    code, text = await ask(http, json.dumps(review(served, {"to": 7})).encode())
    assert code == 200
    assert json.loads(text) == {
        "apiVersion": "admission.k8s.io/v1",
        "kind": "AdmissionReview",
        "response": {
            "uid": "u1",
            "allowed": False,
            "status": {
                "status": "Failure",
                "code": 422,
                "reason": "Invalid",
                "message": 'spec.payload.to: 7 is not of type "string"',
                "details": {
                    "name": "a",
                    "group": GROUP,
                    "kind": "FluidJob",
                    "causes": [
                        {
                            "reason": "FieldValueInvalid",
                            "field": "spec.payload.to",
                            "message": '7 is not of type "string"',
                        }
                    ],
                },
            },
        },
    }


@pytest.mark.parametrize(
    ("body", "headers", "code"),
    [
        (b"{", JSON, 400),
        (b"\xff\xfe", JSON, 400),
        (b"[]", JSON, 400),
        (b"[" * 100_000, JSON, 400),
        (b'{"apiVersion":"admission.k8s.io/v1beta1","kind":"AdmissionReview"}', JSON, 400),
        (b'{"apiVersion":"admission.k8s.io/v1","kind":"AdmissionReview"}', JSON, 400),
        (b'{"apiVersion":"admission.k8s.io/v1","kind":"AdmissionReview","request":{"uid":7}}', JSON, 400),
        (b"{}", {"Content-Type": "text/plain"}, 415),
        (b"{}", {}, 415),
    ],
)
async def test_what_is_no_review_is_told_so(
    http: aiohttp.ClientSession, body: bytes, headers: dict[str, str], code: int
) -> None:
    assert (await ask(http, body, headers))[0] == code


def status_line(served: Served, *pieces: bytes) -> str:
    """Send a request in pieces; how the answer begins."""
    context = ssl.create_default_context(cadata=served.authorities().decode())
    with (
        socket.create_connection(("127.0.0.1", served.port), timeout=10) as plain,
        context.wrap_socket(plain, server_hostname="127.0.0.1") as connection,
    ):
        for piece in pieces:
            connection.sendall(piece)
        return connection.recv(1000).decode().splitlines()[0]


def head(*lines: str) -> bytes:
    return "\r\n".join(
        ("POST /validate HTTP/1.1", "Host: a", "Content-Type: application/json", *lines, "", "")
    ).encode()


def test_a_body_that_is_too_large_is_refused_before_it_is_read(served: Served) -> None:
    assert status_line(served, head(f"Content-Length: {MAX_BYTES + 1}")).startswith("HTTP/1.1 413 ")


def test_a_body_of_unknown_length_is_cut_off_as_well(served: Served) -> None:
    chunk = b"10000\r\n" + b" " * 0x10000 + b"\r\n"
    chunks = [chunk] * (MAX_BYTES // 0x10000 + 1)
    assert status_line(served, head("Transfer-Encoding: chunked"), *chunks).startswith("HTTP/1.1 413 ")


@pytest.mark.parametrize(("method", "path", "code"), [("GET", "/validate", 405), ("POST", "/metrics", 404)])
async def test_nothing_else_is_served(http: aiohttp.ClientSession, method: str, path: str, code: int) -> None:
    async with http.request(method, path) as answer:
        assert answer.status == code


@pytest.mark.parametrize("levels", [70, 400, 3000])
async def test_deep_nesting_is_refused_as_too_deep(served: Served, http: aiohttp.ClientSession, levels: int) -> None:
    text = json.dumps(review(served, "HERE")).replace('"HERE"', '{"to":' * levels + "1" + "}" * levels)
    code, said = await ask(http, text.encode())
    assert code == 200
    assert json.loads(said)["response"]["status"]["message"] == "spec: nested in more than 64 levels"


@pytest.mark.parametrize(
    "odd",
    [
        {"object": {"metadata": 7, "spec": 7}},
        {"object": {"metadata": {"annotations": 7}, "spec": {"type": 7}}},
        {"object": {"spec": {"type": "mail", "payload": [], "items": 7}}},
        {"object": {}, "oldObject": {}, "operation": "UPDATE"},
        {"object": None, "operation": "DELETE"},
        {"namespace": ""},
        {"namespace": "../../../api/v1/secrets?x="},
    ],
)
async def test_objects_of_any_shape_get_an_answer(
    served: Served, http: aiohttp.ClientSession, odd: dict[str, Any]
) -> None:
    code, said = await ask(http, json.dumps(review(served, {}, **odd)).encode())
    assert code == 200
    assert json.loads(said)["response"]["uid"] == "u1"
    assert served.operator.said("A review broke, the job was let pass.") == []


async def test_many_at_once_are_all_answered_and_liveness_is_not_held_up(
    served: Served, http: aiohttp.ClientSession
) -> None:
    items = [{"to": "x" * 200}] * 999 + [{"to": 7}]
    asked = review(served, {})
    asked["request"]["object"]["spec"]["items"] = items
    body = json.dumps(asked).encode()
    answers = asyncio.gather(*(ask(http, body) for _ in range(100)))
    assert (await asyncio.to_thread(served.operator.http, "/livez")).status == 200
    for code, said in await answers:
        if code == 200 and not json.loads(said)["response"]["allowed"]:
            assert "spec.items[999].to" in said
        else:  # too many at once: let pass, or told so
            assert code == 503 or "it took too long" in said

    async def refuses() -> bool:
        return "spec.items[999].to" in (await ask(http, body))[1]

    await auntil(refuses, what="it is refused when there is time")


async def test_tls_below_1_2_is_not_spoken(served: Served) -> None:
    context = ssl.create_default_context(cadata=served.authorities().decode())
    context.set_ciphers("ALL:@SECLEVEL=0")
    with pytest.warns(DeprecationWarning, match="TLSv1_1"):
        context.minimum_version = context.maximum_version = ssl.TLSVersion.TLSv1_1
    with pytest.raises((ssl.SSLError, ConnectionError)):
        await asyncio.open_connection("127.0.0.1", served.port, ssl=context)
