"""A few open connections to one SMTP server, shared by a worker's mail jobs. The only module that speaks SMTP."""

import asyncio
import ssl
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

import aiosmtplib

from fluid_processors.email.failures import error_of
from fluid_processors.email.settings import Encryption, SmtpSettings

IDLE_SECONDS = 20.0
"""How long an unused connection is trusted: servers close idle ones, some after half a minute."""


@dataclass(frozen=True, slots=True)
class Answer:
    """One recipient that the server did not take, while it took others: address, code, words."""

    address: str
    code: int
    text: str


@dataclass(slots=True)
class _Idle:
    client: aiosmtplib.SMTP
    since: float


class SmtpPool:
    """Sends messages over at most `settings.connections` connections; an async context manager closes them."""

    def __init__(self, settings: SmtpSettings, clock: Callable[[], float] = time.monotonic) -> None:
        self.settings = settings
        self._clock = clock
        self._idle: list[_Idle] = []
        self._slots = asyncio.Semaphore(settings.connections)
        self._tls = _tls_context(settings)

    async def __aenter__(self) -> "SmtpPool":
        return self

    async def __aexit__(self, *_: object) -> None:
        while self._idle:
            await _quit(self._idle.pop().client)

    async def send(self, sender: str, recipients: list[str], message: bytes) -> list[Answer]:
        """Hands one message over and gives the recipients that were refused. Raises the errors of
        failures.py.

        An answer that does not come leaves open whether the message was taken; the connection is not used
        again.
        """
        async with self._connection() as client:
            try:
                refused, _ = await client.sendmail(sender, recipients, message)
            except (aiosmtplib.SMTPException, OSError, ValueError) as error:
                raise error_of(error) from error
        return [Answer(address, answer.code, answer.message) for address, answer in refused.items()]

    @asynccontextmanager
    async def _connection(self) -> AsyncIterator[aiosmtplib.SMTP]:
        """A connection that works. It is kept for the next unless it broke or its dialogue was cut short."""
        async with self._slots:
            client = await self._reused() or await self._opened()
            healthy = False
            try:
                yield client
                healthy = True
            except Exception:
                # After a refusal the dialogue is in order, aiosmtplib has reset it; after a time-out it has
                # closed the connection, on which a late answer would be taken for that of the next message.
                healthy = client.is_connected
                raise
            finally:
                if healthy:
                    self._idle.append(_Idle(client, self._clock()))
                else:
                    client.close()

    async def _reused(self) -> aiosmtplib.SMTP | None:
        while self._idle:
            idle = self._idle.pop()
            if self._clock() - idle.since < IDLE_SECONDS and idle.client.is_connected:
                try:
                    # One round trip that tells a dead connection from a living one, before anything of the
                    # message is sent.
                    await idle.client.rset()
                except (aiosmtplib.SMTPException, OSError):
                    idle.client.close()
                    continue
                return idle.client
            await _quit(idle.client)
        return None

    async def _opened(self) -> aiosmtplib.SMTP:
        settings = self.settings
        start_tls = {Encryption.REQUIRED: True, Encryption.AUTO: None}.get(settings.encryption, False)
        client = aiosmtplib.SMTP(
            hostname=settings.host,
            port=settings.port,
            username=settings.username,
            password=settings.password,
            use_tls=settings.encryption is Encryption.TLS,
            start_tls=start_tls,
            tls_context=self._tls,
            timeout=settings.timeout_seconds,
        )
        try:
            await client.connect()
        except (aiosmtplib.SMTPException, OSError) as error:
            client.close()
            raise error_of(error) from error
        except BaseException:
            client.close()
            raise
        return client


def _tls_context(settings: SmtpSettings) -> ssl.SSLContext:
    """Certificates are always verified; `ca_file` names the authority of a server with its own."""
    return ssl.create_default_context(cafile=settings.ca_file)


async def _quit(client: aiosmtplib.SMTP) -> None:
    """Says goodbye; a server that is gone already is fine."""
    try:
        await client.quit(timeout=2)
    except (aiosmtplib.SMTPException, OSError):
        client.close()
