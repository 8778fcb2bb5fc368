"""A certificate for the webhook: made, read, and asked whether it still does. Pure; time is an argument.

Each serving certificate gets an authority of its own, whose key is thrown away at once: nothing that could sign is
kept anywhere. After a renewal the old authority stays in the bundle until it ends, so that replicas which still serve
the old certificate are trusted too.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from fluid_operator.admission.errors import BadCertificate

LIFETIME: Final = timedelta(days=90)
RENEW_BEFORE: Final = timedelta(days=30)
"""So long before its end a certificate is replaced."""

_SKEW: Final = timedelta(minutes=5)
"""Clocks of others may be behind ours by so much."""

_KEPT_AUTHORITIES: Final = 2


@dataclass(frozen=True, slots=True)
class Certificate:
    """PEM, each. `authorities` is what clients are to trust; empty where that is somebody else's business."""

    chain: bytes
    key: bytes = field(repr=False)
    authorities: bytes = b""

    def ends(self) -> datetime:
        """When it stops to be valid."""
        return self.leaf().not_valid_after_utc

    def names(self) -> set[str]:
        """The DNS names that it speaks for."""
        try:
            found = self.leaf().extensions.get_extension_for_class(x509.SubjectAlternativeName)
        except x509.ExtensionNotFound:
            return set()
        return set(found.value.get_values_for_type(x509.DNSName))

    def leaf(self) -> x509.Certificate:
        """The first of the chain. Raises ValueError for what is no PEM."""
        return x509.load_pem_x509_certificates(self.chain)[0]


def issue(names: Sequence[str], now: datetime, before: bytes = b"") -> Certificate:
    """A new certificate for these DNS names and 127.0.0.1, valid from `now` for LIFETIME. `before` are the authorities
    of the one that it replaces."""
    authority_key, key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    authority_name = _name(f"fluid-operator webhook authority {now:%Y-%m-%d}")
    authority = (
        _builder(authority_name, authority_name, authority_key.public_key(), now)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(signs_certificates=True), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(authority_key.public_key()), critical=False)
        .sign(authority_key, hashes.SHA256())
    )
    addresses = [x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
    leaf = (
        _builder(_name(names[0][:64]), authority_name, key.public_key(), now)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(signs_certificates=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(
            x509.SubjectAlternativeName([*(x509.DNSName(name) for name in names), *addresses]), critical=False
        )
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(authority_key.public_key()), critical=False)
        .sign(authority_key, hashes.SHA256())
    )
    bundle = _pem(authority) + b"".join(_pem(each) for each in _still_valid(before, now)[: _KEPT_AUTHORITIES - 1])
    return Certificate(_pem(leaf), _key_pem(key), bundle)


def is_due(certificate: Certificate, names: Sequence[str], now: datetime) -> bool:
    """Whether it is to be replaced: near its end, from the future, or for other names. Raises BadCertificate."""
    try:
        leaf = certificate.leaf()
        trusted = _still_valid(certificate.authorities, now)
        wrong = not set(names) <= certificate.names() or not any(leaf.issuer == each.subject for each in trusted)
    except ValueError as error:
        raise BadCertificate("certificate", "is not PEM") from error
    return wrong or now < leaf.not_valid_before_utc or now >= leaf.not_valid_after_utc - RENEW_BEFORE


def vouches(bundle: bytes, authorities: bytes) -> bool:
    """Whether whoever trusts `bundle` trusts what the newest of the `authorities` has signed."""
    try:
        newest, *_ = x509.load_pem_x509_certificates(authorities)
        return newest in x509.load_pem_x509_certificates(bundle)
    except ValueError:
        return False


def _still_valid(bundle: bytes, now: datetime) -> list[x509.Certificate]:
    """The authorities of a bundle, in their order, which is the newest first."""
    if not bundle.strip():
        return []
    try:
        found = x509.load_pem_x509_certificates(bundle)
    except ValueError:
        return []
    return [each for each in found if now < each.not_valid_after_utc]


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey, now: datetime
) -> x509.CertificateBuilder:
    start = now.astimezone(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(start - _SKEW)
        .not_valid_after(start + LIFETIME)
    )


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def _usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)


def _key_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
