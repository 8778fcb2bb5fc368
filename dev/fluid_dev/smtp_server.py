"""An SMTP server that delivers nothing: it keeps each mail as a file, for the demo and the tests to look at.

Takes plain connections, STARTTLS if given a certificate, and AUTH if given a user. A tag in the first recipient's
address makes it behave as a provider on a bad day:

    somebody+fail2@example.com     answers 451 to the first two attempts of this mail, then takes it
    somebody+refused@example.com   answers 550 to every attempt
    somebody+slow30@example.com    takes 30 seconds to answer

"This mail" is its Message-ID: a sender that makes a new one for each attempt never gets through.
"""

import asyncio
import datetime
import email
import email.policy
import hmac
import re
import signal
import ssl
import unicodedata
from collections import Counter
from email.message import EmailMessage
from pathlib import Path

from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session

from fluid_dev.ports import LOOPBACK

_LARGEST_MAIL_BYTES = 32 * 2**20
_LONGEST_SLUG = 60
_TAG = re.compile(r"\+(fail|refused|slow)(\d*)@")


def slug(text: str) -> str:
    """A subject as part of a file name: ASCII letters and digits, words joined by dashes, never empty."""
    plain = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode().lower()
    return re.sub(r"[^a-z0-9]+", "-", plain)[:_LONGEST_SLUG].strip("-") or "no-subject"


class Keeper:
    """Writes each mail to `<time>-<number>-<subject>.eml`; complete files only, so a reader never sees half a mail."""

    def __init__(self, maildir: Path) -> None:
        maildir.mkdir(parents=True, exist_ok=True)
        self._maildir = maildir
        self._kept = 0
        self._attempts: Counter[str] = Counter()

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802 - aiosmtpd's name
        content = envelope.content
        assert isinstance(content, bytes)
        mail = email.message_from_bytes(content, policy=email.policy.default)
        self._attempts[str(mail["Message-ID"])] += 1
        refusal = await self._bad_day(envelope.rcpt_tos[0], self._attempts[str(mail["Message-ID"])])
        print(f"{refusal or self._keep(mail, content)} from {envelope.mail_from} to {envelope.rcpt_tos}", flush=True)
        return refusal or "250 Caught"

    async def _bad_day(self, recipient: str, attempt: int) -> str | None:
        tag = _TAG.search(recipient)
        if tag is None:
            return None
        kind, number = tag[1], int(tag[2] or 0)
        if kind == "slow":
            await asyncio.sleep(number)
        if kind == "refused":
            return "550 No such mailbox"
        return f"451 Try again later ({attempt} of {number})" if kind == "fail" and attempt <= number else None

    def _keep(self, mail: EmailMessage, content: bytes) -> str:
        self._kept += 1
        now = datetime.datetime.now(datetime.UTC).strftime("%Y%m%dT%H%M%S.%fZ")
        name = f"{now}-{self._kept:04d}-{slug(str(mail['Subject'] or ''))}.eml"
        temporary = self._maildir / f".{name}"
        temporary.write_bytes(content)
        temporary.replace(self._maildir / name)
        return name


class _Auth:
    """AUTH PLAIN and LOGIN against one `user:password`."""

    def __init__(self, credentials: str) -> None:
        self._credentials = credentials.encode()

    def __call__(
        self, server: SMTP, session: Session, envelope: Envelope, mechanism: str, data: LoginPassword
    ) -> AuthResult:
        good = hmac.compare_digest(data.login + b":" + data.password, self._credentials)
        return AuthResult(success=good, handled=False)


async def serve(
    port: int, maildir: Path, *, host: str = LOOPBACK, tls: ssl.SSLContext | None = None, auth: str = ""
) -> None:
    """Catch mails on this address until SIGTERM or SIGINT. `auth`: `user:password`, without TLS taken in the clear."""
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    keeper = Keeper(maildir)  # one for all connections: it numbers the mails

    def session() -> SMTP:
        return SMTP(
            keeper,
            data_size_limit=_LARGEST_MAIL_BYTES,
            enable_SMTPUTF8=True,
            tls_context=tls,
            authenticator=_Auth(auth) if auth else None,
            auth_required=bool(auth),
            auth_require_tls=tls is not None,
            loop=loop,
        )

    server = await loop.create_server(session, host, port)
    print(f"catching mails on {host}:{port} into {maildir}", flush=True)
    await stop.wait()
    server.close()


def server_context(certificate: Path, key: Path) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    return context
