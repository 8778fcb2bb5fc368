"""What can go wrong with the webhook.

    Exception
    └── AdmissionError
        ├── BadReview          the request is no review that could be answered; carries the HTTP code
        └── CertificateError
            ├── BadCertificate     what lies there cannot be served
            └── ForeignSecret      the Secret's name is taken by somebody else's

None of them holds anything of a payload or a key.
"""


class AdmissionError(Exception):
    """Anything that this room raises."""


class BadReview(AdmissionError):
    """Nothing to answer to: `status` is the HTTP code, `message` what would have been right."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.message = message


class CertificateError(AdmissionError):
    """There is no certificate to serve with, or no new one; the webhook goes on with what it has."""


class BadCertificate(CertificateError):
    """The certificate or key at `source` (a folder or a Secret) cannot be used."""

    def __init__(self, source: str, reason: str) -> None:
        super().__init__(f"{source}: {reason}")
        self.source = source
        self.reason = reason


class ForeignSecret(CertificateError):
    """A Secret of this name exists, but does not say that it is the operator's; it is left alone."""

    def __init__(self, secret: str, label: str) -> None:
        super().__init__(f"Secret {secret} is not the operator's: delete it, or give it the label {label}")
        self.secret = secret
