"""The email processor against real SMTP servers: delivery, encryption, credentials, refusals, reuse of connections.

The servers are aiosmtpd's, on loopback ports of this test, with what a test wants refused.
"""

import asyncio
import ssl
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field

import pytest
from aiosmtpd.smtp import SMTP, AuthResult

from fluid_dev.pki import Authority
from fluid_processors import Outbound, OutboundMode, PermanentError, RateLimited
from fluid_processors.email import send_email, smtp
from fluid_processors.email.settings import Encryption, SmtpSettings
from fluid_processors.email.smtp import SmtpPool
from fluid_processors.testing import run_processor

SENDER = "noreply@calendar.example"
PASSWORD = "correct horse"


@dataclass
class Mailroom:
    """What a server does: answers by recipient, by sender and to the data; and what it took."""

    refuse: dict[str, str] = field(default_factory=dict)
    data_answer: str = "250 taken"
    mails: list = field(default_factory=list)
    connections: set = field(default_factory=set)
    hang_up: int = 0
    reset_answer: str = "250 fine"
    slow: list[float] = field(default_factory=list)

    async def handle_RCPT(self, server, session, envelope, address, options):  # noqa: N802 - aiosmtpd's name
        if address in self.refuse:
            return self.refuse[address]
        envelope.rcpt_tos.append(address)
        return "250 fine"

    async def handle_RSET(self, server, session, envelope):  # noqa: N802 - aiosmtpd's name
        return self.reset_answer

    async def handle_DATA(self, server, session, envelope):  # noqa: N802 - aiosmtpd's name
        self.connections.add(session.peer)
        if self.hang_up:
            self.hang_up -= 1
            server.transport.abort()
            return "250 never sent"
        if self.slow:
            await asyncio.sleep(self.slow.pop())
        if self.data_answer.startswith("250"):
            self.mails.append((list(envelope.rcpt_tos), envelope.content))
        return self.data_answer


def authenticate(server, session, envelope, mechanism, data):
    return AuthResult(success=data.password == PASSWORD.encode(), handled=False)


@asynccontextmanager
async def serving(room: Mailroom, *, tls: ssl.SSLContext | None = None, **options):
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: SMTP(room, loop=loop, **options), "127.0.0.1", 0, ssl=tls)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        await server.wait_closed()


@asynccontextmanager
async def pool_for(room: Mailroom, *, settings=None, **options):
    async with AsyncExitStack() as stack:
        port = await stack.enter_async_context(serving(room, **options))
        wanted = {
            "host": "127.0.0.1",
            "port": port,
            "encryption": Encryption.AUTO,
            "sender": SENDER,
            "timeout_seconds": 5,
        }
        yield await stack.enter_async_context(SmtpPool(SmtpSettings(**{**wanted, **(settings or {})})))


async def send(pool, *, outbound=None, attempt=1, **fields):
    payload = {"to": "ada@example.org", "subject": "Hello", "text": "Hi", **fields}
    return await run_processor(
        send_email, payload, attempt=attempt, resources={smtp: pool}, outbound=outbound or Outbound()
    )


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    """A server certificate for 127.0.0.1 and the file of its authority."""
    authority = Authority(tmp_path_factory.mktemp("pki"))
    cert, key = authority.server("smtp")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(cert, key)
    return context, str(authority.certificate_file)


async def test_a_message_is_delivered_and_counted():
    room = Mailroom()
    async with pool_for(room) as pool:
        outcome = await send(pool, cc="bob@example.org", bcc="eve@example.org", html="<p>Hi</p>")
    [(recipients, content)] = room.mails
    assert recipients == ["ada@example.org", "bob@example.org", "eve@example.org"]
    assert outcome.result["accepted"] == 3
    assert outcome.result["refused"] == []
    assert outcome.result["messageId"].encode() in content
    assert b"eve@" not in content


