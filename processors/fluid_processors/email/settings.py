"""Where mail goes out: the SMTP server and the default sender, from the worker's environment.

One URL (`SMTP_URL`), or its parts (`SMTP_HOST` ...), which is handier when the password comes from a Secret
of its own. A password is never shown: not by `repr`, not in an error.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from urllib.parse import parse_qs, unquote, urlsplit

from fluid_processors.email.addresses import parse
from fluid_processors.errors import FieldProblem, SettingsError


class Encryption(StrEnum):
    """How the connection is protected."""

    TLS = "tls"  # from the first byte (smtps, port 465)
    REQUIRED = "required"  # STARTTLS, or no mail
    AUTO = "auto"  # STARTTLS when the server offers it
    NEVER = "never"  # plain


_PORTS = {Encryption.TLS: 465, Encryption.REQUIRED: 587, Encryption.AUTO: 25, Encryption.NEVER: 25}


@dataclass(frozen=True, slots=True)
class SmtpSettings:
    """`sender` is the From of messages that name none. `ca_file` replaces the system's authorities."""

    host: str
    port: int
    encryption: Encryption
    sender: str | None = None
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    ca_file: str | None = None
    timeout_seconds: float = 30.0
    connections: int = 5


def from_environment(environment: Mapping[str, str]) -> SmtpSettings:
    """The settings, from SMTP_URL or SMTP_HOST, SMTP_PORT, SMTP_USERNAME, SMTP_PASSWORD, SMTP_TLS;
    EMAIL_FROM; SMTP_CA_FILE.

    Each of SMTP_URL and SMTP_PASSWORD may come from a file named by SMTP_URL_FILE or SMTP_PASSWORD_FILE.
    Credentials without a word on encryption demand STARTTLS. Raises SettingsError with every problem.
    """
    reader = _Reader(environment)
    url = reader.text("SMTP_URL")
    settings = _of_url(reader, url) if url else _of_parts(reader)
    if reader.problems:
        raise SettingsError(reader.problems)
    return settings


class _Reader:
    """Reads variables and gathers problems; `problem` gives a harmless value back, so that reading goes on."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._environment = environment
        self.problems: list[FieldProblem] = []

    def problem(self, variable: str, message: str) -> None:
        self.problems.append(FieldProblem(variable, message))

    def text(self, variable: str) -> str | None:
        """The variable, or the content of the file that `<variable>_FILE` names; None when neither is set."""
        if file := self._environment.get(f"{variable}_FILE"):
            try:
                return Path(file).read_text(encoding="utf-8").strip() or None
            except OSError as error:
                self.problem(f"{variable}_FILE", f"cannot be read: {error.strerror}")
        return self._environment.get(variable) or None

    def port(self, variable: str, text: str | None, default: int) -> int:
        if text is None:
            return default
        if not (text.isascii() and text.isdigit() and 0 < int(text) < 65536):
            self.problem(variable, "must be a port from 1 to 65535")
            return default
        return int(text)

    def encryption(self, variable: str, text: str | None, *, credentials: bool) -> Encryption:
        """Unset: a password never travels in the clear unless somebody asked for that."""
        if text is None:
            return Encryption.REQUIRED if credentials else Encryption.AUTO
        try:
            return Encryption(text.lower())
        except ValueError:
            self.problem(variable, f"must be one of {', '.join(Encryption)}")
            return Encryption.REQUIRED

    def sender(self) -> str | None:
        text = self.text("EMAIL_FROM")
        if text is not None:
            try:
                parse(text)
            except ValueError as error:
                self.problem("EMAIL_FROM", str(error))
        return text

    def ca_file(self) -> str | None:
        file = self.text("SMTP_CA_FILE")
        if file is not None and not Path(file).is_file():
            self.problem("SMTP_CA_FILE", "names no file")
        return file


def _of_url(reader: _Reader, url: str) -> SmtpSettings:
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        reader.problem("SMTP_URL", "is not a URL with a port from 1 to 65535")
        return SmtpSettings("", 0, Encryption.TLS)
    if parts.scheme not in ("smtp", "smtps") or not parts.hostname:
        reader.problem("SMTP_URL", "must look like smtp://user:password@host:587?starttls=required or smtps://host")
    query = parse_qs(parts.query)
    if unknown := sorted(set(query) - {"starttls"}):
        reader.problem("SMTP_URL", f"has an unknown option {unknown[0]!r}; known: starttls")
    if parts.scheme == "smtps":
        encryption = Encryption.TLS
    else:
        asked = query.get("starttls", [None])[-1]
        encryption = reader.encryption("SMTP_URL, option starttls", asked, credentials=bool(parts.username))
    return SmtpSettings(
        host=parts.hostname or "",
        port=port or _PORTS[encryption],
        encryption=encryption,
        sender=reader.sender(),
        username=unquote(parts.username) if parts.username else None,
        password=unquote(parts.password or "") if parts.username else None,
        ca_file=reader.ca_file(),
    )


def _of_parts(reader: _Reader) -> SmtpSettings:
    host = reader.text("SMTP_HOST")
    if host is None:
        reader.problem("SMTP_URL", "is not set, nor is SMTP_HOST; name the SMTP server, as in smtp://host:25")
    username = reader.text("SMTP_USERNAME")
    password = reader.text("SMTP_PASSWORD")
    if (username is None) != (password is None):
        reader.problem("SMTP_USERNAME", "and SMTP_PASSWORD go together; set both or none")
    encryption = reader.encryption("SMTP_TLS", reader.text("SMTP_TLS"), credentials=username is not None)
    return SmtpSettings(
        host=host or "",
        port=reader.port("SMTP_PORT", reader.text("SMTP_PORT"), _PORTS[encryption]),
        encryption=encryption,
        sender=reader.sender(),
        username=username,
        password=password,
        ca_file=reader.ca_file(),
    )
