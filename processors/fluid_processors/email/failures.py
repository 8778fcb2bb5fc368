"""What an SMTP server's refusal means for a job: try again, wait, or give up.

The class names are what failure policies match (`failurePolicy.rules[].errorTypes`). Texts carry the
server's codes and words with every address cut out. A wrong password is not permanent: it is the
operator's, and may be corrected while the job waits.

    SMTPConnectionError       no connection, connection lost, time-out         retried
    SMTPTemporaryError        4xx                                              retried
    SMTPAuthenticationError   the server refuses the worker's credentials      retried
    SMTPPermanentError        5xx on sender or data                            PermanentError
    SMTPRecipientsRefused     5xx for every recipient                          PermanentError
    RateLimited               4xx that speaks of a rate or of too many         waits, no attempt counted
"""

import re
from collections.abc import Iterable

import aiosmtplib

from fluid_queue import PermanentError, RateLimited

RATE_LIMIT_SECONDS = 60.0
"""The pause after a server said "too many": SMTP has no way to say how long."""

_ADDRESS = re.compile(r"[^\s<>@]+@[^\s<>]+")
# Not "quota": one full mailbox is no reason to stop all mail.
_TOO_MANY = re.compile(r"too many|\brate\b|rate.?limit|throttl|slow down|too (?:fast|quickly)", re.IGNORECASE)
_LIMIT_CODES = frozenset({421, 450, 451, 452, 454})
_LONGEST_TEXT = 300


class SMTPConnectionError(Exception):
    """There is no connection, or it broke; the message may or may not have been taken."""


class _Refusal(Exception):
    """A refusal with its `code`."""

    def __init__(self, code: int, message: str) -> None:
        self.code = code
        super().__init__(message)


class SMTPTemporaryError(_Refusal):
    """A refusal that the server calls temporary."""


class SMTPAuthenticationError(_Refusal):
    """The server does not accept the worker's user name and password."""


class SMTPPermanentError(PermanentError):
    """A refusal that the server calls final, with its `code`."""

    def __init__(self, code: int, message: str) -> None:
        self.code = code
        super().__init__(message)


class SMTPRecipientsRefused(SMTPPermanentError):
    """The server takes the message for none of its recipients, for good."""


def error_of(error: Exception) -> Exception:
    """The error to raise for one of aiosmtplib's, or for an OSError."""
    if isinstance(error, aiosmtplib.SMTPRecipientsRefused):
        return _recipients_refused(error.recipients)
    if isinstance(error, aiosmtplib.SMTPAuthenticationError):
        return SMTPAuthenticationError(
            error.code,
            f"the SMTP server refused the worker's credentials ({words(error.code, error.message)}); correct SMTP_URL",
        )
    if isinstance(error, aiosmtplib.SMTPResponseException):
        return _refused(error.code, error.message)
    if isinstance(error, aiosmtplib.SMTPNotSupported):
        return SMTPConnectionError(f"the SMTP server lacks what the settings ask for: {_clean(error.message)}")
    return SMTPConnectionError(
        f"no working connection to the SMTP server: {_clean(str(error)) or type(error).__name__}"
    )


def words(code: int, text: str) -> str:
    """Code and words of an answer on one short line, without addresses."""
    return f"{code} {_clean(text)}".strip()


def _refused(code: int, text: str) -> Exception:
    message = f"the SMTP server refused the message: {words(code, text)}"
    if code >= 500:
        return SMTPPermanentError(code, message)
    if code in _LIMIT_CODES and _TOO_MANY.search(text):
        return RateLimited(message, after=RATE_LIMIT_SECONDS, scope="queue")
    return SMTPTemporaryError(code, message)


def _recipients_refused(refusals: Iterable[aiosmtplib.SMTPRecipientRefused]) -> Exception:
    """One temporary refusal among them is a reason to try again; nobody has received anything yet."""
    found = list(refusals)
    temporary = [each for each in found if each.code < 500]
    worst = (temporary or found)[0]
    if temporary:
        return _refused(worst.code, worst.message)
    message = f"the SMTP server refused every recipient: {words(worst.code, worst.message)}"
    return SMTPRecipientsRefused(worst.code, message)


def _clean(text: str) -> str:
    return " ".join(_ADDRESS.sub("(address)", text).split())[:_LONGEST_TEXT]
