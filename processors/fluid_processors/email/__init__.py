"""The built-in job type `email`: one message over SMTP.

payload.py says what a message may be, message.py composes it, smtp.py hands it over, failures.py says what
a refusal means. Sending cannot be made exactly-once: an attempt whose answer was lost is repeated with the
same Message-ID.
"""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

from fluid_processors.context import Context
from fluid_processors.definitions import Retry, processor
from fluid_processors.email.message import compose, envelope_of, routed
from fluid_processors.email.payload import Email
from fluid_processors.email.settings import from_environment
from fluid_processors.email.smtp import Answer, SmtpPool
from fluid_processors.errors import FieldProblem, SettingsError
from fluid_processors.resources import resource


@resource("smtp")
@asynccontextmanager
async def smtp() -> AsyncIterator[SmtpPool]:
    """The worker's connections to its SMTP server."""
    async with SmtpPool(from_environment(os.environ)) as pool:
        yield pool


@processor("email", payload=Email, queue="email", retry=Retry(limit=8), attempt_deadline=120, resources=[smtp])
async def send_email(ctx: Context, payload: Email) -> dict[str, Any]:
    """Sends one message.

    Returns `{messageId, accepted, refused}`: how many recipients the server took, and for each that it did
    not, the payload's field (`cc[1]`) and the server's code. Under an outbound rule that lets nobody
    through: `{skipped}`.
    """
    pool = ctx.resources[smtp]
    default_sender = pool.settings.sender
    if payload.from_ is None and default_sender is None:
        raise SettingsError([FieldProblem("EMAIL_FROM", "is not set and the job names no sender; set one of both")])
    envelope = routed(envelope_of(payload, default_sender or ""), ctx.outbound)
    if not envelope.recipients:
        return {"skipped": f"outbound mode {ctx.outbound.mode} lets no recipient of this message through"}
    message = compose(payload, envelope, key=ctx.idempotency_key, now=datetime.now(UTC))
    addresses = envelope.addresses()
    answers = await pool.send(envelope.sender.address, addresses, message.as_bytes())
    refused = {answer.address: answer for answer in answers}
    return {
        "messageId": message["Message-ID"],
        "accepted": len(addresses) - len(refused),
        "refused": [
            _refusal(each.field, refused[each.mailbox.address])
            for each in envelope.recipients
            if each.mailbox.address in refused
        ],
        **({"redirected": True} if envelope.redirected else {}),
    }


def _refusal(field: str, answer: Answer) -> dict[str, Any]:
    return {"recipient": field, "code": answer.code}
