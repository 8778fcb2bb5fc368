"""What the webhook of a replica has to be told. Values only."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from fluid_operator.admission.certificates import service_names
from fluid_operator.kube.keys import ObjectKey


@dataclass(frozen=True, slots=True)
class OwnNames:
    """What a certificate that the operator keeps is for, and where it is kept."""

    service: str
    namespace: str
    configuration: str
    """Of the ValidatingWebhookConfiguration whose caBundle is written."""

    @property
    def secret(self) -> ObjectKey:
        """The Secret with the certificate."""
        return ObjectKey(self.namespace, f"{self.service}-certificate")

    @property
    def dns(self) -> tuple[str, ...]:
        """The names that the certificate speaks for."""
        return service_names(self.service, self.namespace)


@dataclass(frozen=True, slots=True)
class WebhookSettings:
    """Where to listen, and where the certificate comes from: exactly one of `folder` and `own`."""

    host: str
    port: int
    folder: Path | None = None
    own: OwnNames | None = None
    namespaces: Sequence[str] = ()
    """Those whose FluidJobs are judged; none: all."""
