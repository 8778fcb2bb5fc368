"""What the webhook of a replica has to be told. Values only."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

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
        """The names that the certificate speaks for: the first is what the API server asks for, the last is for
        port-forwards and for an operator outside of the cluster."""
        service = f"{self.service}.{self.namespace}"
        return (f"{service}.svc", f"{service}.svc.cluster.local", service, "localhost")


@dataclass(frozen=True, slots=True)
class WebhookSettings:
    """Where to listen, and where the certificate comes from: exactly one of `folder` and `own`."""

    host: str
    port: int
    folder: Path | None = None
    own: OwnNames | None = None
    namespaces: Sequence[str] = ()
    """Those whose FluidJobs are judged; none: all."""
