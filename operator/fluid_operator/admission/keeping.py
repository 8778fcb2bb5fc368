"""Where the certificate comes from: a folder that somebody else fills (cert-manager), or a Secret that the operator
keeps by itself.

Both look again and again, and neither ever ends because of what it finds: a webhook without a certificate costs early
answers, not jobs. Every replica keeps the Secret, leader or not; the first one makes the certificate, and the
resourceVersion is the referee.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import logging
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, Protocol

from fluid_operator.admission.certificates import Certificate, is_due, issue, vouches
from fluid_operator.admission.errors import BadCertificate, CertificateError, ForeignSecret
from fluid_operator.admission.settings import OwnNames
from fluid_operator.admission.tls import Served, check_pair
from fluid_operator.kube.client import JSON_PATCH, Json, Kube
from fluid_operator.kube.errors import Conflict, KubeError, NotFound
from fluid_operator.kube.keys import SECRETS, ObjectKey, Resource

log = logging.getLogger(__name__)

VALIDATING_WEBHOOKS: Final = Resource(
    "admissionregistration.k8s.io",
    "v1",
    "validatingwebhookconfigurations",
    "ValidatingWebhookConfiguration",
    namespaced=False,
)
WEBHOOK_NAME: Final = "fluidjobs.jobs.fluidcalendar.com"
"""The entry of the configuration whose caBundle is ours."""

_MANAGED_BY: Final = ("app.kubernetes.io/managed-by", "fluid-operator")
_TRIES: Final = 3


class Keeper(Protocol):
    """Sees to it that `Served` has a certificate."""

    async def look(self) -> None:
        """Look once. Raises CertificateError or KubeError."""


class Folder:
    """tls.crt and tls.key in a folder, as a mounted Secret of type kubernetes.io/tls."""

    def __init__(self, folder: Path, served: Served) -> None:
        self._folder = folder
        self._served = served

    async def look(self) -> None:
        """Load the files where they have changed. Raises BadCertificate."""
        try:
            found = Certificate((self._folder / "tls.crt").read_bytes(), (self._folder / "tls.key").read_bytes())
        except OSError as error:
            raise BadCertificate(str(self._folder), f"{error.filename}: {error.strerror}") from error
        if self._served.load(found, str(self._folder)):
            log.info("Serves the webhook with a certificate from files.", extra={"fields": {"ends": _end(found)}})


class OwnSecret:
    """A certificate that the operator makes, renews and tells the API server about."""

    def __init__(
        self,
        kube: Kube,
        names: OwnNames,
        served: Served,
        *,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._kube = kube
        self._names = names
        self._served = served
        self._now = now

    async def look(self) -> None:
        """Make or renew the certificate where that is due, have it trusted, and serve with it, in this order."""
        certificate = await self._kept()
        try:
            await self._publish(certificate.authorities)
        except KubeError:
            if self._served.certificate is None:  # somebody may trust it all the same
                self._load(certificate)
            raise
        self._load(certificate)

    def _load(self, certificate: Certificate) -> None:
        if self._served.load(certificate, f"Secret {self._names.secret}"):
            log.info("Serves the webhook with its own certificate.", extra={"fields": {"ends": _end(certificate)}})

    async def _kept(self) -> Certificate:
        """The certificate of the Secret. Raises ForeignSecret, or BadCertificate when others are faster each
        time."""
        for _ in range(_TRIES):
            try:
                secret = await self._kube.get(SECRETS, self._names.secret)
            except NotFound:
                secret = None
            held = None if secret is None else _read(secret, self._names.secret)
            if held is not None and not self._is_due(held):
                return held
            fresh = issue(self._names.dns, self._now(), held.authorities if held else b"")
            try:
                await self._write(secret, fresh)
            except Conflict:  # another replica was faster: its certificate is as good as ours
                continue
            log.info("Made a certificate for the webhook.", extra={"fields": {"ends": _end(fresh)}})
            return fresh
        raise BadCertificate(f"Secret {self._names.secret}", "it changes all the time")

    def _is_due(self, held: Certificate) -> bool:
        try:
            check_pair(held, f"Secret {self._names.secret}")
            return is_due(held, self._names.dns, self._now())
        except BadCertificate as error:
            log.warning("The webhook's Secret is damaged.", extra={"fields": {"error": str(error)}})
            return True

    async def _write(self, secret: Json | None, fresh: Certificate) -> None:
        """Create or replace; AlreadyExists and Conflict say that another replica did."""
        key = self._names.secret
        label, value = _MANAGED_BY
        body = secret or {
            "apiVersion": "v1",
            "kind": SECRETS.kind,
            "metadata": {"namespace": key.namespace, "name": key.name, "labels": {label: value}},
        }
        parts = {"tls.crt": fresh.chain, "tls.key": fresh.key, "ca.crt": fresh.authorities}
        body = {**body, "data": {name: base64.b64encode(part).decode() for name, part in parts.items()}}
        await (self._kube.create(SECRETS, body) if secret is None else self._kube.update(SECRETS, body))

    async def _publish(self, authorities: bytes) -> None:
        """Have the API server trust these. Without a configuration nobody asks us, and there is nothing to do."""
        key = ObjectKey("", self._names.configuration)
        try:
            found = await self._kube.get(VALIDATING_WEBHOOKS, key)
        except NotFound:
            log.debug("There is no webhook configuration.", extra={"fields": {"name": key.name}})
            return
        changes = bundle_changes(found, authorities)
        if changes:
            await self._kube.patch(VALIDATING_WEBHOOKS, key, changes, content_type=JSON_PATCH)
            log.info("Wrote the webhook's authorities.", extra={"fields": {"name": key.name}})


def bundle_changes(configuration: Mapping[str, Any], authorities: bytes) -> list[Json]:
    """A JSON patch that writes these authorities into our entries and touches nothing else; it fails if the object has
    changed meanwhile. Empty: nothing to do.

    A bundle that vouches for ours and has more in it is left alone: another replica has renewed the certificate
    already, and we have yet to read it.
    """
    changes: list[Json] = []
    for place, webhook in enumerate(configuration.get("webhooks") or ()):
        trusted = base64.b64decode(webhook["clientConfig"].get("caBundle") or "")
        if webhook["name"] != WEBHOOK_NAME or vouches(trusted, authorities):
            continue
        at, bundle = f"/webhooks/{place}", base64.b64encode(authorities).decode()
        changes.append({"op": "test", "path": f"{at}/name", "value": WEBHOOK_NAME})
        changes.append({"op": "add", "path": f"{at}/clientConfig/caBundle", "value": bundle})
    if changes:
        version = configuration["metadata"]["resourceVersion"]
        changes.insert(0, {"op": "test", "path": "/metadata/resourceVersion", "value": version})
    return changes


def _read(secret: Mapping[str, Any], key: ObjectKey) -> Certificate | None:
    """What the Secret holds; None when that is nothing whole. Raises ForeignSecret."""
    label, value = _MANAGED_BY
    if (secret["metadata"].get("labels") or {}).get(label) != value:
        raise ForeignSecret(str(key), f"{label}={value}")
    data = secret.get("data") or {}
    try:
        chain, private, authorities = (base64.b64decode(data[name]) for name in ("tls.crt", "tls.key", "ca.crt"))
    except (KeyError, binascii.Error):
        return None
    return Certificate(chain, private, authorities)


def _end(certificate: Certificate) -> str:
    return certificate.ends().isoformat()


async def keep(keeper: Keeper, looked: Callable[[], None], *, every: float, after_failure: float) -> None:
    """Look every so many seconds until cancelled, sooner after a failure; `looked` is told after each look."""
    told = ""
    while True:
        pause, problem = every, ""
        try:
            await keeper.look()
        except (CertificateError, KubeError) as error:
            pause, problem = after_failure, str(error)
        except Exception:  # a defect in the optional part must not end the operator
            log.exception("Keeping the webhook's certificate broke.")
        if problem and problem != told:
            log.warning("The webhook's certificate is not in order.", extra={"fields": {"error": problem}})
        told = problem
        looked()
        await asyncio.sleep(pause)
