"""The payload of an `email` job. What passes here can be sent: there is no way to smuggle a header in, and
nothing is too big.
"""

import base64
import re
from typing import Annotated, Any, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints, WithJsonSchema, model_validator
from pydantic.alias_generators import to_camel
from pydantic_core import PydanticCustomError

from fluid_processors.email.addresses import AddressList, AddressText
from fluid_processors.sensitive import Sensitive

LONGEST_BODY = 1_000_000  # characters of the text, and of the HTML
MOST_ATTACHMENTS = 10
LARGEST_ATTACHMENTS = 10 * 1024 * 1024  # bytes of all of them, decoded

_LINE = r"^[^\u0000-\u001f\u007f-\u009f\u2028\u2029]*$"
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")


def _single_line(text: str) -> str:
    if _CONTROL.search(text):
        raise PydanticCustomError("single_line", "must be one line without control characters")
    return text


def _line_schema(longest: int) -> dict[str, Any]:
    return {"type": "string", "maxLength": longest, "pattern": _LINE}


# One line each, so that none can end a header and begin another.
Filename = Annotated[
    str, Field(min_length=1, max_length=200), AfterValidator(_single_line), WithJsonSchema(_line_schema(200))
]
Subject = Annotated[str, Field(max_length=500), AfterValidator(_single_line), WithJsonSchema(_line_schema(500))]
HeaderValue = Annotated[str, Field(max_length=900), AfterValidator(_single_line), WithJsonSchema(_line_schema(900))]
_HEADER = r"^(?:[Xx]|[Ll][Ii][Ss][Tt])-[A-Za-z0-9-]{1,60}$"


def _allowed_header(name: str) -> str:
    if not re.fullmatch(_HEADER, name):
        raise PydanticCustomError("header_name", "only headers whose names begin with X- or List- may be added")
    return name


HeaderName = Annotated[str, AfterValidator(_allowed_header)]
ContentType = Annotated[
    str,
    StringConstraints(max_length=127, pattern=r"^(?:text|image|audio|video|font|model|application)/[A-Za-z0-9.+_-]+$"),
]


class _Model(BaseModel):
    model_config = ConfigDict(
        extra="forbid", alias_generator=to_camel, populate_by_name=True, hide_input_in_errors=True
    )


class Attachment(_Model):
    """One attached file."""

    filename: Annotated[Filename, Sensitive()] = Field(description="Name of the file, without a path.")
    content_type: ContentType = Field("application/octet-stream", description="Media type, such as application/pdf.")
    content_base64: Annotated[str, Sensitive()] = Field(
        max_length=LARGEST_ATTACHMENTS * 4 // 3 + 4, description="The file in Base64."
    )

    @model_validator(mode="after")
    def _decodes(self) -> Self:
        try:
            self.content()
        except ValueError:
            raise PydanticCustomError("base64", "contentBase64 is not Base64") from None
        return self

    def content(self) -> bytes:
        """The decoded file."""
        return base64.b64decode("".join(self.content_base64.split()), validate=True)


class Email(_Model):
    """A message. At least one recipient, and at least one of `text` and `html`."""

    model_config = ConfigDict(
        json_schema_extra={
            "allOf": [
                {"anyOf": [{"required": ["text"]}, {"required": ["html"]}]},
                {"anyOf": [{"required": ["to"]}, {"required": ["cc"]}, {"required": ["bcc"]}]},
            ]
        }
    )

    to: Annotated[AddressList, Sensitive()] = Field(default_factory=list, description="Recipient, or up to 50 of them.")
    cc: Annotated[AddressList, Sensitive()] = Field(default_factory=list, description="Recipients of a copy.")
    bcc: Annotated[AddressList, Sensitive()] = Field(
        default_factory=list, description="Recipients that no other one sees."
    )
    from_: Annotated[AddressText, Sensitive()] | None = Field(
        None, alias="from", description="Sender; unset: EMAIL_FROM of the worker."
    )
    reply_to: Annotated[AddressText, Sensitive()] | None = Field(
        None, description="Where answers go; unset: to the sender."
    )
    subject: Annotated[Subject, Sensitive()] = Field(description="Subject, one line.")
    text: Annotated[str, Sensitive()] | None = Field(
        None, max_length=LONGEST_BODY, description="Plain text; unset: derived from the HTML."
    )
    html: Annotated[str, Sensitive()] | None = Field(None, max_length=LONGEST_BODY, description="HTML.")
    attachments: list[Attachment] = Field(
        default_factory=list, max_length=MOST_ATTACHMENTS, description="Attached files, at most 10 MiB in all."
    )
    headers: dict[HeaderName, Annotated[HeaderValue, Sensitive()]] = Field(
        default_factory=dict,
        max_length=20,
        description="Additional headers; X-* and List-* only.",
        json_schema_extra={"propertyNames": {"pattern": _HEADER}},
    )

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if not (self.to or self.cc or self.bcc):
            raise PydanticCustomError("no_recipient", "name at least one recipient in to, cc or bcc")
        if self.text is None and self.html is None:
            raise PydanticCustomError("no_body", "give at least one of text and html")
        if sum(len(each.content()) for each in self.attachments) > LARGEST_ATTACHMENTS:
            raise PydanticCustomError("attachments_too_large", "attachments hold more than 10 MiB in all")
        return self
