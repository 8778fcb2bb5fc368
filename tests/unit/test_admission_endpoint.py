"""The webhook's port under a reviewer that is slow or broken, and under callers that never come to an end."""

import asyncio
import contextlib
import json
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

import aiohttp
import pytest

from fluid_operator.admission.certificates import issue
from fluid_operator.admission.endpoint import Endpoint, listening
from fluid_operator.admission.reviewer import ALLOWED, Verdict
from fluid_operator.admission.reviews import Heard, Review
from fluid_operator.admission.tls import Served
from fluid_operator.errors import CannotListen

REVIEW = {
    "apiVersion": "admission.k8s.io/v1",
    "kind": "AdmissionReview",
    "request": {"uid": "u1", "operation": "CREATE", "kind": {}, "object": {}},
}
HEADERS = {"Content-Type": "application/json"}


class Never:
    """A reviewer that waits for something that does not come."""

    async def judge(self, review: Review) -> Verdict:
        await asyncio.Event().wait()
        return ALLOWED


class Broken:
    """A reviewer with a defect."""

    async def judge(self, review: Review) -> Verdict:
        raise RuntimeError("a defect")


class Door:
    """What a test sees of a served endpoint."""

    def __init__(self, port: int, context: ssl.SSLContext, heard: list[Heard]) -> None:
        self.port = port
        self.context = context
        self.heard = heard

    async def ask(self, data: Any) -> tuple[int, str]:
        url = f"https://127.0.0.1:{self.port}/validate"
        async with (
            aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=self.context)) as session,
            session.post(url, data=data, headers=HEADERS) as answer,
        ):
            return answer.status, await answer.text()


@asynccontextmanager
async def opened(reviewer: Any, seconds: float = 0.4) -> AsyncIterator[Door]:
    served, certificate = Served(), issue(["localhost"], datetime.now(UTC))
    served.load(certificate, "here")
    heard: list[Heard] = []
    endpoint = Endpoint(reviewer, lambda outcome, took: heard.append(outcome), seconds=seconds)
    context = ssl.create_default_context(cadata=certificate.authorities.decode())
    async with listening("127.0.0.1", 0, served.context, endpoint) as port:
        yield Door(port, context, heard)


async def test_a_review_that_takes_too_long_is_let_pass_with_a_warning() -> None:
    async with opened(Never()) as door:
        code, text = await door.ask(json.dumps(REVIEW))
    assert code == 200
    assert json.loads(text)["response"] == {
        "uid": "u1",
        "allowed": True,
        "warnings": ["spec.payload was not checked: it took too long; the job is checked when it is enqueued"],
    }
    assert door.heard == ["unchecked"]


async def test_a_review_that_breaks_is_let_pass_and_logged(caplog: pytest.LogCaptureFixture) -> None:
    async with opened(Broken()) as door:
        code, text = await door.ask(json.dumps(REVIEW))
    assert (code, json.loads(text)["response"]["allowed"]) == (200, True)
    assert "A review broke, the job was let pass." in caplog.messages


async def test_a_body_that_never_ends_is_not_waited_for() -> None:
    async def trickle() -> AsyncIterator[bytes]:
        while True:
            yield b" "
            await asyncio.sleep(0.02)

    async with opened(Never()) as door:
        with contextlib.suppress(aiohttp.ClientError):  # hung up on in the middle of a sentence
            assert (await door.ask(trickle()))[0] == 503
        assert door.heard == ["late"]


async def test_callers_that_hold_every_place_for_large_bodies_do_not_keep_small_ones_out() -> None:
    class Yes:
        async def judge(self, review: Review) -> Verdict:
            return ALLOWED

    async with opened(Yes(), seconds=30) as door:
        stuck = [await asyncio.open_connection("127.0.0.1", door.port, ssl=door.context) for _ in range(5)]
        head = (
            "POST /validate HTTP/1.1",
            "Host: a",
            "Content-Type: application/json",
            "Content-Length: 1000000",
            "",
            "",
        )
        for _, writer in stuck:
            writer.write("\r\n".join(head).encode())
            await writer.drain()
        code, text = await door.ask(json.dumps(REVIEW))
        assert json.loads(text)["response"]["allowed"]
        assert (code, door.heard) == (200, ["allowed"])
        for _, writer in stuck:
            writer.close()


async def test_without_a_certificate_the_port_is_there_and_no_handshake_succeeds() -> None:
    async with listening("127.0.0.1", 0, Served().context, Endpoint(Never(), lambda *_: None)) as port:
        with pytest.raises((ssl.SSLError, ConnectionError)):
            await asyncio.open_connection("127.0.0.1", port, ssl=ssl.create_default_context())
        with pytest.raises(CannotListen, match="set FLUID_WEBHOOK_HOST and FLUID_WEBHOOK_PORT"):
            async with listening("127.0.0.1", port, Served().context, Endpoint(Never(), lambda *_: None)):
                pass
