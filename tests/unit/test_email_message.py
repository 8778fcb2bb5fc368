"""The email payload and the message that is made of it: addresses, headers, bodies, attachments, outbound rules."""

import base64
import email
from datetime import UTC, datetime
from email.message import EmailMessage
from email.policy import SMTP

import jsonschema_rs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fluid_processors import InvalidPayload, Outbound, OutboundMode
from fluid_processors.email import send_email
from fluid_processors.email.addresses import parse
from fluid_processors.email.message import compose, envelope_of, message_id, routed
from fluid_processors.email.payload import Email
from fluid_processors.email.plaintext import text_of_html
from fluid_processors.payloads import validate

NOW = datetime(2026, 11, 24, 9, 30, tzinfo=UTC)
SENDER = "Fluid Calendar <noreply@calendar.example>"


def payload(**fields):
    return {"to": "ada@example.org", "subject": "Hello", "text": "Hi", **fields}


def composed(outbound: Outbound | None = None, **fields) -> EmailMessage:
    """The message as a reader gets it: made, written, parsed again."""
    checked = validate(Email, payload(**fields))
    envelope = routed(envelope_of(checked, SENDER), outbound or Outbound())
    written = compose(checked, envelope, key="uid.1", now=NOW).as_bytes()
    message = email.message_from_bytes(written, policy=SMTP)
    assert isinstance(message, EmailMessage)
    return message


def problems(**fields):
    with pytest.raises(InvalidPayload) as refusal:
        validate(Email, payload(**fields))
    return {problem.path: problem.message for problem in refusal.value.problems}


@pytest.mark.parametrize(
    ("text", "name", "address"),
    [
        ("ada@example.org", "", "ada@example.org"),
        ("Ada Lovelace <ada@example.org>", "Ada Lovelace", "ada@example.org"),
        ('"Lovelace, Ada" <ada+tag@mail.example.org>', "Lovelace, Ada", "ada+tag@mail.example.org"),
        ("Jürgen <j@bücher.example>", "Jürgen", "j@xn--bcher-kva.example"),
        ("root@localhost", "", "root@localhost"),
    ],
)
def test_an_address_is_read_with_its_name_and_an_ascii_domain(text, name, address):
    assert (parse(text).name, parse(text).address) == (name, address)


@pytest.mark.parametrize(
    "text",
    [
        "", "ada", "ada@", "@example.net", "ada@@example.org", "ada@exa mple.org", ".ada@example.org",
        "ada..b@example.org", "ada@-example.org", "ada@example..org", "a@b.org, c@d.org", "Ada <ada@example.org",
        "ada@example.org\nBcc: eve@example.org", "A\r\nB <ada@example.org>", "<script> <ada@example.org>",
        f"{'a' * 65}@example.org", f"ada@{'a' * 64}.org", '"a b"@example.org',
    ],
)  # fmt: skip
def test_what_is_no_address_is_refused_without_quoting_it(text):
    found = problems(to=[text])
    assert list(found) == ["to[0]"]
    assert len(text) < 3 or text not in found["to[0]"]


