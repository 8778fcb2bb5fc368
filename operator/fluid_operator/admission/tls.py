"""The certificate that is served at this moment, replaced while connections come and go.

The context of a listening socket stays the same; what is loaded into it anew holds from the next handshake on. Knows
neither where certificates come from nor when they end.
"""

from __future__ import annotations

import os
import ssl

from fluid_operator.admission.certificates import Certificate
from fluid_operator.admission.errors import BadCertificate


class Served:
    """A TLS context for servers. Before the first `load` every handshake fails, which is all that a webhook without a
    certificate can do."""

    def __init__(self) -> None:
        self.context = _fresh_context()
        self.certificate: Certificate | None = None

    def load(self, certificate: Certificate, source: str) -> bool:
        """Serve with this certificate from now on; whether it is another one. Raises BadCertificate, and then nothing
        has changed. `source` is for the error."""
        if certificate == self.certificate:
            return False
        # A key that does not fit would leave the context with half of each.
        check_pair(certificate, source)
        _load(self.context, certificate, source)
        self.certificate = certificate
        return True


def check_pair(certificate: Certificate, source: str) -> None:
    """Raises BadCertificate if the certificate and its key cannot be served."""
    _load(_fresh_context(), certificate, source)


def _fresh_context() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context


def _load(context: ssl.SSLContext, certificate: Certificate, source: str) -> None:
    """OpenSSL reads files only; this one is in memory, so that a key which came from a Secret never lies on a disk."""
    descriptor = os.memfd_create("certificate", os.MFD_CLOEXEC)
    try:
        with open(descriptor, "wb", closefd=False) as file:
            file.write(certificate.key.rstrip() + b"\n" + certificate.chain)
        # With a password it does not ask for one on the terminal.
        context.load_cert_chain(f"/proc/self/fd/{descriptor}", password="")
    except (ssl.SSLError, ValueError, OSError) as error:
        reason = getattr(error, "reason", None) or type(error).__name__
        raise BadCertificate(source, f"certificate and key cannot be used: {reason}") from error
    finally:
        os.close(descriptor)
