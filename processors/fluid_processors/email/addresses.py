"""E-mail addresses: what counts as one, and how it is written into headers and envelopes.

The common form only: letters, digits and the usual marks before the `@`, a domain name after it, which may be
international. Quoted local parts, comments and address literals are refused: more is forged with them than
sent.
"""

import re
from dataclasses import dataclass
from email.headerregistry import Address
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, Field, WithJsonSchema
from pydantic_core import PydanticCustomError

LONGEST = 320
MOST_RECIPIENTS = 50

_LOCAL = r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+(?:\.[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+)*"
_LABEL = r"[A-Za-z0-9\u00a1-\uffff](?:[A-Za-z0-9\u00a1-\uffff-]*[A-Za-z0-9\u00a1-\uffff])?"
_ADDRESS = rf"{_LOCAL}@{_LABEL}(?:\.{_LABEL})*"
_NAME = r"[^\u0000-\u001f\u007f-\u009f\u2028\u2029<>]*"
# Published, so that the operator refuses what is plainly no address before a job is made of it; the worker
# looks closer.
PATTERN = r"^(?:[^\u0000-\u001f<>]*<[^\s<>@]+@[^\s<>@]+>|[^\s<>@]+@[^\s<>@]+)$"
_MAILBOX = re.compile(rf"(?:(?P<bare>{_ADDRESS})|(?P<name>{_NAME})<(?P<address>{_ADDRESS})>)")


@dataclass(frozen=True, slots=True)
class Mailbox:
    """A display name (maybe empty) and an address whose domain is in ASCII form."""

    name: str
    address: str

    @property
    def domain(self) -> str:
        """What stands after the `@`."""
        return self.address.rpartition("@")[2]

    def header(self) -> Address:
        """For an address header of an EmailMessage, which quotes and encodes the name."""
        return Address(self.name, addr_spec=self.address)


def parse(text: str) -> Mailbox:
    """`a@example.org` or `Name <a@example.org>`. Raises ValueError without quoting the text."""
    match = _MAILBOX.fullmatch(text.strip(" ")) if len(text) <= LONGEST else None
    if match is None:
        raise ValueError("is not an e-mail address such as a@example.org or Name <a@example.org>")
    local, _, domain = (match["bare"] or match["address"]).rpartition("@")
    try:
        ascii_domain = domain.encode("idna").decode("ascii")
    except UnicodeError:
        raise ValueError("has a domain that is no valid host name") from None
    if len(local) > 64 or len(ascii_domain) > 253:
        raise ValueError("is longer than an e-mail address may be")
    return Mailbox((match["name"] or "").strip().strip('"'), f"{local}@{ascii_domain}")


def _checked(text: str) -> str:
    try:
        parse(text)
    except ValueError as error:
        raise PydanticCustomError("email_address", str(error)) from None
    return text


def _as_list(value: Any) -> Any:
    return [value] if isinstance(value, str) else value


_TEXT_SCHEMA = {"type": "string", "maxLength": LONGEST, "pattern": PATTERN}
AddressText = Annotated[str, AfterValidator(_checked), WithJsonSchema(_TEXT_SCHEMA)]
AddressList = Annotated[
    list[AddressText],
    Field(max_length=MOST_RECIPIENTS),
    BeforeValidator(_as_list),
    WithJsonSchema({"anyOf": [_TEXT_SCHEMA, {"type": "array", "items": _TEXT_SCHEMA, "maxItems": MOST_RECIPIENTS}]}),
]