@pytest.mark.parametrize(
    ("fields", "path", "said"),
    [
        ({"subject": "a\r\nBcc: eve@example.org"}, "subject", "one line"),
        ({"subject": "a\u2028b"}, "subject", "one line"),
        ({"subject": None}, "subject", "valid string"),
        ({"text": None}, "", "at least one of text and html"),
        ({"to": []}, "", "at least one recipient"),
        ({"to": ["a@b.org"] * 51}, "to", "at most 50"),
        ({"text": "x" * 1_000_001}, "text", "at most 1000000"),
        ({"headers": {"Bcc": "eve@example.org"}}, "headers.Bcc", "X- or List-"),
        ({"headers": {"X-A\r\nBcc": "eve"}}, "headers.X-A\\r\\nBcc", "X- or List-"),
        ({"headers": {"X-A": "b\r\nBcc: eve@example.org"}}, "headers.X-A", "one line"),
        ({"attachments": [{"filename": "a\nb", "contentBase64": ""}]}, "attachments[0].filename", "one line"),
        ({"attachments": [{"filename": "a", "contentBase64": "%%%"}]}, "attachments[0]", "not Base64"),
        ({"attachments": [{"filename": "a", "contentBase64": "", "contentType": "multipart/mixed"}]},
         "attachments[0].contentType", "pattern"),
        ({"attachments": [{"filename": "a", "contentBase64": "QUJD" * 2_000_000}] * 2}, "", "more than 10 MiB"),
        ({"urgent": True}, "urgent", "not a field"),
        ({"from": "nobody"}, "from", "not an e-mail address"),
    ],
)  # fmt: skip
def test_a_payload_that_cannot_be_sent_names_the_field(fields, path, said):
    found = problems(**fields)
    assert list(found) == [path]
    assert said in found[path]


def test_the_published_schema_accepts_and_refuses_like_the_model():
    validator = jsonschema_rs.validator_for(send_email.published()["schema"])
    good = [
        payload(),
        payload(to=["Ada <ada@example.org>"], html="<p>x"),
        {"bcc": "a@b.org", "subject": "s", "html": "h"},
    ]
    bad = [
        payload(to="nobody"), payload(subject="a\nb"), {"to": "a@b.org", "subject": "s"}, {"subject": "s", "text": "t"},
        payload(headers={"Bcc": "x"}), payload(headers={"X-A": "a\nb"}), payload(urgent=True),
        payload(to=["a@b.org"] * 51),
    ]  # fmt: skip
    assert [validator.is_valid(each) for each in good] == [True] * len(good)
    assert [validator.is_valid(each) for each in bad] == [False] * len(bad)


def test_a_message_has_the_headers_of_its_payload():
    message = composed(
        to=["Ada <ada@example.org>", "bob@example.org"],
        cc="cy@example.org",
        replyTo="help@example.org",
        headers={"X-Campaign": "november", "List-Unsubscribe": "<https://example.org/off>"},
        subject="Grüße aus Köln",
    )
    assert message["From"] == "Fluid Calendar <noreply@calendar.example>"
    assert message["To"] == "Ada <ada@example.org>, bob@example.org"
    assert message["Cc"] == "cy@example.org"
    assert message["Reply-To"] == "help@example.org"
    assert message["Subject"] == "Grüße aus Köln"
    assert message["X-Campaign"] == "november"
    assert message["List-Unsubscribe"] == "<https://example.org/off>"
    assert message["Date"].datetime == NOW


def test_blind_copies_stand_in_the_envelope_alone():
    checked = validate(Email, payload(bcc=["eve@example.org"]))
    envelope = envelope_of(checked, SENDER)
    assert envelope.addresses() == ["ada@example.org", "eve@example.org"]
    assert b"eve@" not in compose(checked, envelope, key="k", now=NOW).as_bytes()


def test_an_address_that_is_named_twice_receives_one_copy():
    checked = validate(Email, payload(cc="ada@example.org"))
    assert envelope_of(checked, SENDER).addresses() == ["ada@example.org"]


def test_the_message_id_is_the_same_for_every_attempt_and_hides_the_job():
    first, second = composed()["Message-ID"], composed()["Message-ID"]
    assert first == second
    assert first.endswith("@calendar.example>")
    assert "uid.1" not in first
    assert message_id("uid.1", "example.org") != message_id("uid.2", "example.org")


def test_a_long_domain_does_not_break_the_message_id_over_lines():
    sender = f"a@{'.'.join(['label' * 8] * 5)}"
    written = compose(
        validate(Email, payload()), envelope_of(validate(Email, payload()), sender), key="k", now=NOW
    ).as_bytes()
    line = next(line for line in written.split(b"\r\n") if line.lower().startswith(b"message-id"))
    assert line.endswith(b">")
    assert line.count(b"@") == 1


