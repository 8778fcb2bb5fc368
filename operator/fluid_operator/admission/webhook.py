"""The webhook of one replica as a whole: from settings to a listening port, and nothing left behind.

Knows nothing of leadership: every replica answers.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from typing import Protocol

from fluid_operator.admission.catalogue import Catalogue
from fluid_operator.admission.earlier import has_run
from fluid_operator.admission.endpoint import Endpoint, listening
from fluid_operator.admission.keeping import Folder, Keeper, OwnSecret, keep
from fluid_operator.admission.reviewer import Reviewer
from fluid_operator.admission.reviews import Heard
from fluid_operator.admission.settings import WebhookSettings
from fluid_operator.admission.tls import Served
from fluid_operator.kube.client import Kube

log = logging.getLogger(__name__)

_FILES_EVERY = 5.0
_SECRET_EVERY = 30.0
_AFTER_FAILURE = 3.0


class Observer(Protocol):
    """What metrics want to know."""

    def admission_asked(self, heard: Heard, seconds: float) -> None:
        """A request was answered."""

    def admission_certificate(self, ends: float) -> None:
        """The certificate that is served ends then, in seconds since the epoch."""


@asynccontextmanager
async def webhook(settings: WebhookSettings | None, kube: Kube, observer: Observer) -> AsyncIterator[None]:
    """Answer reviews inside the block; without settings, nothing. Raises CannotListen."""
    if settings is None:
        yield
        return
    served = Served()
    catalogue = Catalogue(kube)
    namespaces = frozenset(settings.namespaces)
    reviewer = Reviewer(
        catalogue, partial(has_run, kube), serves=lambda namespace: not namespaces or namespace in namespaces
    )
    endpoint = Endpoint(reviewer, observer.admission_asked)
    async with listening(settings.host, settings.port, served.context, endpoint) as port:
        log.info("Serving the webhook.", extra={"fields": {"port": port}})
        keeping = asyncio.create_task(_keep(settings, kube, served, observer), name="webhook certificate")
        try:
            yield
        finally:
            keeping.cancel()
            await asyncio.gather(keeping, return_exceptions=True)
            await catalogue.aclose()


async def _keep(settings: WebhookSettings, kube: Kube, served: Served, observer: Observer) -> None:
    def looked() -> None:
        if served.certificate is not None:
            observer.admission_certificate(served.certificate.ends().timestamp())

    keeper: Keeper
    if settings.own is not None:
        keeper, every = OwnSecret(kube, settings.own, served), _SECRET_EVERY
    else:
        assert settings.folder is not None
        keeper, every = Folder(settings.folder, served), _FILES_EVERY
    await keep(keeper, looked, every=every, after_failure=_AFTER_FAILURE)