async def test_two_attempts_carry_one_message_id():
    async with pool_for(Mailroom()) as pool:
        first = await send(pool, attempt=1)
        second = await send(pool, attempt=2)
    assert first.result["messageId"] == second.result["messageId"]


async def test_messages_share_a_connection():
    room = Mailroom()
    async with pool_for(room) as pool:
        for _ in range(5):
            assert (await send(pool)).error is None
    assert len(room.mails) == 5
    assert len(room.connections) == 1


async def test_a_connection_that_the_server_closed_is_replaced():
    room = Mailroom()
    async with pool_for(room) as pool:
        assert (await send(pool)).error is None
        room.hang_up = 1
        broken = await send(pool)
        assert type(broken.error).__name__ == "SMTPConnectionError"
        assert not isinstance(broken.error, PermanentError)
        assert (await send(pool)).error is None
    assert len(room.mails) == 2


async def test_a_connection_that_the_server_does_not_want_to_keep_is_replaced_before_a_message_is_sent():
    room = Mailroom(reset_answer="421 4.4.2 idle for too long")
    async with pool_for(room) as pool:
        for _ in range(3):
            assert (await send(pool)).error is None
    assert len(room.connections) == 3


async def test_an_answer_that_comes_too_late_is_not_taken_for_the_next_one():
    room = Mailroom(slow=[0.7])
    async with pool_for(room, settings={"timeout_seconds": 0.5}) as pool:
        late = await send(pool)
        assert type(late.error).__name__ == "SMTPConnectionError"
        room.refuse["bob@example.org"] = "550 5.1.1 unknown"
        refused = await send(pool, to="bob@example.org")
        assert type(refused.error).__name__ == "SMTPRecipientsRefused"
        assert (await send(pool)).error is None


@pytest.mark.parametrize("encryption", [Encryption.REQUIRED, Encryption.AUTO])
async def test_starttls_protects_the_password_and_the_message(certificate, encryption):
    context, authority = certificate
    room = Mailroom()
    settings = {"encryption": encryption, "username": "ada", "password": PASSWORD, "ca_file": authority}
    server = {"require_starttls": True, "auth_required": True, "authenticator": authenticate}
    async with pool_for(room, settings=settings, tls_context=context, **server) as pool:
        assert (await send(pool)).error is None
    assert len(room.mails) == 1


async def test_tls_from_the_first_byte(certificate):
    context, authority = certificate
    room = Mailroom()
    async with pool_for(room, settings={"encryption": Encryption.TLS, "ca_file": authority}, tls=context) as pool:
        assert (await send(pool)).error is None
    assert len(room.mails) == 1


async def test_a_certificate_that_nobody_vouches_for_is_refused(certificate):
    context, _ = certificate
    room = Mailroom()
    async with pool_for(room, settings={"encryption": Encryption.TLS}, tls=context) as pool:
        error = (await send(pool)).error
    assert type(error).__name__ == "SMTPConnectionError"
    assert room.mails == []


async def test_required_starttls_sends_nothing_over_a_plain_connection():
    room = Mailroom()
    settings = {"encryption": Encryption.REQUIRED, "username": "ada", "password": PASSWORD}
    async with pool_for(room, settings=settings, authenticator=authenticate, auth_require_tls=False) as pool:
        error = (await send(pool)).error
    assert type(error).__name__ == "SMTPConnectionError"
    assert room.mails == []


async def test_a_wrong_password_is_retried_under_a_name_that_policies_match(certificate):
    context, authority = certificate
    settings = {"username": "ada", "password": "wrong horse", "ca_file": authority}
    server = {"tls_context": context, "auth_required": True, "authenticator": authenticate}
    async with pool_for(Mailroom(), settings=settings, **server) as pool:
        error = (await send(pool)).error
    assert type(error).__name__ == "SMTPAuthenticationError"
    assert not isinstance(error, PermanentError)
    assert "535" in str(error)
    assert "horse" not in str(error)


