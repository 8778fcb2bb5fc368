"""From a validated payload to the bytes of a message and its envelope. Pure: the sender's address, the key
and the time are arguments.
"""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime

from fluid_processors.email.addresses import Mailbox, parse
from fluid_processors.email.payload import Email
from fluid_processors.email.plaintext import text_of_html
from fluid_processors.outbound import Outbound, OutboundMode

# Seven bits: a server need not offer 8BITMIME, and nobody else has to convert on the way.
_POLICY = SMTP.clone(cte_type="7bit")
REDIRECTED = "[redirected] "
_LONGEST_ID_DOMAIN = 60


@dataclass(frozen=True, slots=True)
class Recipient:
    """One address of the envelope. Reports show `field`, where the payload names it (`to[0]`), not the address."""

    field: str
    kind: str
    mailbox: Mailbox


@dataclass(frozen=True, slots=True)
class Envelope:
    """Who sends to whom; what the SMTP dialogue says before the message."""

    sender: Mailbox
    recipients: tuple[Recipient, ...]
    redirected: bool = False

    def addresses(self) -> list[str]:
        """Each address once, in order."""
        return list(dict.fromkeys(each.mailbox.address for each in self.recipients))


def envelope_of(email: Email, default_sender: str) -> Envelope:
    """The envelope that the payload asks for."""
    return Envelope(parse(email.from_ or default_sender), tuple(_recipients(email)))


def routed(envelope: Envelope, outbound: Outbound) -> Envelope:
    """The envelope under an environment's outbound rule; without recipients when nothing may be sent.

    Under Redirect all recipients that are not allowed become the one address of the rule.
    """
    if outbound.mode is OutboundMode.LIVE:
        return envelope
    kept = [each for each in envelope.recipients if outbound.permits(each.mailbox.address)]
    held = [each for each in envelope.recipients if each not in kept]
    if held and outbound.mode is OutboundMode.REDIRECT:
        kept.append(replace(held[0], kind="to", mailbox=parse(outbound.redirect_to)))
        return replace(envelope, recipients=tuple(kept), redirected=True)
    return replace(envelope, recipients=tuple(kept))


def message_id(key: str, domain: str) -> str:
    """The same for every attempt of a job, so that mail programs show a message once that was sent twice.

    The key is hashed: ids of jobs are nobody's business outside.
    """
    digest = hashlib.sha256(key.encode()).hexdigest()[:32]
    # A header line must not be folded inside of an id; a domain beyond all measure is shortened from the
    # left.
    return f"<{digest}@{domain[-_LONGEST_ID_DOMAIN:].lstrip('.-')}>"


def compose(email: Email, envelope: Envelope, *, key: str, now: datetime) -> EmailMessage:
    """The message. `key` decides the Message-ID, `now` (aware) the Date."""
    message = EmailMessage(policy=_POLICY)
    message["From"] = envelope.sender.header()
    for name in ("to", "cc"):  # bcc stands in the envelope alone
        if found := [each.mailbox.header() for each in envelope.recipients if each.kind == name]:
            message[name.capitalize()] = found
    if email.reply_to is not None:
        message["Reply-To"] = parse(email.reply_to).header()
    message["Subject"] = (REDIRECTED if envelope.redirected else "") + email.subject
    message["Date"] = format_datetime(now)
    message["Message-ID"] = message_id(key, envelope.sender.domain)
    for name, value in email.headers.items():
        message[name] = value
    _fill(message, email)
    return message


def _recipients(email: Email) -> Iterator[Recipient]:
    for kind, texts in (("to", email.to), ("cc", email.cc), ("bcc", email.bcc)):
        for index, text in enumerate(texts):
            yield Recipient(f"{kind}[{index}]", kind, parse(text))


def _fill(message: EmailMessage, email: Email) -> None:
    html = email.html
    text = email.text if email.text is not None else text_of_html(html or "")
    message.set_content(text)
    if html is not None:
        message.add_alternative(html, subtype="html")
    for attachment in email.attachments:
        maintype, _, subtype = attachment.content_type.partition("/")
        message.add_attachment(attachment.content(), maintype=maintype, subtype=subtype, filename=attachment.filename)
