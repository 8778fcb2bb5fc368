"""Certificates of the webhook: valid for its names, trusted by their bundle, replaced in time."""

import base64
import ssl
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from cryptography import x509
from cryptography.x509.verification import PolicyBuilder, Store, VerificationError

from fluid_operator.admission.certificates import LIFETIME, RENEW_BEFORE, Certificate, is_due, issue
from fluid_operator.admission.errors import BadCertificate
from fluid_operator.admission.keeping import WEBHOOK_NAME, bundle_changes
from fluid_operator.admission.settings import OwnNames
from fluid_operator.admission.tls import Served

NAMES = OwnNames("hook", "team-a", "fluid-operator").dns
NOW = datetime(2026, 12, 1, 7, 0, tzinfo=UTC)


def verify(certificate: Certificate, bundle: bytes, name: str, now: datetime = NOW) -> None:
    """As a client does that trusts the bundle. Raises VerificationError."""
    store = Store(x509.load_pem_x509_certificates(bundle))
    verifier = PolicyBuilder().store(store).time(now).build_server_verifier(x509.DNSName(name))
    verifier.verify(x509.load_pem_x509_certificates(certificate.chain)[0], [])


def test_it_is_trusted_for_the_name_that_the_api_server_asks_for() -> None:
    certificate = issue(NAMES, NOW)
    verify(certificate, certificate.authorities, "hook.team-a.svc")
    with pytest.raises(VerificationError):
        verify(certificate, certificate.authorities, "other.team-a.svc")
    with pytest.raises(VerificationError):
        verify(certificate, issue(NAMES, NOW).authorities, "hook.team-a.svc")


def test_its_authority_can_sign_nothing_else_because_its_key_is_nowhere() -> None:
    certificate = issue(NAMES, NOW)
    assert certificate.key.count(b"PRIVATE KEY") == 2  # the begin and the end of one
    (authority,) = x509.load_pem_x509_certificates(certificate.authorities)
    assert authority.public_key() != certificate.leaf().public_key()


@pytest.mark.parametrize(
    ("later", "due"),
    [
        (timedelta(), False),
        (LIFETIME - RENEW_BEFORE - timedelta(seconds=1), False),
        (LIFETIME - RENEW_BEFORE, True),
        (2 * LIFETIME, True),
        (-timedelta(days=1), True),
    ],
)
def test_it_is_replaced_a_month_before_its_end(later: timedelta, due: bool) -> None:
    assert is_due(issue(NAMES, NOW), NAMES, NOW + later) is due


def test_it_is_replaced_for_another_service() -> None:
    assert is_due(issue(NAMES, NOW), OwnNames("hook", "team-b", "fluid-operator").dns, NOW)


def test_it_is_replaced_when_its_bundle_does_not_vouch_for_it() -> None:
    one, other = issue(NAMES, NOW), issue(NAMES, NOW)
    assert is_due(Certificate(one.chain, one.key, b""), NAMES, NOW)
    renewed = issue(NAMES, NOW + timedelta(days=1))
    assert is_due(Certificate(renewed.chain, renewed.key, other.authorities), NAMES, NOW)


def test_what_is_no_pem_is_told_so() -> None:
    with pytest.raises(BadCertificate):
        is_due(Certificate(b"chain", b"key", b"bundle"), NAMES, NOW)


def test_a_renewal_keeps_the_authority_before_it_and_no_older_one() -> None:
    first = issue(NAMES, NOW)
    second = issue(NAMES, NOW + timedelta(days=60), first.authorities)
    verify(first, second.authorities, "hook.team-a.svc")
    verify(second, second.authorities, "hook.team-a.svc", NOW + timedelta(days=61))
    third = issue(NAMES, NOW + timedelta(days=61), second.authorities)
    assert len(x509.load_pem_x509_certificates(third.authorities)) == 2
    much_later = issue(NAMES, NOW + timedelta(days=400), third.authorities)
    assert len(x509.load_pem_x509_certificates(much_later.authorities)) == 1


def test_a_key_is_in_no_representation() -> None:
    assert "PRIVATE" not in repr(issue(NAMES, NOW))


def test_a_certificate_is_loaded_once_and_a_wrong_key_is_refused() -> None:
    served, one, other = Served(), issue(NAMES, NOW), issue(NAMES, NOW)
    assert served.context.minimum_version is ssl.TLSVersion.TLSv1_2
    assert served.load(one, "here")
    assert not served.load(one, "here")
    with pytest.raises(BadCertificate, match=r"^here: certificate and key cannot be used: KEY_VALUES_MISMATCH$"):
        served.load(Certificate(one.chain, other.key), "here")
    assert served.certificate == one


# -- the caBundle -----------------------------------------------------------------------------------------------------


def configuration(*entries: tuple[str, bytes]) -> dict[str, Any]:
    """Of webhooks by their names, each with its bundle."""
    webhooks = [
        {"name": name, "clientConfig": {"url": "https://a", "caBundle": base64.b64encode(bundle).decode()}}
        for name, bundle in entries
    ]
    return {"metadata": {"resourceVersion": "7"}, "webhooks": webhooks}


def test_only_our_entry_is_changed_and_only_while_the_object_is_as_it_was() -> None:
    ours = issue(NAMES, NOW).authorities
    assert bundle_changes(configuration(("theirs.example.org", b""), (WEBHOOK_NAME, b"nonsense")), ours) == [
        {"op": "test", "path": "/metadata/resourceVersion", "value": "7"},
        {"op": "test", "path": "/webhooks/1/name", "value": WEBHOOK_NAME},
        {"op": "add", "path": "/webhooks/1/clientConfig/caBundle", "value": base64.b64encode(ours).decode()},
    ]


def test_what_is_right_already_is_not_written() -> None:
    ours = issue(NAMES, NOW).authorities
    assert bundle_changes({"metadata": {}}, ours) == []
    assert bundle_changes(configuration((WEBHOOK_NAME, ours)), ours) == []


def test_a_replica_that_has_yet_to_read_a_renewal_takes_no_trust_away_from_it() -> None:
    old = issue(NAMES, NOW).authorities
    new = issue(NAMES, NOW, old).authorities
    assert bundle_changes(configuration((WEBHOOK_NAME, new)), old) == []
    assert bundle_changes(configuration((WEBHOOK_NAME, old)), new) != []