def test_html_alone_gets_a_text_part():
    message = composed(text=None, html="<h1>Today</h1><p>Lunch &amp; <a href='https://example.org/x'>more</a></p>")
    assert message.get_content_type() == "multipart/alternative"
    assert (
        message.get_body(("plain",)).get_content().replace("\r\n", "\n")
        == "Today\n\nLunch & more (https://example.org/x)\n"
    )
    assert "<h1>Today</h1>" in message.get_body(("html",)).get_content()


def test_a_message_is_written_in_seven_bits_and_short_lines():
    checked = validate(Email, payload(text="ä" * 5000, html="<p>" + "x" * 5000))
    written = compose(checked, envelope_of(checked, SENDER), key="k", now=NOW).as_bytes()
    assert written.isascii()
    assert max(len(line) for line in written.split(b"\r\n")) <= 998


def test_attachments_keep_name_type_and_bytes():
    content = bytes(range(256))
    message = composed(
        html="<p>x</p>",
        attachments=[
            {
                "filename": "Übersicht.pdf",
                "contentType": "application/pdf",
                "contentBase64": base64.b64encode(content).decode(),
            },
            {
                "filename": "notes.txt",
                "contentType": "text/plain",
                "contentBase64": base64.b64encode("ä\n".encode()).decode(),
            },
        ],
    )
    first, second = message.iter_attachments()
    assert (first.get_filename(), first.get_content_type(), first.get_content()) == (
        "Übersicht.pdf",
        "application/pdf",
        content,
    )
    assert (second.get_filename(), second.get_payload(decode=True)) == ("notes.txt", "ä\n".encode())


def test_redirect_sends_everything_to_one_address_and_marks_the_subject():
    rule = Outbound(OutboundMode.REDIRECT, redirect_to="qa@example.net", allow=("example.com",))
    fields = {"to": ["ada@example.org", "tester@example.com"], "bcc": "eve@example.org"}
    envelope = routed(envelope_of(validate(Email, payload(**fields)), SENDER), rule)
    assert sorted(envelope.addresses()) == ["qa@example.net", "tester@example.com"]
    message = composed(rule, **fields)
    assert message["Subject"] == "[redirected] Hello"
    assert "example.org" not in message["To"]


def test_suppress_keeps_allowed_recipients_alone():
    rule = Outbound(OutboundMode.SUPPRESS, allow=("bob@example.org",))
    envelope = routed(envelope_of(validate(Email, payload(to=["ada@example.org", "bob@example.org"])), SENDER), rule)
    assert envelope.addresses() == ["bob@example.org"]


@settings(deadline=None)
@given(st.text(max_size=60), st.text(max_size=60))
def test_no_accepted_subject_or_name_can_add_a_header(subject, name):
    try:
        checked = validate(Email, payload(subject=subject, to=f"{name} <ada@example.org>"))
    except InvalidPayload:
        return
    written = compose(checked, envelope_of(checked, SENDER), key="k", now=NOW).as_bytes()
    message = email.message_from_bytes(written, policy=SMTP)
    assert set(message.keys()) == {
        "From", "To", "Subject", "Date", "Message-ID", "Content-Type", "Content-Transfer-Encoding", "MIME-Version",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("html", "text"),
    [
        ("<p>One</p><p>Two</p>", "One\n\nTwo\n"),
        ("a<br>b", "a\nb\n"),
        ("<ul><li>x</li><li>y</li></ul>", "- x\n- y\n"),
        ("<style>p{}</style><script>alert(1)</script>seen", "seen\n"),
        ("<a href='https://e.org'>https://e.org</a>", "https://e.org\n"),
        ("<a href='javascript:x'>click</a>", "click\n"),
        ("  spread \n over   lines ", "spread over lines\n"),
        ("", "\n"),
    ],
)
def test_html_becomes_a_readable_text(html, text):
    assert text_of_html(html) == text
