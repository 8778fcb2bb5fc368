"""The SMTP catcher, spoken to by Python's own SMTP client."""

import smtplib
import ssl
from email.message import EmailMessage

import pytest

from fluid_dev.pki import Authority
from fluid_dev.smtp import SmtpCatcher
from fluid_dev.smtp_server import slug
from support.folders import fresh_folder


def mail(subject: str, to: str = "ann@example.com", identity: str = "<one@example.com>") -> EmailMessage:
    message = EmailMessage()
    message["Subject"], message["From"], message["To"] = subject, "jobs@example.com", to
    message["Message-ID"] = identity
    message.set_content("Hello")
    return message


@pytest.fixture
def secure_smtp(tmp_path):
    certificate, key = Authority(tmp_path / "pki").server("smtp")
    catcher = SmtpCatcher(fresh_folder("smtp"), starttls=(certificate, key), auth="fluid:right", die_with_parent=True)
    catcher.start()
    yield catcher, ssl.create_default_context(cafile=tmp_path / "pki" / "ca.crt")
    catcher.stop(wipe=True)


def test_a_mail_becomes_a_file_named_after_time_and_subject(smtp):
    with smtplib.SMTP("127.0.0.1", smtp.port) as client:
        client.send_message(mail("Grüße & more!"))
    (caught,) = smtp.mails()
    assert caught["Subject"] == "Grüße & more!"
    assert caught.get_content().strip() == "Hello"
    (file,) = smtp.maildir.iterdir()
    assert file.name.endswith("Z-0001-grue-more.eml")


def test_a_tagged_recipient_fails_as_often_as_the_tag_says(smtp):
    again = mail("Third time lucky", "ann+fail2@example.com")
    with smtplib.SMTP("127.0.0.1", smtp.port) as client:
        for _ in range(2):
            with pytest.raises(smtplib.SMTPDataError, match="451"):
                client.send_message(again)
        client.send_message(again)
    assert [caught["Subject"] for caught in smtp.mails()] == ["Third time lucky"]


def test_a_refused_recipient_never_gets_a_mail(smtp):
    with smtplib.SMTP("127.0.0.1", smtp.port) as client, pytest.raises(smtplib.SMTPDataError, match="550"):
        client.send_message(mail("Never", "ann+refused@example.com"))
    assert smtp.mails() == []


def test_starttls_and_the_right_password_are_required(secure_smtp):
    catcher, context = secure_smtp
    with smtplib.SMTP("localhost", catcher.port) as client:
        with pytest.raises(smtplib.SMTPSenderRefused):
            client.send_message(mail("Too early"))
        client.starttls(context=context)
        with pytest.raises(smtplib.SMTPAuthenticationError):
            client.login("fluid", "wrong")
        client.login("fluid", "right")
        client.send_message(mail("Let in"))
    assert [caught["Subject"] for caught in catcher.mails()] == ["Let in"]


def test_the_password_is_in_no_argument_list(secure_smtp):
    catcher, _ = secure_smtp
    assert not any("right" in str(part) for part in catcher.process.argv)


@pytest.mark.parametrize(("subject", "want"), [("", "no-subject"), ("***", "no-subject"), ("A" * 99, "a" * 60)])
def test_a_slug_is_short_and_never_empty(subject, want):
    assert slug(subject) == want
