"""SMTP settings from the environment: both spellings, safe defaults, problems that name variables and hide values."""

import pytest

from fluid_processors import SettingsError
from fluid_processors.email.settings import Encryption, from_environment


def problems(**environment):
    with pytest.raises(SettingsError) as refusal:
        from_environment(environment)
    return {problem.path: problem.message for problem in refusal.value.problems}


@pytest.mark.parametrize(
    ("url", "port", "encryption"),
    [
        ("smtp://mail.example", 25, Encryption.AUTO),
        ("smtp://u:p@mail.example", 587, Encryption.REQUIRED),
        ("smtp://u:p@mail.example?starttls=never", 25, Encryption.NEVER),
        ("smtp://mail.example:2525?starttls=required", 2525, Encryption.REQUIRED),
        ("smtps://u:p@mail.example", 465, Encryption.TLS),
    ],
)
def test_a_url_gives_port_and_encryption(url, port, encryption):
    settings = from_environment({"SMTP_URL": url})
    assert (settings.host, settings.port, settings.encryption) == ("mail.example", port, encryption)


def test_credentials_in_a_url_are_decoded_and_never_shown():
    settings = from_environment({"SMTP_URL": "smtp://ada%40example.org:p%2Fw%3A@mail.example"})
    assert (settings.username, settings.password) == ("ada@example.org", "p/w:")
    assert "p/w:" not in repr(settings)


def test_the_parts_may_be_given_one_by_one(tmp_path):
    (tmp_path / "password").write_text("secret\n")
    settings = from_environment(
        {
            "SMTP_HOST": "mail.example",
            "SMTP_PORT": "2525",
            "SMTP_USERNAME": "ada",
            "SMTP_PASSWORD_FILE": str(tmp_path / "password"),
            "SMTP_TLS": "tls",
            "EMAIL_FROM": "Calendar <noreply@example.org>",
        }
    )
    assert (settings.port, settings.username, settings.password) == (2525, "ada", "secret")
    assert (settings.encryption, settings.sender) == (Encryption.TLS, "Calendar <noreply@example.org>")


def test_without_a_server_the_message_says_what_to_set():
    assert "smtp://host:25" in problems()["SMTP_URL"]


def test_all_problems_are_told_at_once():
    found = problems(
        SMTP_HOST="h",
        SMTP_PORT="0",
        SMTP_TLS="maybe",
        SMTP_USERNAME="u",
        EMAIL_FROM="nobody",
        SMTP_CA_FILE="/no/such/file",
    )
    assert set(found) == {"SMTP_PORT", "SMTP_TLS", "SMTP_USERNAME", "EMAIL_FROM", "SMTP_CA_FILE"}


@pytest.mark.parametrize(
    "url", ["http://u:sesame@h", "smtp://u:sesame@", "smtp://u:sesame@h:99999", "smtp://u:sesame@h?tls=1"]
)
def test_a_bad_url_is_refused_without_showing_it(url):
    found = problems(SMTP_URL=url)
    assert list(found) == ["SMTP_URL"]
    assert "sesame" not in found["SMTP_URL"]