async def test_no_server_is_a_connection_error_that_is_retried():
    async with SmtpPool(SmtpSettings("127.0.0.1", 1, Encryption.NEVER, SENDER)) as pool:
        error = (await send(pool)).error
    assert type(error).__name__ == "SMTPConnectionError"
    assert not isinstance(error, PermanentError)


@pytest.mark.parametrize(
    ("answer", "name", "permanent"),
    [
        ("550 5.1.1 <ada@example.org>: no such user", "SMTPRecipientsRefused", True),
        ("450 4.2.0 greylisted, come back later", "SMTPTemporaryError", False),
        ("452 4.2.2 mailbox of ada@example.org over quota", "SMTPTemporaryError", False),
        ("450 4.7.1 too many messages, rate limit reached", "RateLimited", False),
    ],
)
async def test_a_refused_recipient_ends_the_attempt_by_its_code(answer, name, permanent):
    async with pool_for(Mailroom(refuse={"ada@example.org": answer})) as pool:
        error = (await send(pool)).error
    assert type(error).__name__ == name or getattr(error, "type", "") == name
    assert isinstance(error, PermanentError) is permanent
    assert isinstance(error, RateLimited) is (name == "RateLimited")
    assert answer[:3] in str(error)
    assert "ada@" not in str(error)


@pytest.mark.parametrize(
    ("answer", "name", "permanent"),
    [
        ("554 5.7.1 looks like spam", "SMTPPermanentError", True),
        ("451 4.3.0 try again", "SMTPTemporaryError", False),
        ("421 4.7.0 too many connections", "RateLimited", False),
    ],
)
async def test_refused_data_ends_the_attempt_by_its_code(answer, name, permanent):
    room = Mailroom(data_answer=answer)
    async with pool_for(room) as pool:
        error = (await send(pool)).error
        room.data_answer = "250 taken"
        assert (await send(pool)).error is None
    assert type(error).__name__ == name
    assert isinstance(error, PermanentError) is permanent


async def test_one_temporary_refusal_among_refused_recipients_is_a_reason_to_retry():
    refuse = {"ada@example.org": "550 5.1.1 no", "bob@example.org": "450 4.2.0 later"}
    async with pool_for(Mailroom(refuse=refuse)) as pool:
        error = (await send(pool, cc="bob@example.org")).error
    assert type(error).__name__ == "SMTPTemporaryError"


async def test_a_partly_refused_list_is_told_by_fields_and_codes_not_by_addresses():
    room = Mailroom(refuse={"bob@example.org": "550 5.1.1 <bob@example.org> unknown"})
    async with pool_for(room) as pool:
        outcome = await send(pool, to=["ada@example.org", "bob@example.org"], cc="cy@example.org")
    assert outcome.result["accepted"] == 2
    assert outcome.result["refused"] == [{"recipient": "to[1]", "code": 550}]
    assert "bob" not in str(outcome.result)


async def test_suppress_sends_nothing_and_succeeds():
    room = Mailroom()
    async with pool_for(room) as pool:
        outcome = await send(pool, outbound=Outbound(OutboundMode.SUPPRESS))
    assert "Suppress" in outcome.result["skipped"]
    assert room.mails == []


async def test_redirect_reaches_the_one_address_alone():
    room = Mailroom()
    async with pool_for(room) as pool:
        outcome = await send(pool, outbound=Outbound(OutboundMode.REDIRECT, "qa@example.net"), bcc="eve@example.org")
    [(recipients, content)] = room.mails
    assert recipients == ["qa@example.net"]
    assert b"ada@" not in content
    assert outcome.result["redirected"] is True


async def test_without_any_sender_the_error_names_the_variable():
    async with pool_for(Mailroom(), settings={"sender": None}) as pool:
        error = (await send(pool)).error
        assert "EMAIL_FROM" in str(error)
        assert (await send(pool, **{"from": "Ada <ada@example.org>"})).error is None
